"""`doctor`: whether everything is as it should be, and what to do when it is not."""

import os
from collections.abc import Iterator
from contextlib import closing

import click

from api.bootstrap import Provider, entropy, now_us, open_quarantine
from api.checks.finding import Finding, Level, failed, warning
from api.checks.provider import check_provider
from api.checks.settings import check_settings
from api.checks.store import check_store
from api.checks.views import (
    check_clock,
    check_commands,
    check_duplicates,
    check_silence,
    check_sweep,
    check_views,
    check_waiting,
)
from api.cli.output import as_json, print_json, print_rows
from api.settings import Settings
from ledger.domain.errors import LedgerError
from ledger.reconcile.past import organisation
from ledger.reconcile.telling import course
from ledger.recorders import open_log
from ledger.recorders.base import Log
from projections.opening import find_store
from projections.questions import Questions
from projections.store import Store

COLUMNS = ("check", "level", "found", "advice")


@click.command()
@as_json
def doctor(json_: bool) -> None:
    """Check settings, store, provider, views, clock and webhooks, beside a service or without one.

    Nothing is changed; OFAuth is asked whose key it is. Exit 1 when a check failed; each such line
    says what to do.
    """
    findings, settings = check_settings(os.environ)
    if settings is not None:
        findings += check_store(settings.database_url)
        if not any(one.check == "store" and one.level is Level.FAILED for one in findings):
            findings += _look_inside(settings)
    if json_:
        items = [{name: getattr(one, name) for name in COLUMNS} for one in findings]
        print_json({"items": items, "nextCursor": None})
    else:
        print_rows(COLUMNS, ([getattr(one, name) for name in COLUMNS] for one in findings))
    if any(one.level is Level.FAILED for one in findings):
        raise SystemExit(1)


def _look_inside(settings: Settings) -> list[Finding]:
    try:
        log = open_log(settings.database_url, writer=False, entropy=entropy, now=now_us)
    except LedgerError as error:
        return [failed("store", "The log cannot be read.", str(error))]
    try:
        store = find_store(settings.database_url)
        try:
            return list(_check_log(settings, log, store))
        finally:
            if store is not None:
                store.close()
    except LedgerError as error:
        return [failed("views", "The views cannot be read.", str(error))]
    finally:
        log.close()


def _check_log(settings: Settings, log: Log, store: Store | None) -> Iterator[Finding]:
    now, head = now_us(), log.head()
    yield check_clock(head, now)
    with closing(Provider(lambda: settings)) as provider:
        if (client := provider()) is not None:
            yield check_provider(client, organisation(log))
    held = open_quarantine(settings).count()
    if store is None:
        yield warning("views", "There are no views yet.", "Start `serve`: it makes them.")
        return
    limit_ms = settings.stale_after_seconds * 1000
    questions = Questions(log, store, stale_after_ms=limit_ms)
    yield from check_views(questions.positions(), questions.blocked(), head.position)
    counts = questions.counts()
    yield from check_waiting(counts.parked, held)
    yield check_duplicates(counts.duplicates)
    yield check_silence(questions.silence(), now // 1000, limit_ms)
    yield check_commands(questions.unproved_commands(now // 1000))
    has_key = bool(settings.ofauth_api_key)
    yield check_sweep(course(log), now // 1000, settings.sweep_seconds, has_key)
