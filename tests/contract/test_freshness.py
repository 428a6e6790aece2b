"""How fresh each connection is: by its own evidence, and by passes that found it unchanged."""

from typing import Any

from ledger.domain.claim import Claim, Kind
from ledger.domain.sweep_events import SweepAbandoned, SweepCompleted, SweepGap
from ledger.recorders.base import NewRow
from projections import passes as reading
from projections.answers import ConnectionView
from projections.log_questions import LogQuestions
from tests.given import MINUTE, NOON, as_statement, created, disconnected, row, said, updated
from tests.listed_passes import passed, started
from tests.projected import DAY_MS, Views, about

HOUR = 60 * MINUTE
LATER = NOON + 2 * DAY_MS
"""When everything is stale whose newest evidence is of noon."""


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


def test_a_huge_pass_is_no_obstacle(views: Views) -> None:
    """More ids than a statement may have parameters."""
    tell(views, a=created(), b=created())
    absent = "".join(chr(0x4E00 + i) for i in range(20_000)) + "b"
    passed(views, DAY_MS + 1, absent=absent, unseen=absent.replace("b", ""))
    assert narrowed(views) == ("b", "a")
