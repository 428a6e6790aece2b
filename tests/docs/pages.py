"""The documentation as the tests see it: pages, their fenced blocks, headings, links and tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
PARSER = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True)
class Block:
    """A block of code: its language, the words after it, its text and where it starts.

    One that is only indented has neither language nor words.
    """

    language: str
    marks: str
    text: str
    line: int


def pages() -> list[str]:
    """Return README.md, CHANGELOG.md and every page under docs/ that exist, by relative name."""
    found = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [str(page.relative_to(ROOT)) for page in found if page.exists()]


def tokens(page: str) -> list[Token]:
    """Parse a page."""
    return PARSER.parse((ROOT / page).read_text(encoding="utf-8"))


def blocks(page: str) -> Iterator[Block]:
    """Yield a page's blocks of code in order, with their first line's number, from 1."""
    for token in tokens(page):
        if token.type in {"fence", "code_block"}:
            language, _, marks = token.info.strip().partition(" ")
            yield Block(language, marks.strip(), token.content, (token.map or [0])[0] + 1)


def links(page: str) -> Iterator[str]:
    """Yield the target of each link and image of a page."""
    for token in tokens(page):
        for child in token.children or ():
            if target := child.attrs.get("href") or child.attrs.get("src"):
                yield str(target)


def anchors(page: str) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    titles = [
        after.content for before, after in pairwise(tokens(page)) if before.type == "heading_open"
    ]
    slugs: list[str] = []
    for title in titles:
        text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title).lower()
        slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        slugs.append(slug if slug not in slugs else f"{slug}-{slugs.count(slug)}")
    return set(slugs)


def table_under(page: str, title: str) -> list[list[str]]:
    """Return the rows, head first, of the first table under a heading (its text, any case).

    Code marks are taken off a cell, and of a link only its text is kept.
    """
    rows: list[list[str]] = []
    under = False
    for before, token in pairwise(tokens(page)):
        if before.type == "heading_open":
            under = token.content.strip().lower() == title.lower()
        elif under and before.type == "tr_open":
            rows.append([])
        elif under and before.type in {"td_open", "th_open"}:
            cell = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", token.content)
            rows[-1].append(cell.replace("`", "").strip())
        elif under and before.type == "table_close":
            break
    return rows
