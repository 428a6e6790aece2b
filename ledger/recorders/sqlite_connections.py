"""Connections to a SQLite ledger: one that writes, any number that read, and the writer's lock."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

from eventsourcing.persistence import ConnectionUnavailableError
from eventsourcing.sqlite import SQLiteConnection, SQLiteConnectionPool, SQLiteDatastore

from ledger.domain.errors import StoreUnavailable, WriterLocked
from ledger.recorders.base import LOCK_TIMEOUT_MS

BUSY: Final = "The SQLite ledger is locked or unreadable ({}); try again, or see `doctor`."


class _Writers(SQLiteConnectionPool):
    """The one write connection."""

    def _create_connection(self) -> SQLiteConnection:
        connection = super()._create_connection()
        cursor = connection.cursor()
        # From the start: pages that were split before would keep copies of what is erased later.
        cursor.execute("PRAGMA secure_delete=ON")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA synchronous")
        if cursor.fetchone()[0] != 2:
            raise StoreUnavailable(
                "SQLite did not accept synchronous=FULL, without which an acknowledged delivery "
                "could be lost; use another SQLite build."
            )
        return connection


class _Readers(SQLiteConnectionPool):
    """Read-only connections; the writer has set the journal mode."""

    def __init__(self, path: Path, **kwargs: Any) -> None:
        super().__init__(db_name=f"{path.as_uri()}?mode=ro", **kwargs)
        self.is_journal_mode_wal = True


class Datastore(SQLiteDatastore):
    """The library's datastore with the write connection kept apart from the readers."""

    def __init__(self, path: Path, *, writer: bool) -> None:
        super().__init__(str(path), originator_id_type="text")
        self.pool.close()
        self.pool = _Readers(path, pool_size=5, max_overflow=27, pool_timeout=5.0)
        self.writers = (
            _Writers(
                db_name=str(path),
                lock_timeout=cast(int, LOCK_TIMEOUT_MS / 1000),
                pool_size=1,
                max_overflow=0,
                pool_timeout=LOCK_TIMEOUT_MS / 1000,
            )
            if writer
            else None
        )

    @contextmanager
    def get_connection(self, *, commit: bool) -> Iterator[SQLiteConnection]:
        """Lend the write connection when `commit`, else a read-only one."""
        if not commit:
            with super().get_connection(commit=False) as connection:
                yield connection
            return
        if self.writers is None:
            raise WriterLocked("This ledger was opened for reading; open it for writing instead.")
        try:
            connection = self.writers.get_connection(is_writer=True)
        except ConnectionUnavailableError as error:
            raise StoreUnavailable(
                f"Another write to the SQLite ledger takes over {LOCK_TIMEOUT_MS} ms; try again."
            ) from error
        try:
            yield connection
        finally:
            self.writers.put_connection(connection)

    def close(self) -> None:
        """Close every connection."""
        super().close()
        if getattr(self, "writers", None) is not None:
            cast(_Writers, self.writers).close()


def lock_writer(path: Path) -> int:
    """Take the writer's lock of the ledger at `path`; returns the descriptor that holds it.

    Raises:
        WriterLocked: another process has it.
    """
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise WriterLocked(
            f"Another process writes the ledger {path}. Ask it over HTTP (--url and LEDGER_TOKEN), "
            "or stop it first."
        ) from error
    return descriptor
