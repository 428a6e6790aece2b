"""What sweeps need of a SQLite log: the passes in it, and leases.

One process writes a SQLite ledger, but several of its threads may want to sweep.
"""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from eventsourcing.sqlite import SQLiteCursor

from ledger.domain.errors import StoreUnavailable
from ledger.recorders.base import Guard, LeaseLost, StoredRow
from ledger.recorders.sqlite_connections import BUSY, Datastore
from ledger.recorders.sqlite_writing import PASSES

SWEEPING_SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS leases (
        name TEXT PRIMARY KEY,
        epoch INTEGER NOT NULL,
        holder TEXT NOT NULL,
        until INTEGER NOT NULL) WITHOUT ROWID""",
    """CREATE INDEX IF NOT EXISTS stored_events_passes ON stored_events (notification_id)
        WHERE topic >= 'sweep.' AND topic < 'sweep/'""",
)
_TAKE: Final = """INSERT INTO leases (name, epoch, holder, until) VALUES (?, 1, ?, ?)
    ON CONFLICT (name) DO UPDATE SET
    epoch = iif(leases.holder = excluded.holder, leases.epoch, leases.epoch + 1),
    holder = excluded.holder, until = excluded.until
    WHERE leases.holder = excluded.holder OR leases.until <= ?
    RETURNING epoch"""
_RELEASE: Final = (
    "UPDATE leases SET epoch = epoch + 1, holder = '', until = 0 WHERE name = ? AND epoch = ?"
)


class SQLiteSweeping(ABC):
    """The part of the log that knows passes and who may sweep."""

    datastore: Datastore

    @abstractmethod
    def _rows(self, statement: str, params: Sequence[Any]) -> list[StoredRow]:
        """Read events."""

    def passes(
        self,
        *,
        up_to: int | None = None,
        before: int | None = None,
        limit: int,
        oldest_first: bool = False,
    ) -> list[StoredRow]:
        """See `ledger.recorders.base.Log`."""
        statement, params = PASSES, list[Any]()
        for condition, position in (("<=", up_to), ("<", before)):
            if position is not None:
                statement += f" AND e.notification_id {condition} ?"
                params.append(position)
        order = "ASC" if oldest_first else "DESC"
        return self._rows(
            f"{statement} ORDER BY e.notification_id {order} LIMIT ?", [*params, limit]
        )

    def take_lease(self, name: str, holder: str, now: int, ttl: int) -> int | None:
        """See `ledger.recorders.base.Log`."""
        with self._changing() as cursor:
            cursor.execute(_TAKE, (name, holder, now + ttl, now))
            row = cursor.fetchone()
        return None if row is None else int(row[0])

    def release_lease(self, name: str, epoch: int) -> None:
        """See `ledger.recorders.base.Log`."""
        with self._changing() as cursor:
            cursor.execute(_RELEASE, (name, epoch))

    @contextmanager
    def _changing(self) -> Iterator[SQLiteCursor]:
        """Lend a cursor in a short transaction."""
        with self.datastore.get_connection(commit=True) as connection:
            cursor = connection.cursor()
            try:
                cursor.execute("BEGIN IMMEDIATE")
                yield cursor
                connection.commit()
            except sqlite3.Error as error:
                connection.rollback()
                raise StoreUnavailable(BUSY.format(error)) from error


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
