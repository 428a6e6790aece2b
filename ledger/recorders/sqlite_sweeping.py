"""What sweeps need of a SQLite log beside what both databases share.

One process writes a SQLite ledger, but several of its threads may want to sweep.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from eventsourcing.sqlite import SQLiteCursor

from ledger.domain.errors import StoreUnavailable
from ledger.recorders.base import Guard, LeaseLost
from ledger.recorders.sqlite_connections import BUSY, Datastore
from ledger.recorders.sqlite_writing import PASSES
from ledger.recorders.sweeping import PASSES_INDEX, Sweeping

SWEEPING_SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS leases (
        name TEXT PRIMARY KEY,
        epoch INTEGER NOT NULL,
        holder TEXT NOT NULL,
        until INTEGER NOT NULL) WITHOUT ROWID""",
    PASSES_INDEX,
)


class SQLiteSweeping(Sweeping):
    """The part of the log that knows passes and who may sweep."""

    datastore: Datastore
    PASSES = PASSES
    PARAMETER = "?"

    def _change(self, statement: str, params: Sequence[Any]) -> int | None:
        with self.datastore.get_connection(commit=True) as connection:
            cursor = connection.cursor()
            try:
                cursor.execute("BEGIN IMMEDIATE")
                cursor.execute(statement, params)
                row = cursor.fetchone()
                connection.commit()
            except sqlite3.Error as error:
                connection.rollback()
                raise StoreUnavailable(BUSY.format(error)) from error
        return None if row is None else int(row[0])


def check_lease(cursor: SQLiteCursor, guard: Guard) -> None:
    """See that a lease is held in this epoch, while nobody else can write.

    Raises:
        LeaseLost: it is not.
    """
    name, epoch = guard
    cursor.execute("SELECT epoch FROM leases WHERE name = ?", (name,))
    row = cursor.fetchone()
    if row is None or row[0] != epoch:
        raise LeaseLost(name)
