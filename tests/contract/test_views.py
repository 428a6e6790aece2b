"""What every view promises, whatever database holds it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import pytest
from msgspec.structs import replace

from ledger.domain.connection import fold
from ledger.domain.words import short_id
from projections.answers import Cursor, HistoryEntry
from projections.current_state.document import connection_view
from projections.errors import AmbiguousConnection, UnknownConnection
from projections.history.view import By, Order
from projections.log_questions import LogQuestions
from projections.opening import find_store, open_store
from projections.questions import Questions
from projections.registry import PROJECTIONS
from projections.runner import Runner
from tests.builders import NOON, delivery, open_ledger, webhook
from tests.given import (
    MINUTE,
    SECOND,
    as_statement,
    created,
    delivered,
    disconnected,
    expired,
    invalidate_requested,
    updated,
)
from tests.projected import DAY_MS, Views, about, dump, tangle

FAR = NOON + 10 * DAY_MS


@pytest.mark.parametrize("seed", range(3))
def test_views_are_the_same_however_the_log_is_cut_into_batches(views: Views, seed: int) -> None:
    """Rows after any split of the log into batches equal those of one batch over everything."""
    for statement in tangle(seed, 40):
        views.tell(statement)
        if Random(statement.claim.id).random() < 0.3:
            views.catch_up()
    views.catch_up()
    whole = dump(views.store)
    assert whole["current_state"]
    assert whole["blocked"] == []
    for generation, limit in ((2, 10_000), (3, 1), (4, 7)):
        other = views.open(generation)
        views.catch_up(other, limit)
        assert dump(other) == whole


def test_a_request_that_is_told_after_the_expiry_it_caused_is_told_with_it(views: Views) -> None:
    """The provider dates in whole seconds, so what comes later may explain what is in the view."""
    views.tell(as_statement(created(client="a")), as_statement(expired(at=SECOND)))
    views.catch_up()
    views.tell(as_statement(invalidate_requested(at=SECOND + 400, by="ops")))
    views.catch_up()
    answer = views.questions.client_history("a", limit=9)
    assert answer is not None
    assert answer.value.items[1].data["cause"]["requestedBy"] == "ops"
    other = views.open(2)
    views.catch_up(other)
    assert dump(other) == dump(views.store)


def test_the_current_view_is_the_same_in_every_order_of_arrival(views: Views) -> None:
    """Every connection is the fold of all that was said of it, whenever each part arrived."""
    told = tangle(7, 30)
    Random(8).shuffle(told)
    for i in range(0, len(told), 5):
        views.tell(*told[i : i + 5])
        views.catch_up()
    for connection_id in {statement.claim.connection_id for statement in told}:
        said = [s for s in told if s.claim.connection_id == connection_id]
        folded = fold(connection_id, said)
        answer = views.questions.connection(connection_id, now_ms=0)
        assert folded is not None
        assert answer is not None
        assert replace(answer.value, duplicate_of=None) == connection_view(folded)


def test_live_answers_equal_those_folded_from_the_log(views: Views) -> None:
    """The views, the same question as of now, and the log without views agree."""
    views.tell(*tangle(3, 25))
    views.catch_up()
    end = views.log.head().recorded_at
    without = LogQuestions(views.log, None, stale_after_ms=DAY_MS)
    for client in ("user_1", "user_2"):
        live = views.questions.client(client, now_ms=FAR)
        assert live is not None
        folded = without.client(client, now_ms=FAR)
        assert folded is not None
        assert folded.value == live.value
        assert views.from_log.client(client, now_ms=FAR) == live
        entries = list(pages(views.questions, client))
        assert entries
        assert entries == list(pages(views.questions, client, as_of_us=end))
        assert entries == list(pages(without, client))


def pages(
    questions: Questions | LogQuestions,
    client: str,
    *,
    limit: int = 500,
    by: By = "position",
    order: Order = "asc",
    as_of_us: int | None = None,
    types: tuple[str, ...] = (),
) -> Iterator[HistoryEntry]:
    """Every entry of a client's history, page by page."""
    after: Cursor | None = None
    while True:
        answer = questions.client_history(
            client,
            limit=limit,
            by=by,
            order=order,
            as_of_us=as_of_us,
            types=types,
            after=after,
        )
        assert answer is not None
        yield from answer.value.items
        after = answer.value.next
        if after is None:
            return


@pytest.mark.parametrize("by", ["position", "occurredAt"])
@pytest.mark.parametrize("as_of", [False, True])
def test_pages_put_together_are_the_whole_history(views: Views, by: By, as_of: bool) -> None:
    """Small pages, in both directions, leave nothing out and repeat nothing."""
    views.tell(*tangle(5, 12))
    views.catch_up()
    end = views.log.head().recorded_at if as_of else None
    whole = list(pages(views.questions, "user_1", by=by, as_of_us=end))
    assert len(whole) > 10
    small = list(pages(views.questions, "user_1", by=by, as_of_us=end, limit=3))
    back = list(pages(views.questions, "user_1", by=by, as_of_us=end, limit=4, order="desc"))
    assert small == whole
    assert back == whole[::-1]
    times = [entry.occurred_at if by == "occurredAt" else entry.position for entry in whole]
    assert times == sorted(times)


def test_a_history_can_be_narrowed_by_type_and_time(views: Views) -> None:
    """`from` is included, `to` is not; both are about when it occurred."""
    views.tell(
        *map(as_statement, (created(client="a"), expired(at=MINUTE), updated(at=2 * MINUTE)))
    )
    views.catch_up()
    first = views.questions.client_history("a", limit=9)
    assert first is not None
    start, middle, end = (entry.occurred_at for entry in first.value.items)
    for as_of_us in (None, views.log.head().recorded_at):
        answer = views.questions.client_history(
            "a", from_ms=middle, to_ms=end, as_of_us=as_of_us, limit=9
        )
        assert answer is not None
        assert [entry.occurred_at for entry in answer.value.items] == [middle]
        assert types_of(pages(views.questions, "a", types=("connection.expired",))) == ["expired"]
    assert start < middle


def types_of(entries: Iterator[HistoryEntry]) -> list[str]:
    """The types, without their common prefix."""
    return [entry.type.removeprefix("connection.") for entry in entries]


def test_a_late_claim_renames_the_rows_of_later_ones(views: Views) -> None:
    """What was heard of first becomes an expiry when the creation arrives."""
    views.tell(as_statement(expired(at=MINUTE, client="a")))
    views.catch_up()
    assert types_of(pages(views.questions, "a")) == ["discovered"]
    views.tell(as_statement(created(client="a")))
    views.catch_up()
    assert types_of(pages(views.questions, "a", by="occurredAt")) == ["created", "expired"]
    assert [e.recorded_as for e in pages(views.questions, "a")] == ["connection.discovered", None]


def test_rows_move_to_the_client_that_a_late_claim_names(views: Views) -> None:
    """The history of a connection follows its client; both were ever bound."""
    views.tell(as_statement(created(client="b")), as_statement(expired(at=2 * MINUTE)))
    views.catch_up()
    views.tell(as_statement(updated(at=MINUTE, client="a")))
    views.catch_up()
    assert types_of(pages(views.questions, "b")) == ["created"]
    assert types_of(pages(views.questions, "a")) == ["expired", "reassigned"]
    former = views.questions.client("b", now_ms=NOON)
    assert former is not None
    assert (former.value.status, former.value.connections) == ("deleted", ())


def test_two_deliveries_of_one_claim_are_one_entry_with_two_positions(views: Views) -> None:
    """Each evidence is found in the log at the delivery's own position."""
    claim = expired(at=MINUTE, client="a")
    views.tell(delivered(claim, "one"))
    views.tell(delivered(claim, "two"))
    views.catch_up()
    (entry,) = pages(views.questions, "a")
    firsts = views.log.first_positions(["delivery:one", "delivery:two"])
    assert [(e.delivery_id, e.position) for e in entry.evidence] == sorted(firsts.items())


def test_a_client_that_no_claim_named_is_unknown(views: Views) -> None:
    """Unknown is another answer than empty."""
    views.tell(as_statement(created(client="a")))
    views.catch_up()
    assert views.questions.client("nobody", now_ms=NOON) is None
    assert views.questions.client_history("nobody", limit=1) is None
    assert views.questions.connection("conn_none", now_ms=NOON) is None
    assert views.questions.connection_history("conn_none", limit=1) is None
    assert views.from_log.client("nobody", now_ms=NOON) is None


def test_a_connection_without_a_client_has_a_history_of_its_own(views: Views) -> None:
    """It is found under its id until a reference is learned."""
    views.tell(as_statement(created()))
    views.catch_up()
    answer = views.questions.connection_history("conn_abc123", limit=5)
    assert answer is not None
    assert [entry.client_reference_id for entry in answer.value.items] == [None]
    folded = views.from_log.connection_history("conn_abc123", limit=5)
    assert folded == answer


def test_connections_are_listed_by_id_and_narrowed(views: Views) -> None:
    """Status, client and staleness narrow the list; pages go on after the last id."""
    statements = []
    for i, claim in enumerate([created(client="a"), created(client="b"), expired(client="a")]):
        statements.append(about(f"conn_{i}", as_statement(claim)))
    statements.append(about("conn_3", as_statement(disconnected(client="a"))))
    views.tell(*statements)
    views.catch_up()

    def listed(**conditions: object) -> list[str]:
        return list(connection_ids(views.questions, now_ms=FAR, **conditions))

    assert listed() == ["conn_0", "conn_1", "conn_2", "conn_3"]
    assert listed(status="active") == ["conn_0", "conn_1"]
    assert listed(client="a") == ["conn_0", "conn_2", "conn_3"]
    assert listed(client="a", status="expired") == ["conn_2"]
    assert listed(stale=True) == ["conn_0", "conn_1", "conn_2"]
    assert listed(stale=False) == ["conn_3"]


def connection_ids(questions: Questions, **conditions: object) -> Iterator[str]:
    """Every id, one by one, to go through all the pages."""
    after: Cursor | None = None
    while True:
        answer = questions.connections(after=after, limit=1, **conditions)  # type: ignore[arg-type]
        yield from (view.id for view in answer.value.items)
        after = answer.value.next
        if after is None:
            return


def test_the_short_form_of_an_id_finds_its_connection(views: Views) -> None:
    """What a log line shows is enough to ask, with and without views."""
    views.tell(*tangle(1, 5))
    views.catch_up()
    short = short_id("conn_1", views.log.key)
    without = LogQuestions(views.log, None, stale_after_ms=DAY_MS)
    assert views.questions.resolve_short(short) == "conn_1"
    assert views.from_log.resolve_short(short) == "conn_1"
    assert without.resolve_short(short) == "conn_1"
    with pytest.raises(UnknownConnection, match="views have caught up"):
        views.questions.resolve_short("conn~00000000")
    with views.store.writing() as session:
        session.run("UPDATE current_state{g} SET short_id = :short", {"short": short})
    with pytest.raises(AmbiguousConnection, match="5 connections"):
        views.questions.connection(short, now_ms=0)


def test_parked_deliveries_and_silence_are_counted(database_url: str) -> None:
    """What could not be read is listed until it is; each dialect was heard at its last delivery."""
    ledger = open_ledger(database_url)
    store = open_store(database_url)
    questions = Questions(ledger.log, store, stale_after_ms=DAY_MS)
    runner = Runner(ledger.log, store, limit=2)
    ledger.record([delivery(b"not json", observed=NOON + 1)])
    ledger.record([delivery(b"nor this", observed=NOON + 2), delivery(webhook(), observed=NOON)])
    ledger.record([delivery(webhook(), observed=NOON + 9)])
    while runner.step():
        pass
    first = questions.parked(None, 1).value
    assert [parked.reason for parked in first.items] == ["not_json"]
    second = questions.parked(first.next, 1).value
    assert [parked.observed_at for parked in second.items] == [NOON + 2]
    assert second.next is None
    assert questions.silence() == {"documented": NOON + 9}
    counts = questions.counts()
    assert (counts.connections, counts.parked) == ({"active": 1}, 2)
    assert counts.blocked == dict.fromkeys(PROJECTIONS, 0)
    without = LogQuestions(ledger.log, store, stale_after_ms=DAY_MS)
    assert without.parked(None, 9).items == (*first.items, *second.items)
    store.close()
    ledger.log.close()


def test_views_are_found_only_where_they_were_made(database_url: str) -> None:
    """A reader does not make what it did not find, and cannot write what it found."""
    log = open_ledger(database_url).log
    assert find_store(database_url) is None
    open_store(database_url).close()
    found = find_store(database_url)
    assert found is not None
    assert Questions(log, found, stale_after_ms=1).positions() == dict.fromkeys(PROJECTIONS, 0)
    found.close()
    log.close()


def test_the_file_of_the_views_is_for_its_owner_only(sqlite_url: str, tmp_path: Path) -> None:
    """Views hold what deliveries said: nobody else may read them."""
    log = open_ledger(sqlite_url).log
    store = open_store(sqlite_url)
    modes: Sequence[int] = [p.stat().st_mode & 0o777 for p in tmp_path.glob("ledger.views-1.db*")]
    assert modes
    assert set(modes) == {0o600}
    store.close()
    log.close()
