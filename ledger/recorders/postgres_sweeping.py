"""What sweeps need of a PostgreSQL log beside what both databases share."""

from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

from psycopg import Connection
from psycopg.rows import DictRow

from ledger.recorders import sweeping
from ledger.recorders.base import Guard, LeaseLost
from ledger.recorders.postgres_connections import WRITING

SWEEPING_SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS leases (
        name text COLLATE "C" PRIMARY KEY,
        epoch bigint NOT NULL,
        holder text NOT NULL,
        until bigint NOT NULL)""",
    sweeping.PASSES_INDEX,
)
PASSES: Final = sweeping.PASSES.format(none="NULL::bytea")
"""Selects the events of passes."""


class PostgresSweeping(sweeping.Sweeping):
    """The part of the log that knows passes and who may sweep."""

    PASSES = PASSES
    PARAMETER = "%s"

    @abstractmethod
    def _connection(self) -> AbstractContextManager[Connection[DictRow]]:
        """Lend a connection."""

    def _change(self, statement: str, params: Sequence[Any]) -> int | None:
        # It waits for the lease's row no longer than for the log.
        with self._connection() as connection, connection.transaction():
            connection.execute(WRITING)
            row = connection.execute(statement.encode(), params).fetchone()
        return None if row is None else int(row["epoch"])


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
