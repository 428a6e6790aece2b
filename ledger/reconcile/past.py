"""What earlier passes say: whose list it is, when the last valid one was, who was absent in it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from ledger.domain.sweep_events import SweepAbandoned, SweepCompleted, SweepStarted
from ledger.recorders import codec
from ledger.recorders.base import Log, StoredRow

READ_AT_ONCE: Final = 20
APART_MS: Final = 600_000
"""How far apart passes must be for each of them to count against an absent connection."""
MISSING_AFTER: Final = 3
"""In how many such passes a connection must be absent to be missing."""


class Completed(NamedTuple):
    """A pass that came to the end of the list."""

    stream: str
    position: int
    event: SweepCompleted


@dataclass(frozen=True, slots=True)
class Absence:
    """What valid passes say of a connection that the newest of them did not list."""

    since: int
    """When the first pass of those in a row was answered that did not list it; milliseconds UTC."""
    last_listed: int | None
    """When the pass before that was answered, if it listed it; else None."""
    counted: int
    """In how many passes, far enough apart, it was absent."""

    @property
    def is_missing(self) -> bool:
        """Whether that is enough to call it missing."""
        return self.counted >= MISSING_AFTER


def completed_passes(log: Log) -> Iterator[Completed]:
    """Give the passes that came to the end of the list, the newest first."""
    for row in _events(log):
        if row.topic == SweepCompleted.NAME:
            event = codec.to_event(row)
            assert isinstance(event, SweepCompleted)
            yield Completed(row.stream, row.position, event)


@dataclass(frozen=True, slots=True)
class Before:
    """What a pass must know of those before it; None where there was none."""

    newest: Completed | None
    """The newest that came to the end of the list, valid or not."""
    valid: Completed | None
    """The newest valid one."""
    believed: Completed | None
    """The newest valid one whose absences were not too many to be believed."""


def passes_before(log: Log) -> Before:
    """Look back as far as there is something to find."""
    newest: Completed | None = None
    valid: Completed | None = None
    for one in completed_passes(log):
        newest = newest or one
        if one.event.valid:
            valid = valid or one
            if not one.event.braked:
                return Before(newest, valid, one)
    return Before(newest, valid, None)


def organisation(log: Log) -> str | None:
    """Give whose list passes have read; None before the first one.

    A pass over another organisation's list is abandoned before it starts, so they all agree.
    """
    for row in _events(log):
        if row.topic == SweepStarted.NAME:
            event = codec.to_event(row)
            assert isinstance(event, SweepStarted)
            return event.organisation
    return None


def absences(passes: Iterable[SweepCompleted], ids: frozenset[str]) -> dict[str, Absence]:
    """Tell of connections that the newest valid pass did not list for how long that is so.

    `passes` are the newest first. Those from which nothing is inferred, the braked ones too, count
    neither for nor against.
    """
    found: dict[str, Absence] = {}
    counted_at: dict[str, int] = {}
    open_ids = set(ids)
    for event in passes:
        if not open_ids:
            break
        if not event.valid or event.braked:
            continue
        absent = open_ids.intersection(event.absent)
        for id in found.keys() & open_ids - absent - set(event.unseen):
            found[id] = _listed(found[id], event.answered_from)
        open_ids = absent
        for id in absent:
            if id not in counted_at or event.answered_from <= counted_at[id] - APART_MS:
                counted_at[id] = event.answered_from
                counted = found[id].counted + 1 if id in found else 1
            else:
                counted = found[id].counted
            found[id] = Absence(event.answered_from, None, counted)
    return found


def _listed(absence: Absence, answered: int) -> Absence:
    return Absence(absence.since, answered, absence.counted)


def _events(log: Log) -> Iterator[StoredRow]:
    """Give the events of passes, the newest first."""
    before: int | None = None
    while rows := log.passes(before=before, limit=READ_AT_ONCE):
        yield from rows
        before = rows[-1].position


def newest_begin(log: Log) -> int | None:
    """Give when the newest pass began, milliseconds since the epoch, UTC; None before the first."""
    for row in _events(log):
        event = codec.to_event(row)
        if isinstance(event, SweepStarted | SweepAbandoned):
            return event.observed
    return None


def oldest_begin(log: Log) -> int:
    """Give when the oldest pass began, milliseconds since the epoch, UTC; there must be one."""
    [row] = log.passes(limit=1, oldest_first=True)
    event = codec.to_event(row)
    assert isinstance(event, SweepStarted | SweepAbandoned)
    return event.observed
