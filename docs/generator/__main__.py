"""`python -m docs.generator`: writes the generated parts of the reference pages."""

from docs.generator.reference import reference

for page, text in reference().items():
    if page.read_text(encoding="utf-8") != text:
        page.write_text(text, encoding="utf-8")
        print(f"{page.name} follows the code now: look at it, and commit it")
