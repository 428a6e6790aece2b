"""Views on SQLite: a file of their own beside the log, which can be thrown away and made again.

A power cut may take the last batches: rows and position together, so that they are read again. That
is why `synchronous=NORMAL` is enough here and not in the log.
"""

import os
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from eventsourcing.persistence import (
    ConnectionPoolClosedError,
    InterfaceError,
    OperationalError,
)
from eventsourcing.sqlite import (
    SQLiteConnection,
    SQLiteConnectionPool,
    SQLiteDatastore,
    SQLiteTrackingRecorder,
)

from ledger.domain.errors import StoreUnavailable
from ledger.recorders.sqlite_connections import truncate_wal
from projections.store import Session, Store

READERS: Final = 32
"""The most connections that read at once."""
_UNAVAILABLE: Final = (sqlite3.OperationalError, OperationalError, InterfaceError, OSError)
_FAULTS: Final = (*_UNAVAILABLE, sqlite3.ProgrammingError)
DOWN: Final = "The views' file could not be used ({}); try again, or see `doctor`."


def views_path(database: Path, generation: int) -> Path:
    """Name the file of a generation of the views of a SQLite log."""
    return database.with_name(f"{database.stem}.views-{generation}.db")


def found_generations(database: Path) -> list[int]:
    """Give the numbers of the views' files beside a SQLite log."""
    name = re.compile(re.escape(database.stem) + r"\.views-([0-9]+)\.db")
    with _answering():
        matches = [name.fullmatch(file.name) for file in database.absolute().parent.iterdir()]
    return sorted(int(match[1]) for match in matches if match)


class _Writers(SQLiteConnectionPool):
    """The one write connection."""

    def _create_connection(self) -> SQLiteConnection:
        connection = super()._create_connection()
        connection.cursor().execute("PRAGMA synchronous=NORMAL")
        connection.cursor().execute("PRAGMA secure_delete=ON")
        return connection


class _Readers(SQLiteConnectionPool):
    """Read-only connections; the writer has set the journal mode, and alone checkpoints."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            db_name=f"{path.absolute().as_uri()}?mode=ro",
            pool_size=READERS // 4,
            max_overflow=READERS - READERS // 4,
        )
        self.is_journal_mode_wal = True


class SQLiteStore(Store):
    """The views in a file; one process writes it."""

    def __init__(self, path: Path, *, writer: bool, generation: int = 1) -> None:
        """Open the views at `path`; a writer makes the file, readable by its owner only.

        Raises StoreUnavailable when it cannot be opened.
        """
        super().__init__(generation)
        self._path = path
        self._writers: SQLiteDatastore | None = None
        self._recorder: SQLiteTrackingRecorder | None = None
        with _answering():
            if writer:
                os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
                self._writers = _datastore(_Writers(db_name=str(path), pool_size=1, max_overflow=0))
                self._recorder = SQLiteTrackingRecorder(self._writers)
            self._readers = _datastore(_Readers(path))

    @property
    def recorder(self) -> SQLiteTrackingRecorder:
        """See `Store`."""
        if self._recorder is None:
            raise StoreUnavailable("These views were opened for reading; open them for writing.")
        return self._recorder

    @property
    def words(self) -> Mapping[str, str]:
        """See `Store`; a generation has a file of its own, so its tables need no suffix."""
        return {"g": "", "text": "TEXT", "clustered": "WITHOUT ROWID", "tracking": "tracking"}

    def create(self, tables: Iterable[str]) -> None:
        """See `Store`."""
        with _answering():
            self.recorder.create_table()
        with self.writing() as session:
            for statement in tables:
                session.run(statement)

    def exists(self) -> bool:
        """See `Store`."""
        if not self._path.exists():
            return False
        with self.reading() as session:
            query = "SELECT 1 FROM sqlite_master WHERE name = 'current_state{g}'"
            return bool(session.rows(query))

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """See `Store`."""
        with _answering(), self._readers.transaction(commit=False) as cursor:
            yield Session(cursor, self._dialect, _FAULTS)

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """See `Store`; the one write connection is lent to one at a time."""
        with _answering(), self.recorder.datastore.transaction(commit=True) as cursor:
            yield Session(cursor, self._dialect, _FAULTS)

    def scrub(self) -> list[str]:
        """See `Store`."""
        datastore = self.recorder.datastore
        with _answering():
            return truncate_wal(lambda: datastore.get_connection(commit=True), self._path)

    def close(self) -> None:
        """See `Store`."""
        self._readers.close()
        if self._writers is not None:
            self._writers.close()


def _datastore(pool: SQLiteConnectionPool) -> SQLiteDatastore:
    datastore = SQLiteDatastore(pool.db_name, originator_id_type="text")
    datastore.pool.close()
    datastore.pool = pool
    return datastore


@contextmanager
def _answering() -> Iterator[Any]:
    try:
        yield
    except _UNAVAILABLE as error:
        raise StoreUnavailable(DOWN.format(error)) from error
    except ConnectionPoolClosedError as error:
        raise StoreUnavailable(DOWN.format("they are closed")) from error
