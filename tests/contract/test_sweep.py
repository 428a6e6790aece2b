"""A pass over the provider's list: what it records, repairs and counts, on both databases."""

from typing import Any

import pytest

from ledger.application import Ledger
from ledger.reconcile.telling import course, passes
from ledger.recorders import codec
from tests.builders import NOON, iso
from tests.passes import MINUTE, SECOND, World, completed


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


def test_a_new_stamp_alone_is_no_repair(world: World) -> None:
    """No webhook tells of it; the row is written all the same."""
    world.provider.add("conn_1")
    world.sweep()
    world.clock.advance(300)
    world.provider.change("conn_1")
    event = completed(world.sweep())
    assert (event.appended, event.repairs, event.fresh) == (1, 0, ())


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


def test_a_deletion_that_a_pass_proves_is_counted_by_that_pass(world: World) -> None:
    """As a change of status like any other, once."""
    world.provider.add("conn_1")
    world.sweep()
    world.provider.remove("conn_1")
    world.sweep()
    assert completed(world.sweep()).transitions == 1
    assert completed(world.sweep()).transitions == 0
