"""What the ledger asks of a log, whatever database holds it.

A log is a table of stored events in the shape of the eventsourcing library (stream and version are
its unique key; the library calls them originator id and version, and a position notification id),
and beside it the payloads: what may have to be forgotten, keyed by position.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from ledger.domain.errors import StoreUnavailable

LOCK_TIMEOUT_MS = 2_500
"""How long a write may wait for the lock, and any statement of it may run, in milliseconds."""
PORTION = 2_000
"""How many events of a scan are held at once."""


class AmbiguousCommit(StoreUnavailable):
    """The commit's outcome is unknown: read back by identity, then decide."""


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


class Seen(NamedTuple):
    """What a write sees under the lock, before it decides."""

    head: Head
    rows: Sequence[StoredRow]
    """The streams asked for, each in the order of its versions; bodies of deliveries left out."""
    message_streams: Collection[tuple[str, str]]
    """(message id, stream) of deliveries that came under the message ids asked for."""


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


class Scan(NamedTuple):
    """The streams of the log at one moment, each of them whole."""

    position: int
    """The end of the log at that moment."""
    total: int
    """How many events there are to come."""
    portions: Iterator[list[StoredRow]]
    """Events by stream and version, with payloads as `Log.read_streams` gives them. A stream may
    go on in the next portion."""


Decide = Callable[[Seen], Sequence[NewRow]]
DecideErasure = Callable[[Seen], Change]


def kind_range(kind: str) -> tuple[str, str]:
    """Give the first name of a kind of stream, and the first that comes after all of them."""
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
    ) -> tuple[list[int], Head]:
        """Take the write lock, read `streams`, let `decide` choose, append all of it, commit.

        Returns the positions of the new events in order, and the end of the log afterwards. `now`
        gives microseconds UTC and is asked while the lock is held.

        Raises:
            AmbiguousCommit: the outcome is unknown.
            StoreUnavailable: nothing was written.
        """

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

    def read_streams(
        self, streams: Collection[str], *, up_to: int | None = None
    ) -> list[StoredRow]:
        """Give all events of `streams` up to a position, ordered by stream and version.

        Connection events come with their payloads; bodies of deliveries are left out.
        """

    def scan(self, kinds: Sequence[str]) -> AbstractContextManager[Scan]:
        """Read the whole log stream by stream, as of one moment and in little memory.

        Only streams whose names begin with one of `kinds`.
        """

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
