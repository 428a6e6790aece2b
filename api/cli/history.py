"""`history`: what happened to a client's connections, or to one connection."""

import os
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import click

from api.answers import HistoryEntrySchema
from api.bootstrap import now_us
from api.cli.output import Moment, findings, print_json, print_rows
from api.cli.reading import open_questions
from api.history import csv_lines, ndjson_lines
from api.pagination import through
from api.schemas import MAX_LIMIT
from api.settings import Settings
from projections.answers import Cursor, HistoryEntry, Page

COLUMNS = ("position", "occurredAt", "type", "late", "connectionId", "summary")


@click.command()
@click.argument("ref", metavar="REF")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "ndjson", "csv"]),
    default="table",
    show_default=True,
    help="How it is printed.",
)
@click.option("--json", "json_", is_flag=True, help="The same as --format json.")
@click.option("--as-of", type=Moment(), help="As we would have answered at this time.")
@click.option("--valid-at", type=Moment(), help="Only what had occurred at this time.")
@click.option(
    "--by",
    type=click.Choice(["position", "occurredAt"]),
    default="position",
    show_default=True,
    help="In the order in which it was recorded, or in which it happened.",
)
def history(
    ref: str, form: str, json_: bool, as_of: int | None, valid_at: int | None, by: str
) -> None:
    """List what happened to REF, folded from the log.

    REF is a clientReferenceId, a connection id, or a connection's short form (conn~1a2b3c4d).
    """
    if as_of is not None and as_of > now_us():
        raise click.UsageError("--as-of lies in the future.")
    asked: dict[str, Any] = {"as_of_us": as_of, "by": by, "limit": MAX_LIMIT}
    if valid_at is not None:
        # `to` is exclusive, validAt is not
        asked["to_ms"] = valid_at // 1000 + 1
    with open_questions(Settings.from_env(os.environ)) as questions:
        for ask in (questions.client_history, questions.connection_history):
            fetch = partial(ask, ref, **asked)
            first = fetch(after=None)
            if first is not None:
                entries = through(first.value, partial(_page, fetch))
                _print(entries, "json" if json_ else form)
                return
    findings("This reference has never been heard of. Check its spelling.")


def _page(fetch: Callable[..., Any], end: Cursor) -> Page[HistoryEntry]:
    page: Page[HistoryEntry] = fetch(after=end).value
    return page


def _print(entries: Iterable[HistoryEntry], form: str) -> None:
    if form == "json":
        dumped = HistoryEntrySchema().dump(list(entries), many=True)
        print_json({"items": dumped, "nextCursor": None})
    elif form == "table":
        dumps = (HistoryEntrySchema().dump(entry) for entry in entries)
        print_rows(COLUMNS, ([one[name] for name in COLUMNS] for one in dumps))
    else:
        for line in ndjson_lines(entries) if form == "ndjson" else csv_lines(entries):
            click.echo(line, nl=False)
