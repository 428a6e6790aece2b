"""The rebuilding process: `python -m projections.rebuild`, with the job on standard input."""

import os
import sys
from typing import Final

import msgspec

from ledger.recorders import sqlite_path
from projections.rebuild.build import build
from projections.rebuild.job import Message
from projections.rebuild.process import begin, finish

NICE: Final = 5
"""By how much it steps back behind the service; its helper does the same."""

_encode: Final = msgspec.json.Encoder().encode


def main() -> int:
    """Build what the job says; returns the exit code."""
    job = begin()
    os.nice(NICE)
    path = sqlite_path(job.database_url)
    if path is not None:
        # What SQLite sorts is as large as the log: it goes to the disk where there is room for it.
        os.putenv("SQLITE_TMPDIR", str(path.absolute().parent))
    return finish(lambda: build(job, _tell), _tell)


def _tell(message: Message) -> None:
    sys.stdout.buffer.write(_encode(message) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
