"""The WAL of a SQLite database: who writes the database empties it, or it could grow for ever.

SQLite begins a WAL anew at a moment at which nobody reads from it, and a busy service has none.
What helps is to move all of it into the file first and then to wait for those who still read: who
begins meanwhile reads the file alone.
"""

import contextlib
import sqlite3
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from eventsourcing.sqlite import SQLiteConnection

from ledger.recorders.base import LOCK_TIMEOUT_MS

LONG: Final = 64 * 1024 * 1024
"""From how many bytes on a WAL is too long."""
COMMITS: Final = 50
"""After how many commits it is looked at: a look lets go of the interpreter's lock."""
PATIENCE_MS: Final = 250
"""How long readers are waited for, in milliseconds; so long nothing can be written."""
EMPTY_S: Final = 10.0
"""How long `empty` tries, in seconds."""
PAUSE_S: Final = 0.05
"""The pause between two of its tries, in seconds."""


class Wal:
    """The WAL of a database, for the one connection that writes it."""

    def __init__(self, database: Path) -> None:
        """Look after the WAL beside this database."""
        self._path = database.with_name(f"{database.name}-wal")
        self._commits = 0
        self._most = LONG

    def tend(self, connection: SQLiteConnection) -> None:
        """Empty it if it has become long, after a commit; tried again when it is longer still."""
        self._commits += 1
        if self._commits % COMMITS:
            return
        # Whatever this meets, what was committed before it is durable.
        with contextlib.suppress(OSError, sqlite3.Error):
            size = self._path.stat().st_size
            if size > self._most:
                self._most = LONG if _emptied(connection) else size + LONG

    def empty(self, lend: Callable[[], AbstractContextManager[SQLiteConnection]]) -> list[str]:
        """Empty it, so that nothing stays in it of what was replaced.

        `lend` gives the connection that writes; it is asked often and briefly. Returns a sentence
        when it cannot be done within `EMPTY_S` seconds.
        """
        end = time.monotonic() + EMPTY_S
        while time.monotonic() < end:
            with lend() as connection:
                if _emptied(connection):
                    return []
            time.sleep(PAUSE_S)
        remains = (
            f"{self._path.name} still holds older states, because a reader is at one of them; give "
            "the same command again when no export runs."
        )
        return [remains]


def _emptied(connection: SQLiteConnection) -> bool:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={PATIENCE_MS}")
    cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    busy = cursor.fetchone()[0]
    cursor.execute(f"PRAGMA busy_timeout={LOCK_TIMEOUT_MS}")
    return not busy
