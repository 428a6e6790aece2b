"""What sweeps need of a PostgreSQL log: the passes in it, and leases."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, LiteralString

from psycopg import Connection, Cursor
from psycopg.rows import DictRow

from ledger.recorders.base import Guard, LeaseLost, StoredRow
from ledger.recorders.postgres_connections import WRITING

SWEEPING_SCHEMA: Final = """
    CREATE TABLE IF NOT EXISTS leases (
        name text COLLATE "C" PRIMARY KEY,
        epoch bigint NOT NULL,
        holder text NOT NULL,
        until bigint NOT NULL);
    CREATE INDEX IF NOT EXISTS stored_events_passes ON stored_events (notification_id)
        WHERE topic >= 'sweep.' AND topic < 'sweep/';
"""
PASSES: Final = (
    "SELECT e.notification_id, e.originator_id, e.originator_version, e.topic, e.state, "
    "e.recorded_at, NULL::bytea FROM stored_events e "
    "WHERE e.topic >= 'sweep.' AND e.topic < 'sweep/'"
)
"""In the words of the index of passes."""
_TAKE: Final = """INSERT INTO leases (name, epoch, holder, until) VALUES (%s, 1, %s, %s)
    ON CONFLICT (name) DO UPDATE SET
    epoch = leases.epoch + CASE WHEN leases.holder = excluded.holder THEN 0 ELSE 1 END,
    holder = excluded.holder, until = excluded.until
    WHERE leases.holder = excluded.holder OR leases.until <= %s
    RETURNING epoch"""
_RELEASE: Final = (
    "UPDATE leases SET epoch = epoch + 1, holder = '', until = 0 WHERE name = %s AND epoch = %s"
)


class PostgresSweeping(ABC):
    """The part of the log that knows passes and who may sweep."""

    @abstractmethod
    def _connection(self) -> AbstractContextManager[Connection[DictRow]]:
        """Lend a connection."""

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
                statement += f" AND e.notification_id {condition} %s"
                params.append(position)
        order = "ASC" if oldest_first else "DESC"
        return self._rows(
            f"{statement} ORDER BY e.notification_id {order} LIMIT %s", [*params, limit]
        )

    def take_lease(self, name: str, holder: str, now: int, ttl: int) -> int | None:
        """See `ledger.recorders.base.Log`."""
        row = self._change(_TAKE, (name, holder, now + ttl, now)).fetchone()
        return None if row is None else int(row["epoch"])

    def release_lease(self, name: str, epoch: int) -> None:
        """See `ledger.recorders.base.Log`."""
        self._change(_RELEASE, (name, epoch))

    def _change(self, statement: LiteralString, params: Sequence[Any]) -> Cursor[DictRow]:
        """Change one lease, and wait for its row no longer than for the log."""
        with self._connection() as connection, connection.transaction():
            connection.execute(WRITING)
            return connection.execute(statement, params)


def hold_lease(connection: Connection[DictRow], guard: Guard) -> None:
    """See that a lease is held in this epoch, and let nobody take it before the commit.

    Raises:
        LeaseLost: it is not.
    """
    name, epoch = guard
    # Without the row's lock another could take the lease, read the log, and miss this write.
    cursor = connection.execute(
        "SELECT 1 FROM leases WHERE name = %s AND epoch = %s FOR SHARE", (name, epoch)
    )
    if cursor.fetchone() is None:
        raise LeaseLost(name)
