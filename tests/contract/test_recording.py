"""The one write path: what is appended for what comes in, on both databases."""

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from ledger.application import Ledger, ListedRow, Outcome, Retry, UnknownDelivery
from ledger.domain.connection import fold
from ledger.domain.events import ConnectionEvent, DeliveryParked, DeliveryReceived
from ledger.domain.words import connection_stream
from ledger.ofauth import payloads
from ledger.ofauth.payloads import Reading
from ledger.ofauth.signatures import Dialect
from ledger.recorders import codec
from ledger.recorders.base import AmbiguousCommit, Log, NewRow
from tests.builders import NOON, Clock, delivery, iso, open_ledger, webhook

SECOND = 1_000


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    """An empty ledger on each database."""
    ledger = open_ledger(database_url)
    yield ledger
    ledger.log.close()


def topics(ledger: Ledger, prefix: str = "") -> list[str]:
    """The types in the log, in its order."""
    return [r.topic for r in ledger.log.read_log(0, 1000) if r.topic.startswith(prefix)]


def view(ledger: Ledger, connection: str = "conn_1") -> Any:
    """What is true of a connection, folded from the log."""
    rows = ledger.log.read_streams([connection_stream(connection)])
    statements = [s for row in rows if (s := codec.statement_of(row)) is not None]
    return fold(connection, statements)


def received(ledger: Ledger, stream: str) -> DeliveryReceived:
    """The first event of a delivery."""
    event = codec.to_event(ledger.log.read_streams([stream])[0])
    assert isinstance(event, DeliveryReceived)
    return event


def test_a_delivery_and_what_it_says_are_appended_together(ledger: Ledger) -> None:
    """The receipt comes first, the event names it as its evidence, the body rests beside it."""
    body = webhook("created", userData={"id": "u1", "name": "Ann"}, permissions=["profile:read"])
    (result,) = ledger.record([delivery(body)])
    assert topics(ledger) == ["delivery.received", "connection.created"]
    assert result.outcome is Outcome.NEW
    first, second = ledger.log.read_log(0, 10, payloads=True)
    assert result.position == second.position
    assert ledger.log.body(first.position) == body
    event = codec.to_event(second)
    assert isinstance(event, ConnectionEvent)
    assert event.statement.evidence.stream == first.stream == result.stream
    assert received(ledger, first.stream).drawn[0].claim == event.statement.claim.id
    assert view(ledger).user_data == {"id": "u1", "name": "Ann"}


def test_personal_data_is_not_in_the_event(ledger: Ledger) -> None:
    """What may have to be forgotten is only in the payloads, of which the event keeps a digest."""
    body = webhook("created", userData={"id": "u1", "name": "Canary"}, unheard="Canary")
    ledger.record([delivery(body)])
    for row in ledger.log.read_log(0, 10):
        assert b"Canary" not in row.state
        assert len(json.loads(row.state)["digest"]) == 64


def test_a_repeat_appends_only_that_it_came_again(ledger: Ledger) -> None:
    """The same body with its own timestamp is the same delivery, whatever signed it."""
    body = webhook()
    (first,) = ledger.record([delivery(body)])
    (second,) = ledger.record([delivery(body, message_id="msg_1", stamp=NOON // 1000 + 900)])
    assert second.outcome is Outcome.REPEATED
    assert second.position == first.position
    assert topics(ledger) == ["delivery.received", "connection.created", "delivery.repeated"]


def test_a_repeat_in_the_same_batch_is_one_too(ledger: Ledger) -> None:
    """De-duplication does not depend on the batch."""
    body = webhook()
    results = ledger.record([delivery(body), delivery(body), delivery(body)])
    assert [r.outcome for r in results] == ["new", "repeated", "repeated"]
    assert topics(ledger, "connection.") == ["connection.created"]
    assert len({r.stream for r in results}) == 1
    assert {r.position for r in results} == {ledger.log.read_log(0, 10)[1].position}


@pytest.mark.parametrize("at", [NOON, None], ids=["dated", "undated"])
@pytest.mark.parametrize("apart", [301 * SECOND, 86_400 * SECOND, 400 * 86_400 * SECOND])
def test_a_repeat_is_one_however_late_it_comes(ledger: Ledger, at: int | None, apart: int) -> None:
    """A delivery's identity holds for ever, not for a window: providers retry by hand, too."""
    body = webhook(at=at)
    (first,) = ledger.record([delivery(body, message_id="msg_1", stamp=NOON // 1000)])
    stamp = (NOON + apart) // 1000
    again = delivery(body, message_id="msg_1", stamp=stamp, observed=NOON + apart)
    (second,) = ledger.record([again])
    assert (second.outcome, second.position) == (Outcome.REPEATED, first.position)
    assert topics(ledger) == ["delivery.received", "connection.created", "delivery.repeated"]
    assert [len(step.evidence) for step in view(ledger).steps] == [1]


def test_at_most_sixteen_repeats_are_written_down(ledger: Ledger) -> None:
    """A provider that repeats for ever does not fill the log."""
    body = webhook()
    for _ in range(30):
        ledger.record([delivery(body)])
    assert topics(ledger).count("delivery.repeated") == 16


def test_bodies_without_a_time_are_told_apart_by_their_message_id(ledger: Ledger) -> None:
    """Two expiries can be byte-identical; both are facts."""
    body = webhook("expired", at=None, ref=None)
    ledger.record([delivery(body, message_id="msg_1", stamp=NOON // 1000)])
    later = delivery(body, message_id="msg_2", stamp=NOON // 1000 + 500, observed=NOON + 500_000)
    ledger.record([later])
    assert topics(ledger).count("delivery.received") == 2
    assert [s.claim.k for s in view(ledger).steps] == [NOON, NOON + 500 * SECOND]


def test_without_a_message_id_the_signatures_time_tells_deliveries_apart(ledger: Ledger) -> None:
    """The third identity: the signature's timestamp and the body."""
    body = webhook("expired", at=None)
    results = ledger.record(
        [delivery(body, stamp=5), delivery(body, stamp=5), delivery(body, stamp=9)]
    )
    assert [r.outcome for r in results] == ["new", "repeated", "new"]


def test_the_smallest_stamp_of_a_delivery_dates_its_claim(ledger: Ledger) -> None:
    """A retry received before the original's twin does not move the fact to the retry's time."""
    body = webhook("created", at=None)
    for stamp in (NOON // 1000 + 7200, NOON // 1000, NOON // 1000 + 300):
        ledger.record([delivery(body, message_id="msg_1", stamp=stamp, observed=NOON + 8_000_000)])
    assert [(s.claim.k, len(s.evidence)) for s in view(ledger).steps] == [(NOON, 1)]


def test_the_smallest_stamp_counts_after_sixteen_repeats_too(ledger: Ledger) -> None:
    """A limit on what is written down must not change what is true."""
    body = webhook("created", at=None)
    for stamp in [NOON // 1000] * 20 + [NOON // 1000 - 60]:
        ledger.record([delivery(body, message_id="msg_1", stamp=stamp)])
    assert view(ledger).status_since == NOON - 60 * SECOND


def test_one_fact_from_two_deliveries_is_one_claim_with_two_pieces_of_evidence(
    ledger: Ledger,
) -> None:
    """The same statement signed in two dialects, each delivered apart."""
    body = webhook("created", at=None)
    ledger.record([delivery(body, message_id="msg_1")])
    ledger.record([delivery(body, dialect=Dialect.DOCUMENTED)])
    (step,) = view(ledger).steps
    assert [evidence.channel for evidence in step.evidence] == ["svix", "documented"]
    assert topics(ledger, "connection.") == ["connection.created", "connection.confirmed"]


def test_a_message_id_that_comes_with_another_body_is_flagged(ledger: Ledger) -> None:
    """Both are signed, so both are kept; an operator can see it."""
    results = ledger.record(
        [
            delivery(webhook("created"), message_id="msg_1"),
            delivery(webhook("expired", at=NOON + SECOND), message_id="msg_1"),
        ]
    )
    (third,) = ledger.record([delivery(webhook("updated", at=NOON + 9), message_id="msg_1")])
    flags = [received(ledger, r.stream).flags for r in [*results, third]]
    assert flags == [(), ("id_reuse",), ("id_reuse",)]


def test_a_time_far_in_the_future_is_cut_to_when_it_was_seen(ledger: Ledger) -> None:
    """A wrong clock must not win over everything that comes later."""
    ledger.record([delivery(webhook("created", at=NOON + 301 * SECOND))])
    assert view(ledger).status_since == NOON
    assert view(ledger).flags == ("clock",)


def test_a_time_within_five_minutes_is_taken_as_it_is(ledger: Ledger) -> None:
    """Small skews are normal."""
    ledger.record([delivery(webhook("created", at=NOON + 300 * SECOND))])
    assert view(ledger).status_since == NOON + 300 * SECOND


def test_a_late_claim_takes_its_place_in_time(ledger: Ledger) -> None:
    """Arrival decides nothing: an expiry that arrives after the reconnection came before it."""
    ledger.record([delivery(webhook("created"))])
    ledger.record([delivery(webhook("updated", at=NOON + 9 * SECOND, status="active"))])
    ledger.record([delivery(webhook("expired", at=NOON + 5 * SECOND))])
    assert view(ledger).status == "active"
    assert [s.names[0] for s in view(ledger).steps] == [
        "connection.created",
        "connection.expired",
        "connection.reconnected",
    ]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"not json", "not_json"),
        (b"\xff\xfe", "not_utf8"),
        (b'{"type":"connection.created","data":{"connection":{"id":"a\\u0000"}}}', "bad_text"),
        (b'{"type":"connection.renamed","data":{}}', "unknown_type"),
        (b'{"type":"connection.created","data":{}}', "bad_shape"),
    ],
)
def test_a_body_that_cannot_be_read_is_kept_and_parked(
    ledger: Ledger, body: bytes, reason: str
) -> None:
    """Nothing that the provider signed is refused because we could not understand it."""
    (result,) = ledger.record([delivery(body)])
    assert result.outcome is Outcome.PARKED
    assert topics(ledger) == ["delivery.received", "delivery.parked"]
    first, second = ledger.log.read_log(0, 10)
    assert ledger.log.body(first.position) == body
    parked = codec.to_event(second)
    assert isinstance(parked, DeliveryParked)
    assert parked.reason == reason


def test_a_failure_to_interpret_parks_one_delivery_and_spares_the_batch(ledger: Ledger) -> None:
    """A stream that a later program wrote to blocks only what belongs to it."""
    newer = NewRow(connection_stream("conn_1"), 1, "connection.created", b'{"v":99}')
    ledger.log.transact((), (), lambda _: [newer], Clock())
    results = ledger.record([delivery(webhook()), delivery(webhook(connection="conn_2"))])
    assert [r.outcome for r in results] == ["parked", "new"]
    (again,) = ledger.record([delivery(webhook())])
    assert again.outcome is Outcome.REPEATED


def test_a_parked_delivery_is_drawn_once_the_code_can_read_it(database_url: str) -> None:
    """`parked retry` appends the events with the original's evidence and time."""

    def old_reader(body: bytes) -> Reading:
        reading = payloads.read(body)
        problem = payloads.Problem(reason="unknown_type", detail="type")
        return Reading(type=reading.type, dated=reading.dated, problem=problem)

    old = open_ledger(database_url)
    old = Ledger(old.log, now=Clock(), entropy=os.urandom, read=old_reader)
    (parked,) = old.record([delivery(webhook("created", at=None), message_id="m", stamp=50)])
    old.record([delivery(webhook("created", at=None), message_id="m", stamp=40)])
    assert old.record([Retry(parked.stream)])[0].outcome is Outcome.STILL_PARKED
    old.log.close()
    new = open_ledger(database_url)
    (resolved,) = new.record([Retry(parked.stream)])
    assert resolved.outcome is Outcome.RESOLVED
    assert view(new).status_since == 40 * SECOND
    assert view(new).steps[0].evidence[0].stream == parked.stream
    assert new.record([Retry(parked.stream)])[0].outcome is Outcome.UNCHANGED
    new.log.close()


def test_a_retry_of_a_delivery_that_is_not_there_is_refused(ledger: Ledger) -> None:
    """A typing error is told, not swallowed."""
    with pytest.raises(UnknownDelivery, match="parked list"):
        ledger.record([Retry("delivery:none")])


def test_private_traffic_is_kept_as_a_digest_only(ledger: Ledger) -> None:
    """`rules.*`, `realtime.*` and `of.*` can carry tokens and private messages."""
    body = b'{"type":"rules.updated","data":{"app_token":"canary"}}'
    ledger.record([delivery(body, message_id="msg_1")])
    (row,) = ledger.log.read_log(0, 10)
    assert ledger.log.body(row.position) is None
    event = codec.to_event(row)
    assert isinstance(event, DeliveryReceived)
    assert (event.size, event.kept, event.type) == (len(body), False, "rules.updated")


def test_a_test_event_is_kept_and_changes_nothing(ledger: Ledger) -> None:
    """`live: false` never reaches a view."""
    data = {"connection": {"id": "conn_1", "status": "active"}}
    body = json.dumps({"eventType": "connection.created", "live": False, "data": data}).encode()
    (result,) = ledger.record([delivery(body)])
    assert topics(ledger) == ["delivery.received"]
    assert received(ledger, result.stream).flags == ("test",)


def test_a_row_seen_for_the_first_time_tells_the_birth(ledger: Ledger) -> None:
    """The provider's list dates what no webhook told."""
    row = {
        "id": "conn_1",
        "status": "expired",
        "clientReferenceId": "user_1",
        "userData": {"id": "u1", "name": "Ann"},
        "permissions": [],
        "createdAt": iso(NOON - 900 * SECOND),
        "updatedAt": iso(NOON - 300 * SECOND),
        "expiredAt": iso(NOON - 300 * SECOND),
    }
    listed = ListedRow(row=row, answered=NOON, observed=NOON, evidence="sweep:1")
    ledger.record([listed])
    assert view(ledger).status == "expired"
    assert view(ledger).status_since == NOON - 300 * SECOND
    assert view(ledger).created_at == NOON - 900 * SECOND
    assert topics(ledger)[0] == "connection.created"
    (again,) = ledger.record([listed])
    assert again.outcome is Outcome.UNCHANGED


def test_an_empty_batch_passes_the_lock_and_appends_nothing(ledger: Ledger) -> None:
    """The fence that a fresh `asOf` waits for."""
    ledger.record([delivery(webhook())])
    before = ledger.log.head()
    assert ledger.record([]) == []
    assert ledger.fence() == before


class _Doubtful:
    """A log whose first commit succeeds, but whose answer is lost."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.lost = False

    def transact(self, *args: Any) -> Any:
        answer = self.log.transact(*args)
        if not self.lost:
            self.lost = True
            raise AmbiguousCommit("the answer was lost")
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self.log, name)


def test_a_commit_in_doubt_is_read_back_and_not_written_twice(ledger: Ledger) -> None:
    """When only the answer was lost, the batch is recognised by its receipts."""
    doubtful: Any = _Doubtful(ledger.log)
    second = Ledger(doubtful, now=Clock(), entropy=os.urandom)
    results = second.record([delivery(webhook()), delivery(webhook(connection="conn_2"))])
    assert [r.outcome for r in results] == ["new", "new"]
    assert topics(ledger) == ["delivery.received", "connection.created"] * 2
    assert [r.position for r in results] == [
        r.position for r in ledger.log.read_log(0, 10) if r.topic == "connection.created"
    ]


def test_a_repeat_in_doubt_is_not_written_twice_either(ledger: Ledger) -> None:
    """The receipt's own name tells a repeat from our own unanswered write."""
    ledger.record([delivery(webhook())])
    doubtful: Any = _Doubtful(ledger.log)
    second = Ledger(doubtful, now=Clock(), entropy=os.urandom)
    assert second.record([delivery(webhook())])[0].outcome is Outcome.REPEATED
    assert topics(ledger).count("delivery.repeated") == 1


def test_streams_have_versions_without_holes(ledger: Ledger) -> None:
    """Every stream counts from 1, over batches and within one."""
    bodies = [webhook("updated", at=NOON + n * SECOND, status="active") for n in range(6)]
    ledger.record([delivery(body) for body in bodies[:4]] + [delivery(bodies[0])])
    ledger.record([delivery(body) for body in bodies])
    versions: dict[str, list[int]] = {}
    for row in ledger.log.read_log(0, 1000):
        versions.setdefault(row.stream, []).append(row.version)
    assert all(v == list(range(1, len(v) + 1)) for v in versions.values())
