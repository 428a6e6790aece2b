"""The rebuilding process: `python -m projections.rebuild`, with the job on standard input."""

import gc
import os
import sys
import threading
from typing import IO, Final

import msgspec

from ledger.domain.errors import LedgerError
from ledger.recorders import sqlite_path
from projections.rebuild.build import build
from projections.rebuild.job import Failed, Job, Message

NICE: Final = 5
"""By how much it steps back behind the service."""
COLLECT_AFTER: Final = 100_000
"""How many objects are made between two looks of the garbage collector: there is none to find."""

_encode: Final = msgspec.json.Encoder().encode


def main() -> int:
    """Build what the job says; returns the exit code."""
    # Without a buffer, whose lock the thread below would hold when the interpreter ends.
    orders = open(0, "rb", buffering=0, closefd=False)  # noqa: SIM115 - open as long as the process
    job = msgspec.json.decode(orders.readline(), type=Job)
    threading.Thread(target=_end_with_the_parent, args=(orders,), daemon=True).start()
    os.nice(NICE)
    path = sqlite_path(job.database_url)
    if path is not None:
        # What SQLite sorts is as large as the log: it goes to the disk where there is room for it.
        os.putenv("SQLITE_TMPDIR", str(path.absolute().parent))
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 50, 1_000)
    try:
        build(job, _tell)
    except LedgerError as error:
        _tell(Failed(str(error)))
        return 1
    except Exception as error:  # noqa: BLE001 - its text may hold data, so only its kind is told
        _tell(Failed(f"The rebuilding process failed ({type(error).__name__})."))
        return 1
    return 0


def _tell(message: Message) -> None:
    sys.stdout.buffer.write(_encode(message) + b"\n")
    sys.stdout.buffer.flush()


def _end_with_the_parent(orders: IO[bytes]) -> None:
    """Nobody is left to publish the draft; the next start removes it."""
    orders.read()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
