"""Link sessions in the log and in the views, whatever database holds them."""

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

import pytest

from ledger.application import Ledger, LinkStep, Outcome, Recorded
from ledger.domain.claim import Claim
from ledger.domain.link_events import LinkEvent
from ledger.domain.words import link_stream
from projections.answers import ClientView
from projections.log_questions import LogQuestions
from tests.builders import counting_entropy
from tests.given import (
    MINUTE,
    NOON,
    SECOND,
    active,
    as_statement,
    created,
    disconnected,
    expired,
)
from tests.linked import CLIENT, HOUR, LINK, asked, cancelled, failed, lives, opened, proved, said
from tests.projected import DAY_MS, Views, about, dump

OTHER_LINK = "link_89abcdef0123456701234567"
URL = b"https://link.ofauth.example/s/never-shown"


class Linked(Views):
    """A log with views, into which Link sessions are recorded as the ledger does."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.ledger = Ledger(self.log, now=self.clock, entropy=counting_entropy())
        self.alone = LogQuestions(self.log, None, stale_after_ms=DAY_MS)

    def link(self, *events: LinkEvent, link: str = LINK, payload: bytes | None = None) -> Recorded:
        """Let something happen to a session."""
        step = LinkStep(link=link, events=events, payload=payload, salt=payload and b"salt")
        return self.ledger.record([step])[0]

    def client(self, at: int, reference: str = CLIENT, **moment: Any) -> ClientView | None:
        """What is true of a client, asked at a time after noon; all ways to ask must agree."""
        self.catch_up()
        answers = [
            ask(reference, now_ms=NOON + at, **moment)
            for ask in (self.questions.client, self.from_log.client, self.alone.client)
        ]
        values = [None if answer is None else answer.value for answer in answers]
        assert values[1:] == values[:1] * 2
        return values[0]

    def status(self, at: int, reference: str = CLIENT, **moment: Any) -> str | None:
        """The status of a client that is known."""
        found = self.client(at, reference, **moment)
        assert found is not None
        return found.status


@pytest.fixture
def views(database_url: str) -> Iterator[Linked]:
    """A log with views on either database."""
    views = Linked(database_url)
    yield views
    views.close()


# writing


def test_what_happens_to_a_session_is_in_its_stream(views: Linked) -> None:
    """In the order in which it happened, each event once."""
    views.link(asked())
    views.link(opened())
    views.link(said(status="cancelled"), cancelled())
    rows = views.log.read_streams([link_stream(LINK)])
    assert [row.topic for row in rows] == [
        *("link.requested", "link.started", "link.reported", "link.cancelled"),
    ]
    assert [row.version for row in rows] == [1, 2, 3, 4]


def test_the_address_and_the_reason_rest_beside_the_events(views: Linked) -> None:
    """Only `body` gives them."""
    first = views.link(asked(), payload=b'{"reason":"by phone"}').position
    second = views.link(opened(), payload=URL).position
    views.link(asked(), link=OTHER_LINK)
    assert views.log.body(first) == b'{"reason":"by phone"}'
    assert views.log.body(second) == URL
    rows = views.log.read_streams([link_stream(LINK), link_stream(OTHER_LINK)])
    assert all(row.payload is None for row in rows)
    assert all(URL not in row.state and b"phone" not in row.state for row in rows)
    assert [row.payload for row in views.log.read_log(0, 9, payloads=True)] == [None] * 3


def test_what_may_not_follow_is_not_written(views: Linked) -> None:
    """The same batch again, a used session, one that nobody asked for: the log stays as it is."""
    assert views.link(asked()).outcome is Outcome.NEW
    done = views.link(opened(), payload=URL)
    assert done.outcome is Outcome.NEW
    head = views.log.head()
    refused = [
        views.link(asked()),
        views.link(opened(), payload=URL),
        views.link(said(at=HOUR)),
        views.link(said(), link=OTHER_LINK),
        views.link(proved(), link=OTHER_LINK),
    ]
    assert {one.outcome for one in refused} == {Outcome.UNCHANGED}
    assert [one.position for one in refused] == [done.position] * 3 + [0, 0]
    assert views.log.head() == head


def test_one_batch_decides_like_several(views: Linked) -> None:
    """Of two reports that are recorded together the first one counts."""
    steps = [
        LinkStep(link=LINK, events=events)
        for events in ((asked(),), (opened(),), (said(status="error"), failed()), (said(),))
    ]
    results = views.ledger.record(steps)
    assert [one.outcome for one in results] == [Outcome.NEW] * 3 + [Outcome.UNCHANGED]
    assert results[3].position == results[2].position == views.log.head().position


# the views


@pytest.mark.parametrize("seed", range(2))
def test_rows_are_the_same_however_the_log_is_cut_into_batches(views: Linked, seed: int) -> None:
    """One row for each session, whatever the batches."""
    for link, event in lives(seed, 25):
        views.link(event, link=link)
        if Random(event.observed).random() < 0.3:
            views.catch_up()
    views.catch_up()
    whole = dump(views.store)
    assert len(whole["link_sessions"]) == 25
    for generation, limit in ((2, 10_000), (3, 1), (4, 7)):
        other = views.open(generation)
        views.catch_up(other, limit)
        assert dump(other) == whole


def test_the_address_and_the_reason_are_in_no_row(views: Linked) -> None:
    """A view may be copied, shown and backed up."""
    views.link(asked(), payload=b'{"reason":"by phone"}')
    views.link(opened(), payload=URL)
    views.catch_up()
    text = repr(dump(views.store))
    assert LINK in text
    assert URL.decode() not in text
    assert "by phone" not in text


@pytest.mark.parametrize("seed", range(2))
def test_all_ways_to_ask_agree_and_old_answers_stay(views: Linked, seed: int) -> None:
    """From the views, as of then, and from the log with views and without."""
    random = Random(seed)
    told = lives(seed, 15)
    claims = [about("conn_1", as_statement(created(client="user_1")))]
    claims += [about("conn_1", as_statement(expired(at=HOUR)))]
    remembered: list[tuple[dict[str, Any], Sequence[Any]]] = []
    for number, (link, event) in enumerate(told):
        views.link(event, link=link)
        if number % 20 == 10 and claims:
            views.tell(claims.pop(0))
        if random.random() < 0.3:
            head = views.log.head().recorded_at
            at = head // 1000 - NOON
            moments: list[dict[str, Any]] = [
                {"as_of_us": head},
                {"as_of_us": head, "valid_at_ms": NOON + random.randrange(13 * HOUR)},
            ]
            now = [views.client(at, client) for client in ("user_1", "user_2", "nobody")]
            for moment in moments:
                found = [views.client(0, c, **moment) for c in ("user_1", "user_2", "nobody")]
                remembered.append((moment, found))
                assert found == now or "valid_at_ms" in moment
    assert len(remembered) > 10
    for moment, found in remembered:
        assert [views.client(0, c, **moment) for c in ("user_1", "user_2", "nobody")] == found


# forks that nobody reported


def flags(views: Linked, connection: str, at: int = 0, **moment: Any) -> tuple[str, ...]:
    """The flags of a connection; all ways to ask must agree."""
    views.catch_up()
    found = []
    for questions in (views.questions, views.from_log, views.alone):
        answer = questions.connection(connection, now_ms=NOON + at, **moment)
        assert answer is not None
        found.append(answer.value)
    assert found[1:] == found[:1] * 2
    page = views.questions.connections(now_ms=NOON + at, limit=99).value.items
    assert moment or found[0] in page
    return found[0].flags


def test_a_fork_is_suspected_as_long_as_the_other_connection_is_not_active(views: Linked) -> None:
    """It is computed when somebody asks, for now and for any time."""
    views.tell(as_statement(created(at=-HOUR, client=CLIENT)), as_statement(expired(at=-MINUTE)))
    views.link(asked(connection="conn_abc123"))
    before = views.log.head().recorded_at
    views.link(opened())
    born = about("conn_new", as_statement(created(at=5 * MINUTE, client=CLIENT)))
    views.tell(born)
    suspicious = views.log.head().recorded_at
    assert flags(views, "conn_new") == ("forkSuspected",)
    assert flags(views, "conn_abc123") == ()
    client = views.client(HOUR)
    assert client is not None
    assert [one.flags for one in client.connections] == [(), ("forkSuspected",)]
    views.tell(as_statement(active(at=10 * MINUTE)))
    assert flags(views, "conn_new") == ()
    assert flags(views, "conn_new", as_of_us=suspicious) == ("forkSuspected",)
    assert flags(views, "conn_new", valid_at_ms=NOON + 9 * MINUTE) == ("forkSuspected",)
    assert flags(views, "conn_new", valid_at_ms=NOON + 10 * MINUTE) == ()
    views.client(HOUR, as_of_us=before)


@pytest.mark.parametrize("end", [expired(at=-MINUTE), disconnected(at=-MINUTE)])
def test_a_fork_is_suspected_of_another_client_with_the_same_upstream_account(
    views: Linked, end: Claim
) -> None:
    """Whose the account is, or was, is the strongest sign."""
    views.tell(
        as_statement(created(at=-HOUR, client=CLIENT, user={"id": "7"})),
        as_statement(end),
        about("conn_new", as_statement(created(at=MINUTE, client="user_2", user={"id": "7"}))),
        about("conn_other", as_statement(created(at=MINUTE, client="user_2", user={"id": "8"}))),
    )
    views.link(asked(connection="conn_abc123"))
    views.link(opened())
    assert flags(views, "conn_new") == ("forkSuspected",)
    assert flags(views, "conn_other") == ()


def test_all_ways_to_ask_agree_on_suspicions(views: Linked) -> None:
    """Many connections are born while many sessions are open, some of one account."""
    random, suspicious = Random(5), 0
    names = [f"conn_{number}" for number in range(12)]
    for number, name in enumerate(names):
        at = number * 10 * MINUTE
        client = random.choice(("user_1", "user_2", None))
        told = created(at=at, client=client, user={"id": str(random.randrange(2))})
        views.tell(about(name, as_statement(told)))
        if random.random() < 0.7:
            views.tell(about(name, as_statement(expired(at=at + MINUTE))))
        target = random.choice([*names[:number], "conn_x", None])
        link = f"link_{number:024x}"
        whose = random.choice(("user_1", "user_2", None))
        views.link(asked(at + MINUTE, whose, connection=target), link=link)
        if random.random() < 0.9:
            views.link(opened(at + MINUTE, random.choice((None, HOUR, 15 * MINUTE))), link=link)
    for name in names:
        suspicious += "forkSuspected" in flags(views, name)
        moment = NOON + random.randrange(2 * HOUR)
        head = views.log.head().recorded_at
        flags(views, names[0], as_of_us=head, valid_at_ms=max(moment, NOON))
    assert 0 < suspicious < len(names)
    for client in ("user_1", "user_2"):
        views.client(5 * HOUR, client)


# the status of a client


def test_a_client_that_is_known_only_by_a_session_is_known(views: Linked) -> None:
    """Its history is empty, and not unknown."""
    assert views.client(0) is None
    before = views.log.head().recorded_at
    views.link(asked())
    after = views.log.head().recorded_at
    found = views.client(MINUTE)
    assert found is not None
    assert (found.status, found.connections, len(found.link_sessions)) == ("pending", (), 1)
    assert views.client(0, as_of_us=before) is None
    assert views.client(0, as_of_us=after) is not None
    for questions in (views.questions, views.from_log, views.alone):
        for moment in ({}, {"as_of_us": after}):
            answer = questions.client_history(CLIENT, limit=9, **moment)
            assert answer is not None
            assert answer.value.items == ()
        assert questions.client_history(CLIENT, limit=9, as_of_us=before) is None
        assert questions.client_history("nobody", limit=9) is None


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ((said(status="error"), failed()), "failed"),
        ((said(status="cancelled"), cancelled()), "cancelled"),
        ((said(),), "pending"),
        ((), "pending"),
    ],
)
def test_without_a_live_connection_the_last_session_decides(
    views: Linked, end: tuple[LinkEvent, ...], status: str
) -> None:
    """And lapses by itself; a browser's word does not keep it."""
    views.link(asked())
    views.link(opened())
    views.link(*end)
    assert views.status(2 * MINUTE) == status
    assert views.status(2 * HOUR) == ("lapsed" if status == "pending" else status)


def test_an_open_session_counts_more_than_a_later_one_that_is_over(views: Linked) -> None:
    """The creator may still finish the first."""
    views.link(asked())
    views.link(opened())
    views.link(asked(at=SECOND), link=OTHER_LINK)
    views.link(failed(at=2 * SECOND), link=OTHER_LINK)
    assert views.status(MINUTE) == "pending"
    assert views.status(2 * HOUR) == "failed"


def test_a_live_connection_counts_more_than_any_session(views: Linked) -> None:
    """Active, waiting or expired."""
    views.tell(as_statement(created(client=CLIENT)), as_statement(expired(at=SECOND)))
    views.link(asked())
    assert views.status(MINUTE) == "expired"


def test_a_deleted_connection_counts_less(views: Linked) -> None:
    """Until the last session was completed: then it is the one that is gone."""
    views.tell(as_statement(created(client=CLIENT)), as_statement(disconnected(at=SECOND)))
    assert views.status(MINUTE) == "deleted"
    views.link(asked())
    views.link(opened())
    assert views.status(MINUTE) == "pending"
    assert views.status(2 * HOUR) == "lapsed"
    views.link(proved())
    assert views.status(2 * HOUR) == "deleted"


def test_what_was_true_at_a_time_follows_both_clocks(views: Linked) -> None:
    """Before the request nothing, then pending, then what became of it."""
    views.link(asked(at=MINUTE))
    views.link(opened(at=MINUTE))
    views.link(said(at=5 * MINUTE, status="cancelled"), cancelled(at=5 * MINUTE))
    assert views.status(2 * HOUR, valid_at_ms=NOON) is None
    assert views.status(2 * HOUR, valid_at_ms=NOON + MINUTE) == "pending"
    assert views.status(2 * HOUR, valid_at_ms=NOON + 5 * MINUTE) == "cancelled"
    views.link(proved(at=6 * MINUTE, seen=HOUR))
    assert views.status(2 * HOUR, valid_at_ms=NOON + 5 * MINUTE) == "cancelled"
    found = views.client(2 * HOUR, valid_at_ms=NOON + 6 * MINUTE)
    assert found is not None
    assert [one.status for one in found.link_sessions] == ["completed"]


def test_a_session_says_what_is_known_of_it(views: Linked) -> None:
    """All of it, and no address."""
    views.link(asked(connection="conn_1", return_url="https://app.example/done", risk="x"))
    views.link(opened(at=SECOND))
    views.link(said(step="2fa", error="e", connection="conn_2"))
    views.link(proved(at=2 * MINUTE, connection="conn_2"))
    found = views.client(HOUR)
    assert found is not None
    (one,) = found.link_sessions
    assert (one.link_id, one.client_reference_id, one.connection_id) == (LINK, CLIENT, "conn_1")
    assert (one.requested_at, one.requested_by, one.via, one.risk) == (NOON, "ops", "api", "x")
    assert (one.return_url, one.started_at) == ("https://app.example/done", NOON + SECOND)
    assert one.expires_at == NOON + SECOND + HOUR
    assert one.report is not None
    report = one.report
    assert (report.channel, report.status, report.step) == ("redirect", "success", "2fa")
    assert (report.error, report.connection_id, report.reported_at) == (
        "e",
        "conn_2",
        NOON + MINUTE,
    )
    assert (one.completed_at, one.completed_connection_id) == (NOON + 2 * MINUTE, "conn_2")
    assert (one.failed_at, one.failure_reason, one.cancelled_at) == (None, None, None)
