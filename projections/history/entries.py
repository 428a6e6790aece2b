"""From the fold of a connection and its stored events to the entries of its history.

The one place where entries are made: the projection writes what they are made of, and questions
about the past make them from the log.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from msgspec import Struct

from ledger.domain.claim import NOTES, PLACES
from ledger.domain.connection import REFERENCE, Connection, Step
from ledger.domain.status import rank
from projections.answers import EvidenceView, HistoryEntry
from projections.batch import Fact, Stated
from projections.history.summary import summary
from projections.times import readable, rfc3339, source_of

REASSIGNED: Final = "connection.reassigned"
REAPPEARED: Final = "connection.reappeared"
Changes = Mapping[str, tuple[Any, Any]]


class Details(Struct, frozen=True, array_like=True, gc=False):
    """What an entry is made of, beside the columns of its row: the view keeps it as a document."""

    recorded_as: str | None
    recorded_at: int
    late: bool
    status: str | None
    changes: Changes
    """Name to (before, after)."""
    fields: Mapping[str, Any]
    """What the claim carried."""
    user_data: Mapping[str, Any] | None
    flags: tuple[str, ...]
    evidence: tuple[tuple[str, str, int], ...]
    """Of each piece: its stream, its channel, and when it reached us."""
    note: str | None = None
    """The kind of a note."""
    reason: str | None = None
    """The one that came with a request."""
    cause: tuple[str, str | None, int] | None = None
    """Of an expiry that followed a request of our own: which, who asked, and when."""


class Placed(NamedTuple):
    """An entry to be, and where it stands among others."""

    client: str | None
    position: int
    n: int
    """Tells entries of one stored event apart."""
    connection_id: str
    type: str
    occurred_at: int
    place: int
    """The order of entries of one instant (as in the fold: creation first, deletion last)."""
    bound_at: int
    """The position from which on it is known whose it is."""
    details: Details

    @property
    def by_position(self) -> tuple[int, int]:
        """The sort key of the log's order."""
        return (self.position, self.n)

    @property
    def by_occurrence(self) -> tuple[int, int, int, int]:
        """The sort key of the provider's clock."""
        return (self.occurred_at, self.place, self.position, self.n)

    @property
    def entry(self) -> HistoryEntry:
        """The entry, for an answer."""
        details = self.details
        changes = {
            name: {"from": readable(name, before), "to": readable(name, after)}
            for name, (before, after) in sorted(details.changes.items())
        }
        _, channel, observed_at = details.evidence[0]
        return HistoryEntry(
            position=self.position,
            type=self.type,
            recorded_as=details.recorded_as,
            connection_id=self.connection_id,
            client_reference_id=self.client,
            occurred_at=self.occurred_at,
            observed_at=observed_at,
            recorded_at=details.recorded_at,
            source=source_of(channel),
            late=details.late,
            summary=summary(self.type, details.status, changes, details.note),
            data={"changes": changes, "status": details.status, **_carried(details)},
            evidence=tuple([EvidenceView(None, *evidence) for evidence in details.evidence]),
        )


def _carried(details: Details) -> dict[str, Any]:
    carried = {name: readable(name, value) for name, value in sorted(details.fields.items())}
    if details.user_data is not None:
        carried["userData"] = dict(sorted(details.user_data.items()))
    if details.flags:
        carried["flags"] = sorted(details.flags)
    if details.reason is not None:
        carried["reason"] = details.reason
    if details.cause is not None:
        request, by, at = details.cause
        carried["cause"] = {"request": request, "requestedBy": by, "requestedAt": rfc3339(at)}
    return carried


def bindings(stated: Iterable[Stated]) -> dict[str, int]:
    """Give each client that this ever bound a connection to, with the first position."""
    first: dict[str, int] = {}
    for fact, statement in stated:
        reference = statement.claim.fields.get(REFERENCE)
        if reference is not None and reference not in first:
            first[reference] = fact.position
    return first


def entries_of(
    connection: Connection | None,
    stated: Sequence[Stated],
    bound: Mapping[str, int],
    start: int = 0,
) -> list[Placed]:
    """Make the entries of a connection that was folded from what is stated, from a step on.

    `bound` are the bindings that it states.
    """
    if connection is None:
        return []
    steps, recorded = connection.steps, _recorded(connection.steps, stated)
    late = _late(steps, [own[0].position for own in recorded])
    placed: list[Placed] = []
    for i in range(start, len(steps)):
        step, own = steps[i], recorded[i]
        if len(step.names) == 1:
            placed.append(_entry(step, step.names[0], own, bound, i in late))
        else:
            placed += _numbered(_entry(step, name, own, bound, i in late) for name in step.names)
    return placed


def _numbered(entries: Iterable[Placed]) -> list[Placed]:
    """Tell the entries of one step apart that rest on the same event."""
    numbered: list[Placed] = []
    for entry in entries:
        n = sum(other.position == entry.position for other in numbered)
        numbered.append(entry._replace(n=n))
    return numbered


def _recorded(steps: Sequence[Step], stated: Sequence[Stated]) -> list[Sequence[Fact]]:
    """Give for each step the events that its entries rest on: those of its first evidence.

    Later events of the same claim only bring more evidence: they do not move its entries.
    """
    if len(steps) == len(stated):
        only = {statement.claim.id: (fact,) for fact, statement in stated}
        return [only[step.claim.id] for step in steps]
    told: dict[str, list[Stated]] = {}
    for one in stated:
        told.setdefault(one[1].claim.id, []).append(one)
    return [
        [
            fact
            for fact, statement in told[step.claim.id]
            if statement.evidence.stream == step.evidence[0].stream
        ]
        for step in steps
    ]


def _entry(
    step: Step, name: str, recorded: Sequence[Fact], bound: Mapping[str, int], late: bool
) -> Placed:
    """Make the entry of one transition of a step."""
    claim, client, fact = step.claim, step.client, recorded[0]
    if name != fact.event.NAME:
        fact = next((other for other in recorded if name == other.event.NAME), fact)
    position = fact.position
    known = 0 if client is None else bound.get(client, 0)
    details = Details(
        None if name == fact.event.NAME else fact.event.NAME,
        fact.recorded_at,
        late,
        step.status,
        step.changes if len(step.names) == 1 else _share(name, step),
        claim.fields,
        claim.personal.get("userData"),
        claim.flags,
        tuple([(e.stream, e.channel, e.observed) for e in step.evidence]),
        claim.kind.value if claim.kind in NOTES else None,
        claim.personal.get("reason"),
        step.cause if name == step.names[-1] else None,
    )
    return Placed(
        client,
        position,
        0,
        claim.connection_id,
        name,
        claim.k,
        PLACES[claim.kind] * 8 + rank(claim.status),
        position if position > known else known,
        details,
    )


def _share(name: str, step: Step) -> Changes:
    """Give what belongs to one of several entries of a step.

    Another reference belongs to the reassignment, all else to the transition of the status.
    """
    if name == REAPPEARED and step.names[-1] != REAPPEARED:
        return {}
    if REASSIGNED not in step.names:
        return step.changes
    return {
        changed: values
        for changed, values in step.changes.items()
        if (changed == REFERENCE) is (name == REASSIGNED)
    }


def _late(steps: Sequence[Step], positions: Sequence[int]) -> set[int]:
    """Give the numbers of the steps that were recorded after one with a greater time."""
    late: set[int] = set()
    if sorted(positions) == positions:
        return late
    latest = None
    for i in sorted(range(len(steps)), key=lambda i: positions[i]):
        k = steps[i].claim.k
        if latest is not None and k < latest:
            late.add(i)
        latest = k if latest is None else max(latest, k)
    return late
