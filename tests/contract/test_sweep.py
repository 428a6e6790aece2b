"""A pass over the provider's list: what it records, repairs and concludes, on both databases."""

from collections.abc import Iterator
from typing import Any

import pytest

from ledger.application import Ledger
from ledger.domain.claim import Kind
from ledger.domain.errors import StoreUnavailable
from ledger.ofauth.errors import ProviderError
from ledger.ofauth.results import Organisation
from ledger.reconcile import SweepRunning
from ledger.reconcile.telling import course, one_pass, passes
from ledger.recorders import codec
from tests.builders import NOON, iso
from tests.passes import MINUTE, SECOND, World, completed


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    """An empty ledger, and a provider without connections."""
    world = World(database_url)
    yield world
    world.ledger.log.close()


def test_the_first_pass_is_a_backfill(world: World) -> None:
    """What the list tells is recorded, and nothing of it counts as a missed webhook."""
    world.provider.add("conn_1")
    world.provider.add("conn_2", status="expired", expiredAt=iso(NOON - MINUTE))
    event = completed(world.sweep())
    assert (event.valid, event.backfill, event.connections, event.repairs) == (True, True, 2, 0)
    assert (event.fresh, event.transitions) == ((), 0)
    assert world.connection("conn_1").status == "active"
    assert world.connection("conn_2").status == "expired"


def test_an_unchanged_list_appends_only_the_two_events_of_the_pass(world: World) -> None:
    """Also when the provider checked the connections meanwhile."""
    for number in range(150):
        world.provider.add(f"conn_{number}")
    world.sweep()
    before = world.head
    for row in world.provider.rows:
        row["lastCheckedAt"] = iso(world.now())
    assert world.sweep().state == "valid"
    assert world.topics(before) == ["sweep.started", "sweep.completed"]


def test_what_no_webhook_told_is_a_repair(world: World) -> None:
    """It is dated as late as the list may trail: a webhook that comes after all is earlier."""
    world.provider.add("conn_1")
    world.sweep()
    world.provider.change("conn_1", status="expired", expiredAt=iso(world.now()))
    happened = world.now()
    before = world.head
    event = completed(world.sweep(after=300))
    assert (event.repairs, event.fresh, event.transitions) == (1, (), 1)
    assert "connection.expired" in world.topics(before)
    assert world.connection("conn_1").status_since == event.answered_from - 2 * MINUTE
    world.hear("expired", "conn_1", at=happened)
    assert world.connection("conn_1").status_since == happened


def test_what_a_webhook_told_is_no_repair(world: World) -> None:
    """The row only confirms, with its own `updatedAt`."""
    world.provider.add("conn_1")
    world.sweep()
    world.provider.change("conn_1", status="expired", expiredAt=iso(world.now()))
    world.hear("expired", "conn_1")
    event = completed(world.sweep())
    assert (event.repairs, event.fresh, event.transitions) == (0, (), 1)


@pytest.mark.parametrize(("told", "repairs"), [(True, 0), (False, 1)])
def test_a_young_difference_waits_for_its_webhook(world: World, told: bool, repairs: int) -> None:
    """The pass after it counts it, unless a webhook has told it by then."""
    world.provider.add("conn_1")
    world.sweep()
    world.clock.advance(300)
    happened = world.now()
    world.provider.change("conn_1", status="expired", expiredAt=iso(happened))
    event = completed(world.sweep(after=2))
    assert (event.repairs, event.fresh) == (0, ("conn_1",))
    if told:
        world.hear("expired", "conn_1", at=happened)
    event = completed(world.sweep())
    assert (event.repairs, event.fresh) == (repairs, ())


def test_a_connection_that_no_webhook_told_of_is_a_repair(world: World) -> None:
    """It is discovered by the list, after the backfill."""
    world.sweep()
    world.provider.add("conn_1", createdAt=iso(world.now()), updatedAt=iso(world.now()))
    assert completed(world.sweep()).repairs == 1
    assert world.connection("conn_1").created_at == pytest.approx(world.now(), abs=400 * SECOND)


def test_what_is_not_listed_three_times_is_missing(world: World) -> None:
    """In valid passes at least ten minutes apart, and never deleted for that alone."""
    world.provider.sessionless.add("conn_1")
    world.provider.add("conn_1")
    listed = completed(world.sweep()).answered_from
    world.provider.remove("conn_1")
    first = completed(world.sweep())
    assert first.absent == ("conn_1",)
    for after, missing in ((300, 0), (301, 0), (301, 0), (301, 1), (600, 0)):
        assert world.sweep(after=after).missing == missing
    connection = world.connection("conn_1")
    assert (connection.missing_since, connection.last_listed_at) == (first.answered_from, listed)
    assert connection.status == "active"
    assert completed(world.sweep()).absent == ()


def test_a_connection_that_is_listed_again_is_not_missing(world: World) -> None:
    """It reappears, and whoever is absent later is counted from the beginning."""
    world.provider.sessionless.add("conn_1")
    row = world.provider.add("conn_1")
    world.sweep()
    world.provider.remove("conn_1")
    for _ in range(3):
        world.sweep(after=601)
    assert world.connection("conn_1").missing_since is not None
    world.provider.rows.append(row)
    before = world.head
    world.sweep(after=601)
    assert "connection.reappeared" in world.topics(before)
    assert world.connection("conn_1").missing_since is None
    world.provider.remove("conn_1")
    world.sweep(after=601)
    assert world.sweep(after=601).missing == 0
    assert world.sweep(after=601).missing == 1


def test_unknown_by_name_and_absent_afterwards_is_deleted(world: World) -> None:
    """One valid pass does not list it and asks for it, the next one proves it."""
    world.provider.add("conn_1")
    world.provider.add("conn_2")
    world.sweep()
    world.provider.remove("conn_1")
    assert world.sweep().deleted == 0
    assert world.provider.probed == ["conn_1"]
    assert world.connection("conn_1").status == "active"
    result = world.sweep()
    assert result.deleted == 1
    connection = world.connection("conn_1")
    assert (connection.status, connection.deleted_at) == (
        "deleted",
        completed(result).answered_from,
    )
    before = world.head
    world.sweep()
    assert world.topics(before) == ["sweep.started", "sweep.completed"]


def test_unknown_by_name_and_listed_afterwards_is_not_deleted(world: World) -> None:
    """The list is believed: it shows that the connection exists."""
    row = world.provider.add("conn_1")
    world.sweep()
    world.provider.remove("conn_1")
    world.sweep()
    world.provider.rows.append(row)
    world.sweep()
    assert world.connection("conn_1").status == "active"
    world.provider.remove("conn_1")
    assert world.sweep().deleted == 0


def test_an_invalid_pass_infers_nothing_from_absence(world: World) -> None:
    """It still records what its rows say, and names why it is not valid."""
    world.provider.sessionless.add("conn_0")
    for number in range(150):
        world.provider.add(f"conn_{number}")
    world.sweep()
    world.provider.remove("conn_0")
    world.provider.change("conn_149", status="expired")
    world.provider.failing = {len(world.provider.asked) + 1}
    result = world.sweep(after=601)
    assert (result.state, completed(result).reasons) == ("invalid", ("page_failed",))
    assert world.connection("conn_149").status == "expired"
    assert world.provider.probed == []
    for missing in (0, 0, 1):
        assert world.sweep(after=601).missing == missing


def test_a_connection_heard_of_during_the_pass_is_not_absent(world: World) -> None:
    """It may have been created behind the reader's back."""
    for number in range(150):
        world.provider.add(f"conn_{number}")
    world.sweep()
    world.provider.remove("conn_5")
    world.provider.before_page = lambda _: world.hear("updated", "conn_5", status="active")
    event = completed(world.sweep())
    assert (event.absent, event.unseen) == ((), ("conn_5",))
    assert world.provider.probed == []


def test_a_foreign_key_abandons_the_pass(world: World) -> None:
    """Another organisation's list must not make everything missing."""
    world.provider.add("conn_1")
    world.sweep()
    asked, before = len(world.provider.asked), world.head
    world.provider.organisation = "org_2"
    result = world.sweep()
    assert (result.state, result.event.reason) == ("abandoned", "foreign_key")  # type: ignore[union-attr]
    assert world.topics(before) == ["sweep.abandoned"]
    assert len(world.provider.asked) == asked
    world.provider.organisation = "org_1"
    assert world.sweep().state == "valid"


def test_a_provider_that_does_not_say_whose_key_it_is_abandons_the_pass(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The brake is not let go because nobody answered."""

    def silent() -> Organisation:
        raise ProviderError

    monkeypatch.setattr(world.provider, "whoami", silent)
    assert world.sweep().state == "abandoned"
    assert world.topics() == ["sweep.abandoned"]


def test_many_absent_at_once_stop_every_conclusion(world: World) -> None:
    """Until an operator confirms; then they are counted and asked for like any other."""
    for number in range(100):
        world.provider.add(f"conn_{number}")
    world.sweep()
    for number in range(11):
        world.provider.remove(f"conn_{number}")
    for _ in range(4):
        result = world.sweep(after=601)
        assert (completed(result).braked, result.missing, result.deleted) == (True, 0, 0)
    assert world.provider.probed == []
    assert not completed(world.sweep(confirm=True)).braked
    assert len(world.provider.probed) == 11
    result = world.sweep()
    assert (completed(result).braked, result.deleted) == (False, 11)


def test_ten_in_a_hundred_absent_are_believed(world: World) -> None:
    """The brake is for more than that."""
    for number in range(100):
        world.provider.add(f"conn_{number}")
    world.sweep()
    for number in range(10):
        world.provider.remove(f"conn_{number}")
    assert not completed(world.sweep()).braked


def test_two_passes_never_run_at_once(world: World) -> None:
    """Who comes second is told so, and appends nothing."""
    world.provider.add("conn_1")
    refused: list[int] = []

    def intrude(_: int) -> None:
        before = world.head
        with pytest.raises(SweepRunning):
            world.prepared("two").run()
        refused.append(world.head - before)

    world.provider.before_page = intrude
    assert world.sweep().state == "valid"
    assert set(refused) == {0}
    world.provider.before_page = lambda _: None
    assert world.sweep(by="two").state == "valid"


def test_a_pass_that_was_asleep_too_long_appends_nothing_more(world: World) -> None:
    """Another has taken over the lease; what the first one read is stale."""
    for number in range(150):
        world.provider.add(f"conn_{number}")
    world.sweep()
    world.provider.change("conn_3", status="expired")
    ends: list[int] = []

    def oversleep(number: int) -> None:
        if len(ends) == 0 and number > 3:
            ends.append(0)
            world.clock.advance(301)
            assert world.prepared("two").run().state == "valid"
            ends[0] = world.head

    world.provider.before_page = oversleep
    assert world.sweep().state == "abandoned"
    assert world.head == ends[0]


def test_a_time_without_a_valid_pass_is_written_down(world: World) -> None:
    """As a gap between two passes, once; what happened meanwhile cannot be known from the list."""
    world.provider.add("conn_1")
    first = completed(world.sweep())
    world.provider.failing = set(range(2, 100))
    world.sweep(after=400)
    world.provider.failing = set()
    before = world.head
    last = completed(world.sweep(after=400))
    assert world.topics(before) == ["sweep.started", "sweep.completed", "sweep.gap"]
    [gap] = [
        codec.to_event(row) for row in world.ledger.log.passes(limit=1) if row.topic == "sweep.gap"
    ]
    assert (gap.since, gap.until) == (first.observed, last.observed)  # type: ignore[attr-defined]
    before = world.head
    world.sweep(after=300)
    assert world.topics(before) == ["sweep.started", "sweep.completed"]


def test_a_store_that_fails_ends_the_pass_and_frees_the_lease(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next pass begins anew at once, also by another process."""
    world.provider.add("conn_1")

    def fail(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("planted")

    with monkeypatch.context() as patch:
        patch.setattr(world.ledger.log, "read_streams", fail)
        with pytest.raises(StoreUnavailable):
            world.sweep()
    assert world.sweep(by="two").state == "valid"


# found by review


def test_a_new_stamp_alone_is_no_repair(world: World) -> None:
    """No webhook tells of it; the row is written all the same."""
    world.provider.add("conn_1")
    world.sweep()
    world.clock.advance(300)
    world.provider.change("conn_1")
    event = completed(world.sweep())
    assert (event.appended, event.repairs, event.fresh) == (1, 0, ())


def test_a_pass_does_not_stand_for_what_it_did_not_list(world: World) -> None:
    """Neither for a connection that was missing before: a late webhook is the last word on it."""
    world.provider.sessionless.add("conn_1")
    world.provider.add("conn_1")
    world.sweep()
    world.provider.remove("conn_1")
    for _ in range(3):
        world.sweep(after=601)
    assert world.connection("conn_1").missing_since is not None
    happened = world.now()
    event = completed(world.sweep(after=601))
    assert (event.absent, event.unseen) == ((), ("conn_1",))
    world.hear("expired", "conn_1", at=happened, status="expired")
    kinds = [step.claim.kind for step in world.connection("conn_1").steps]
    assert kinds.count(Kind.ROW) == 1
    assert world.connection("conn_1").status == "expired"


def test_a_missing_connection_is_asked_for_and_proved_deleted(world: World) -> None:
    """As soon as the provider says by name that it does not know it."""
    world.provider.sessionless.add("conn_1")
    world.provider.add("conn_1")
    world.sweep()
    world.provider.remove("conn_1")
    for _ in range(4):
        world.sweep(after=601)
    world.provider.sessionless.clear()
    assert [world.sweep().deleted for _ in range(2)] == [0, 1]
    assert world.connection("conn_1").status == "deleted"


def test_what_was_never_listed_does_not_say_when_it_was(world: World) -> None:
    """Only a webhook told of it; it is missing all the same."""
    world.provider.sessionless.add("conn_1")
    world.sweep()
    world.hear("created", "conn_1")
    for _ in range(3):
        world.sweep(after=601)
    connection = world.connection("conn_1")
    assert connection.missing_since is not None
    assert connection.last_listed_at is None


def test_a_pass_in_which_something_was_heard_is_not_called_a_listing(world: World) -> None:
    """It did not list the connection either."""
    world.provider.sessionless.add("conn_1")
    world.provider.add("conn_1")
    world.sweep()
    world.provider.remove("conn_1")
    world.provider.before_page = lambda _: world.hear("updated", "conn_1", status="active")
    assert completed(world.sweep(after=601)).unseen == ("conn_1",)
    world.provider.before_page = lambda _: None
    for missing in (0, 0, 1):
        assert world.sweep(after=601).missing == missing
    assert world.connection("conn_1").last_listed_at is None


def test_what_a_webhook_tells_while_the_row_is_compared_is_no_repair(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the write lock the row tells nothing any more."""
    world.provider.add("conn_1")
    world.sweep()
    world.clock.advance(300)
    happened = world.now()
    for row in world.provider.rows:
        row.update(status="expired")
    record = Ledger.record

    def overtaken(ledger: Ledger, batch: Any, **more: Any) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(Ledger, "record", record)
            if any(hasattr(one, "row") for one in batch):
                world.hear("expired", "conn_1", at=happened, status="expired")
        return record(ledger, batch, **more)

    monkeypatch.setattr(Ledger, "record", overtaken)
    event = completed(world.sweep())
    assert (event.appended, event.repairs) == (0, 0)


def test_a_slow_pass_goes_on_holding_its_lease(world: World) -> None:
    """It is taken again before each request: no other may begin, however long it lasts."""
    for number in range(400):
        world.provider.add(f"conn_{number}")
    world.sweep()

    def crawl(_: int) -> None:
        world.clock.advance(200)
        with pytest.raises(SweepRunning):
            world.prepared("two").run()

    world.provider.before_page = crawl
    assert world.sweep().state == "valid"


def test_a_pass_ends_at_its_next_request_when_the_process_does(world: World) -> None:
    """Also while it reads pages that bring nothing new."""
    for number in range(400):
        world.provider.add(f"conn_{number}")
    world.sweep()
    asked, before = len(world.provider.asked), world.head
    result = world.prepared(go_on=lambda: len(world.provider.asked) < asked + 2).run()
    assert (result.state, result.event.reason) == ("abandoned", "stopped")  # type: ignore[union-attr]
    assert len(world.provider.asked) == asked + 2
    assert world.topics(before) == ["sweep.started", "sweep.abandoned"]
    assert world.sweep(by="two").state == "valid"


def test_a_process_that_ends_asks_for_no_more_by_name(world: World) -> None:
    """The pass is complete; the next one goes on with its conclusions."""
    for number in range(5):
        world.provider.add(f"conn_{number}")
    world.sweep()
    world.provider.rows.clear()
    world.clock.advance(300)
    before = world.head
    result = world.prepared(go_on=lambda: len(world.provider.probed) < 2).run()
    assert (result.state, len(world.provider.probed)) == ("valid", 2)
    assert "sweep.abandoned" not in world.topics(before)


def test_a_transition_is_counted_by_one_pass(world: World) -> None:
    """Also when that one was not valid: the rate of missed webhooks counts both alike."""
    world.provider.add("conn_1")
    world.sweep()
    world.hear("expired", "conn_1", status="expired")
    world.provider.change("conn_1", status="expired")
    world.provider.failing = {len(world.provider.asked)}
    assert completed(world.sweep()).transitions == 1
    assert completed(world.sweep()).transitions == 0
    assert course(world.ledger.log).transitions == 1


def test_what_webhook_and_row_both_tell_is_counted_once(world: World) -> None:
    """The first row of a connection tells its birth again."""
    world.sweep()
    happened = world.now()
    world.hear("created", "conn_1")
    world.provider.add("conn_1", createdAt=iso(happened), updatedAt=iso(happened))
    world.provider.add("conn_2", createdAt=iso(happened), updatedAt=iso(happened))
    assert completed(world.sweep()).transitions == 2


def test_a_brake_holds_over_a_pass_that_is_not_valid(world: World) -> None:
    """Only a valid pass can let it go."""
    for number in range(10):
        world.provider.add(f"conn_{number}")
    world.sweep()
    world.provider.rows.clear()
    assert completed(world.sweep()).braked
    world.provider.failing = {len(world.provider.asked)}
    assert not completed(world.sweep()).valid
    assert course(world.ledger.log).braked
    world.sweep(confirm=True)
    assert not course(world.ledger.log).braked


def test_a_time_before_the_first_valid_pass_is_a_gap_too(world: World) -> None:
    """It began with the first pass that was tried."""
    world.provider.failing = set(range(100))
    first = completed(world.sweep())
    world.provider.failing = set()
    world.sweep(after=900)
    [gap] = [
        codec.to_event(row) for row in world.ledger.log.passes(limit=1) if row.topic == "sweep.gap"
    ]
    assert gap.since == pytest.approx(first.observed, abs=SECOND)  # type: ignore[attr-defined]


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_passes_are_told_in_pages(world: World, limit: int) -> None:
    """Each once, the newest first."""
    ids = [world.sweep().id for _ in range(5)]
    told, before = [], None
    while True:
        page, before = passes(world.ledger.log, before=before, limit=limit)
        told += [one.id for one in page]
        if before is None:
            break
    assert told == ids[::-1]


def test_the_position_of_a_pass_lies_behind_what_it_concludes(world: World) -> None:
    """Whoever waits for it sees what became missing, and what was proved to be deleted."""
    world.provider.sessionless.add("conn_1")
    world.provider.add("conn_1")
    world.provider.add("conn_2")
    world.sweep()
    world.provider.rows.clear()
    concluded = []
    for _ in range(3):
        before = world.head
        told = one_pass(world.ledger.log, world.sweep(after=601).id)
        assert told is not None
        concluded += [
            (row.topic, row.position < told.position)
            for row in world.ledger.log.read_log(before, 100)
            if row.topic in ("connection.deleted", "connection.missing")
        ]
    assert concluded == [("connection.deleted", True), ("connection.missing", True)]


def test_a_pass_concludes_when_its_end_is_recorded_or_not_at_all(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are one transaction; the next pass concludes the same."""
    world.provider.add("conn_1")
    world.sweep()
    world.provider.remove("conn_1")
    world.sweep()
    transact, before = world.ledger.log.transact, world.head

    def fail(streams: Any, *more: Any) -> Any:
        if "connection:conn_1" in streams:
            raise StoreUnavailable("planted")
        return transact(streams, *more)

    with monkeypatch.context() as patch:
        patch.setattr(world.ledger.log, "transact", fail)
        with pytest.raises(StoreUnavailable):
            world.sweep()
    assert world.topics(before) == ["sweep.started"]
    assert world.sweep().deleted == 1


def test_a_deletion_that_a_pass_proves_is_counted_by_that_pass(world: World) -> None:
    """As a change of status like any other, once."""
    world.provider.add("conn_1")
    world.sweep()
    world.provider.remove("conn_1")
    world.sweep()
    assert completed(world.sweep()).transitions == 1
    assert completed(world.sweep()).transitions == 0


# what is dated in whole seconds


def rounded(world: World) -> None:
    """Let the provider date its answers as it does, in the middle of a second."""
    world.provider.now_ms = lambda: world.now() // SECOND * SECOND
    world.clock.advance(0.5 - world.now() % SECOND / SECOND)


def test_a_404_in_the_second_of_the_newest_statement_is_not_older_than_it(world: World) -> None:
    """What was known when we asked came before the answer, whatever its rounded date says."""
    world.sweep()
    rounded(world)
    world.hear("created", "conn_1", status="active")
    told_at = world.now()
    assert world.sweep(after=0.1).deleted == 0
    connection = world.connection("conn_1")
    assert connection.created_at == told_at
    assert connection.not_found_at == told_at + 1
    assert world.sweep().deleted == 1
    assert world.provider.probed == ["conn_1"]


def test_passes_within_one_second_conclude_in_order(world: World) -> None:
    """The end comes after the beginning, and the proof after what it rests on."""
    world.sweep()
    rounded(world)
    world.hear("created", "conn_1", status="active")
    assert [world.sweep(after=0.1).deleted for _ in range(2)] == [0, 1]
    names = [name for step in world.connection("conn_1").steps for name in step.names]
    assert names == ["connection.created", "connection.confirmed", "connection.deleted"]


def test_a_clock_that_is_another_is_not_put_right(world: World) -> None:
    """A 404 dated more than a second before what was known keeps its date, and proves nothing."""
    world.sweep()
    rounded(world)
    world.hear("created", "conn_1", status="active")
    world.provider.now_ms = lambda: world.now() - 2 * SECOND
    world.sweep(after=0.1)
    assert world.connection("conn_1").not_found_at is None
    assert [world.sweep().deleted for _ in range(2)] == [0, 1]
