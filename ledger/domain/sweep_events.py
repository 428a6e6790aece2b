"""The events of passes over the provider's list of connections: a part of the audit contract.

Stream `sweep:<16 hex digits>`, one for each pass. What a pass tells of a connection is in the
connection's own stream; here is what it tells of the list as a whole, and of itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ledger.domain.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepStarted(Event):
    """A pass over the provider's list began."""

    NAME = "sweep.started"
    observed: int
    """When."""
    organisation: str
    """The provider's id of the organisation whose list it is; that of the oldest pass is ours."""
    backfill: bool
    """Whether no valid pass came before it: connections may have existed before the ledger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepCompleted(Event):
    """A pass read the list to its end.

    A valid one stands for a claim about every connection that it listed and found unchanged, so
    that those append nothing: `ledger/domain/listing.py` says which claim.
    """

    NAME = "sweep.completed"
    observed: int
    """When."""
    answered_from: int
    """When the provider answered the first page, by its clock but not later than ours."""
    answered_to: int
    """When the provider answered the last page."""
    requests: int
    """How many requests it took."""
    rows: int
    """How many rows were read; pages overlap."""
    connections: int
    """How many different connections were listed."""
    live: int
    """How many connections were known and not deleted when it began."""
    absent: tuple[str, ...] = ()
    """Ids of those of them that it did not list, that were not missing before, and that nothing was
    heard of since it began."""
    unseen: tuple[str, ...] = ()
    """Ids of the others that it did not list either: they were missing before, or something was
    heard of them since it began."""
    repairs: int = 0
    """How many differences no webhook had told."""
    fresh: tuple[str, ...] = ()
    """Ids of those whose difference was so young that a webhook may still tell it: the next pass
    counts those that none told."""
    appended: int = 0
    """How many of its rows told something and were recorded."""
    transitions: int = 0
    """How many changes of status were recorded since the last pass before that came to an end, by
    any channel; the deletions that this one proved too."""
    backfill: bool = False
    """As in `sweep.started`; then its differences are no repairs."""
    valid: bool = False
    """Whether anything may be inferred from what it did not list."""
    reasons: tuple[str, ...] = ()
    """Why it is not valid, in fixed words."""
    braked: bool = False
    """Whether too many were absent at once: nothing is inferred until an operator confirms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepAbandoned(Event):
    """A pass ended before the end of the list; what its rows said is recorded all the same."""

    NAME = "sweep.abandoned"
    observed: int
    """When."""
    reason: str
    """A fixed word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepGap(Event):
    """For a time no valid pass was completed; appended with the first one after it."""

    NAME = "sweep.gap"
    observed: int
    """When it ended."""
    since: int
    """When the last valid pass before it was completed, or the first one began."""
    until: int
    """When the valid pass that ended it was completed."""


SWEEP_TYPES: Final[Mapping[str, type[Event]]] = {
    cls.NAME: cls for cls in (SweepStarted, SweepCompleted, SweepAbandoned, SweepGap)
}
"""The events of passes by their stored names."""
