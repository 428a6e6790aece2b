"""How commands print: JSON, rich tables on a terminal, plain lines elsewhere."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final, NoReturn

import click
from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from api.times import parse_micros

MUCH: Final = 100_000
"""More characters than any line needs."""

as_json = click.option("--json", "json_", is_flag=True, help="Print JSON, as the API answers it.")
"""The option of every command that prints a table."""


class Moment(click.ParamType[int]):
    """An RFC 3339 time, as microseconds since the epoch, UTC."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read it, or end with a usage error."""
        try:
            return value if isinstance(value, int) else parse_micros(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str = "") -> None:
    """Print a table, or tab-separated lines when stdout is no terminal."""
    texts = [[_text(cell) for cell in row] for row in rows]
    if not texts and empty:
        click.echo(empty, err=True)
        return
    if not sys.stdout.isatty():
        for line in ([*columns], *texts):
            click.echo("\t".join(line))
        return
    console = Console()
    console.print(table_of(columns, texts, console))


def table_of(columns: Sequence[str], rows: Sequence[Sequence[str]], console: Console) -> Table:
    """Make a table as wide as the console, of which nothing is cut off.

    What holds spaces is wrapped first, so that times, types and ids stay whole if there is room.
    """
    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        # Text, not str: square brackets in what others chose would be taken for markup
        table.add_row(*(Text(cell) for cell in row))
    boundless = console.options.update_width(MUCH)
    has_room = Measurement.get(console, boundless, table).minimum <= console.width
    for column, cells in zip(table.columns, zip(*rows, strict=True), strict=False):
        column.overflow = "fold"
        column.no_wrap = has_room and not any(" " in cell for cell in cells)
    return table


def print_facts(facts: Iterable[tuple[str, Any]]) -> None:
    """Print names and values under each other."""
    for name, value in facts:
        click.echo(f"{name + ':':<22}{_text(value)}")


def findings(sentence: str) -> NoReturn:
    """End with exit code 1 and a sentence."""
    click.echo(sentence, err=True)
    raise SystemExit(1)


def unavailable(sentence: str) -> NoReturn:
    """End with exit code 3 and a sentence."""
    click.echo(sentence, err=True)
    raise SystemExit(3)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list | tuple):
        return ", ".join(_text(one) for one in value) or "-"
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict | bool) else str(value)
    # one line each, and nothing that a terminal would obey
    return "".join(c if c.isprintable() else " " for c in text)
