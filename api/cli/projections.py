"""`projections list` and `projections rebuild`."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import click

from api.cli import FINDINGS, UNAVAILABLE
from api.cli.feeding import feeding
from api.cli.interrupting import interrupts
from api.cli.output import as_json, print_facts, print_json, print_rows
from api.cli.progress import showing
from api.cli.reading import open_ledger
from api.cli.remote import READ, READ_AND_ADMIN, Remote, asked, at_url, do_or_ask
from api.settings import Settings
from api.views import ProjectionsSchema, RebuildSchema, projection_items
from ledger.recorders.base import Log
from projections.answers import Progress
from projections.questions import progress_of
from projections.rebuild.rebuilds import Rebuilds
from projections.registry import PROJECTIONS

COLUMNS = ("name", "version", "generation", "position", "lag", "blocked")
DIFFERENCES = ("projection", "table", "key", "what", "columns")
FACTS = ("state", "names", "generation", "done", "seconds", "rate", "position")
RUNNING = (
    "state",
    "phase",
    "names",
    "generation",
    "done",
    "total",
    "seconds",
    "rate",
    "secondsLeft",
)
LOOK_S: Final = 0.2
"""How often one looks how far a rebuild has come, in seconds."""
PATH: Final = "/api/projections"

Rebuild = dict[str, Any]
"""In the form in which the API answers it."""


@click.group()
def projections() -> None:
    """The views, which can be made again from the log at any time."""


@projections.command("list")
@at_url
@as_json
def list_(url: str | None, json_: bool) -> None:
    """Show how far each projection has read, and what blocks it.

    Asked through the service, also the rebuild that runs, or the one that ended last.
    """
    answer = asked(url, lambda service: service.get(PATH), needs=READ)
    if answer is None:
        answer = _read(Settings.from_env(os.environ))
    if json_:
        print_json(answer)
        return
    items = [item | {"blocked": len(item["blocked"])} for item in answer["items"]]
    print_rows(COLUMNS, ([item[name] for name in COLUMNS] for item in items))
    if answer["rebuild"] is not None:
        click.echo()
        _print(answer["rebuild"])
        _print_detail(answer["rebuild"])


@projections.command()
@click.argument("names", nargs=-1, metavar="[NAME]...", type=click.Choice(list(PROJECTIONS)))
@click.option(
    "--verify", is_flag=True, help="Compare with the live views; they stay live when they differ."
)
@at_url
@as_json
def rebuild(names: Sequence[str], verify: bool, url: str | None, json_: bool) -> None:
    """Make new views from the log beside the live ones, then answer from those.

    All projections, or those named. The live views go on until then, and are kept until the next
    rebuild. Ctrl-C cancels and leaves nothing. Exit 1 when --verify found differences, of which the
    first ten are printed, or when it was cancelled; 3 when it failed or another one runs.
    """
    settings = Settings.from_env(os.environ)
    with interrupts() as interrupted:
        done = do_or_ask(
            settings,
            url,
            lambda ledger: _here(settings.database_url, ledger.log, names, verify, interrupted),
            lambda service: _there(service, names, verify, interrupted),
            needs=READ_AND_ADMIN,
        )
    if json_:
        print_json(done)
    else:
        _print(done)
    _print_detail(done)
    if done["state"] != "done":
        raise SystemExit(UNAVAILABLE if done["state"] == "failed" else FINDINGS)


def _read(settings: Settings) -> dict[str, Any]:
    with open_ledger(settings) as (log, store):
        if store is None:
            progress = Progress(0, dict.fromkeys(PROJECTIONS, 0), ())
        else:
            progress = progress_of(store, log.key)
        items = list(projection_items(progress, log.head().position))
    read: dict[str, Any] = ProjectionsSchema().dump(
        {"items": items, "next_cursor": None, "rebuild": None}
    )
    return read


def _here(
    database_url: str, log: Log, names: Sequence[str], verify: bool, interrupted: threading.Event
) -> Rebuild:
    """Rebuild without a service; this process is the ledger's writer meanwhile."""
    with _feeding(database_url, log) if verify else _standing() as switched:
        rebuilds = Rebuilds(database_url, monotonic=time.monotonic, switched=switched)
        rebuilds.start(names, verify=verify)
        try:
            return _follow(
                lambda: _dumped(rebuilds.wait(LOOK_S)),
                lambda: _dumped(rebuilds.cancel() or rebuilds.last),
                interrupted,
            )
        finally:
            rebuilds.cancel()


def _there(
    service: Remote, names: Sequence[str], verify: bool, interrupted: threading.Event
) -> Rebuild:
    """Have the service rebuild."""
    # first, so that a token with which one cannot follow a rebuild starts none
    service.get(PATH)
    service.post(f"{PATH}/rebuild", {"names": list(names), "verify": verify})

    def look() -> Rebuild:
        interrupted.wait(LOOK_S)
        found: Rebuild = service.get(PATH)["rebuild"]
        return found

    return _follow(look, lambda: service.delete(f"{PATH}/rebuild"), interrupted)


def _follow(
    look: Callable[[], Rebuild], cancel: Callable[[], Rebuild], interrupted: threading.Event
) -> Rebuild:
    """Show a rebuild until its end, or until an interrupt brings it about."""
    with showing() as show:
        while (told := look())["state"] == "running" and not interrupted.is_set():
            show(told)
    if told["state"] == "running":
        click.echo("Cancelling.", err=True)
        told = cancel()
    return told


@contextmanager
def _feeding(database_url: str, log: Log) -> Iterator[Callable[[int, float], bool]]:
    """Keep the live views up to date, so that one can compare; lends what waits for a switch."""
    with feeding(database_url, log) as live:
        yield live.wait_switched


@contextmanager
def _standing() -> Iterator[Callable[[int, float], bool]]:
    """Leave the live views as they are: nobody here reads them."""
    yield lambda *_: True


def _dumped(rebuild: Any) -> Rebuild:
    dumped: Rebuild = RebuildSchema().dump(rebuild)
    return dumped


def _print(rebuild: Rebuild) -> None:
    names = RUNNING if rebuild["state"] == "running" else FACTS
    print_facts((name, _rounded(rebuild[name])) for name in names)
    if rebuild["differences"]:
        click.echo()
        found = rebuild["differences"]
        print_rows(DIFFERENCES, ([one[name] for name in DIFFERENCES] for one in found))


def _print_detail(rebuild: Rebuild) -> None:
    if rebuild["detail"]:
        click.echo(rebuild["detail"], err=True)


def _rounded(value: Any) -> Any:
    return round(value, 1) if isinstance(value, float) else value
