"""What the ledger asks of a log, whatever database holds it.

A log is a table of stored events in the shape of the eventsourcing library (stream and version are
its unique key; the library calls them originator id and version, and a position notification id),
and beside it the payloads: what may have to be forgotten, keyed by position.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, NamedTuple, Protocol

from ledger.domain.errors import LedgerError, StoreUnavailable

LOCK_TIMEOUT_MS = 2_500
"""How long a write may wait for the lock, and any statement of it may run, in milliseconds."""
PORTION = 250
"""How many events of a scan are held at once: so few that they are still in the processor's cache
when their rows are written, which is a third of a rebuild's time."""


BESIDE_CLAIMS = (
    "e.topic >= 'connection.' AND e.topic < 'connection/' AND p.notification_id = e.notification_id"
)
"""Joins to the events `e` of connections the payloads `p` that rest beside them, in SQL."""


class AmbiguousCommit(StoreUnavailable):
    """The commit's outcome is unknown: read back by identity, then decide."""


class LeaseLost(LedgerError):
    """Another holder has taken the lease under which a write was to be made; it was not made."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Another process has taken over the {name}, because this one let go of it or did not "
            "renew it in time. Nothing was written; see `/api/sweeps` for what the other does."
        )


class StoredRow(NamedTuple):
    """One stored event as it rests in the log."""

    position: int
    stream: str
    version: int
    topic: str
    state: bytes
    recorded_at: int
    """When it entered the log: microseconds since the epoch, UTC; ascending with the position."""
    payload: bytes | None
    """What was kept beside it, when it was asked for and has not been forgotten."""


def stored_rows(rows: Iterable[Sequence[Any]]) -> list[StoredRow]:
    """Take what a query gave, the columns in the order of the fields."""
    return list(map(_stored_row, rows))


# As `StoredRow._make` does, but in one call of C.
_stored_row = partial(tuple.__new__, StoredRow)


class NewRow(NamedTuple):
    """One event to be appended."""

    stream: str
    version: int
    topic: str
    state: bytes
    payload: bytes | None = None
    salt: bytes | None = None
    """What the payload's digest in the event was salted with; forgotten with the payload."""
    message_id: str | None = None
    """The provider's id of the message that the payload is, to notice when an id is reused."""


class Head(NamedTuple):
    """The end of the log."""

    position: int
    recorded_at: int
    """Microseconds since the epoch, UTC; 0 for an empty log."""


def _no_passes(limit: int) -> list[StoredRow]:
    """Give nothing: there are no passes."""
    return []


class Seen(NamedTuple):
    """What a write sees under the lock, before it decides."""

    head: Head
    rows: Sequence[StoredRow]
    """The streams asked for, each in the order of its versions; bodies of deliveries left out."""
    message_streams: Collection[tuple[str, str]]
    """(message id, stream) of deliveries that came under the message ids asked for."""
    passes: Callable[[int], list[StoredRow]] = _no_passes
    """Gives at most so many of the newest events of passes, newest first; read only when asked,
    and under the lock."""


class Change(NamedTuple):
    """What a write does to the log."""

    rows: Sequence[NewRow]
    """What is appended."""
    erased: Collection[int] = ()
    """The positions whose payloads are deleted."""


class Found(NamedTuple):
    """A raw body in which something was found."""

    position: int
    stream: str
    body: bytes


Names = tuple[str, str]
"""Streams by their names: the first one, and the first name after it that is not meant any more."""


Guard = tuple[str, int]
"""The name of a lease, and the epoch in which it was taken."""
Decide = Callable[[Seen], Sequence[NewRow]]
DecideErasure = Callable[[Seen], Change]


def names_of_kind(kind: str) -> Names:
    """Give the names of all streams of a kind, which is how they begin."""
    return kind, kind[:-1] + chr(ord(kind[-1]) + 1)


class Log(Protocol):
    """The append-only log. Every method may raise StoreUnavailable."""

    @property
    def key(self) -> bytes:
        """The store's own random 32 bytes, made with the store; never leaves the process."""

    def transact(
        self,
        streams: Collection[str],
        message_ids: Collection[str],
        decide: Decide,
        now: Callable[[], int],
        guard: Guard | None = None,
    ) -> tuple[list[int], Head]:
        """Take the write lock, read `streams`, let `decide` choose, append all of it, commit.

        Returns the positions of the new events in order, and the end of the log afterwards. `now`
        gives microseconds UTC and is asked while the lock is held. With a `guard` the lease must
        still be held in that epoch when the write is committed, however long it took.

        Raises:
            AmbiguousCommit: the outcome is unknown.
            LeaseLost: another has taken the lease meanwhile; nothing was written.
            StoreUnavailable: nothing was written.
        """

    def take_lease(self, name: str, holder: str, now: int, ttl: int) -> int | None:
        """Take a lease, or take it again before it ends; None while another holds it.

        `holder` names one thread of one process, and never another one. `now` is in milliseconds
        UTC; `ttl` milliseconds later another may take it, if it is not taken again by then.
        Returns the epoch, which is another whenever the holder changes. A holder that was late
        cannot know that it lost the lease, so what it writes is guarded by the epoch.
        """

    def release_lease(self, name: str, epoch: int) -> None:
        """Let go of a lease; nothing more can be written under this epoch."""

    def erase(
        self, streams: Collection[str], decide: DecideErasure, now: Callable[[], int]
    ) -> tuple[list[int], Head]:
        """Do as `transact`, and delete payloads in the same transaction.

        Raises what `transact` raises.
        """

    def scrub(self) -> list[str]:
        """Remove what deleted payloads left in the store's files, without stopping anyone.

        Returns a sentence for each place where some of it may remain.
        """

    def read_log(
        self,
        after: int,
        limit: int,
        *,
        up_to: int | None = None,
        topics: Sequence[str] = (),
        payloads: bool = False,
    ) -> list[StoredRow]:
        """Give at most `limit` events with a position over `after`, in the order of the log.

        `topics` keeps only these event types; an entry that ends in `.` is a prefix. With
        `payloads`, connection events come with theirs (a delivery's body never does).
        """

    def passes(
        self,
        *,
        up_to: int | None = None,
        before: int | None = None,
        limit: int,
        oldest_first: bool = False,
    ) -> list[StoredRow]:
        """Give at most `limit` events of passes over the provider's list, the newest first.

        Only those up to a position (`up_to`), or before one (`before`); whatever else the log
        holds, this takes no time.
        """

    def read_streams(
        self, streams: Collection[str], *, up_to: int | None = None
    ) -> list[StoredRow]:
        """Give all events of `streams` up to a position, ordered by stream and version.

        Connection events come with their payloads; bodies of deliveries are left out.
        """

    def scan(
        self, names: Sequence[Names], up_to: int
    ) -> AbstractContextManager[Iterator[list[StoredRow]]]:
        """Read streams one after the other up to a position, in little memory.

        Gives a portion at a time: events by stream and version, with payloads as `read_streams`
        gives them. A stream may go on in the next portion.
        """

    def count(self, names: Names, up_to: int) -> int:
        """Give how many events these streams have up to a position."""

    def stream_of(self, names: Names, number: int) -> str:
        """Give in which stream the event of this number (from 0) lies, counted stream by stream."""

    def first_positions(self, streams: Collection[str]) -> dict[str, int]:
        """Give the position of the first event of each stream that exists."""

    def body(self, position: int) -> bytes | None:
        """Give the payload at a position: for a delivery its raw body."""

    def kept(self, positions: Collection[int]) -> set[int]:
        """Give those of these positions that have a payload."""

    def connections_holding(self, needle: bytes, *, after: int, up_to: int) -> set[str]:
        """Give the streams of connections with an event between two positions that holds these
        bytes, payloads left out.
        """

    def bodies_holding(
        self, needles: Sequence[bytes], *, after: int, up_to: int, limit: int
    ) -> list[Found]:
        """Give at most `limit` raw bodies between two positions that hold one of these bytes."""

    def head(self) -> Head:
        """Give the end of the log."""

    def position_at(self, recorded_at: int) -> int:
        """Give the last position recorded at or before a time in microseconds UTC; 0 if none."""

    def close(self) -> None:
        """Release the store; reads and writes after it fail."""
