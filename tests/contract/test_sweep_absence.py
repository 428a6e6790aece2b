"""What a pass concludes from what it did not list: missing, deleted, or nothing."""

from typing import Any

import pytest

from ledger.domain.claim import Kind
from ledger.domain.errors import StoreUnavailable
from ledger.reconcile.telling import course, one_pass
from tests.passes import SECOND, World, completed


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


@pytest.mark.parametrize("after", [1, 60, 119, 120, 121])
def test_a_row_shown_soon_after_a_404_refutes_it(world: World, after: int) -> None:
    """Although it speaks for a time before: one pass that misses the connection proves nothing."""
    row = world.provider.add("conn_1")
    world.sweep()
    world.provider.remove("conn_1")
    world.sweep()
    assert world.connection("conn_1").not_found_at is not None
    world.provider.rows.append(row)
    world.sweep(after=after)
    world.provider.remove("conn_1")
    assert world.sweep(after=20).deleted == 0
    assert world.connection("conn_1").status == "active"
    assert world.sweep(after=20).deleted == 1  # it was asked for again


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


def test_what_we_note_ourselves_during_the_pass_is_not_heard(world: World) -> None:
    """A call that is refused while the list is read says nothing of whether it exists."""
    for number in range(150):
        world.provider.add(f"conn_{number}")
    world.sweep()
    world.provider.remove("conn_5")
    world.provider.before_page = lambda _: world.note(Kind.EXPIRY_SUSPECTED, "conn_5")
    event = completed(world.sweep())
    assert (event.absent, event.unseen) == (("conn_5",), ())


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
