"""Reading commands: the ledger opened read-only, whoever writes it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from api.bootstrap import entropy, now_us
from api.cli.output import unavailable
from api.settings import Settings
from ledger.recorders import open_log
from ledger.recorders.base import Log
from projections.errors import ViewsDamaged
from projections.log_questions import LogQuestions
from projections.opening import find_store
from projections.store import Store


@contextmanager
def open_questions(settings: Settings) -> Iterator[LogQuestions]:
    """Lend the questions that are answered from the log.

    Raises:
        StoreUnavailable: the log cannot be read.
    """
    with open_ledger(settings) as (log, store):
        yield LogQuestions(log, store, stale_after_ms=settings.stale_after_seconds * 1000)


@contextmanager
def open_ledger(settings: Settings) -> Iterator[tuple[Log, Store | None]]:
    """Lend the log and its live views, if there are any, for reading.

    Raises:
        StoreUnavailable: the log cannot be read.
    """
    file = settings.database_file
    if file is not None and not os.access(file, os.R_OK):
        unavailable(
            f"There is no ledger at {file} that this user can read. Check LEDGER_DATABASE_URL, or "
            "run this as the service's user."
        )
    log = open_log(settings.database_url, writer=False, entropy=entropy, now=now_us)
    try:
        store = _find_store(settings)
        try:
            yield log, store
        finally:
            if store is not None:
                store.close()
    finally:
        log.close()


def _find_store(settings: Settings) -> Store | None:
    try:
        return find_store(settings.database_url)
    except ViewsDamaged:
        return None  # the log tells the same, only slower
