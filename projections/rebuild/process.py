"""How the processes of a rebuild begin, and when they end."""

import gc
import os
import threading
from collections.abc import Callable
from typing import IO, Final

import msgspec

from ledger.domain.errors import LedgerError
from projections.rebuild.job import Failed, Job

COLLECT_AFTER: Final = 100_000
"""How many objects are made between two looks of the garbage collector: there is none to find."""


def begin() -> Job:
    """Take the job from standard input; the process ends as soon as nobody holds that any more."""
    # Without a buffer, whose lock the thread below would hold when the interpreter ends.
    orders = open(0, "rb", buffering=0, closefd=False)  # noqa: SIM115 - open as long as the process
    job = msgspec.json.decode(orders.readline(), type=Job)
    threading.Thread(target=_end_with_the_parent, args=(orders,), daemon=True).start()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 50, 1_000)
    return job


def finish(work: Callable[[], None], tell: Callable[[Failed], None]) -> int:
    """Do the work, or tell why it failed; returns the exit code."""
    try:
        work()
    except LedgerError as error:
        tell(Failed(str(error)))
    except Exception as error:  # noqa: BLE001 - its text may hold data, so only its kind is told
        tell(Failed(f"The rebuilding process failed ({type(error).__name__})."))
    else:
        return 0
    return 1


def _end_with_the_parent(orders: IO[bytes]) -> None:
    """Nobody is left to publish the draft; the next start removes it."""
    orders.read()
    os._exit(1)
