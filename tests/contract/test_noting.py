"""What the ledger itself says is recorded as what others say: whole, named, and once."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from ledger.application import Happened, LeaseLost, Ledger, Noted, Outcome
from ledger.domain.claim import Claim, Evidence, Kind
from ledger.domain.connection import Connection, fold
from ledger.domain.status import Status
from ledger.domain.sweep_events import SweepAbandoned, SweepStarted
from ledger.domain.words import connection_stream
from ledger.recorders import codec
from tests.builders import NOON, delivery, open_ledger, webhook

PASS = "sweep:0123456789abcdef"


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    """An empty ledger on each database."""
    ledger = open_ledger(database_url)
    yield ledger
    ledger.log.close()


def noted(kind: Kind, at: int = 0, status: Status | None = None, **fields: Any) -> Noted:
    """A claim of our own about conn_1."""
    claim = Claim(connection_id="conn_1", kind=kind, k=NOON + at, status=status, fields=fields)
    return Noted(claim.identified(), Evidence(PASS, "sweep", NOON + at))


def topics(ledger: Ledger) -> list[str]:
    """The types in the log, in its order."""
    return [row.topic for row in ledger.log.read_log(0, 100)]


def view(ledger: Ledger) -> Connection:
    """What is true of conn_1, folded from the log."""
    rows = ledger.log.read_streams([connection_stream("conn_1")])
    connection = fold("conn_1", [s for row in rows if (s := codec.statement_of(row)) is not None])
    assert connection is not None
    return connection


def test_what_the_ledger_notes_of_a_connection_rests_in_its_stream(ledger: Ledger) -> None:
    """With its own name, and the pass as its evidence."""
    ledger.record([delivery(webhook("created", status="active"))])
    note = noted(Kind.MISSING, 1, missingSince=NOON - 9, lastListedAt=NOON - 99)
    (result,) = ledger.record([note])
    assert (result.outcome, result.position) == (Outcome.NEW, ledger.log.head().position)
    assert topics(ledger)[-1] == "connection.missing"
    assert (view(ledger).missing_since, view(ledger).last_listed_at) == (NOON - 9, NOON - 99)
    assert view(ledger).steps[-1].evidence == (note.evidence,)


def test_what_the_ledger_proves_is_named_like_any_claim(ledger: Ledger) -> None:
    """Against what was known before it."""
    ledger.record([delivery(webhook("created", status="active"))])
    ledger.record([noted(Kind.INVALIDATED, 1, Status.EXPIRED)])
    ledger.record([noted(Kind.DELETION_PROVED, 2, Status.DELETED)])
    assert topics(ledger)[-2:] == ["connection.expired", "connection.deleted"]
    assert view(ledger).status is Status.DELETED


def test_what_is_noted_twice_is_appended_once(ledger: Ledger) -> None:
    """Also within one batch; another piece of evidence is."""
    note = noted(Kind.EXPIRY_SUSPECTED)
    outcomes = [one.outcome for one in ledger.record([note, note])]
    assert outcomes == [Outcome.NEW, Outcome.UNCHANGED]
    assert ledger.record([note])[0].outcome is Outcome.UNCHANGED
    again = replace(note, evidence=replace(note.evidence, stream="sweep:ffffffffffffffff"))
    assert ledger.record([again])[0].outcome is Outcome.NEW
    assert topics(ledger) == ["connection.expiry_suspected", "connection.confirmed"]


def test_the_reason_of_a_request_rests_in_the_payload(ledger: Ledger) -> None:
    """Who asked and when stays; why can be erased."""
    note = noted(Kind.DELETE_REQUESTED, requestedBy="ops")
    claim = replace(note.claim, personal={"reason": "a private matter"}).identified()
    ledger.record([replace(note, claim=claim)])
    (row,) = ledger.log.read_log(0, 9, payloads=True)
    assert b"private" not in row.state
    assert b"ops" in row.state
    assert row.payload == b'{"reason":"a private matter"}'
    assert view(ledger).deletion_requested_at == NOON


def test_the_reason_goes_with_the_person_and_the_request_stays(ledger: Ledger) -> None:
    """When it was, and who asked."""
    ledger.record([delivery(webhook("created", status="active"))])
    note = noted(Kind.DELETE_REQUESTED, 1, requestedBy="ops")
    claim = replace(note.claim, personal={"reason": "a private matter"}).identified()
    ledger.record([replace(note, claim=claim)])
    ledger.forget("user_1", by="test")
    rows = ledger.log.read_log(0, 9, topics=["connection."], payloads=True)
    assert [row.payload for row in rows] == [None, None]
    step = view(ledger).steps[-1]
    assert (step.claim.fields, step.claim.personal) == ({"requestedBy": "ops"}, {})
    assert view(ledger).deletion_requested_at == NOON + 1


def test_a_time_far_in_the_future_is_cut(ledger: Ledger) -> None:
    """As that of any claim: the provider's clock may be wrong."""
    note = noted(Kind.NOT_FOUND, 301_000)
    ledger.record([replace(note, evidence=replace(note.evidence, observed=NOON))])
    assert (view(ledger).not_found_at, view(ledger).flags[0]) == (NOON, "clock")


def test_what_is_guarded_is_recorded_only_under_the_lease(ledger: Ledger) -> None:
    """All of a batch or nothing of it."""
    epoch = ledger.log.take_lease("sweep", "a", NOON, 60_000)
    assert epoch is not None
    batch = [noted(Kind.NOT_FOUND), noted(Kind.EXPIRY_SUSPECTED)]
    with pytest.raises(LeaseLost):
        ledger.record(batch, guard=("sweep", epoch + 1))
    assert topics(ledger) == []
    ledger.record(batch, guard=("sweep", epoch))
    assert topics(ledger) == ["connection.confirmed", "connection.expiry_suspected"]


def test_an_event_of_a_pass_is_appended_once_beside_what_the_pass_concludes(
    ledger: Ledger,
) -> None:
    """In one transaction, and not again when the write is repeated."""
    started = Happened(PASS, SweepStarted(observed=NOON, organisation="org_1", backfill=True))
    ended = Happened(PASS, SweepAbandoned(observed=NOON + 9, reason="unreachable"), b"body")
    batch = [started, noted(Kind.MISSING), ended]
    first = ledger.record(batch)
    assert [one.outcome for one in first] == [Outcome.NEW] * 3
    assert topics(ledger) == ["sweep.started", "connection.missing", "sweep.abandoned"]
    assert [row.version for row in ledger.log.read_streams([PASS])] == [1, 2]
    assert ledger.log.body(first[2].position) == b"body"
    assert [one.outcome for one in ledger.record(batch)] == [Outcome.UNCHANGED] * 3
    assert len(topics(ledger)) == 3
