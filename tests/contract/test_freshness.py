"""How fresh each connection is: by its own evidence, and by passes that found it unchanged."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import pytest

from ledger.domain.claim import Claim, Kind, Statement
from ledger.domain.connection import fold
from ledger.domain.event import Event
from ledger.domain.sweep_events import SweepAbandoned, SweepCompleted, SweepGap, SweepStarted
from ledger.recorders.base import NewRow
from ledger.recorders.codec import statement_of, to_row
from projections import passes as reading
from projections.answers import ConnectionView
from projections.current_state.document import connection_view
from projections.log_questions import LogQuestions
from tests import accounts
from tests.given import MINUTE, NOON, as_statement, created, disconnected, row, said, updated
from tests.projected import DAY_MS, Views, about

HOUR = 60 * MINUTE
LATER = NOON + 2 * DAY_MS
"""When everything is stale whose newest evidence is of noon."""


@pytest.fixture
def views(database_url: str) -> Iterator[Views]:
    """A log with views on either database."""
    views = Views(database_url)
    yield views
    views.close()


@dataclass(slots=True)
class Sweeping:
    """A pass that is under way."""

    views: Views
    stream: str
    version: int = 0

    def append(self, event: Event) -> int:
        """Record what it tells of itself; gives the position."""
        self.version += 1
        return self.views.append(to_row(self.stream, self.version, event))[0]

    def completed(self, answered: int, *, valid: bool = True, **told: Any) -> int:
        """End it; `answered` is in milliseconds after noon, ids are given by their last letters."""
        absent, unseen = ids(told.pop("absent", "")), ids(told.pop("unseen", ""))
        self.append(
            SweepCompleted(
                observed=NOON + answered + 9,
                answered_from=NOON + answered,
                answered_to=NOON + answered + 5,
                requests=1,
                rows=3,
                connections=3,
                live=3,
                valid=valid,
                absent=absent,
                unseen=unseen,
            )
        )
        self.views.catch_up()
        return self.views.log.head().recorded_at


def started(views: Views) -> Sweeping:
    """Begin a pass over a list that nobody reads: its events go straight into the log."""
    sweeping = Sweeping(views, f"sweep:{views.log.head().position:016x}")
    sweeping.append(SweepStarted(observed=NOON, organisation="org_1", backfill=False))
    return sweeping


def passed(views: Views, answered: int, **told: Any) -> int:
    """Begin a pass and end it; gives when that was recorded."""
    return started(views).completed(answered, **told)


def ids(letters: str) -> tuple[str, ...]:
    """The ids of connections that are called by one letter each."""
    return tuple(f"conn_{letter}" for letter in letters)


def tell(views: Views, **claims: Claim) -> int:
    """Record a claim about each of these connections; gives when the last one was recorded."""
    views.tell(*(about(f"conn_{name}", as_statement(claim)) for name, claim in claims.items()))
    views.catch_up()
    return views.log.head().recorded_at


def fresh(views: Views, names: str, **moment: Any) -> dict[str, tuple[int, str, bool]]:
    """When evidence of each came (milliseconds after noon), by which way, and if it is stale.

    Whoever is asked must say the same, and so must a list.
    """
    asked: list[tuple[Any, dict[str, Any]]] = [(views.questions, moment), (views.from_log, moment)]
    asked.append((LogQuestions(views.log, None, stale_after_ms=DAY_MS), moment))
    if not moment:
        listed = views.questions.connections(now_ms=LATER, limit=500).value.items
        listed_by_id = {one.id: one for one in listed}
    first: dict[str, tuple[int, str, bool]] = {}
    for questions, when in asked:
        found = {}
        for name in names:
            answer = questions.connection(f"conn_{name}", now_ms=LATER, **when)
            assert answer is not None
            found[name] = shown(answer.value)
            assert moment or listed_by_id[f"conn_{name}"] == answer.value
        first = first or found
        assert found == first
    return first


def shown(view: ConnectionView) -> tuple[int, str, bool]:
    """What is said of how fresh a connection is."""
    return (view.last_evidence_at - NOON, view.last_evidence_source, view.stale)


OLD = (0, "webhook", True)


def test_a_pass_keeps_what_it_found_unchanged_fresh(views: Views) -> None:
    """As of when the provider answered its first page; with the way by which it came."""
    tell(views, a=created(), b=created())
    assert fresh(views, "ab") == {"a": OLD, "b": OLD}
    passed(views, 2 * DAY_MS - HOUR)
    assert fresh(views, "ab") == dict.fromkeys("ab", (2 * DAY_MS - HOUR, "sweep", False))


def test_a_pass_that_is_too_old_keeps_nothing_fresh(views: Views) -> None:
    """It is the newest evidence, and stale all the same."""
    tell(views, a=created())
    passed(views, DAY_MS - 1)
    assert fresh(views, "a") == {"a": (DAY_MS - 1, "sweep", True)}
    passed(views, DAY_MS)
    assert fresh(views, "a") == {"a": (DAY_MS, "sweep", False)}


def test_newer_evidence_of_its_own_counts_before_a_pass(views: Views) -> None:
    """A pass does not make anything older than it is."""
    tell(views, a=created(at=9 * MINUTE), b=created())
    passed(views, 5 * MINUTE)
    assert fresh(views, "ab") == {"a": (9 * MINUTE, "webhook", True),
                                  "b": (5 * MINUTE, "sweep", True)}  # fmt: skip


def test_a_pass_that_is_not_valid_or_not_completed_tells_nothing(views: Views) -> None:
    """Nor does one that was abandoned, or that a later program made."""
    tell(views, a=created())
    passed(views, MINUTE)
    passed(views, 2 * MINUTE, valid=False)
    abandoned = started(views)
    abandoned.append(SweepAbandoned(observed=NOON, reason="unreachable"))
    abandoned.append(SweepGap(observed=NOON, since=NOON, until=NOON))
    newer = started(views)
    views.append(NewRow(newer.stream, 2, SweepCompleted.NAME, b'{"v":99,"valid":true}'))
    under_way = started(views)
    views.catch_up()
    assert fresh(views, "a") == {"a": (MINUTE, "sweep", True)}
    under_way.completed(3 * MINUTE)
    assert fresh(views, "a") == {"a": (3 * MINUTE, "sweep", True)}


def test_what_a_pass_did_not_list_is_as_fresh_as_the_pass_before(views: Views) -> None:
    """Back to the newest one that listed it; to its own evidence if none did."""
    tell(views, a=created(), b=created(), c=created(), d=created())
    passed(views, MINUTE, absent="c")
    passed(views, 2 * MINUTE, absent="bc")
    passed(views, 3 * MINUTE, absent="b", unseen="cd")
    assert fresh(views, "abcd") == {
        "a": (3 * MINUTE, "sweep", True),
        "b": (MINUTE, "sweep", True),
        "c": OLD,
        "d": (2 * MINUTE, "sweep", True),
    }


def test_only_a_few_passes_are_looked_through(views: Views) -> None:
    """Of what none of them listed, its own evidence counts."""
    tell(views, a=created(), b=created())
    passed(views, MINUTE)
    for _ in range(reading.EVENTS_SEEN // 2 - 1):
        passed(views, 2 * MINUTE, absent="b")
    assert fresh(views, "ab") == {"a": (2 * MINUTE, "sweep", True), "b": (MINUTE, "sweep", True)}
    passed(views, 2 * MINUTE, absent="b")
    assert fresh(views, "ab") == {"a": (2 * MINUTE, "sweep", True), "b": OLD}
    for _ in range(reading.EVENTS_SEEN // 2):
        passed(views, 2 * MINUTE, valid=False)
    assert fresh(views, "ab") == {"a": OLD, "b": OLD}


def test_a_pass_that_the_clock_put_before_an_older_one_counts_as_late_as_that(
    views: Views,
) -> None:
    """The time of the newest one is the latest that is certain."""
    tell(views, a=created(), b=created())
    passed(views, 9 * MINUTE)
    passed(views, 5 * MINUTE, absent="b")
    assert fresh(views, "ab") == dict.fromkeys("ab", (5 * MINUTE, "sweep", True))


def test_imported_and_deleted_ones_are_as_fresh_as_their_own_evidence(views: Views) -> None:
    """The provider does not check the one's session, and does not list the other."""
    tell(views, a=created(), b=created(), c=created())
    tell(views, a=row(at=MINUTE, answered=MINUTE, imported=True), b=disconnected(at=MINUTE))
    passed(views, DAY_MS + HOUR)
    assert fresh(views, "abc") == {
        "a": (MINUTE, "webhook", True),
        "b": (MINUTE, "webhook", False),
        "c": (DAY_MS + HOUR, "sweep", False),
    }


def test_one_that_is_missing_is_as_fresh_as_when_it_was_listed_last(views: Views) -> None:
    """Which its own stream says; passes that come later say nothing of it, until it is back."""
    tell(views, a=created(), b=created(at=7 * MINUTE))
    passed(views, 5 * MINUTE)
    note = {"missingSince": NOON + HOUR, "lastListedAt": NOON + 5 * MINUTE}
    missing = said(Kind.MISSING, HOUR, None, note)
    tell(views, a=missing, b=missing)
    passed(views, 2 * HOUR)
    assert fresh(views, "ab") == {"a": (5 * MINUTE, "sweep", True),
                                  "b": (7 * MINUTE, "webhook", True)}  # fmt: skip
    tell(views, a=updated(at=90 * MINUTE))
    assert fresh(views, "a") == {"a": (2 * HOUR, "sweep", True)}


def test_a_pass_tells_only_of_what_was_known_when_it_began(views: Views) -> None:
    """What came to be known later, however old it is, was not looked for."""
    tell(views, a=created())
    under_way = started(views)
    tell(views, b=created())
    under_way.completed(MINUTE)
    tell(views, c=created())
    assert fresh(views, "abc") == {"a": (MINUTE, "sweep", True), "b": OLD, "c": OLD}
    passed(views, 2 * MINUTE)
    assert fresh(views, "abc") == dict.fromkeys("abc", (2 * MINUTE, "sweep", True))


def test_the_past_knows_the_passes_that_were_completed_then(views: Views) -> None:
    """By what was recorded, or by what had occurred."""
    first = tell(views, a=created())
    under_way = started(views)
    began = views.log.head().recorded_at
    second = under_way.completed(HOUR)
    assert shown_at(views, as_of_us=first) == (0, "webhook")
    assert shown_at(views, as_of_us=began) == (0, "webhook")
    assert shown_at(views, as_of_us=second) == (HOUR, "sweep")
    assert shown_at(views, valid_at_ms=began // 1000 - 1) == (0, "webhook")
    assert shown_at(views, valid_at_ms=second // 1000) == (HOUR, "sweep")
    assert shown_at(views, valid_at_ms=second // 1000, as_of_us=began) == (0, "webhook")


def shown_at(views: Views, **moment: Any) -> tuple[int, str]:
    """How fresh the connection `a` was at a moment."""
    [(at, source, _)] = fresh(views, "a", **moment).values()
    return at, source


def test_a_client_is_as_fresh_as_its_connections(views: Views) -> None:
    """Now, at a moment, and without views."""
    tell(views, a=created(client="x"), b=created(at=MINUTE, client="x"))
    end = passed(views, DAY_MS + HOUR, absent="a")
    without = LogQuestions(views.log, None, stale_after_ms=DAY_MS)
    for questions in (views.questions, views.from_log, without):
        for moment in ({}, {"as_of_us": end}):
            answer = questions.client("x", now_ms=LATER, **moment)
            assert answer is not None
            assert answer.value.last_evidence_at == NOON + DAY_MS + HOUR
            assert answer.value.last_evidence_source == "sweep"
            assert answer.value.stale is True
    passed(views, DAY_MS + HOUR)
    now = views.questions.client("x", now_ms=LATER)
    assert now is not None
    assert now.value.stale is False


def test_the_list_is_narrowed_by_what_it_shows(views: Views) -> None:
    """Those that are stale and those that are not, by passes and by their own evidence."""
    tell(views, a=created(), b=created(), c=created(at=2 * DAY_MS), d=created(), e=created())
    tell(views, d=disconnected(at=MINUTE), e=row(at=MINUTE, answered=MINUTE, imported=True))
    assert narrowed(views) == ("abe", "cd")
    passed(views, DAY_MS - 1)
    assert narrowed(views) == ("abe", "cd")
    passed(views, DAY_MS, absent="a")
    assert narrowed(views) == ("ae", "bcd")
    passed(views, DAY_MS + 1, absent="a")
    assert narrowed(views) == ("ae", "bcd")
    passed(views, DAY_MS + 2, absent="b", unseen="ac")
    assert narrowed(views) == ("ae", "bcd")
    passed(views, DAY_MS + 3)
    tell(views, f=created())
    assert narrowed(views) == ("ef", "abcd")


def narrowed(views: Views) -> tuple[str, str]:
    """Which connections the list has as stale and as not, by their last letters."""
    found = []
    for stale in (True, False):
        page = views.questions.connections(now_ms=LATER, stale=stale, limit=500).value
        assert {one.stale for one in page.items} <= {stale}
        found.append("".join(one.id[-1] for one in page.items))
    return found[0], found[1]


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


def test_a_huge_pass_is_no_obstacle(views: Views) -> None:
    """More ids than a statement may have parameters."""
    tell(views, a=created(), b=created())
    absent = "".join(chr(0x4E00 + i) for i in range(20_000)) + "b"
    passed(views, DAY_MS + 1, absent=absent, unseen=absent.replace("b", ""))
    assert narrowed(views) == ("b", "a")
