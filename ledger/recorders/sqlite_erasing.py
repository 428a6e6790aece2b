"""What erasing needs of a SQLite log: scans for text, and leaving nothing in its files."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager

from eventsourcing.sqlite import SQLiteCursor

from ledger.recorders.base import DecideErasure, Found, Head
from ledger.recorders.sqlite_connections import Datastore
from ledger.recorders.sqlite_wal import Wal


class SQLiteErasing(ABC):
    """The part of the log that looks into states and bodies, and cleans up."""

    datastore: Datastore
    _wal: Wal

    @abstractmethod
    def _reading(self) -> AbstractContextManager[SQLiteCursor]:
        """Lend a cursor that reads."""

    @abstractmethod
    def _write(
        self,
        streams: Collection[str],
        message_ids: Collection[str],
        decide: DecideErasure,
        now: Callable[[], int],
    ) -> tuple[list[int], Head]:
        """Read, decide, delete and append in one transaction."""

    def erase(
        self, streams: Collection[str], decide: DecideErasure, now: Callable[[], int]
    ) -> tuple[list[int], Head]:
        """See `ledger.recorders.base.Log`."""
        return self._write(streams, (), decide, now)

    def connections_holding(self, needle: bytes, *, after: int, up_to: int) -> set[str]:
        """See `ledger.recorders.base.Log`."""
        with self._reading() as cursor:
            cursor.execute(
                "SELECT DISTINCT originator_id FROM stored_events "
                "WHERE topic >= 'connection.' AND topic < 'connection/' "
                "AND notification_id > ? AND notification_id <= ? AND instr(state, ?) > 0",
                (after, up_to, needle),
            )
            return {row[0] for row in cursor.fetchall()}

    def bodies_holding(
        self, needles: Sequence[bytes], *, after: int, up_to: int, limit: int
    ) -> list[Found]:
        """See `ledger.recorders.base.Log`."""
        matches = " OR ".join("instr(p.body, ?) > 0" for _ in needles)
        with self._reading() as cursor:
            cursor.execute(
                "SELECT p.notification_id, e.originator_id, p.body FROM payloads p "
                "JOIN stored_events e USING (notification_id) "
                "WHERE e.topic = 'delivery.received' AND p.notification_id > ? "
                f"AND p.notification_id <= ? AND ({matches}) ORDER BY p.notification_id LIMIT ?",
                (after, up_to, *needles, limit),
            )
            return [Found(row[0], row[1], bytes(row[2])) for row in cursor.fetchall()]

    def kept(self, positions: Collection[int]) -> set[int]:
        """See `ledger.recorders.base.Log`."""
        with self._reading() as cursor:
            cursor.execute(
                "SELECT notification_id FROM payloads "
                "WHERE notification_id IN (SELECT value FROM json_each(?))",
                (json.dumps(list(positions)),),
            )
            return {row[0] for row in cursor.fetchall()}

    def scrub(self) -> list[str]:
        """See `ledger.recorders.base.Log`."""
        return self._wal.empty(lambda: self.datastore.get_connection(commit=True))


def delete_payloads(cursor: SQLiteCursor, positions: Collection[int]) -> None:
    """Delete the payloads at these positions, within the transaction of the cursor."""
    if positions:
        statement = "DELETE FROM payloads WHERE notification_id = ?"
        cursor.executemany(statement, [(position,) for position in positions])
