"""Reading a SQLite log stream by stream: the database sorts all of it, outside of memory."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from ledger.domain.errors import StoreUnavailable
from ledger.recorders.base import PORTION, Scan, StoredRow, kind_range, stored_rows

PRAGMAS: Final = ("temp_store=FILE", "cache_size=-16384")
"""Sorting takes as much memory as the cache, the rest goes to a file of its own."""
DOWN: Final = "The SQLite ledger could not be read to its end ({}); try again, or see `doctor`."
_OF_KIND: Final = "(e.originator_id >= ? AND e.originator_id < ?)"
# The index would give the order too, by reading the table page by page at random: several times
# slower as soon as the log does not fit into memory.
_SORTED: Final = (
    "SELECT e.notification_id, e.originator_id, e.originator_version, e.topic, e.state, "
    "e.recorded_at, p.body FROM stored_events e NOT INDEXED LEFT JOIN payloads p "
    "ON e.topic >= 'connection.' AND e.topic < 'connection/' "
    "AND p.notification_id = e.notification_id "
    "WHERE {} ORDER BY e.originator_id, e.originator_version"
)


class SQLiteScanning:
    """The part of the log that reads it whole."""

    path: Path

    @contextmanager
    def scan(self, kinds: Sequence[str]) -> Iterator[Scan]:
        """See `ledger.recorders.base.Log`."""
        uri = f"{self.path.as_uri()}?mode=ro"
        try:
            with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
                for pragma in PRAGMAS:
                    connection.execute(f"PRAGMA {pragma}")
                connection.execute("BEGIN")
                yield _scan(connection, kinds)
        except sqlite3.Error as error:
            raise StoreUnavailable(DOWN.format(error)) from error


def _scan(connection: sqlite3.Connection, kinds: Sequence[str]) -> Scan:
    where = " OR ".join([_OF_KIND] * len(kinds)) or "FALSE"
    bounds = [bound for kind in kinds for bound in kind_range(kind)]
    query = "SELECT COALESCE(MAX(notification_id), 0) FROM stored_events"
    (head,) = connection.execute(query).fetchone()
    query = f"SELECT COUNT(*) FROM stored_events e WHERE {where}"
    (total,) = connection.execute(query, bounds).fetchone()
    return Scan(head, total, _portions(connection.execute(_SORTED.format(where), bounds)))


def _portions(cursor: sqlite3.Cursor) -> Iterator[list[StoredRow]]:
    while rows := cursor.fetchmany(PORTION):
        yield stored_rows(rows)
