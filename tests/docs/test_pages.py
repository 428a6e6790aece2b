"""Pages lead somewhere: links resolve, the README is short, the Where is table points at code.

docs/index.md has a heading `Where is` and under it a table with the columns question | file |
symbol, of at least twelve rows: the file from the project's folder (`ledger/domain/events.py`), the
symbol as one would import it (`verify`, `Connection.state`), both in code marks or as a link.
"""

from __future__ import annotations

import ast
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.docs.pages import ROOT, anchors, links, pages, table_under

README_LINES = 75
WHERE_IS_ROWS = 12


def relative_targets(page: str) -> list[tuple[str, str]]:
    """Return file and anchor of each link inside the project, as names from its folder."""
    targets = []
    for link in links(page):
        if "://" in link or link.startswith("mailto:"):
            continue
        name, _, anchor = unquote(link).partition("#")
        file = (ROOT / page).parent / name if name else ROOT / page
        targets.append((str(file.resolve().relative_to(ROOT)), anchor))
    return targets


@pytest.mark.parametrize("page", pages())
def test_every_relative_link_leads_to_a_file_and_a_heading(page: str) -> None:
    """A link inside the project names a file that exists, and a heading that page has."""
    broken = [
        f"{file}#{anchor}"
        for file, anchor in relative_targets(page)
        if not (ROOT / file).exists()
        or (anchor and file.endswith(".md") and anchor not in anchors(file))
    ]
    assert broken == []


def test_every_page_is_reached_from_the_index() -> None:
    """A page that no link leads to is a page that nobody reads."""
    seen: set[str] = set()
    ahead = ["docs/index.md"]
    while ahead:
        page = ahead.pop()
        if page not in seen and (ROOT / page).is_file():
            seen.add(page)
            ahead += [file for file, _ in relative_targets(page) if file.endswith(".md")]
    assert {page for page in pages() if page.startswith("docs/")} - seen == set()


def test_the_index_names_a_page_once() -> None:
    """Two people who add the same line see it here."""
    named = [file for file, _ in relative_targets("docs/index.md")]
    assert sorted({file for file in named if named.count(file) > 1}) == []


def test_the_readme_is_at_most_75_lines() -> None:
    """The README is a door, not the house."""
    assert len((ROOT / "README.md").read_text().splitlines()) <= README_LINES


def test_the_where_is_table_answers_at_least_twelve_questions() -> None:
    """A newcomer finds the place of what matters without searching."""
    rows = table_under("docs/index.md", "Where is")
    assert [cell.lower() for cell in rows[0]] == ["question", "file", "symbol"]
    assert len(rows) - 1 >= WHERE_IS_ROWS
    assert len({(file, symbol) for _, file, symbol in rows}) == len(rows)


def test_the_where_is_table_names_files_and_symbols_that_exist() -> None:
    """When code moves, the table moves with it."""
    wrong = [
        f"{file}: {symbol}"
        for _, file, symbol in table_under("docs/index.md", "Where is")[1:]
        if not (ROOT / file).is_file() or symbol not in symbols(ROOT / file)
    ]
    assert wrong == []


def symbols(file: Path) -> set[str]:
    """Return every name that a Python file defines: top level, and `Class.member`."""
    return set(_defined(ast.parse(file.read_text()).body, ""))


def _defined(body: list[ast.stmt], prefix: str) -> list[str]:
    names: list[str] = []
    for node in body:
        match node:
            case ast.ClassDef(name=name, body=members):
                names += [f"{prefix}{name}", *_defined(members, f"{prefix}{name}.")]
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names.append(f"{prefix}{name}")
            case ast.Assign(targets=targets):
                names += [f"{prefix}{name.id}" for name in targets if isinstance(name, ast.Name)]
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.append(f"{prefix}{name}")
    return names
