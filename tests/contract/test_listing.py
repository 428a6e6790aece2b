"""What a pass over the list writes and leaves out, and what it stands for, on both databases."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from ledger.application import Happened, Ledger, ListedRow, Noted, Outcome
from ledger.domain.claim import Claim, Evidence, Kind
from ledger.domain.connection import Connection, fold
from ledger.domain.events import ConnectionEvent, DeliveryReceived
from ledger.domain.sweep_events import SweepCompleted, SweepStarted
from ledger.domain.words import connection_stream
from ledger.recorders import codec
from ledger.recorders.base import StoredRow
from tests.builders import NOON, Clock, delivery, iso, open_ledger, webhook
from tests.sweeping import Story, compared

SECOND = 1_000
MINUTE = 60 * SECOND


class Passes:
    """A ledger, and passes over a list of a few rows."""

    def __init__(self, url: str) -> None:
        self.clock = Clock()
        self.ledger = open_ledger(url, self.clock)
        self.number = 0

    @property
    def now(self) -> int:
        """Milliseconds UTC."""
        return self.clock.us // 1000

    def sweep(self, *rows: dict[str, Any], **found: Any) -> list[Outcome]:
        """Make a pass ten minutes after what came before; `found` as in `sweep.completed`."""
        self.clock.advance(600)
        self.number += 1
        stream, answered = f"sweep:{self.number:016x}", self.now
        started = SweepStarted(observed=answered, organisation="org_1", backfill=False)
        self.ledger.record([Happened(stream, started)])
        listed = [
            ListedRow(row=row, answered=answered, observed=answered, evidence=stream)
            for row in rows
        ]
        results = self.ledger.record(listed)
        completed = SweepCompleted(
            **{"observed": answered, "answered_from": answered, "answered_to": answered}
            | {"requests": 1, "rows": len(rows), "connections": len(rows), "live": 1}
            | {"valid": True}
            | found
        )
        self.ledger.record([Happened(stream, completed)])
        return [result.outcome for result in results]

    def late(self, age: int, kind: str = "expired", **more: Any) -> None:
        """A webhook about conn_1 that comes now, `age` milliseconds after the fact."""
        body = webhook(kind, at=self.now - age, **more)
        self.ledger.record([delivery(body, observed=self.now)])

    def told(self, connection: str = "conn_1") -> list[StoredRow]:
        """The events of a connection."""
        return self.ledger.log.read_streams([connection_stream(connection)])

    def view(self) -> Connection:
        """What is true of conn_1."""
        statements = [s for row in self.told() if (s := codec.statement_of(row)) is not None]
        connection = fold("conn_1", statements)
        assert connection is not None
        return connection


@pytest.fixture
def passes(database_url: str) -> Iterator[Passes]:
    """A ledger on each database that knows conn_1, and has listed it once."""
    passes = Passes(database_url)
    passes.ledger.record([delivery(webhook("created", status="active"))])
    passes.sweep(row())
    yield passes
    passes.ledger.log.close()


def row(connection: str = "conn_1", **other: Any) -> dict[str, Any]:
    """A row of the list."""
    return {
        "id": connection,
        "status": "active",
        "clientReferenceId": "user_1",
        "permissions": ["profile:read"],
        "userData": {"id": "u1", "name": "Ann"},
        "createdAt": iso(NOON),
        "updatedAt": iso(NOON),
        "expiredAt": None,
        "imported": False,
        "lastCheckedAt": iso(NOON),
    } | other


def test_an_unchanged_list_appends_only_the_events_of_the_pass(passes: Passes) -> None:
    """However many rows it has, and whenever they were checked."""
    others = [row(f"conn_{i}") for i in range(2, 30)]
    passes.sweep(row(), *others)
    before = passes.ledger.log.head().position
    outcomes = passes.sweep(row(lastCheckedAt=iso(NOON + MINUTE)), *others)
    assert set(outcomes) == {Outcome.UNCHANGED}
    appended = [one.topic for one in passes.ledger.log.read_log(before, 100)]
    assert appended == ["sweep.started", "sweep.completed"]


def test_a_row_that_differs_is_appended_whole(passes: Passes) -> None:
    """Everything it says, not only what changed."""
    assert passes.sweep(row(permissions=[])) == [Outcome.NEW]
    event = codec.to_event(passes.told()[-1])
    assert isinstance(event, ConnectionEvent)
    claim = event.statement.claim
    assert event.NAME == "connection.updated"
    assert claim.fields["permissions"] == []
    assert claim.fields["clientReferenceId"] == "user_1"
    assert claim.personal["userData"] == {"id": "u1", "name": "Ann"}
    assert passes.sweep(row(permissions=[])) == [Outcome.UNCHANGED]


def test_the_same_row_twice_in_a_pass_is_appended_once(passes: Passes) -> None:
    """Pages overlap."""
    assert passes.sweep(row(permissions=[]), row(permissions=[])) == [
        Outcome.NEW,
        Outcome.UNCHANGED,
    ]


def test_a_row_ends_that_a_connection_is_missing_though_nothing_changed(passes: Passes) -> None:
    """And then the list is unchanged again."""
    fields = {"missingSince": passes.now, "lastListedAt": NOON}
    claim = Claim(connection_id="conn_1", kind=Kind.MISSING, k=passes.now, fields=fields)
    passes.ledger.record([Noted(claim, Evidence("sweep:1", "sweep", passes.now))])
    assert passes.sweep(row()) == [Outcome.NEW]
    assert passes.told()[-1].topic == "connection.reappeared"
    assert passes.view().missing_since is None
    assert passes.sweep(row()) == [Outcome.UNCHANGED]


def test_a_late_claim_does_not_outweigh_a_later_pass(passes: Passes) -> None:
    """What the pass stands for is written out before it, with the pass as its evidence."""
    passes.sweep(row())
    swept = passes.now
    passes.late(3 * MINUTE)
    first, second = (codec.to_event(one) for one in passes.told()[-2:])
    assert isinstance(first, ConnectionEvent)
    assert isinstance(second, ConnectionEvent)
    assert [first.NAME, second.NAME] == ["connection.confirmed", "connection.expired"]
    stands = first.statement
    assert stands.evidence == Evidence("sweep:0000000000000002", "sweep", swept)
    assert (stands.claim.kind, stands.claim.k) == (Kind.ROW, swept - 2 * MINUTE)
    assert (stands.claim.status, stands.claim.fields["permissions"]) == ("active", ["profile:read"])
    assert passes.view().status == "active"
    assert [step.names for step in passes.view().steps][-2:] == [
        ("connection.expired",),
        ("connection.reconnected",),
    ]


def test_the_delivery_of_a_late_claim_tells_of_that_claim_alone(passes: Passes) -> None:
    """What the pass stands for was not drawn from it; the position is that of the claim."""
    passes.sweep(row())
    body = webhook("expired", at=passes.now - 3 * MINUTE)
    (result,) = passes.ledger.record([delivery(body, observed=passes.now)])
    received = codec.to_event(passes.ledger.log.read_streams([result.stream])[0])
    late = codec.statement_of(passes.told()[-1])
    assert isinstance(received, DeliveryReceived)
    assert late is not None
    assert [one.claim for one in received.drawn] == [late.claim.id]
    assert result.position == passes.told()[-1].position
    (again,) = passes.ledger.record([delivery(body, observed=passes.now)])
    assert (again.outcome, again.position) == (Outcome.REPEATED, result.position)


def test_what_a_pass_stands_for_is_written_once(passes: Passes) -> None:
    """For two late claims in one batch, and for more afterwards."""
    passes.sweep(row())
    bodies = [webhook("expired", at=passes.now - age * MINUTE) for age in (4, 5)]
    before = len(passes.told())
    passes.ledger.record([delivery(body, observed=passes.now) for body in bodies])
    passes.late(6 * MINUTE)
    assert len(passes.told()) == before + 1 + 3
    assert passes.view().status == "active"


def test_a_claim_that_is_not_earlier_than_the_pass_stands_alone(passes: Passes) -> None:
    """The list may trail two minutes behind, so a claim of a minute ago is the later word."""
    passes.sweep(row())
    before = len(passes.told())
    passes.late(2 * MINUTE)
    assert len(passes.told()) == before + 1
    assert passes.view().status == "expired"


@pytest.mark.parametrize(
    "found", [{"absent": ("conn_1",)}, {"unseen": ("conn_1",)}, {"valid": False}, {"braked": True}]
)
def test_a_pass_stands_for_nothing_that_it_did_not_list_or_cannot_say(
    passes: Passes, found: dict[str, Any]
) -> None:
    """Nor when it is not valid, or too many were absent."""
    passes.sweep(**found)
    before = len(passes.told())
    passes.late(3 * MINUTE)
    assert len(passes.told()) == before + 1
    assert passes.view().status == "expired"


def test_the_pass_before_stands_when_the_newest_did_not_list_it(passes: Passes) -> None:
    """The newest one that did counts."""
    passes.sweep(row())
    passes.sweep(absent=("conn_1",))
    passes.late(13 * MINUTE)
    stands = codec.statement_of(passes.told()[-2])
    assert stands is not None
    assert stands.evidence.stream == "sweep:0000000000000002"
    assert passes.view().status == "active"


def test_a_pass_stands_for_no_connection_that_no_row_has_told_of(passes: Passes) -> None:
    """One that was heard of while the pass ran may not be in the list yet."""
    passes.ledger.record([delivery(webhook("created", "conn_2"), observed=NOON)])
    passes.sweep(row())
    body = webhook("expired", "conn_2", at=passes.now - 3 * MINUTE)
    passes.ledger.record([delivery(body, observed=passes.now)])
    assert [one.topic for one in passes.told("conn_2")] == [
        "connection.created",
        "connection.expired",
    ]


def test_a_deletion_is_not_undone_by_a_pass_that_stands_before_it(passes: Passes) -> None:
    """A deleted connection is in no list: the pass says nothing of it."""
    passes.late(0, "disconnected")
    passes.sweep()
    before = len(passes.told())
    passes.late(3 * MINUTE, "updated", status="active")
    assert len(passes.told()) == before + 1
    assert passes.view().status == "deleted"


def test_what_was_erased_does_not_come_back_with_what_a_pass_stands_for(passes: Passes) -> None:
    """It says what is known, and that is less now."""
    passes.sweep(row())
    passes.ledger.forget("user_1", by="test")
    passes.late(3 * MINUTE, ref=None)
    stands = passes.told()[-2]
    statement = codec.statement_of(stands)
    assert statement is not None
    assert (statement.claim.kind, statement.claim.personal) == (Kind.ROW, {})
    assert stands.payload is None
    assert passes.view().user_data is None


class _NoPasses:
    """A log that does not let a decision ask for passes."""

    def __init__(self, ledger: Ledger) -> None:
        self.log = ledger.log

    def transact(self, streams: Any, message_ids: Any, decide: Any, *rest: Any) -> Any:
        def passes(_: int) -> list[StoredRow]:
            raise AssertionError("asked for passes")

        return self.log.transact(
            streams, message_ids, lambda seen: decide(seen._replace(passes=passes)), *rest
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self.log, name)


def test_what_comes_at_once_asks_for_no_passes(passes: Passes) -> None:
    """A pass never stands for the last two minutes, so most deliveries need not look."""
    passes.sweep(row())
    log: Any = _NoPasses(passes.ledger)
    busy = Ledger(log, now=passes.clock, entropy=os.urandom)
    at = passes.now - 119 * SECOND
    busy.record([delivery(webhook("updated", at=at, status="expired"), observed=passes.now)])
    assert passes.view().status == "expired"
    late = delivery(webhook("expired", at=at - 2 * SECOND), observed=passes.now)
    (result,) = busy.record([late])
    assert result.outcome is Outcome.PARKED


@pytest.mark.parametrize("seed", range(6))
def test_stories_come_to_what_all_their_rows_say(database_url: str, seed: int) -> None:
    """As in memory, with a real log."""
    clock = Clock()
    ledger = open_ledger(database_url, clock)
    story = Story(ledger, clock, seed)
    for _ in range(30):
        story.step()
        if story.told:
            assert compared(story.view()) == compared(story.truth())
    ledger.log.close()
