"""A part of the log, read once for all projections: its events by stream, ready to be folded."""

from bisect import bisect
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, islice
from operator import attrgetter
from typing import Final, NamedTuple

from msgspec import Struct

from ledger.domain.claim import Statement
from ledger.domain.connection import Connection, fold
from ledger.domain.errors import LedgerError
from ledger.domain.events import (
    ClientErased,
    ConnectionEvent,
    DeliveryParked,
    DeliveryResolved,
    Event,
)
from ledger.domain.words import CONNECTION, LINK, connection_of, connection_stream
from ledger.recorders.base import Log, StoredRow
from ledger.recorders.codec import to_event

STREAMS_AT_ONCE: Final = 500
"""How many streams one query reads."""
_stream_of: Final = attrgetter("stream")
_position_of: Final = attrgetter("position")
_TOLD_WHOLE: Final = frozenset({DeliveryParked.NAME, DeliveryResolved.NAME})
"""Types of delivery events that only make sense beside the rest of their stream."""


class Fact(Struct, frozen=True, gc=False):
    """An event, where it lies and when it entered the log (microseconds UTC)."""

    position: int
    recorded_at: int
    event: Event


class Trouble(NamedTuple):
    """The first event of a stream that could not be taken over, and why."""

    position: int
    reason: str


@dataclass
class Told:
    """What the log tells about one stream up to a position."""

    stream: str
    facts: Sequence[Fact]
    """Of a connection or a Link session all of them, of a delivery at least the new ones; up to
    the first event that cannot be read."""
    trouble: Trouble | None = None
    since: int = 0
    """The facts up to this position are in the view already."""
    fresh: bool = False
    """Whether what the view holds of the stream is not certain and must be replaced."""

    @cached_property
    def stated(self) -> "Sequence[Stated]":
        """The facts that are statements about a connection."""
        return statements(self.facts)

    @cached_property
    def connection(self) -> Connection | None:
        """The fold of everything told; None for a stream that is not a connection's."""
        return self._fold(self.stated)

    @property
    def before(self) -> Connection | None:
        """The fold of what is in the view already."""
        return self._fold(statements(self.old))

    @property
    def old(self) -> Sequence[Fact]:
        """What is in the view already."""
        return self.facts[: self._number_of_old]

    @property
    def new(self) -> Sequence[Fact]:
        """What is not in the view yet."""
        return self.facts[self._number_of_old :]

    @cached_property
    def _number_of_old(self) -> int:
        # a stream's facts lie in the order of the log
        return bisect(self.facts, self.since, key=_position_of) if self.since else 0

    def _fold(self, stated: "Iterable[Stated]") -> Connection | None:
        if not self.stream.startswith(CONNECTION):
            return None
        return fold(connection_of(self.stream), [statement for _, statement in stated])


Stated = tuple[Fact, Statement]
"""A fact, and what it states about a connection."""


class Batch(NamedTuple):
    """Everything between two positions."""

    position: int
    """The last position read."""
    size: int
    """How many events were read."""
    told: Sequence[Told]


def statements(facts: Iterable[Fact]) -> list[Stated]:
    """Give the facts that are statements about a connection."""
    return [
        (fact, fact.event.statement) for fact in facts if isinstance(fact.event, ConnectionEvent)
    ]


def reason_for(error: BaseException) -> str:
    """Say why a stream is blocked, without any of its data: other messages may quote some."""
    return (
        f"{type(error).__name__}: {error}"
        if isinstance(error, LedgerError)
        else (f"{type(error).__name__} while it was folded")
    )


def read_batch(
    log: Log, *, after: int, up_to: int | None, limit: int, blocked: Collection[str]
) -> Batch | None:
    """Read what lies after a position; None at the end of the log.

    A stream that must be seen whole and does not begin in the batch is read again from its start;
    so is one that is `blocked`, and one of whose payloads some were erased: its rows are to be
    replaced. Raises StoreUnavailable.
    """
    rows = log.read_log(after, limit, up_to=up_to, payloads=True)
    if not rows:
        return None
    streams = _by_stream(rows)
    last = rows[-1].position
    parts = [
        stream
        for stream, own in streams.items()
        if own[0].version != 1 and (stream in blocked or _must_be_whole(own))
    ]
    erased = _erased(rows)
    streams.update(_read_whole(log, {*parts, *erased}, last))
    told = [_tell(stream, own, after, fresh=stream in erased) for stream, own in streams.items()]
    return Batch(last, len(rows), told)


def tell_streams(
    log: Log, streams: Iterable[str], up_to: int, since: int = 0, *, fresh: bool = False
) -> list[Told]:
    """Read streams whole, up to a position; those that do not exist then are left out."""
    return [
        _tell(stream, rows, since, fresh=fresh) for stream, rows in _read_whole(log, streams, up_to)
    ]


def tell_rows(rows: Iterable[StoredRow]) -> Iterator[Told]:
    """Read rows as they are, stream by stream."""
    for stream, own in _by_stream(rows).items():
        yield _tell(stream, own, 0)


def tell_sorted(portions: Iterable[Sequence[StoredRow]]) -> Iterator[list[Told]]:
    """Tell streams whole from rows that lie stream by stream; a few at a time."""
    left: Sequence[StoredRow] = ()
    for rows in portions:
        streams = [(stream, list(own)) for stream, own in groupby([*left, *rows], _stream_of)]
        # The last one may go on in the next portion.
        _, left = streams.pop()
        yield [_tell(stream, own, 0) for stream, own in streams]
    if left:
        yield [_tell(left[0].stream, left, 0)]


def _must_be_whole(rows: Sequence[StoredRow]) -> bool:
    whole = rows[0].stream.startswith((CONNECTION, LINK))
    return whole or any(row.topic in _TOLD_WHOLE for row in rows)


def _erased(rows: Iterable[StoredRow]) -> set[str]:
    """Give the streams of connections of which these events say that payloads were erased."""
    return {
        connection_stream(connection)
        for row in rows
        if row.topic == ClientErased.NAME
        for connection in getattr(to_event(row), "connections", ())
    }


def _read_whole(
    log: Log, streams: Iterable[str], up_to: int
) -> Iterator[tuple[str, list[StoredRow]]]:
    names = iter(streams)
    while some := list(islice(names, STREAMS_AT_ONCE)):
        yield from _by_stream(log.read_streams(some, up_to=up_to)).items()


def _by_stream(rows: Iterable[StoredRow]) -> dict[str, list[StoredRow]]:
    streams: dict[str, list[StoredRow]] = defaultdict(list)
    for row in rows:
        streams[row.stream].append(row)
    return streams


def _tell(stream: str, rows: Sequence[StoredRow], since: int, *, fresh: bool = False) -> Told:
    facts: list[Fact] = []
    try:
        for row in rows:
            facts.append(Fact(row.position, row.recorded_at, to_event(row)))
    except Exception as error:  # noqa: BLE001 - whatever one event does, the others go on
        return Told(stream, facts, Trouble(row.position, reason_for(error)), since, fresh)
    return Told(stream, facts, None, since, fresh)
