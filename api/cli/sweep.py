"""`sweep`: a pass over the provider's list, or one after the other."""

import os
import threading
from typing import Any, Final

import click

from api.bootstrap import Provider, entropy, now_us
from api.cli import FINDINGS, UNAVAILABLE
from api.cli.feeding import feeding
from api.cli.interrupting import interrupts
from api.cli.output import as_json, print_facts, print_json
from api.cli.remote import READ_AND_ADMIN, Remote, at_url, do_or_ask
from api.settings import Settings
from api.sweeping import NoProvider, living
from api.sweeps import SweepSchema, told_as_item
from ledger.application import Ledger
from ledger.domain.errors import WriterLocked
from ledger.reconcile import Sweep, SweepRunning, new_holder, new_pass
from ledger.reconcile.telling import one_pass

FACTS: Final = (
    *("id", "state", "reasons", "connections", "live", "absent", "braked", "repairs"),
    *("appended", "transitions", "requests", "startedAt", "endedAt"),
)
LOOK_S: Final = 0.2
"""How often one looks whether a pass has ended, in seconds."""

Told = dict[str, Any]
"""A pass, in the form in which the API answers it."""


@click.command()
@click.option(
    "--every",
    type=click.IntRange(1),
    metavar="S",
    help="Go on with a pass every S seconds, until Ctrl-C.",
)
@click.option(
    "--confirm-absences",
    is_flag=True,
    help="Believe that as many connections are gone as the pass will not find.",
)
@at_url
@as_json
def sweep(every: int | None, confirm_absences: bool, url: str | None, json_: bool) -> None:
    """Read the provider's whole list once, record what it tells, and say what was found.

    Nothing is concluded from a pass that is not valid. When too many connections are absent at
    once, nothing is concluded either, until you have looked and give --confirm-absences.
    Exit 0 when the (last) pass was valid, 1 when it was not, 3 when another one runs. With --every
    that is said, and the next try is made S seconds later.
    """
    settings = Settings.from_env(os.environ)
    told: Told | None = None
    with interrupts() as interrupted:
        while True:
            try:
                told = do_or_ask(
                    settings,
                    url,
                    lambda ledger: _here(settings, ledger, confirm_absences, interrupted),
                    lambda service: _there(service, confirm_absences, interrupted),
                    needs=READ_AND_ADMIN,
                )
                _print(told, json_)
            except SweepRunning:
                if every is None:
                    raise
                _put_off("Another pass over the list is running", every)
            except WriterLocked:
                # Who holds the ledger from the beginning is a service, and will not let go of it.
                if every is None or told is None:
                    raise
                _put_off("Another process writes this ledger", every)
            if every is None or interrupted.wait(every):
                break
    if told is None:
        raise SystemExit(UNAVAILABLE)
    if told["state"] != "valid":
        raise SystemExit(FINDINGS)


def _here(
    settings: Settings, ledger: Ledger, confirm_absences: bool, interrupted: threading.Event
) -> Told:
    """Make a pass without a service; this process is the ledger's writer meanwhile."""
    provider = Provider(lambda: settings, sleep=interrupted.wait)
    client = provider()
    if client is None:
        raise NoProvider
    stream = new_pass(entropy)
    with feeding(settings.database_url, ledger.log) as live:
        result = Sweep(
            ledger,
            client,
            stream=stream,
            holder=new_holder(entropy),
            known=lambda: living(ledger.log, live),
            now_ms=_now_ms,
            gap_after_ms=3 * settings.sweep_seconds * 1000,
            go_on=lambda: not interrupted.is_set(),
        ).run(confirm_absences=confirm_absences)
    provider.close()
    told = one_pass(ledger.log, result.id)
    assert told is not None, "a pass that ended is in the log"
    return _dumped(told_as_item(told, _now_ms(), running=False))


def _there(service: Remote, confirm_absences: bool, interrupted: threading.Event) -> Told:
    """Have the service make a pass, or join the one it makes."""
    # first, so that a token with which one cannot follow a pass starts none
    service.get("/api/sweeps", limit=1)
    told: Told = service.post("/api/sweeps", {"confirmAbsences": confirm_absences})
    while told["state"] == "running" and not interrupted.wait(LOOK_S):
        told = service.get(f"/api/sweeps/{told['id']}")
    return told


def _put_off(why: str, seconds: int) -> None:
    click.echo(f"{why}; the next try is in {seconds} s.", err=True)


def _print(told: Told, json_: bool) -> None:
    if json_:
        print_json(told)
        return
    print_facts((name, told[name]) for name in FACTS)
    if told["braked"]:
        click.echo(
            "Too many connections are absent at once: nothing was concluded. Look into OFAuth's "
            "dashboard; if they are really gone, give --confirm-absences.",
            err=True,
        )


def _dumped(item: dict[str, Any]) -> Told:
    dumped: Told = SweepSchema().dump(item)
    return dumped


def _now_ms() -> int:
    return now_us() // 1000
