"""Reading a PostgreSQL log stream by stream: the server sorts, the client keeps one portion."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

from psycopg import Connection, ServerCursor
from psycopg.rows import DictRow, tuple_row

from ledger.recorders.base import BESIDE_CLAIMS, PORTION, Names, StoredRow, stored_rows

SETTINGS: Final = {
    "work_mem": "64MB",
    "cursor_tuple_fraction": "1",
    "enable_hashjoin": "off",
    "enable_bitmapscan": "off",
}
"""Both tables are wanted, and lie in the order of their positions: so they are read side by side. A
hash of all payloads would be written to disk and read again."""
FETCHED: Final = 4 * PORTION
"""How many events make a trip to the server worth it."""
_NAMED: Final = "(e.originator_id >= %s AND e.originator_id < %s)"
_NUMBER: Final = f"SELECT COUNT(*) FROM stored_events e WHERE {_NAMED}"
# All are counted in the index by streams, the few that came later in the one by positions: what
# has both conditions would be looked up in the table, all of it.
_COUNT: Final = f"SELECT ({_NUMBER}) - ({_NUMBER} AND e.notification_id > %s)"
_NUMBERED: Final = (
    f"SELECT e.originator_id FROM stored_events e WHERE {_NAMED} ORDER BY e.originator_id "
    "LIMIT 1 OFFSET %s"
)
# Joined before it is sorted (nothing is moved across an OFFSET): the index by streams would spare
# the sorting, by reading the table page by page at random.
_SORTED: Final = (
    "SELECT * FROM (SELECT e.notification_id, e.originator_id, e.originator_version, e.topic, "
    "e.state, e.recorded_at, p.body FROM stored_events e LEFT JOIN payloads p "
    f"ON {BESIDE_CLAIMS} "
    "WHERE ({}) AND e.notification_id <= %s OFFSET 0) found "
    "ORDER BY originator_id, originator_version"
)


class PostgresScanning(ABC):
    """The part of the log that reads it whole."""

    @abstractmethod
    def _connection(self) -> AbstractContextManager[Connection[DictRow]]:
        """Lend a connection; its failures become StoreUnavailable."""

    @contextmanager
    def scan(self, names: Sequence[Names], up_to: int) -> Iterator[Iterator[list[StoredRow]]]:
        """See `ledger.recorders.base.Log`."""
        where = " OR ".join([_NAMED] * len(names)) or "FALSE"
        bounds = [bound for some in names for bound in some]
        with self._connection() as connection, connection.transaction():
            connection.execute("SET TRANSACTION READ ONLY")
            for name, value in SETTINGS.items():
                connection.execute(f"SET LOCAL {name} = '{value}'".encode())
            with connection.cursor("scan", row_factory=tuple_row) as cursor:
                cursor.execute(_SORTED.format(where).encode(), (*bounds, up_to), binary=True)
                yield _portions(cursor)

    def count(self, names: Names, up_to: int) -> int:
        """See `ledger.recorders.base.Log`."""
        return int(self._value(_COUNT, (*names, *names, up_to)))

    def stream_of(self, names: Names, number: int) -> str:
        """See `ledger.recorders.base.Log`."""
        return str(self._value(_NUMBERED, (*names, number)))

    def _value(self, query: str, params: Sequence[object]) -> Any:
        with self._connection() as connection, connection.cursor(row_factory=tuple_row) as cursor:
            row = cursor.execute(query.encode(), params).fetchone()
        assert row is not None, "what is asked for exists"
        return row[0]


def _portions(cursor: ServerCursor[tuple[Any, ...]]) -> Iterator[list[StoredRow]]:
    while rows := cursor.fetchmany(FETCHED):
        for first in range(0, len(rows), PORTION):
            yield stored_rows(rows[first : first + PORTION])
