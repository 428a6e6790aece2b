"""Answers about the past stay what they were, whatever comes later."""

from dataclasses import dataclass, replace
from random import Random
from typing import Any

import msgspec
import pytest

from ledger.domain.claim import Statement
from ledger.domain.events import ConnectionCreated
from ledger.recorders.codec import to_row
from projections.current_state.projection import CurrentState
from projections.log_questions import LogQuestions
from projections.questions import Questions
from tests.builders import NOON as NOW
from tests.given import MINUTE, NOON, as_statement, created, expired, stamped, updated
from tests.histories import history
from tests.projected import DAY_MS, Views, about, received

CLIENTS = ("user_1", "user_2")
CONNECTIONS = 24


@dataclass(frozen=True, slots=True)
class Question:
    """A question about the past, whose answer must not change."""

    as_of_us: int
    about: str
    kind: int
    valid_at_ms: int | None

    def ask(self, questions: Any, *, now_ms: int) -> bytes:
        """The answer as bytes; when it is asked must not matter."""
        if self.kind == 0:
            answer = questions.client(
                self.about, now_ms=now_ms, as_of_us=self.as_of_us, valid_at_ms=self.valid_at_ms
            )
        elif self.kind == 1:
            answer = questions.client_history(
                self.about,
                as_of_us=self.as_of_us,
                limit=5,
                by="occurredAt",
                order="desc",
                to_ms=self.valid_at_ms,
            )
        else:
            answer = questions.client_history(self.about, as_of_us=self.as_of_us, limit=500)
        return msgspec.json.encode(answer)


def arrivals(seed: int) -> list[Statement]:
    """What is said about many connections, in an order that makes much of it late."""
    told = [about(f"conn_{i}", s) for i in range(CONNECTIONS) for s in history(seed + i)]
    Random(seed).shuffle(told)
    return told


def test_200_remembered_answers_are_the_same_after_everything_else_and_a_restart(
    database_url: str,
) -> None:
    """An `asOf` answer is a function of the log up to then: byte for byte, for ever."""
    random = Random(11)
    views = Views(database_url)
    remembered: list[tuple[Question, bytes]] = []
    told = arrivals(500)
    size = 3
    for i in range(0, len(told), size):
        views.tell(*told[i : i + size])
        views.clock.advance(random.choice((0, 1, 3_600)))
        views.catch_up()
        head = views.log.head().recorded_at
        for _ in range(200 * size // len(told) + 1):
            claim = random.choice(told).claim
            question = Question(
                as_of_us=head - random.choice((0, 0, 1, 2, 10_000)),
                about=random.choice(CLIENTS),
                kind=random.randrange(3),
                valid_at_ms=random.choice((None, claim.k)),
            )
            remembered.append((question, question.ask(views.questions, now_ms=NOW)))
    assert len(remembered) >= 200
    assert len({answer for _, answer in remembered}) > 100
    later = [question.ask(views.questions, now_ms=NOW + DAY_MS) for question, _ in remembered]
    from_log = [question.ask(views.from_log, now_ms=NOW) for question, _ in remembered]
    views.close()
    views = Views(database_url)
    restarted = [question.ask(views.questions, now_ms=NOW) for question, _ in remembered]
    views.close()
    before = [answer for _, answer in remembered]
    assert later == before
    assert from_log == before
    assert restarted == before


def test_the_answer_names_what_it_rests_on(views: Views) -> None:
    """Position, projection, version and generation tell two answers apart."""
    views.tell(as_statement(created(client="a")))
    views.catch_up()
    then = views.log.head()
    views.tell(as_statement(expired(at=MINUTE)))
    views.catch_up()
    old = views.questions.client("a", now_ms=NOON, as_of_us=then.recorded_at)
    new = views.questions.client("a", now_ms=NOON)
    assert old is not None
    assert new is not None
    assert (old.position, old.projection, old.version, old.generation) == (
        then.position,
        "current_state",
        CurrentState.version,
        1,
    )
    assert (old.value.status, new.value.status) == ("active", "expired")
    assert new.position == views.log.head().position


def test_as_of_knows_only_what_was_recorded_then(views: Views) -> None:
    """Before a client was named, it was never heard of, however old the fact."""
    views.tell(as_statement(expired(at=MINUTE)))
    before = views.log.head().recorded_at
    views.tell(as_statement(created(client="a")))
    views.catch_up()
    after = views.log.head().recorded_at
    ask = views.questions.client
    assert ask("a", now_ms=NOON, as_of_us=before) is None
    assert views.questions.client_history("a", as_of_us=before, limit=9) is None
    known = ask("a", now_ms=NOON, as_of_us=after)
    assert known is not None
    assert [view.status for view in known.value.connections] == ["expired"]


def test_valid_at_tells_what_was_true_then_by_all_that_is_known_now(views: Views) -> None:
    """A late claim changes what is said of the past, and `asOf` takes that back."""
    views.tell(as_statement(created(client="a")))
    views.tell(as_statement(updated(at=3 * MINUTE)))
    earlier = views.log.head().recorded_at
    views.tell(as_statement(expired(at=MINUTE)))
    views.catch_up()

    def status(valid_at: int, as_of_us: int | None = None) -> str | None:
        answer = views.questions.client(
            "a", now_ms=NOON, valid_at_ms=NOON + valid_at, as_of_us=as_of_us
        )
        assert answer is not None
        return answer.value.status

    assert status(0) == "active"
    assert status(2 * MINUTE) == "expired"
    assert status(2 * MINUTE, earlier) == "active"
    assert status(-1) is None


def test_valid_at_counts_a_reference_that_was_learned_later_backwards(views: Views) -> None:
    """At its birth the connection was the client's already, though nobody had said so."""
    views.tell(as_statement(created()), as_statement(updated(at=MINUTE, client="a")))
    views.catch_up()
    answer = views.questions.client("a", now_ms=NOON, valid_at_ms=NOON)
    assert answer is not None
    assert [view.client_reference_id for view in answer.value.connections] == ["a"]


def test_valid_at_folds_the_claims_that_stand(views: Views) -> None:
    """A signature time that was lowered later is not what was true."""
    views.tell(as_statement(created(client="a")))
    views.tell(stamped(expired(at=MINUTE)))
    views.tell(stamped(expired(at=5 * MINUTE)))
    views.catch_up()
    for minutes, expected in ((2, "expired"), (0, "active")):
        answer = views.questions.connection(
            "conn_abc123", now_ms=NOON, valid_at_ms=NOON + minutes * MINUTE
        )
        assert answer is not None
        assert answer.value.status == expected
        assert answer.value.status_since == NOON + (MINUTE if expected == "expired" else 0)


def test_stale_is_judged_at_the_moment_that_was_asked_for(views: Views) -> None:
    """Neither the real now nor anything later decides it."""
    views.tell(as_statement(created(client="a")))
    views.catch_up()
    head = views.log.head().recorded_at
    for now_ms in (0, NOW * 2):
        old = views.questions.client("a", now_ms=now_ms, as_of_us=head)
        assert old is not None
        assert old.value.stale is True
        now = views.questions.client("a", now_ms=now_ms)
        assert now is not None
        assert now.value.stale is (now_ms > 0)


@pytest.mark.parametrize("answering", [Questions, LogQuestions])
def test_another_limit_changes_nothing_of_the_past_but_what_is_called_stale(
    views: Views, answering: Any
) -> None:
    """What was set then is not in the log; when it was confirmed last is, and stays."""
    views.tell(as_statement(created(client="a")))
    views.catch_up()
    asked = views.log.head().recorded_at + 1_000_000
    short, long = (
        answering(views.log, views.store, stale_after_ms=limit_ms)
        .client("a", now_ms=NOW, as_of_us=asked)
        .value
        for limit_ms in (1, 100_000 * DAY_MS)
    )
    for client, stale in ((short, True), (long, False)):
        assert (client.stale, client.connections[0].stale) == (stale, stale)
    fresh = tuple(msgspec.structs.replace(one, stale=False) for one in short.connections)
    assert replace(short, connections=fresh, stale=False) == long


def test_evidence_beyond_the_asked_position_has_no_place_yet(views: Views) -> None:
    """A time between a claim and its evidence's own event does not tell what comes after it."""
    statement = as_statement(created(client="a"))
    event = ConnectionCreated(statement=statement)
    claimed, delivered = views.append(
        to_row("connection:conn_abc123", 1, event, salt=b"s"),
        to_row(statement.evidence.stream, 1, received(NOON), payload=b"body", salt=b"s"),
    )
    views.catch_up()
    first, last = (row.recorded_at for row in views.log.read_log(0, 2))
    for as_of_us, position, found in ((first, claimed, None), (last, delivered, delivered)):
        answer = views.questions.client_history("a", as_of_us=as_of_us, limit=1)
        assert answer is not None
        assert answer.position == position
        assert answer.value.items[0].evidence[0].position == found
