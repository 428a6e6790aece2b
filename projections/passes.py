"""The passes over the provider's list, as far as they keep connections fresh.

A connection that a valid pass found unchanged has nothing in its own stream to show for it, since
the pass names only those that it did not list. So whoever says how fresh one is looks here too.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from ledger.domain.errors import LedgerError
from ledger.domain.sweep_events import SweepCompleted, SweepStarted
from ledger.recorders.base import Log, StoredRow
from ledger.recorders.codec import to_event

EVENTS_SEEN: Final = 24
"""How many of the newest events of passes are looked through for one that listed a connection."""
AT_ONCE: Final = 4
"""How many of them one query reads: mostly the newest pass is enough."""


class Pass(NamedTuple):
    """A valid pass."""

    began: int
    """The position of its beginning: it tells of connections that were known then."""
    answered_at: int
    """When the provider answered its first page, milliseconds UTC; never later than a pass after
    it."""
    unlisted: frozenset[str]
    """Ids of connections that it did not list."""


class Passes:
    """The newest valid passes up to a position, newest first, read as far as somebody asks."""

    def __init__(self, log: Log, up_to: int) -> None:
        """Look at passes that were completed up to a position of the log.

        Whoever asks further may meet StoreUnavailable.
        """
        self._read: list[Pass] = []
        self._unread = _passes(log, up_to)

    def __iter__(self) -> Iterator[Pass]:
        """Give them in turn."""
        number = 0
        while number < len(self._read) or self._read_one():
            yield self._read[number]
            number += 1

    def listed_at(self, connection_id: str, swept_from: int) -> int | None:
        """Give when a pass listed a connection last, milliseconds UTC; None when none is known to.

        Only passes count that began after the position `swept_from`.
        """
        for one in self:
            if one.began <= swept_from:
                break  # and those before it began earlier still
            if connection_id not in one.unlisted:
                return one.answered_at
        return None

    def since(self, time_ms: int) -> list[Pass]:
        """Give those by which it is decided what was listed at a time (milliseconds UTC) or later.

        What the last of them does not name as unlisted, they all tell of.
        """
        found: list[Pass] = []
        unlisted: frozenset[str] | None = None
        for one in self:
            if one.answered_at < time_ms:
                break
            found.append(one)
            unlisted = one.unlisted if unlisted is None else unlisted & one.unlisted
            if not unlisted:
                break
        return found

    def _read_one(self) -> bool:
        one = next(self._unread, None)
        if one is not None:
            self._read.append(one)
        return one is not None


def _passes(log: Log, up_to: int) -> Iterator[Pass]:
    completed: dict[str, SweepCompleted] = {}
    answered_at: int | None = None
    for row in _rows(log, up_to):
        if row.topic == SweepCompleted.NAME:
            if (event := _valid(row)) is not None:
                completed[row.stream] = event
        elif row.topic == SweepStarted.NAME and row.stream in completed:
            event = completed[row.stream]
            if answered_at is None or event.answered_from < answered_at:
                answered_at = event.answered_from
            yield Pass(row.position, answered_at, frozenset((*event.absent, *event.unseen)))


def _rows(log: Log, up_to: int) -> Iterator[StoredRow]:
    before = up_to + 1
    for _ in range(EVENTS_SEEN // AT_ONCE):
        rows = log.passes(before=before, limit=AT_ONCE)
        yield from rows
        if len(rows) < AT_ONCE:
            return
        before = rows[-1].position


def _valid(row: StoredRow) -> SweepCompleted | None:
    """Read the end of a valid pass; None when it is not valid, or a later program made it."""
    try:
        event = to_event(row)
    except LedgerError:
        return None
    return event if isinstance(event, SweepCompleted) and event.valid else None
