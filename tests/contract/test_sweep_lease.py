"""Who may make a pass, and what ends one early."""

from typing import Any

import pytest

from ledger.domain.errors import StoreUnavailable
from ledger.ofauth.errors import ProviderError
from ledger.ofauth.results import Organisation
from ledger.reconcile import SweepRunning
from tests.passes import World


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
