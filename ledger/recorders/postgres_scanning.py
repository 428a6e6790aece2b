"""Reading a PostgreSQL log stream by stream: the server sorts, the client keeps one portion."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

from psycopg import Connection
from psycopg.rows import DictRow, tuple_row

from ledger.recorders.base import PORTION, Scan, StoredRow, kind_range, stored_rows

SETTINGS: Final = {
    "work_mem": "64MB",
    "cursor_tuple_fraction": "1",
    "enable_indexscan": "off",
    "enable_bitmapscan": "off",
    "jit": "off",
}
"""The whole table is wanted: read it as it lies and sort, instead of following an index."""
_OF_KIND: Final = "(e.originator_id >= %s AND e.originator_id < %s)"
_SORTED: Final = (
    "SELECT e.notification_id, e.originator_id, e.originator_version, e.topic, e.state, "
    "e.recorded_at, p.body FROM stored_events e LEFT JOIN payloads p "
    "ON e.topic >= 'connection.' AND e.topic < 'connection/' "
    "AND p.notification_id = e.notification_id "
    "WHERE {} ORDER BY e.originator_id, e.originator_version"
)


class PostgresScanning(ABC):
    """The part of the log that reads it whole."""

    @abstractmethod
    def _connection(self) -> AbstractContextManager[Connection[DictRow]]:
        """Lend a connection; its failures become StoreUnavailable."""

    @contextmanager
    def scan(self, kinds: Sequence[str]) -> Iterator[Scan]:
        """See `ledger.recorders.base.Log`."""
        with self._connection() as connection, connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            for name, value in SETTINGS.items():
                connection.execute(f"SET LOCAL {name} = '{value}'".encode())
            yield _scan(connection, kinds)


def _scan(connection: Connection[DictRow], kinds: Sequence[str]) -> Scan:
    where = " OR ".join([_OF_KIND] * len(kinds)) or "FALSE"
    bounds = [bound for kind in kinds for bound in kind_range(kind)]
    with connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute("SELECT COALESCE(MAX(notification_id), 0) FROM stored_events")
        head = _first(cursor.fetchone())
        cursor.execute(f"SELECT COUNT(*) FROM stored_events e WHERE {where}".encode(), bounds)
        total = _first(cursor.fetchone())
    return Scan(head, total, _portions(connection, _SORTED.format(where), bounds))


def _portions(
    connection: Connection[DictRow], statement: str, bounds: Sequence[str]
) -> Iterator[list[StoredRow]]:
    with connection.cursor("scan", row_factory=tuple_row) as cursor:
        cursor.execute(statement.encode(), bounds, binary=True)
        while rows := cursor.fetchmany(PORTION):
            yield stored_rows(rows)


def _first(row: tuple[Any, ...] | None) -> int:
    assert row is not None, "an aggregate always gives a row"
    return int(row[0])
