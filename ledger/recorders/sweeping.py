"""What sweeps need of a log, whichever database holds it: the passes in it, and leases.

Statements are written once for both databases, with `?` for a parameter.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from ledger.recorders.base import StoredRow

PASSES: Final = (
    "SELECT e.notification_id, e.originator_id, e.originator_version, e.topic, e.state, "
    "e.recorded_at, {none} FROM stored_events e WHERE e.topic >= 'sweep.' AND e.topic < 'sweep/'"
)
"""In the words of the index of passes; `none` stands for a payload that is not wanted."""
PASSES_INDEX: Final = """
    CREATE INDEX IF NOT EXISTS stored_events_passes ON stored_events (notification_id)
        WHERE topic >= 'sweep.' AND topic < 'sweep/'"""
_TAKE: Final = """INSERT INTO leases (name, epoch, holder, until) VALUES (?, 1, ?, ?)
    ON CONFLICT (name) DO UPDATE SET
    epoch = leases.epoch + CASE WHEN leases.holder = excluded.holder THEN 0 ELSE 1 END,
    holder = excluded.holder, until = excluded.until
    WHERE leases.holder = excluded.holder OR leases.until <= ?
    RETURNING epoch"""
_RELEASE: Final = """UPDATE leases SET epoch = epoch + 1, holder = '', until = 0
    WHERE name = ? AND epoch = ? RETURNING epoch"""


class Sweeping(ABC):
    """The part of a log that knows passes and who may sweep."""

    PASSES: ClassVar[str]
    """Selects the events of passes."""
    PARAMETER: ClassVar[str]
    """How this database names a parameter."""

    @abstractmethod
    def _rows(self, statement: str, params: Sequence[Any]) -> list[StoredRow]:
        """Read events."""

    @abstractmethod
    def _change(self, statement: str, params: Sequence[Any]) -> int | None:
        """Change one lease in a short transaction, and give the number that this returns."""

    def passes(
        self,
        *,
        up_to: int | None = None,
        before: int | None = None,
        limit: int,
        oldest_first: bool = False,
    ) -> list[StoredRow]:
        """See `ledger.recorders.base.Log`."""
        statement, params = self.PASSES, list[Any]()
        for condition, position in (("<=", up_to), ("<", before)):
            if position is not None:
                statement += f" AND e.notification_id {condition} ?"
                params.append(position)
        order = "ASC" if oldest_first else "DESC"
        statement += f" ORDER BY e.notification_id {order} LIMIT ?"
        return self._rows(self._written(statement), [*params, limit])

    def take_lease(self, name: str, holder: str, now: int, ttl: int) -> int | None:
        """See `ledger.recorders.base.Log`."""
        return self._change(self._written(_TAKE), (name, holder, now + ttl, now))

    def release_lease(self, name: str, epoch: int) -> None:
        """See `ledger.recorders.base.Log`."""
        self._change(self._written(_RELEASE), (name, epoch))

    def _written(self, statement: str) -> str:
        return statement.replace("?", self.PARAMETER)
