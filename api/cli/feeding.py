"""Live views for a command that runs without a service and must see what it has just written."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ledger.recorders.base import Log
from projections.generations import generations_of
from projections.live import Live


@contextmanager
def feeding(database_url: str, log: Log) -> Iterator[Live]:
    """Keep the live views up to date meanwhile, and lend them.

    Raises StoreUnavailable when they cannot be opened.
    """
    live = Live(log, generations_of(database_url))
    stop, wake = threading.Event(), threading.Event()
    thread = threading.Thread(target=live.run, args=(stop, wake), name="projections", daemon=True)
    thread.start()
    try:
        yield live
    finally:
        stop.set()
        wake.set()
        thread.join()
        live.close()
