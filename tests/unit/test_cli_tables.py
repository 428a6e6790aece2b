"""Tables on a terminal: an operator reads all of a time, a type and an id, however narrow it is."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from api.cli.output import table_of

COLUMNS = ("position", "occurredAt", "type", "summary")
ROWS = [
    ("2", "2026-01-15T10:00:00.000Z", "connection.created", "The connection was created, active."),
    ("4", "2026-01-15T16:00:00.000Z", "connection.reconnected", "The session is [good] again."),
]


def printed(width: int) -> str:
    """The table on a terminal of so many columns."""
    console = Console(file=io.StringIO(), width=width)
    console.print(table_of(COLUMNS, ROWS, console))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 100, 200])
def test_times_and_types_stay_whole_where_there_is_room(width: int) -> None:
    """The prose beside them is wrapped instead."""
    lines = printed(width).splitlines()
    for row in ROWS:
        assert any(all(cell in line for cell in row[:3]) for line in lines)
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize("width", [30, 40, 60])
def test_nothing_is_cut_off_where_there_is_none(width: int) -> None:
    """It goes on in the next line."""
    shown = printed(width)
    assert "…" not in shown
    lines = shown.splitlines()
    assert max(map(len, lines)) <= width
    letters = sum(len(cell.replace(" ", "")) for row in (COLUMNS, *ROWS) for cell in row)
    assert sum(len(line.replace(" ", "").replace("─", "")) for line in lines) == letters
