"""Reading a SQLite log stream by stream: the database sorts all of it, outside of memory."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from ledger.domain.errors import StoreUnavailable
from ledger.recorders.base import BESIDE_CLAIMS, PORTION, Names, StoredRow, stored_rows

PRAGMAS: Final = ("temp_store=FILE", "cache_size=-4096")
"""Sorting takes as much memory as the cache, the rest goes to a file of its own."""
DOWN: Final = "The SQLite ledger could not be read to its end ({}); try again, or see `doctor`."
_NAMED: Final = "(e.originator_id >= ? AND e.originator_id < ?)"
_COUNT: Final = f"SELECT COUNT(*) FROM stored_events e WHERE {_NAMED} AND e.notification_id <= ?"
_NUMBERED: Final = (
    f"SELECT e.originator_id FROM stored_events e WHERE {_NAMED} ORDER BY e.originator_id "
    "LIMIT 1 OFFSET ?"
)
# The index would give the order too, by reading the table page by page at random: several times
# slower as soon as the log does not fit into memory.
_SORTED: Final = (
    "SELECT e.notification_id, e.originator_id, e.originator_version, e.topic, e.state, "
    "e.recorded_at, p.body FROM stored_events e NOT INDEXED LEFT JOIN payloads p "
    f"ON {BESIDE_CLAIMS} "
    "WHERE ({}) AND e.notification_id <= ? ORDER BY e.originator_id, e.originator_version"
)


class SQLiteScanning:
    """The part of the log that reads it whole."""

    path: Path

    @contextmanager
    def scan(self, names: Sequence[Names], up_to: int) -> Iterator[Iterator[list[StoredRow]]]:
        """See `ledger.recorders.base.Log`."""
        where = " OR ".join([_NAMED] * len(names)) or "FALSE"
        bounds = [bound for some in names for bound in some]
        with self._aside() as connection:
            yield _portions(connection.execute(_SORTED.format(where), (*bounds, up_to)))

    def count(self, names: Names, up_to: int) -> int:
        """See `ledger.recorders.base.Log`."""
        with self._aside() as connection:
            return int(connection.execute(_COUNT, (*names, up_to)).fetchone()[0])

    def stream_of(self, names: Names, number: int) -> str:
        """See `ledger.recorders.base.Log`."""
        with self._aside() as connection:
            return str(connection.execute(_NUMBERED, (*names, number)).fetchone()[0])

    @contextmanager
    def _aside(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection of its own, whose statements may take long."""
        uri = f"{self.path.as_uri()}?mode=ro"
        try:
            with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
                for pragma in PRAGMAS:
                    connection.execute(f"PRAGMA {pragma}")
                yield connection
        except sqlite3.Error as error:
            raise StoreUnavailable(DOWN.format(error)) from error


def _portions(cursor: sqlite3.Cursor) -> Iterator[list[StoredRow]]:
    while rows := cursor.fetchmany(PORTION):
        yield stored_rows(rows)
