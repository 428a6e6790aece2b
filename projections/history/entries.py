"""From the fold of a connection and its stored events to the entries of its history.

The one place where entries are made: the projection writes them, and questions about the past make
them again from the log.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from ledger.domain.claim import Claim
from ledger.domain.connection import REFERENCE, Connection, Step
from projections.answers import EvidenceView, HistoryEntry
from projections.batch import Fact, statements
from projections.history.summary import summary
from projections.times import readable, source_of

REASSIGNED: Final = "connection.reassigned"


class Placed(NamedTuple):
    """An entry, and where it stands among others."""

    entry: HistoryEntry
    n: int
    """Tells entries of one stored event apart."""
    place: int
    """The order of entries of one instant (as in the fold: creation first, deletion last)."""
    bound_at: int
    """The position from which on it is known whose it is."""

    @property
    def by_position(self) -> tuple[int, int]:
        """The sort key of the log's order."""
        return (self.entry.position, self.n)

    @property
    def by_occurrence(self) -> tuple[int, int, int, int]:
        """The sort key of the provider's clock."""
        return (self.entry.occurred_at, self.place, self.entry.position, self.n)


def bindings(facts: Iterable[Fact]) -> dict[str, int]:
    """Give each client that these facts ever bound a connection to, with the first position."""
    first: dict[str, int] = {}
    for fact, statement in statements(facts):
        reference = statement.claim.fields.get(REFERENCE)
        if reference is not None:
            first.setdefault(reference, fact.position)
    return first


def entries_of(
    connection: Connection | None, facts: Sequence[Fact], start: int = 0
) -> list[Placed]:
    """Make the entries of a connection that was folded from these facts, from a step on."""
    if connection is None:
        return []
    told: dict[tuple[str, str], list[Fact]] = defaultdict(list)
    for fact, statement in statements(facts):
        told[statement.claim.id, statement.evidence.stream].append(fact)
    # Later events of the same claim only bring more evidence: they do not move its entries.
    recorded = {
        step.claim.id: told[step.claim.id, step.evidence[0].stream] for step in connection.steps
    }
    bound = bindings(facts)
    late = _late([(recorded[step.claim.id][0].position, step.claim) for step in connection.steps])
    return [
        placed
        for step in connection.steps[start:]
        for placed in _of_step(step, recorded[step.claim.id], bound, step.claim.id in late)
    ]


def _of_step(
    step: Step, recorded: Sequence[Fact], bound: Mapping[str, int], late: bool
) -> Iterator[Placed]:
    by_name = {fact.event.NAME: fact for fact in reversed(recorded)}
    evidence = tuple(EvidenceView(None, e.stream, e.channel, e.observed) for e in step.evidence)
    taken: dict[int, int] = defaultdict(int)
    for name in step.names:
        fact = by_name.get(name, recorded[0])
        data = _data(name, step)
        entry = HistoryEntry(
            position=fact.position,
            type=name,
            recorded_as=None if name == fact.event.NAME else fact.event.NAME,
            connection_id=step.claim.connection_id,
            client_reference_id=step.client,
            occurred_at=step.claim.k,
            observed_at=step.evidence[0].observed,
            recorded_at=fact.recorded_at,
            source=source_of(step.evidence[0].channel),
            late=late,
            summary=summary(name, step.status, data["changes"]),
            data=data,
            evidence=evidence,
        )
        known = bound.get(step.client, 0) if step.client is not None else 0
        _, place, rank, _ = step.claim.order
        yield Placed(entry, taken[fact.position], place * 8 + rank, max(fact.position, known))
        taken[fact.position] += 1


def _data(name: str, step: Step) -> dict[str, Any]:
    names = sorted(step.changes)
    if len(step.names) > 1 and REASSIGNED in step.names:
        names = [n for n in names if (n == REFERENCE) is (name == REASSIGNED)]
    changes = {}
    for changed in names:
        before, after = step.changes[changed]
        changes[changed] = {"from": readable(changed, before), "to": readable(changed, after)}
    data: dict[str, Any] = {"changes": changes, "status": step.status}
    fields = step.claim.fields
    data.update((field, readable(field, fields[field])) for field in sorted(fields))
    user_data = step.claim.personal.get("userData")
    if user_data is not None:
        data["userData"] = {key: user_data[key] for key in sorted(user_data)}
    if step.claim.flags:
        data["flags"] = sorted(step.claim.flags)
    return data


def _late(claims: Iterable[tuple[int, Claim]]) -> set[str]:
    """Give the ids of claims that were recorded after one with a greater time."""
    late: set[str] = set()
    latest = None
    for _, claim in sorted(claims, key=lambda found: found[0]):
        if latest is not None and claim.k < latest:
            late.add(claim.id)
        latest = claim.k if latest is None else max(latest, claim.k)
    return late
