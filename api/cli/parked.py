"""`parked list` and `parked retry`."""

import os
from collections.abc import Sequence
from typing import Any

import click

from api.cli.output import as_json, print_json, print_rows
from api.cli.reading import open_questions
from api.cli.remote import at_url, do_or_ask
from api.pagination import through
from api.parked import delivery_stream, parked_item, retried_page
from api.schemas import MAX_LIMIT, ParkedSchema, RetriedSchema, page_of
from api.settings import Settings
from ledger.application import Ledger, Outcome, Retry
from projections.answers import ParkedDelivery

COLUMNS = ("id", "reason", "detail", "type", "size", "observedAt")


@click.group()
def parked() -> None:
    """Deliveries that are kept but could not be read."""


@parked.command("list")
@as_json
def list_(json_: bool) -> None:
    """List parked deliveries with the reason, oldest first."""
    with open_questions(Settings.from_env(os.environ)) as questions:
        items = [ParkedSchema().dump(parked_item(one)) for one in _all(questions)]
    if json_:
        print_json({"items": items, "nextCursor": None})
        return
    rows = ([item[name] for name in COLUMNS] for item in items)
    print_rows(COLUMNS, rows, empty="Nothing is parked.")


@parked.command()
@click.argument("ids", nargs=-1)
@at_url
@as_json
def retry(ids: Sequence[str], url: str | None, json_: bool) -> None:
    """Read parked deliveries again: those with these IDS, or all. Exit 1 when some stay parked."""
    settings = Settings.from_env(os.environ)
    done = do_or_ask(
        settings,
        url,
        lambda ledger: _retry(settings, ledger, ids),
        lambda service: service.post("/api/parked/retry", {"ids": list(ids)} if ids else {}),
    )
    if json_:
        print_json(done)
    else:
        rows = ([item["id"], item["outcome"]] for item in done["items"])
        print_rows(("id", "outcome"), rows, empty="Nothing is parked.")
    if any(item["outcome"] == Outcome.STILL_PARKED for item in done["items"]):
        raise SystemExit(1)


def _retry(settings: Settings, ledger: Ledger, ids: Sequence[str]) -> dict[str, Any]:
    if ids:
        streams = [delivery_stream(one) for one in ids]
    else:
        with open_questions(settings) as questions:
            streams = [one.stream for one in _all(questions)]
    done = [ledger.record([Retry(stream)])[0] for stream in dict.fromkeys(streams)]
    dumped: dict[str, Any] = page_of(RetriedSchema).dump(retried_page(done))
    return dumped


def _all(questions: Any) -> Sequence[ParkedDelivery]:
    first = questions.parked(None, MAX_LIMIT)
    return list(through(first, lambda end: questions.parked(end, MAX_LIMIT)))
