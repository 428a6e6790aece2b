"""How fresh each connection is, compared with looking at every pass."""

from dataclasses import dataclass, replace
from random import Random

from ledger.domain.claim import Statement
from ledger.domain.connection import fold
from ledger.domain.sweep_events import SweepCompleted
from ledger.recorders.codec import statement_of
from projections import passes as reading
from projections.current_state.document import connection_view
from tests import accounts
from tests.given import MINUTE, as_statement
from tests.listed_passes import started
from tests.projected import DAY_MS, Views, about


@dataclass(frozen=True, slots=True)
class Told:
    """A pass as the model knows it."""

    began: int
    ended: int
    answered: int
    valid: bool
    unlisted: frozenset[str]


def test_freshness_is_that_of_looking_at_every_pass(views: Views) -> None:
    """At random moments of a log of statements and passes; also what the list is narrowed to."""
    random = Random(3)
    told, passes, positions = accounts.crowd(6, 12), list[Told](), list[int]()
    names = sorted({one.claim.connection_id for one in told})
    at = told[0].claim.k
    base = min(one.claim.k for one in told)
    heads: list[tuple[int, int]] = []
    for i in range(0, len(told), 3):
        views.tell(*told[i : i + 3])
        views.clock.advance(1)
        at += random.randrange(9 * MINUTE)
        sweeping = started(views)
        began = views.log.head().position
        if random.random() < 0.3:
            views.tell(about(f"conn_late{i}", as_statement(replace(told[i].claim, k=base))))
        unlisted = frozenset(one for one in names if random.random() < random.choice((0, 0.6)))
        valid = random.random() < 0.8
        half = len(unlisted) // 2
        completed = SweepCompleted(
            observed=at, answered_from=at, answered_to=at, requests=1, rows=1, connections=1,
            live=1, valid=valid, absent=tuple(sorted(unlisted)[:half]),
            unseen=tuple(sorted(unlisted)[half:]),
        )  # fmt: skip
        ended = sweeping.append(completed)
        positions += [began, ended]
        passes.append(Told(began, ended, at, valid, unlisted))
        heads.append(tuple(views.log.head()))  # type: ignore[arg-type]
    views.catch_up()
    rows = views.log.read_log(0, 10_000, payloads=True)
    statements = [(r.position, s) for r in rows if (s := statement_of(r)) is not None]
    everyone = sorted({s.claim.connection_id for _, s in statements})
    sources = set()
    for head in (*random.sample(heads, 6), heads[-1]):
        for one in everyone:
            expected = by_hand(one, statements, passes, positions, head[0])
            answer = views.questions.connection(one, now_ms=at, as_of_us=head[1])
            assert (answer is None) is (expected is None)
            if answer is not None:
                found = (answer.value.last_evidence_at, answer.value.last_evidence_source)
                assert found == expected
                sources.add(found)
    assert len(sources) > 10
    for now_ms in (at + DAY_MS - random.randrange(40 * MINUTE) for _ in range(12)):
        cutoff = now_ms - DAY_MS
        stale = {
            one
            for one in everyone
            if (known := by_hand(one, statements, passes, positions, heads[-1][0])) is not None
            and known[0] < cutoff
            and not deleted(one, statements)
        }
        for wanted in (True, False):
            page = views.questions.connections(now_ms=now_ms, stale=wanted, limit=500).value
            assert {one.id for one in page.items} == {
                one for one in everyone if (one in stale) is wanted
            }


def by_hand(
    connection_id: str,
    statements: list[tuple[int, Statement]],
    passes: list[Told],
    positions: list[int],
    end: int,
) -> tuple[int, str] | None:
    """How fresh a connection is at a position, by looking at every pass."""
    own = [(p, s) for p, s in statements if s.claim.connection_id == connection_id and p <= end]
    folded = fold(connection_id, [s for _, s in own])
    if folded is None:
        return None
    view = connection_view(folded)
    found = (view.last_evidence_at, view.last_evidence_source)
    if not folded.live or folded.fields.get("imported") or folded.missing_since is not None:
        return found
    seen = [p for p in positions if p <= end][-reading.EVENTS_SEEN :]
    counting = [
        (one.answered, "sweep")
        for one in passes
        if one.valid
        and one.ended in seen
        and one.began in seen
        and one.began > own[0][0]
        and connection_id not in one.unlisted
    ]
    return max([found, *counting], key=lambda pair: pair[0])


def deleted(connection_id: str, statements: list[tuple[int, Statement]]) -> bool:
    """Whether a connection is known to be gone."""
    folded = fold(
        connection_id, [s for _, s in statements if s.claim.connection_id == connection_id]
    )
    assert folded is not None
    return not folded.live
