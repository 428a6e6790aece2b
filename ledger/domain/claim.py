"""What was stated about a connection: its time, by which channel, on what evidence.

A claim is one parsed statement. The same claim can arrive several times, by several deliveries or
sweeps: it stays one claim with several pieces of evidence. Claims have a total order (semantics,
section 5) that does not depend on arrival, so the current view is a function of their *set*.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

from ledger.domain.status import Status, rank

CLOCK_TOLERANCE_MS: Final = 300_000
"""How far after its observation a claim may date itself before its time is cut."""
SECOND_MS: Final = 1_000
"""What the provider dates its answers to: whole seconds."""
STAYS: Final = frozenset(
    {
        *("clientReferenceId", "createdAt", "updatedAt", "expiredAt", "lastCheckedAt", "imported"),
        *("missingSince", "lastListedAt", "requestedBy", "predecessorId", "successorId", "linkId"),
        *("command", "closes", "httpStatus"),
    }
)
"""Fields that rest in the event for ever: references, ids, times, a truth, a number, who asked, and
our own names of commands. All others can be erased, because they hold text of others' choosing."""
ERASED: Final = "erased"
"""The flag of a claim whose personal part was erased after it was recorded."""


class Kind(StrEnum):
    """By which channel, and as what, a claim was made."""

    CREATED = "webhook.created"
    """`connection.created`: the creator has connected; with the body's status, else active."""
    UPDATED = "webhook.updated"
    """`connection.updated`: with the body's status, else none."""
    EXPIRED = "webhook.expired"
    """`connection.expired`: the session ended, whatever status the body says."""
    DISCONNECTED = "webhook.disconnected"
    """`connection.disconnected`: the connection is gone, whatever status the body says."""
    BIRTH = "row.birth"
    """A list row's `createdAt`, from a row seen for the first time: no status."""
    ROW = "row"
    """What a list row says, at the time it was answered or the row last changed."""
    ROW_UPDATED = "row.updated"
    """The `updatedAt` of a row seen for the first time."""
    ROW_EXPIRED = "row.expired"
    """The `expiredAt` of an expired row seen for the first time."""
    DELETE_CONFIRMED = "command.deleted"
    """The provider's 2xx to our own DELETE."""
    INVALIDATED = "command.invalidated"
    """The provider's 2xx to our own invalidate: the session ended."""
    DELETION_PROVED = "sweep.deleted"
    """The provider does not know the connection, and a valid pass after that did not list it."""
    MISSING = "sweep.missing"
    """A note: valid passes have not listed it (`missingSince`, `lastListedAt`)."""
    NOT_FOUND = "command.not_found"
    """A note: the provider answered a call that names the connection with `RESOURCE_NOT_FOUND`."""
    DELETE_REQUESTED = "command.delete_requested"
    """A note: we were asked to delete it (`requestedBy`, and the reason as personal). With a
    `command` a refusal may close it: a note of the answer that `closes` the command of this name,
    and tells its `httpStatus`."""
    INVALIDATE_REQUESTED = "command.invalidate_requested"
    """A note: we were asked to end its session; with the same fields."""
    EXPIRY_SUSPECTED = "command.expiry_suspected"
    """A note: the provider answered a call that names it with a 401 about its session."""
    REFUSED = "command.refused"
    """A note: the provider refused what we were asked to have done, in another way."""
    FORKED = "link.forked"
    """A note: a Link session for one connection ended in another (`linkId`, and `successorId` in
    the one that was meant, `predecessorId` in the one that came of it)."""

    @cached_property
    def is_webhook(self) -> bool:
        """Whether the provider pushed it."""
        return self in _WEBHOOKS

    @cached_property
    def is_row(self) -> bool:
        """Whether it was read from the provider's list."""
        return self.value.startswith("row")

    @cached_property
    def ends(self) -> bool:
        """Whether it proves that the connection is gone."""
        return self in _ENDS

    @cached_property
    def begins(self) -> bool:
        """Whether it states the beginning of the connection."""
        return self in _BEGINS

    @cached_property
    def notes(self) -> bool:
        """Whether it states nothing of the connection's own: no status, and no field of it.

        A note says what the ledger did, concluded or was told about the connection.
        """
        return self in NOTES


_WEBHOOKS: Final = frozenset({Kind.CREATED, Kind.UPDATED, Kind.EXPIRED, Kind.DISCONNECTED})
_ENDS: Final = frozenset({Kind.DISCONNECTED, Kind.DELETE_CONFIRMED, Kind.DELETION_PROVED})
_BEGINS: Final = frozenset({Kind.CREATED, Kind.BIRTH})
NOTES: Final = frozenset(
    {
        *(Kind.MISSING, Kind.NOT_FOUND, Kind.DELETE_REQUESTED, Kind.INVALIDATE_REQUESTED),
        *(Kind.EXPIRY_SUSPECTED, Kind.REFUSED, Kind.FORKED),
    }
)
"""The kinds of notes."""
PLACES: Final = {kind: 0 if kind.begins else 2 if kind.ends else 1 for kind in Kind}
"""Where a kind stands among the claims of one instant: creation first, disconnection last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One statement about one connection.

    Absent fields are absent from the mappings: a claim never says more than its source said.
    """

    connection_id: str
    """The provider's id; it rests in the event."""
    kind: Kind
    """By which channel it was made, and as what."""
    k: int
    """When it was so, by the provider's clock: milliseconds since the epoch, UTC."""
    status: Status | None = None
    """`active`, `awaiting_2fa`, `expired`, `deleted`, or none when it says none."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """What it carries, by the provider's names; absent means not said. `clientReferenceId`,
    `imported`, times and what a note carries rest in the event, all else in its payload:
    `permissions`, `platformUserId`, `providerStatus`."""
    personal: Mapping[str, Any] = field(default_factory=dict)
    """What may have to be forgotten: `userData` by key, `extra` with unknown fields, and the
    `reason` of a request. It rests in the payload and is empty in the event."""
    answered: int | None = None
    """For a list row: when the provider answered, milliseconds since the epoch, UTC."""
    flags: tuple[str, ...] = ()
    """What was odd about it: `clock` (its time was cut), `unknown_status`; and `erased`, which is
    never stored: its payload is gone."""
    stamped: bool = False
    """Whether `k` is a signature's time, because the body carries none; it can then be lowered
    by another delivery of the same identity."""
    id: str = ""
    """32 hex digits of SHA-256 over what was stated; filled in by `identified`."""

    def identified(self) -> "Claim":
        """Return this claim with its `id` computed from what it states.

        Flags and `stamped` are about how it came and do not count.
        """
        stated: dict[str, Any] = {
            "connection": self.connection_id,
            "kind": self.kind.value,
            "k": self.k,
            "status": self.status,
            "fields": dict(self.fields),
            "personal": dict(self.personal),
        }
        if self.answered is not None:
            stated["answered"] = self.answered
        return replace(self, id=hashlib.sha256(canonical_json(stated)).hexdigest()[:32])

    @property
    def order(self) -> tuple[int, int, int, str]:
        """The key of the total order: time, creation first and disconnection last, status, id."""
        return (self.k, PLACES[self.kind], rank(self.status), self.id)

    def dated(self, k: int, *flags: str) -> "Claim":
        """Return the same statement dated `k` (milliseconds, UTC) and flagged, with its new id."""
        return replace(self, k=k, flags=(*self.flags, *flags)).identified()


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a claim rests on: a delivery, a pass over the list, or a command."""

    stream: str
    """The stream of the delivery (or sweep, or link, or command) that said it."""
    channel: str
    """The signature dialect, `sweep` or `command`."""
    observed: int
    """When it reached us: milliseconds since the epoch, UTC."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A claim together with one piece of its evidence: what one connection event carries."""

    claim: Claim
    """What was stated."""
    evidence: Evidence
    """By what."""


def not_before(moment: int, answered: int) -> int:
    """Give when something was answered that we know was answered after a moment.

    Both in milliseconds since the epoch, UTC. Only what rounding to seconds explains is put right.
    """
    return moment if moment - SECOND_MS <= answered < moment else answered


_CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def canonical_json(value: Any) -> bytes:
    """Serialise `value` so that equal values give equal bytes (sorted keys, no white space)."""
    return _CANONICAL.encode(value).encode()


def settle(statements: Iterable[Statement]) -> dict[str, tuple[Claim, tuple[Evidence, ...]]]:
    """Reduce statements to the set of claims that stand, each with all its evidence, by claim id.

    Of a stamped claim that one delivery made at several times, the earliest stands (semantics,
    section 4: the smallest signature timestamp among the deliveries of that identity).
    """
    everything = list(statements)
    once: dict[str, tuple[Claim, tuple[Evidence, ...]]] = {
        one.claim.id: (one.claim, (one.evidence,)) for one in everything if not one.claim.stamped
    }
    if len(once) == len(everything):
        return once
    earliest: dict[str, int] = {}
    for statement in everything:
        if statement.claim.stamped:
            stream, k = statement.evidence.stream, statement.claim.k
            earliest[stream] = min(k, earliest.get(stream, k))
    standing: dict[str, tuple[Claim, tuple[Evidence, ...]]] = {}
    for statement in everything:
        claim, evidence = statement.claim, statement.evidence
        if claim.stamped and claim.k > earliest[evidence.stream]:
            continue
        known = standing.get(claim.id)
        standing[claim.id] = (claim, (evidence,)) if known is None else _more(known, statement)
    return standing


def _more(
    known: tuple[Claim, tuple[Evidence, ...]], again: Statement
) -> tuple[Claim, tuple[Evidence, ...]]:
    """Add to a claim what another statement of it brings: flags and evidence."""
    (claim, others), evidence = known, again.evidence
    if claim.flags != again.claim.flags:
        claim = replace(claim, flags=tuple(sorted({*claim.flags, *again.claim.flags})))
    if all(evidence.stream != other.stream for other in others):
        others = (*others, evidence)
    return claim, others
