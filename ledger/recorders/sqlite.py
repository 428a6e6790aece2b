"""The log on SQLite: one writing process, one write connection, any number of readers.

SQLite before 3.51.3 can corrupt a WAL database when two connections write or checkpoint at the same
instant (https://sqlite.org/wal.html#walresetbug), so the writer holds a `flock` on `<db>.lock`
(never on the database file: closing any descriptor of it would drop SQLite's own locks), and
readers open the file read-only, which also keeps them from checkpointing.
"""

import os
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

from eventsourcing.persistence import Notification, PersistenceError, StoredEvent
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteConnection, SQLiteCursor

from ledger.domain.errors import StoreUnavailable
from ledger.recorders.base import (
    AmbiguousCommit,
    Change,
    Decide,
    DecideErasure,
    Guard,
    Head,
    NewRow,
    StoredRow,
    stored_rows,
)
from ledger.recorders.sqlite_connections import BUSY, Datastore, lock_writer
from ledger.recorders.sqlite_erasing import SQLiteErasing, delete_payloads
from ledger.recorders.sqlite_scanning import SQLiteScanning
from ledger.recorders.sqlite_sweeping import SWEEPING_SCHEMA, SQLiteSweeping, check_lease
from ledger.recorders.sqlite_wal import Wal
from ledger.recorders.sqlite_writing import (
    FROM_BOTH,
    OF_STREAMS,
    append,
    as_json,
    head_of,
    see,
)

COLUMNS: Final = (
    "e.notification_id, e.originator_id, e.originator_version, e.topic, e.state, e.recorded_at"
)
CLOSED: Final = (
    "The SQLite ledger {} cannot be opened ({}); see that it is a ledger, and run this as the "
    "service's user."
)
SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS stored_events (
        notification_id INTEGER PRIMARY KEY AUTOINCREMENT,
        originator_id TEXT NOT NULL,
        originator_version INTEGER NOT NULL,
        topic TEXT NOT NULL,
        state BLOB NOT NULL,
        recorded_at INTEGER NOT NULL,
        UNIQUE (originator_id, originator_version))""",
    """CREATE TABLE IF NOT EXISTS payloads (
        notification_id INTEGER PRIMARY KEY,
        salt BLOB NOT NULL,
        body BLOB NOT NULL,
        message_id TEXT)""",
    """CREATE INDEX IF NOT EXISTS payloads_message_id ON payloads (message_id)
        WHERE message_id IS NOT NULL""",
    "CREATE TABLE IF NOT EXISTS store (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    *SWEEPING_SCHEMA,
)


class SQLiteLog(SQLiteErasing, SQLiteScanning, SQLiteSweeping, SQLiteApplicationRecorder):
    """The library's application recorder with payloads, times, and one transaction per batch."""

    datastore: Datastore

    def __init__(
        self,
        path: Path,
        *,
        writer: bool,
        entropy: Callable[[int], bytes],
        now: Callable[[], int],
    ) -> None:
        """Open the ledger at `path`; only a writer creates it.

        `entropy(n)` gives n random bytes for the store's key, `now` microseconds UTC for events
        that come through the library's own interface.

        Raises:
            WriterLocked: another process writes this ledger.
            StoreUnavailable: the file cannot be opened.
        """
        self.path = path.absolute()
        self._wal = Wal(self.path)
        self._now = now
        self._lock_file: int | None = None
        if not writer and not _exists(self.path):
            raise StoreUnavailable(
                f"There is no ledger at {path}. `connection-ledger serve` makes one."
            )
        if not self.path.parent.is_dir():
            raise StoreUnavailable(
                f"The folder {self.path.parent} does not exist; make it, or correct "
                "LEDGER_DATABASE_URL."
            )
        try:
            self._open(writer, entropy)
        except (OSError, sqlite3.Error, PersistenceError) as error:
            self._release()
            raise StoreUnavailable(CLOSED.format(path, type(error).__name__)) from error
        except BaseException:
            self._release()
            raise

    def _open(self, writer: bool, entropy: Callable[[int], bytes]) -> None:
        if writer:
            self._lock_file = lock_writer(self.path)
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        super().__init__(Datastore(self.path, writer=writer))
        self._pid = os.getpid()
        if writer:
            self.create_table()
            self._make_key(entropy)
        with self._reading() as cursor:
            cursor.execute("SELECT value FROM store WHERE name = 'key'")
            self.key = bytes(cursor.fetchone()[0])

    def construct_create_table_statements(self) -> list[str]:
        """Give the schema, in place of the library's."""
        return list(SCHEMA)

    def _make_key(self, entropy: Callable[[int], bytes]) -> None:
        with self.datastore.transaction(commit=True) as cursor:
            cursor.execute("INSERT OR IGNORE INTO store VALUES ('key', ?)", (entropy(32),))

    # writing

    def transact(
        self,
        streams: Collection[str],
        message_ids: Collection[str],
        decide: Decide,
        now: Callable[[], int],
        guard: Guard | None = None,
    ) -> tuple[list[int], Head]:
        """See `ledger.recorders.base.Log`."""
        return self._write(streams, message_ids, lambda seen: Change(decide(seen)), now, guard)

    def _write(
        self,
        streams: Collection[str],
        message_ids: Collection[str],
        decide: DecideErasure,
        now: Callable[[], int],
        guard: Guard | None = None,
    ) -> tuple[list[int], Head]:
        with self.datastore.get_connection(commit=True) as connection:
            cursor = connection.cursor()
            try:
                cursor.execute("BEGIN IMMEDIATE")
            except sqlite3.Error as error:
                raise StoreUnavailable(BUSY.format(error)) from error
            try:
                if guard is not None:
                    check_lease(cursor, guard)
                seen = see(cursor, streams, message_ids)
                change = decide(seen)
                delete_payloads(cursor, change.erased)
                positions, head = append(cursor, seen.head, change.rows, now)
            except sqlite3.Error as error:
                connection.rollback()
                raise StoreUnavailable(BUSY.format(error)) from error
            except BaseException:
                connection.rollback()
                raise
            self._commit(connection)
            self._wal.tend(connection)
            return positions, head

    def _commit(self, connection: SQLiteConnection) -> None:
        try:
            connection.commit()
        except sqlite3.Error as error:
            # After a failed fsync the same handle must not be trusted again.
            connection.close()
            raise AmbiguousCommit(BUSY.format(error)) from error

    def _insert_events(
        self, c: SQLiteCursor, stored_events: Sequence[StoredEvent], **_: Any
    ) -> Sequence[int] | None:
        rows = [
            NewRow(str(e.originator_id), e.originator_version, e.topic, e.state)
            for e in stored_events
        ]
        return append(c, head_of(c), rows, self._now)[0]

    # reading

    @contextmanager
    def _reading(self) -> Iterator[SQLiteCursor]:
        try:
            with self.datastore.get_connection(commit=False) as connection:
                cursor = connection.cursor()
                with cursor:
                    yield cursor
        except (sqlite3.Error, PersistenceError) as error:
            raise StoreUnavailable(BUSY.format(error)) from error

    def read_log(
        self,
        after: int,
        limit: int,
        *,
        up_to: int | None = None,
        topics: Sequence[str] = (),
        payloads: bool = False,
    ) -> list[StoredRow]:
        """See `ledger.recorders.base.Log`."""
        where, params = ["e.notification_id > ?"], [after]
        if up_to is not None:
            where.append("e.notification_id <= ?")
            params.append(up_to)
        names: list[str] = []
        if topics:
            matches = []
            for topic in topics:
                matches.append("substr(e.topic, 1, ?) = ?" if topic[-1:] == "." else "e.topic = ?")
                names += [cast(str, len(topic)), topic] if topic[-1:] == "." else [topic]
            where.append(f"({' OR '.join(matches)})")
        statement = (
            f"{_select(payloads)} WHERE {' AND '.join(where)} ORDER BY e.notification_id LIMIT ?"
        )
        return self._rows(statement, [*params, *names, limit])

    def read_streams(
        self, streams: Collection[str], *, up_to: int | None = None
    ) -> list[StoredRow]:
        """See `ledger.recorders.base.Log`."""
        statement = f"{_select(payloads=True)} {OF_STREAMS}"
        params: list[Any] = [as_json(streams)]
        if up_to is not None:
            statement += " AND e.notification_id <= ?"
            params.append(up_to)
        return self._rows(f"{statement} {_BY_STREAM}", params)

    def first_positions(self, streams: Collection[str]) -> dict[str, int]:
        """See `ledger.recorders.base.Log`."""
        with self._reading() as cursor:
            cursor.execute(
                f"SELECT e.originator_id, e.notification_id FROM stored_events e {OF_STREAMS} "
                "AND e.originator_version = 1",
                (as_json(streams),),
            )
            return {row[0]: row[1] for row in cursor.fetchall()}

    def body(self, position: int) -> bytes | None:
        """See `ledger.recorders.base.Log`."""
        with self._reading() as cursor:
            cursor.execute("SELECT body FROM payloads WHERE notification_id = ?", (position,))
            row = cursor.fetchone()
            return None if row is None else bytes(row[0])

    def head(self) -> Head:
        """See `ledger.recorders.base.Log`."""
        with self._reading() as cursor:
            return head_of(cursor)

    def position_at(self, recorded_at: int) -> int:
        """See `ledger.recorders.base.Log`."""
        with self._reading() as cursor:
            cursor.execute("SELECT MAX(notification_id) FROM stored_events")
            low, high = 0, cursor.fetchone()[0] or 0
            # Times ascend with positions, so the log is its own index of them.
            while low < high:
                middle = (low + high + 1) // 2
                cursor.execute(
                    "SELECT notification_id, recorded_at FROM stored_events "
                    "WHERE notification_id <= ? ORDER BY notification_id DESC LIMIT 1",
                    (middle,),
                )
                row = cursor.fetchone()
                if row is None or row[1] <= recorded_at:
                    low = middle
                else:
                    high = row[0] - 1
            cursor.execute(
                "SELECT MAX(notification_id) FROM stored_events WHERE notification_id <= ?", (low,)
            )
            return cursor.fetchone()[0] or 0

    def _rows(self, statement: str, params: Sequence[Any]) -> list[StoredRow]:
        with self._reading() as cursor:
            cursor.execute(statement, params)
            return stored_rows(cursor.fetchall())

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Give the library's view of the log; see its `ApplicationRecorder`."""
        after = -1 if start is None else start - 1 if inclusive_of_start else start
        return [
            Notification(row.stream, row.version, row.topic, row.state, row.position)
            for row in self.read_log(after, limit, up_to=stop, topics=topics)
        ]

    def close(self) -> None:
        """See `ledger.recorders.base.Log`."""
        self.datastore.close()
        self._release()

    def _release(self) -> None:
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None


_BY_STREAM: Final = "ORDER BY e.originator_id, e.originator_version"


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return True  # opening it will say why it cannot be looked at


def _select(payloads: bool) -> str:
    if not payloads:
        return f"SELECT {COLUMNS}, NULL FROM stored_events e"
    return f"SELECT {COLUMNS}, p.body {FROM_BOTH}"
