"""Markdown: tables, and the places in a page that are filled from the code."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

Parts = Mapping[str, str]
"""By name: what belongs into a place of a page."""

PLACE = re.compile(r"<!-- from the code: (?P<name>[^>]+?) -->\n.*?<!-- end -->", re.DOTALL)


class UndocumentedError(Exception):
    """Something that a user can meet has no description, or no place in its page."""


def fill(page: str, text: str, parts: Parts) -> str:
    """Put each part into its place.

    Raises:
        UndocumentedError: a part has no place, or a place no part.
    """
    places = [match["name"] for match in PLACE.finditer(text)]
    if wrong := sorted({*places} ^ {*parts}):
        raise UndocumentedError(
            f"docs/reference/{page}.md has a place without something in the code, or the code has "
            f"something without a place: {', '.join(wrong)}. A place is two lines, "
            f"`<!-- from the code: {wrong[0]} -->` and `<!-- end -->`."
        )
    return PLACE.sub(lambda match: place(match["name"], parts[match["name"]]), text)


def place(name: str, content: str) -> str:
    """Give a filled place."""
    return f"<!-- from the code: {name} -->\n\n{content.strip()}\n\n<!-- end -->"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def described(what: str, text: str | None) -> str:
    """Give a description in one line.

    Raises:
        UndocumentedError: there is none.
    """
    if not text or not text.strip():
        raise UndocumentedError(f"{what} has no description: write one beside it in the code.")
    return " ".join(text.split())


def code(text: str) -> str:
    """Mark as code."""
    return f"`{text}`"


def anchor(title: str) -> str:
    """Give the anchor of a heading, as GitHub and MyST make it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _cell(text: str) -> str:
    return text.replace("|", r"\|")
