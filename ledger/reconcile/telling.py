"""What the log tells about passes, for those who ask: each pass, and how the sweep is doing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from ledger.domain.event import Event
from ledger.domain.sweep_events import SweepAbandoned, SweepCompleted, SweepGap, SweepStarted
from ledger.domain.words import SWEEP
from ledger.reconcile.past import completed_passes
from ledger.recorders import codec
from ledger.recorders.base import Log, StoredRow

E = TypeVar("E", bound=Event)
READ_AT_ONCE: Final = 200
LATELY: Final = 100
"""Of how many passes the rate of missed webhooks is told."""
FORSAKEN_MS: Final = 3_600_000
"""A pass without an end that began so long ago has none: its process was killed."""


@dataclass(frozen=True, slots=True)
class PassTold:
    """A pass, as its events tell it; times in milliseconds since the epoch, UTC."""

    id: str
    """Without the prefix of its stream."""
    position: int
    """Of its last event. What it told and concluded of connections lies before that, but for its
    notes that the provider does not know one by name."""
    started: SweepStarted | None
    completed: SweepCompleted | None
    abandoned: SweepAbandoned | None
    gap: SweepGap | None

    def state(self, now_ms: int, *, running: bool) -> str:
        """Say how it ended; `running` tells whether this process is making it just now.

        A pass runs on for a moment after its end is in the log, while it asks for connections by
        name.
        """
        if running:
            return "running"
        if self.completed is not None:
            return "valid" if self.completed.valid else "invalid"
        if self.abandoned is not None:
            return "abandoned"
        young = self.started is not None and now_ms - self.started.observed < FORSAKEN_MS
        return "running" if young else "abandoned"


@dataclass(frozen=True, slots=True)
class Course:
    """How passes went lately."""

    newest: SweepCompleted | None
    """The newest pass that came to the end of the list."""
    last_valid_at: int | None
    """When the newest valid pass was completed, milliseconds since the epoch, UTC."""
    repairs: int
    """Differences that no webhook had told, in the newest hundred passes."""
    transitions: int
    """Changes of status that were recorded in the same time, by any channel."""
    braked: bool
    """Whether the newest valid pass found so many absent that an operator must confirm it."""

    @property
    def drift(self) -> int:
        """How many connections the newest pass found otherwise than they were known."""
        newest = self.newest
        return 0 if newest is None else newest.appended + len(newest.absent)

    @property
    def missed_rate(self) -> float:
        """The share of the changes of status that no webhook told, from 0 to 1."""
        return min(1.0, self.repairs / self.transitions) if self.transitions else 0.0


def course(log: Log) -> Course:
    """Tell how the newest passes went."""
    newest: SweepCompleted | None = None
    last_valid_at: int | None = None
    repairs = transitions = 0
    braked = False
    for number, one in enumerate(completed_passes(log)):
        if number == LATELY:
            break
        newest = newest or one.event
        if last_valid_at is None and one.event.valid:
            last_valid_at, braked = one.event.observed, one.event.braked
        repairs += one.event.repairs
        transitions += one.event.transitions
    return Course(newest, last_valid_at, repairs, transitions, braked)


def one_pass(log: Log, id: str) -> PassTold | None:
    """Tell of one pass; None when the log has nothing of it."""
    rows = log.read_streams([SWEEP + id])
    return _told(rows) if rows else None


def passes(log: Log, *, before: int | None, limit: int) -> tuple[list[PassTold], int | None]:
    """Tell of passes, the newest first, and give what to pass as `before` for more of them."""
    streams: list[str] = []
    after_limit = False
    cursor = before
    while not after_limit and (rows := log.passes(before=cursor, limit=READ_AT_ONCE)):
        for row in rows:
            if row.stream not in streams:
                streams.append(row.stream)
        cursor = rows[-1].position
        # One of them may be the last of the page before, which began before its end.
        after_limit = len(streams) > limit + 1
    told = [one for one in _all(log, streams) if before is None or one.position < before]
    told.sort(key=lambda one: one.position, reverse=True)
    part = told[:limit]
    return part, part[-1].position if len(told) > limit else None


def _all(log: Log, streams: Sequence[str]) -> Iterable[PassTold]:
    by_stream: dict[str, list[StoredRow]] = {}
    for row in log.read_streams(streams) if streams else ():
        by_stream.setdefault(row.stream, []).append(row)
    return map(_told, by_stream.values())


def _told(rows: Sequence[StoredRow]) -> PassTold:
    events = [codec.to_event(row) for row in rows]
    return PassTold(
        rows[0].stream.removeprefix(SWEEP),
        rows[-1].position,
        _first(events, SweepStarted),
        _first(events, SweepCompleted),
        _first(events, SweepAbandoned),
        _first(events, SweepGap),
    )


def _first(events: Iterable[Event], kind: type[E]) -> E | None:
    return next((one for one in events if isinstance(one, kind)), None)
