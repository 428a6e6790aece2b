"""What erasing needs of a PostgreSQL log: scans for text, and making dead rows unreadable."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

from psycopg import Cursor

from ledger.recorders.base import DecideErasure, Found, Head

REMAINS: Final = (
    "No query of PostgreSQL finds it any more. Its files may still hold copies until they are "
    "written over; the how-to `Erase a person` says how to remove those."
)


class PostgresErasing(ABC):
    """The part of the log that looks into states and bodies, and cleans up."""

    @abstractmethod
    def _reading(self) -> AbstractContextManager[Cursor[tuple[Any, ...]]]:
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
                "AND notification_id > %s AND notification_id <= %s "
                "AND position(%s::bytea in state) > 0",
                (after, up_to, needle),
            )
            return {row[0] for row in cursor.fetchall()}

    def bodies_holding(
        self, needles: Sequence[bytes], *, after: int, up_to: int, limit: int
    ) -> list[Found]:
        """See `ledger.recorders.base.Log`."""
        with self._reading() as cursor:
            cursor.execute(
                "SELECT p.notification_id, e.originator_id, p.body FROM payloads p "
                "JOIN stored_events e USING (notification_id) "
                "WHERE e.topic = 'delivery.received' AND p.notification_id > %s "
                "AND p.notification_id <= %s AND EXISTS (SELECT 1 FROM unnest(%s::bytea[]) "
                "AS n (needle) WHERE position(n.needle in p.body) > 0) "
                "ORDER BY p.notification_id LIMIT %s",
                (after, up_to, list(needles), limit),
            )
            return [Found(row[0], row[1], bytes(row[2])) for row in cursor.fetchall()]

    def kept(self, positions: Collection[int]) -> set[int]:
        """See `ledger.recorders.base.Log`."""
        with self._reading() as cursor:
            cursor.execute(
                "SELECT notification_id FROM payloads WHERE notification_id = ANY(%s)",
                (list(positions),),
            )
            return {row[0] for row in cursor.fetchall()}

    def scrub(self) -> list[str]:
        """See `ledger.recorders.base.Log`."""
        with self._reading() as cursor:
            cursor.execute("VACUUM (ANALYZE) payloads")
        return [REMAINS]
