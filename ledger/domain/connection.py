"""The fold: from the set of claims about one connection to what is true of it, and to its history.

`fold` is a pure function of the *set* of claims (semantics, section 5): it sorts them by their
total order and walks once. Arrival, position and evidence never decide anything.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from operator import lt
from typing import Any, Final, NamedTuple

from ledger.domain.claim import ERASED, NOTES, Claim, Evidence, Kind, Statement, settle
from ledger.domain.notes import NAMES, Cause, Notebook, Notes
from ledger.domain.status import Status

REOPENS_AFTER_MS: Final = 600_000
"""A list row answered this long after a deletion proves that the connection still exists."""
TIE_MS: Final = 1_000
"""Two disagreeing statuses this close are flagged, because their order is not certain."""
REFERENCE: Final = "clientReferenceId"
NULL_IS_A_VALUE: Final = frozenset({"avatar", "expiredAt"})
"""Of any other name a null states nothing, so a null reference never unbinds."""


class Step(NamedTuple):
    """One claim at its place in the order, and what it did there."""

    claim: Claim
    evidence: tuple[Evidence, ...]
    names: tuple[str, ...]
    """The transitions it makes, as event types: one, or more when it also reassigns, reappears or
    ends."""
    status: Status | None
    """The status after it."""
    client: str | None
    """Whose history it belongs to: the reference in force, or the first one learned later."""
    changes: Mapping[str, tuple[Any, Any]]
    """What it changed: name to (before, after); `status` and fields, `userData` by key."""
    cause: Cause | None = None
    """Of an expiry: the request of our own that it followed."""

    @property
    def changed(self) -> bool:
        """Whether it changed anything; what was erased of a statement is taken to have done so."""
        return bool(self.changes) or (ERASED in self.claim.flags and not self.claim.kind.notes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection(Notes):
    """What is true of one connection by the claims folded; absent facts are None."""

    id: str
    status: Status | None
    status_since: int | None
    """`k` of the first claim of the present run of this status, milliseconds UTC."""
    client: str | None
    fields: Mapping[str, Any]
    user_data: Mapping[str, Any] | None
    created_at: int | None
    """When it began, by the claim that states the beginning; milliseconds UTC."""
    deleted_at: int | None
    flags: tuple[str, ...]
    steps: tuple[Step, ...]
    """The history in the order of the claims."""

    @property
    def live(self) -> bool:
        """Whether it still exists at the provider, as far as is known."""
        return self.status is not Status.DELETED


def fold(connection_id: str, statements: Iterable[Statement]) -> Connection | None:
    """Fold everything said about one connection; None when nothing was said."""
    walk = _walk(statements)
    return walk.result(connection_id) if walk.steps else None


def _walk(statements: Iterable[Statement]) -> "_Walk":
    """Walk once over everything said about one connection."""
    walk = _Walk()
    for claim, evidence in _in_order(settle(statements).values()):
        walk.take(claim, evidence)
    return walk


def _in_order(
    standing: Collection[tuple[Claim, tuple[Evidence, ...]]],
) -> list[tuple[Claim, tuple[Evidence, ...]]]:
    """Sort claims by their order, of which the time decides unless some have the same."""
    times = [claim.k for claim, _ in standing]
    if all(map(lt, times, times[1:])):
        return list(standing)
    return sorted(standing, key=lambda entry: entry[0].order)


def names_of(known: Iterable[Statement], new: Statement) -> tuple[str, ...]:
    """Name the events that a new statement makes against what was known before it.

    More evidence for a known claim is `connection.confirmed`; nothing when that too is known.
    """
    statements = list(known)
    if any(statement.claim.id == new.claim.id for statement in statements):
        if new in statements:
            return ()
        standing = settle(statements)
        if new.claim.id in standing:
            _, evidence = standing[new.claim.id]
            known_here = any(new.evidence.stream == other.stream for other in evidence)
            return () if known_here else ("connection.confirmed",)
    for step in _walk([*statements, new]).steps:
        if step.claim.id == new.claim.id:
            return step.names
    return ()


def ties(claim: Claim, known: Iterable[Statement]) -> bool:
    """Tell whether a claim and a known one disagree on the status within a second of each other.

    Not when a later one settles it, nor about a deletion, which nothing follows.
    """
    spoken = [(s.claim.k, s.claim.status) for s in known if s.claim.status is not None]
    if claim.status in (None, _DELETED) or any(k > claim.k + TIE_MS for k, _ in spoken):
        return False
    near = {said for k, said in spoken if k >= claim.k - TIE_MS} - {claim.status}
    return bool(near) and _DELETED not in near


class _Walk:
    """The state of one pass over the ordered claims."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.status: Status | None = None
        self.since: int | None = None
        self.was_authenticated = False
        self.fields: dict[str, Any] = {}
        self.user_data: dict[str, Any] = {}
        self.created_at: int | None = None
        self.deleted_at: int | None = None
        self.spoken: list[tuple[int, Status]] = []
        self.flags: set[str] = set()
        self.stated = False
        self.notes: Notebook | None = None

    def take(self, claim: Claim, evidence: tuple[Evidence, ...]) -> None:
        """Apply the next claim in the order."""
        if claim.kind in NOTES:
            self._note(claim, evidence)
            return
        before, first, self.stated = self.status, not self.stated, True
        said = self._heard(claim)
        changes = self._carry(claim)
        turned = said is not None and said is not before
        if turned:
            changes = {"status": (before, said), **changes}
            self.status, self.since = said, claim.k
        changed = bool(changes) or ERASED in claim.flags
        names = self._names(claim, before, said, first=first, changed=changed)
        if not first and changes.get(REFERENCE, (None, None))[0] is not None:
            names = ("connection.reassigned", *names) if turned else ("connection.reassigned",)
        if self.notes is not None:
            if self.notes.missing and claim.kind.is_row and not first:
                names = _reappearing(names, turned)
            self.notes.heard(said)
        if said is not None:
            self.spoken.append((claim.k, said))
        if claim.status is _ACTIVE or claim.status is _EXPIRED:
            self.was_authenticated = True
        if self.created_at is None and claim.kind.begins:
            self.created_at = claim.k
        if claim.flags:
            self.flags.update(claim.flags)
        self.steps.append(
            Step(claim, evidence, names, self.status, self.fields.get(REFERENCE), changes)
        )

    def _note(self, note: Claim, evidence: tuple[Evidence, ...]) -> None:
        """Take down a note, of which nothing but its own name depends on what is known."""
        if self.notes is None:
            self.notes = Notebook()
        self.notes.take(note, self.status)
        self.flags.update(note.flags)
        name, client = NAMES[note.kind], self.fields.get(REFERENCE)
        self.steps.append(Step(note, evidence, (name,), self.status, client, _NOTHING))

    def _heard(self, claim: Claim) -> Status | None:
        """Give the status that the claim carries, after what a deletion leaves of it."""
        if claim.kind.ends:
            if self.status is not _DELETED:
                self.deleted_at = claim.k
            return _DELETED
        if self.status is not _DELETED:
            return claim.status
        assert self.deleted_at is not None, "a deletion sets it with the status"
        if claim.kind.is_webhook:
            self.flags.add("after_deletion")
            return None
        answered = claim.answered if claim.answered is not None else claim.k
        late_enough = answered > self.deleted_at + REOPENS_AFTER_MS
        if claim.kind is not _ROW or claim.status is None or not late_enough:
            return None
        self.deleted_at = None
        self.flags.discard("after_deletion")
        self.flags.add("still_billed")
        return claim.status

    def _carry(self, claim: Claim) -> dict[str, tuple[Any, Any]]:
        """Take over what the claim carries, and give what that changed."""
        changes: dict[str, tuple[Any, Any]] = {}
        # Most claims repeat what is known, and comparing all of it at once takes no time.
        if not claim.fields.items() <= self.fields.items():
            _merge(self.fields, claim.fields, "", changes)
        user_data = claim.personal.get("userData", _NOTHING)
        if not user_data.items() <= self.user_data.items():
            _merge(self.user_data, user_data, "userData.", changes)
        return changes

    def _names(
        self,
        claim: Claim,
        before: Status | None,
        said: Status | None,
        *,
        first: bool,
        changed: bool,
    ) -> tuple[str, ...]:
        """Name the transition, by the table of semantics section 5."""
        if first:
            if claim.kind.begins:
                return ("connection.created",)
            if said is _DELETED:
                return ("connection.discovered", "connection.deleted")
            return ("connection.discovered",)
        if said is None or said is before:
            return ("connection.updated",) if changed else ("connection.confirmed",)
        if before is _DELETED:
            return ("connection.reappeared",)
        if said is _ACTIVE:
            return (self._name_of_active(before),)
        return (_TURNS[said],)

    def _name_of_active(self, before: Status | None) -> str:
        if before is None:
            return "connection.updated"
        if before is _EXPIRED or self.was_authenticated:
            return "connection.reconnected"
        return "connection.activated"

    def result(self, connection_id: str) -> Connection:
        """Give what is true after the last claim."""
        flags = set(self.flags)
        if self.status is None:
            flags.add("inferred")
        if self._ambiguous():
            flags.add("ambiguous")
        if self.status is _DELETED:
            flags.discard("still_billed")
        return Connection(
            id=connection_id,
            status=self.status,
            status_since=self.since,
            client=self.fields.get(REFERENCE),
            fields=self.fields,
            user_data=self.user_data or None,
            created_at=self.created_at,
            deleted_at=self.deleted_at,
            flags=tuple(sorted(flags)),
            steps=tuple(self._with_causes(self._with_clients())),
            **({} if self.notes is None else self.notes.result()),
        )

    def _ambiguous(self) -> bool:
        """Tell whether the last two words on the status are too close to be sure of."""
        if not self.spoken:
            return False
        last_k, last = self.spoken[-1]
        return any(k >= last_k - TIE_MS and said is not last for k, said in self.spoken)

    def _with_clients(self) -> list[Step]:
        """Let a reference that was learned late count backwards to the birth."""
        if self.steps[0].client is not None:
            return self.steps
        first = next((step.client for step in self.steps if step.client is not None), None)
        return [
            step if step.client is not None else step._replace(client=first) for step in self.steps
        ]

    def _with_causes(self, steps: list[Step]) -> list[Step]:
        """Let an expiry say which request of our own it followed."""
        if self.notes is None:
            return steps
        return [
            step._replace(cause=self.notes.cause(step.claim.k)) if _expires(step) else step
            for step in steps
        ]


def _expires(step: Step) -> bool:
    return "status" in step.changes and step.status is Status.EXPIRED


def _reappearing(names: tuple[str, ...], turned: bool) -> tuple[str, ...]:
    """Add to the names of a row that it shows a missing connection."""
    if "connection.reassigned" in names:
        return (names[0], "connection.reappeared", *names[1:])
    return ("connection.reappeared", *names) if turned else ("connection.reappeared",)


def _merge(
    known: dict[str, Any], said: Mapping[str, Any], prefix: str, changes: dict[str, tuple[Any, Any]]
) -> None:
    """Take over what was said, and note under prefixed names what that changed."""
    for name, value in said.items():
        before = known.get(name, _ABSENT)
        if before != value and (value is not None or name in NULL_IS_A_VALUE):
            changes[prefix + name] = (None if before is _ABSENT else before, value)
            known[name] = value


# Python 3.11 takes as long to look up a member of an enumeration as for half of a step.
_ACTIVE: Final = Status.ACTIVE
_EXPIRED: Final = Status.EXPIRED
_DELETED: Final = Status.DELETED
_ROW: Final = Kind.ROW
_ABSENT: Final = object()
_NOTHING: Final[Mapping[str, Any]] = {}
_TURNS: Final[Mapping[Status, str]] = {
    Status.EXPIRED: "connection.expired",
    Status.AWAITING_2FA: "connection.awaiting_2fa",
    Status.DELETED: "connection.deleted",
}
