"""The log on PostgreSQL: many writing processes, one at a time.

A write takes its turn before it reads, so that what it decides on is what it appends to, and so
that positions become visible in their order: without a lock a reader can pass over a position
that commits later (measured with the library's `POSTGRES_ENABLE_DB_FUNCTIONS`, which is refused).
The whole write is two round trips: lock and read, then insert and commit.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, cast

import psycopg
from eventsourcing.persistence import PersistenceError
from eventsourcing.postgres import PostgresApplicationRecorder
from psycopg import Connection, Cursor
from psycopg.rows import DictRow, tuple_row
from psycopg.sql import SQL

from ledger.domain.errors import StoreUnavailable
from ledger.recorders.base import (
    BESIDE_CLAIMS,
    LOCK_TIMEOUT_MS,
    Change,
    Decide,
    DecideErasure,
    Guard,
    Head,
    Seen,
    StoredRow,
    stored_rows,
)
from ledger.recorders.postgres_connections import DOWN, WRITING, missing, open_datastore
from ledger.recorders.postgres_erasing import PostgresErasing
from ledger.recorders.postgres_scanning import PostgresScanning
from ledger.recorders.postgres_sweeping import (
    PASSES,
    SWEEPING_SCHEMA,
    PostgresSweeping,
    hold_lease,
)
from ledger.recorders.postgres_writing import (
    INSERT,
    TURN,
    abandon,
    columns,
    committing,
)

COLUMNS: Final = (
    "e.notification_id, e.originator_id, e.originator_version, e.topic, e.state, e.recorded_at"
)
_PLAIN: Final = f"SELECT {COLUMNS}, NULL::bytea FROM stored_events e"
_WITH_PAYLOADS: Final = (
    f"SELECT {COLUMNS}, p.body FROM stored_events e LEFT JOIN payloads p ON {BESIDE_CLAIMS}"
)
# A log that grows faster than it is looked at has no statistics that fit. Then the planner takes
# each stream for a good part of the log, and would read all of it. What ends in an OFFSET is not
# joined with anything: so each name is looked up in the index.
STREAMS: Final = (
    f"SELECT {COLUMNS}, p.body FROM (SELECT DISTINCT unnest(%b::text[])) AS wanted (stream) "
    "CROSS JOIN LATERAL (SELECT * FROM stored_events "
    "WHERE originator_id = wanted.stream OFFSET 0) e "
    f"LEFT JOIN LATERAL (SELECT p.body FROM payloads p WHERE {BESIDE_CLAIMS} OFFSET 0) p ON TRUE"
)
_BY_STREAM: Final = "ORDER BY e.originator_id, e.originator_version"
MESSAGES: Final = (
    "SELECT p.message_id, e.originator_id FROM unnest(%b::text[]) AS wanted (message) "
    "CROSS JOIN LATERAL (SELECT message_id, notification_id FROM payloads "
    "WHERE message_id = wanted.message OFFSET 0) p "
    "CROSS JOIN LATERAL (SELECT originator_id FROM stored_events "
    "WHERE notification_id = p.notification_id OFFSET 0) e"
)
_HEAD: Final = (
    "SELECT notification_id, recorded_at FROM stored_events ORDER BY notification_id DESC LIMIT 1"
)
_DELETE: Final = "DELETE FROM payloads WHERE notification_id = ANY(%s)"
_SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS stored_events (
        originator_id text COLLATE "C" NOT NULL,
        originator_version bigint NOT NULL,
        topic text COLLATE "C" NOT NULL,
        state bytea NOT NULL,
        notification_id bigserial NOT NULL,
        recorded_at bigint NOT NULL
            DEFAULT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
        PRIMARY KEY (originator_id, originator_version))""",
    """CREATE UNIQUE INDEX IF NOT EXISTS stored_events_notification_id_idx
        ON stored_events (notification_id)""",
    # Nobody looks for a body, and statistics would keep copies of some.
    """CREATE TABLE IF NOT EXISTS payloads (
        notification_id bigint PRIMARY KEY,
        salt bytea NOT NULL,
        body bytea NOT NULL,
        message_id text COLLATE "C");
    ALTER TABLE payloads ALTER COLUMN body SET STATISTICS 0""",
    """CREATE INDEX IF NOT EXISTS payloads_message_id ON payloads (message_id)
        WHERE message_id IS NOT NULL""",
    "CREATE TABLE IF NOT EXISTS store (name text PRIMARY KEY, value bytea NOT NULL)",
    # Always empty: who writes locks it, and nobody else wants to.
    "CREATE TABLE IF NOT EXISTS writers ()",
    *SWEEPING_SCHEMA,
)


class PostgresLog(PostgresErasing, PostgresScanning, PostgresSweeping, PostgresApplicationRecorder):
    """The library's application recorder with payloads, times, and one transaction per batch."""

    def __init__(
        self, url: str, *, writer: bool, entropy: Callable[[int], bytes], readers: int = 16
    ) -> None:
        """Open the ledger in the database that `url` names; a writer makes its tables.

        Raises:
            StoreUnavailable: the database cannot be reached, or holds no ledger.
        """
        datastore = open_datastore(url, readers=readers, wait_s=LOCK_TIMEOUT_MS / 1000)
        try:
            super().__init__(datastore, events_table_name="stored_events")
        except (psycopg.Error, PersistenceError) as error:
            datastore.close()
            raise StoreUnavailable(DOWN.format(type(error).__name__)) from error
        # The library's own interface takes turns with ours.
        self.lock_table_statements[1:] = [SQL(lock) for lock in TURN]
        try:
            if writer:
                self._make(entropy)
            with self._reading() as cursor:
                row = cursor.execute("SELECT value FROM store WHERE name = 'key'").fetchone()
        except StoreUnavailable:
            self.close()
            raise
        self.key = bytes(cast(tuple[bytes], row)[0])

    def _make(self, entropy: Callable[[int], bytes]) -> None:
        with self._connection() as connection, connection.transaction():
            # Two processes may start at once, and IF NOT EXISTS alone does not serialise them.
            connection.execute("SELECT pg_advisory_xact_lock(hashtext('connection-ledger'))")
            for statement in missing(connection.cursor(), _SCHEMA):
                connection.execute(statement.encode())
            connection.execute(
                "INSERT INTO store VALUES ('key', %s) ON CONFLICT DO NOTHING", (entropy(32),)
            )
        # The library's own interface inserts through its composite type; not through its function,
        # which takes no lock. The tables are there.
        own = self.sql_create_statements
        self.sql_create_statements = [one for one in own if "CREATE TYPE" in one.as_string()]
        self.create_table()

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
        with self._connection() as connection:
            try:
                seen = self._see(connection, streams, message_ids)
                if guard is not None:
                    hold_lease(connection, guard)
                change = decide(seen)
            except BaseException:
                abandon(connection)
                raise
            return self._append(connection, seen.head, change, now)

    def _see(
        self,
        connection: Connection[DictRow],
        streams: Collection[str],
        message_ids: Collection[str],
    ) -> Seen:
        with connection.pipeline():
            connection.execute("BEGIN")
            connection.execute(WRITING)
            for lock in TURN:
                connection.execute(lock)
            head = _cursor(connection).execute(_HEAD, prepare=True)
            rows = _cursor(connection).execute(
                f"{STREAMS} {_BY_STREAM}", (list(streams),), prepare=True
            )
            messages = _cursor(connection).execute(MESSAGES, (list(message_ids),), prepare=True)
        found = head.fetchone()

        def passes(limit: int) -> list[StoredRow]:
            newest = f"{PASSES} ORDER BY e.notification_id DESC LIMIT %s"
            cursor = _cursor(connection).execute(newest, (limit,))
            return [StoredRow._make(row) for row in cursor.fetchall()]

        return Seen(
            Head(0, 0) if found is None else Head._make(found),
            stored_rows(rows.fetchall()),
            messages.fetchall(),
            passes,
        )

    def _append(
        self,
        connection: Connection[DictRow],
        head: Head,
        change: Change,
        now: Callable[[], int],
    ) -> tuple[list[int], Head]:
        new = change.rows
        recorded_at = max(now(), head.recorded_at + 1)
        times = [recorded_at + index for index in range(len(new))]
        inserted: Cursor[tuple[int]] | None = None
        with committing(connection), connection.pipeline():
            if change.erased:
                connection.execute(_DELETE, (list(change.erased),))
            if new:
                inserted = _cursor(connection).execute(INSERT, columns(new, times), prepare=True)
            self._commit(connection)
        if inserted is None:
            return [], head
        positions = [row[0] for row in inserted.fetchall()]
        return positions, Head(positions[-1], times[-1])

    def _commit(self, connection: Connection[DictRow]) -> None:
        connection.execute("COMMIT")

    # reading

    @contextmanager
    def _connection(self) -> Iterator[Connection[DictRow]]:
        try:
            with self.datastore.get_connection() as connection:
                yield connection
        except (psycopg.Error, PersistenceError) as error:
            raise StoreUnavailable(DOWN.format(type(error).__name__)) from error

    @contextmanager
    def _reading(self) -> Iterator[Cursor[tuple[Any, ...]]]:
        with self._connection() as connection, _cursor(connection) as cursor:
            yield cursor

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
        statement = f"{_WITH_PAYLOADS if payloads else _PLAIN} WHERE e.notification_id > %s"
        params: list[Any] = [after]
        if up_to is not None:
            statement += " AND e.notification_id <= %s"
            params.append(up_to)
        if topics:
            statement += " AND (e.topic = ANY(%s) OR e.topic ^@ ANY(%s))"
            params += [list(topics), [topic for topic in topics if topic.endswith(".")]]
        return self._rows(f"{statement} ORDER BY e.notification_id LIMIT %s", [*params, limit])

    def read_streams(
        self, streams: Collection[str], *, up_to: int | None = None
    ) -> list[StoredRow]:
        """See `ledger.recorders.base.Log`."""
        statement = STREAMS
        params: list[Any] = [list(streams)]
        if up_to is not None:
            statement += " WHERE e.notification_id <= %s"
            params.append(up_to)
        return self._rows(f"{statement} {_BY_STREAM}", params)

    def _rows(self, statement: str, params: Sequence[Any]) -> list[StoredRow]:
        with self._reading() as cursor:
            cursor.execute(statement, params, prepare=True)
            return stored_rows(cursor.fetchall())

    def first_positions(self, streams: Collection[str]) -> dict[str, int]:
        """See `ledger.recorders.base.Log`."""
        with self._reading() as cursor:
            cursor.execute(
                "SELECT originator_id, notification_id FROM stored_events "
                "WHERE originator_id = ANY(%b) AND originator_version = 1",
                (list(streams),),
            )
            return dict(cursor.fetchall())

    def body(self, position: int) -> bytes | None:
        """See `ledger.recorders.base.Log`."""
        with self._reading() as cursor:
            cursor.execute("SELECT body FROM payloads WHERE notification_id = %s", (position,))
            row = cursor.fetchone()
            return None if row is None else bytes(row[0])

    def head(self) -> Head:
        """See `ledger.recorders.base.Log`."""
        with self._reading() as cursor:
            row = cursor.execute(_HEAD).fetchone()
            return Head(0, 0) if row is None else Head._make(row)

    def position_at(self, recorded_at: int) -> int:
        """See `ledger.recorders.base.Log`."""
        low, best, high = 0, 0, self.head().position
        # Times ascend with positions, so the log is its own index of them.
        with self._reading() as cursor:
            while low < high:
                middle = (low + high + 1) // 2
                cursor.execute(
                    "SELECT notification_id, recorded_at FROM stored_events "
                    "WHERE notification_id <= %s ORDER BY notification_id DESC LIMIT 1",
                    (middle,),
                    prepare=True,
                )
                row = cursor.fetchone()
                if row is None:
                    low = middle
                elif row[1] <= recorded_at:
                    low, best = middle, row[0]
                else:
                    high = row[0] - 1
        return best

    def close(self) -> None:
        """See `ledger.recorders.base.Log`."""
        self.datastore.close()


def _cursor(connection: Connection[DictRow]) -> Cursor[tuple[Any, ...]]:
    return connection.cursor(row_factory=tuple_row, binary=True)
