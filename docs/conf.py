"""How Sphinx builds these pages: `make docs`. No page needs anything from another host."""

from sphinx.application import Sphinx

project = "connection-ledger"
author = "The connection-ledger authors"
extensions = ["myst_parser"]
myst_heading_anchors = 4
html_theme = "furo"
html_title = "connection-ledger"
html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["pages.css"]
exclude_patterns = ["build"]
# A link to the code has no page here; that every page is reached from the index, tests check.
suppress_warnings = ["misc.highlighting_failure", "myst.xref_missing", "toc.not_included"]

SECTIONS = ("tutorial", "how-to", "reference", "explanation", "decisions")


def setup(app: Sphinx) -> None:
    """Give the pages a navigation."""
    app.connect("source-read", add_navigation)


def add_navigation(_app: Sphinx, page: str, source: list[str]) -> None:
    """Add trees of all pages to the index: as text in it, other readers would see the directive."""
    if page == "index":
        for section in SECTIONS:
            caption = section.capitalize()
            source[0] += (
                f"\n```{{toctree}}\n:hidden:\n:glob:\n:caption: {caption}\n{section}/*\n```\n"
            )
        source[0] += "\n```{toctree}\n:hidden:\n:caption: Words\nglossary\n```\n"
