"""Views on SQLite: a file of their own beside the log, which can be thrown away and made again.

A power cut may take the last batches: rows and position together, so that they are read again. That
is why `synchronous=NORMAL` is enough here and not in the log.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, Final, cast

from eventsourcing.persistence import (
    ConnectionPoolClosedError,
    DatabaseError,
    InterfaceError,
    OperationalError,
)
from eventsourcing.sqlite import (
    SQLiteConnection,
    SQLiteConnectionPool,
    SQLiteCursor,
    SQLiteDatastore,
    SQLiteTrackingRecorder,
)

from ledger.domain.errors import StoreUnavailable
from ledger.recorders.sqlite_wal import Wal
from projections.base import Insert, Row, Values
from projections.errors import ViewsDamaged
from projections.store import Filling, Session, Store

ROWS_AT_ONCE: Final = 50
"""How many rows one statement writes: as many each time, so that it is prepared once."""
READERS: Final = 32
"""The most connections that read at once."""
_UNAVAILABLE: Final = (sqlite3.OperationalError, OperationalError, InterfaceError, OSError)
_FAULTS: Final = (*_UNAVAILABLE, sqlite3.ProgrammingError)
FILLING: Final = (
    "journal_mode=MEMORY",
    "synchronous=OFF",
    "locking_mode=EXCLUSIVE",
    "secure_delete=ON",
    "cache_size=-4096",
    "threads=2",
)
"""For a file that is thrown away unless all of it is written. Rows are sorted for an index by
threads of their own: at that time the rest of the rebuild is done."""
DOWN: Final = "The views' file could not be used ({}); try again, or see `doctor`."


def views_path(database: Path, generation: int) -> Path:
    """Name the file of a generation of the views of a SQLite log."""
    return database.with_name(f"{database.stem}.views-{generation}.db")


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


class SQLiteSession(Session):
    """A transaction on a file of views."""

    def _insert(self, into: Insert, many: Sequence[Values]) -> None:
        """See `Session`; where it can be, dozens of rows go by one statement.

        Each step of a statement lets go of the interpreter's lock, and in a busy service getting it
        back takes longer than the step itself.
        """
        together = len(many) - len(many) % ROWS_AT_ONCE
        for first in range(0, together, ROWS_AT_ONCE):
            some = chain.from_iterable(many[first : first + ROWS_AT_ONCE])
            self.cursor.execute(self._dialect(_insertion(into, ROWS_AT_ONCE)), tuple(some))
        self.cursor.executemany(self._dialect(_insertion(into, 1)), many[together:])

    def load(self, into: Insert, many: Sequence[Row]) -> None:
        """See `Session`."""
        new = into._replace(conflict="")
        self.cursor.executemany(self._dialect(_insertion(new, 1)), many)

    def at_fault(self, error: BaseException) -> bool:
        """See `Session`; that the file is damaged is no fault of the data either."""
        return _is_damage(error) or super().at_fault(error)

    def listed(self, name: str) -> str:
        """See `Session`."""
        return f"SELECT value FROM json_each(:{name})"


class SQLiteStore(Store):
    """The views in a file; one process writes it."""

    def __init__(self, path: Path, *, writer: bool, generation: int = 1) -> None:
        """Open the views at `path`; a writer makes the file, readable by its owner only.

        Raises StoreUnavailable when it cannot be opened.
        """
        super().__init__(generation)
        self._path = path
        self._wal = Wal(path)
        self._writers: SQLiteDatastore | None = None
        self._recorder: SQLiteTrackingRecorder | None = None
        with answering():
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
        return {"g": "", "text": "TEXT", "tracking": "tracking"}

    def create(self, tables: Iterable[str]) -> None:
        """See `Store`."""
        with answering():
            self.recorder.create_table()
        with self.writing() as session:
            for statement in tables:
                session.run(statement)

    def exists(self) -> bool:
        """See `Store`."""
        if not self._path.exists():
            return False
        with self.reading() as session:
            query = "SELECT 1 FROM sqlite_master WHERE name = 'made{g}'"
            return bool(session.rows(query))

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """See `Store`."""
        with answering(), self._readers.transaction(commit=False) as cursor:
            yield SQLiteSession(cursor, self._dialect, _FAULTS, self.generation)

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """See `Store`; the one write connection is lent to one at a time."""
        with answering(), self.recorder.datastore.get_connection(commit=True) as connection:
            with connection.transaction(commit=True) as cursor:
                yield SQLiteSession(cursor, self._dialect, _FAULTS, self.generation)
            self._wal.tend(connection)

    @contextmanager
    def filling(self, live: Store | None) -> Iterator[Filling]:
        """See `Store`; the file is on disk when this ends well, and worth nothing when not."""
        with (
            answering(),
            closing(sqlite3.connect(self._path, uri=True, isolation_level=None)) as connection,
        ):
            connection.row_factory = sqlite3.Row
            for pragma in FILLING:
                connection.execute(f"PRAGMA main.{pragma}")
            if live is not None:
                uri = cast(SQLiteStore, live)._path.absolute().as_uri()
                connection.execute("ATTACH ? AS live", (f"{uri}?mode=ro",))
            cursor = connection.cursor()
            cursor.execute("BEGIN")
            self.recorder._create_table(cast(SQLiteCursor, cursor))
            session = SQLiteSession(cursor, self._dialect, _FAULTS, self.generation)
            yield Filling(session, lambda name: f"live.{name}")
            cursor.execute("COMMIT")
        sync(self._path)

    def scrub(self) -> list[str]:
        """See `Store`."""
        datastore = self.recorder.datastore
        with answering():
            return self._wal.empty(lambda: datastore.get_connection(commit=True))

    def close(self) -> None:
        """See `Store`."""
        self._readers.close()
        if self._writers is not None:
            self._writers.close()


@cache
def _insertion(into: Insert, rows: int) -> str:
    """Write an INSERT of so many rows."""
    places = f"({', '.join('?' * len(into.columns))})"
    return (
        f"INSERT INTO {into.table}{{g}} ({', '.join(into.columns)}) "
        f"VALUES {', '.join([places] * rows)} {into.conflict}"
    )


def _datastore(pool: SQLiteConnectionPool) -> SQLiteDatastore:
    datastore = SQLiteDatastore(pool.db_name, originator_id_type="text")
    datastore.pool.close()
    datastore.pool = pool
    return datastore


def sync(path: Path) -> None:
    """Have what was written to a file or a folder on disk."""
    with answering():
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def answering() -> Iterator[Any]:
    """Let failures of the views' files be StoreUnavailable."""
    try:
        yield
    except ConnectionPoolClosedError as error:
        raise StoreUnavailable(DOWN.format("they are closed")) from error
    except (*_UNAVAILABLE, sqlite3.DatabaseError, DatabaseError) as error:
        if _is_damage(error):
            raise ViewsDamaged(error) from error
        if isinstance(error, _UNAVAILABLE):
            raise StoreUnavailable(DOWN.format(error)) from error
        raise


def _is_damage(error: BaseException) -> bool:
    """Tell whether SQLite, or the library for it, says that a file is damaged."""
    own = error if isinstance(error, sqlite3.Error) else error.__cause__
    return getattr(own, "sqlite_errorcode", 0) & 0xFF in (
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
    )
