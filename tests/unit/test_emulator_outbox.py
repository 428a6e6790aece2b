"""The emulator's outbox and dice: order, retries, and faults that a seed decides."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from api.emulator.delivery import Delivery, Style
from api.emulator.errors import BadRequest
from api.emulator.faults import FAULTS, Plan, draw_plan, read_faults
from api.emulator.outbox import Outbox
from api.emulator.world import Details, Fact, World

CLEAN = draw_plan(random.Random(0), {})
QUICK = Style().changed({"retrySeconds": 0.001})


class Receiver:
    """Remembers what it got, and refuses the first few attempts of everything."""

    def __init__(self, refusals: int = 0) -> None:
        self.refusals = refusals
        self.got: list[str] = []
        self.lock = threading.Lock()
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, delivery: Delivery) -> bool:
        """Take one attempt."""
        assert self.gate.wait(10)
        with self.lock:
            self.got.append(delivery.message_id)
            return delivery.attempts >= self.refusals


@contextmanager
def running(receiver: Receiver) -> Iterator[Outbox]:
    """An outbox that sends to the receiver."""
    outbox = Outbox(receiver, monotonic=time.monotonic)
    outbox.start()
    try:
        yield outbox
    finally:
        receiver.gate.set()
        outbox.stop()


def facts(connections: int) -> list[Fact]:
    """The births of some connections."""
    world = World(random.Random(1), lambda: 1)
    return [world.create(Details(), at=None) for _ in range(connections)]


def delivery(fact: Fact, name: str, plan: Plan = CLEAN, style: Style = QUICK) -> Delivery:
    """A delivery that nothing happens to, unless a plan is given."""
    return Delivery(fact, name, plan, style)


def test_deliveries_of_one_connection_keep_their_order_over_retries() -> None:
    """A delivery waits for the one before it, however often that is retried."""
    receiver = Receiver(refusals=2)
    births = facts(5)
    with running(receiver) as outbox:
        for number in range(20):
            outbox.put(delivery(births[number % 5], f"{number % 5}:{number:02}"))
        outbox.quiesce()
    assert len(receiver.got) == 60
    for lane in range(5):
        names = [name for name in receiver.got if name.startswith(f"{lane}:")]
        assert names == sorted(names)


def test_a_delivery_is_given_up_after_five_attempts() -> None:
    """Five attempts in all, then the next one's turn."""
    receiver = Receiver(refusals=99)
    with running(receiver) as outbox:
        outbox.put(delivery(facts(1)[0], "a"))
        outbox.put(delivery(facts(1)[0], "b"))
        outbox.quiesce()
        assert outbox.counters.failed == 2
    assert receiver.got == ["a"] * 5 + ["b"] * 5


def test_a_duplicate_is_sent_once_more_after_its_acknowledgement() -> None:
    """Twice on the wire, one webhook."""
    receiver = Receiver()
    with running(receiver) as outbox:
        outbox.put(delivery(facts(1)[0], "a", replace(CLEAN, duplicate=True)))
        outbox.put(delivery(facts(1)[0], "b"))
        outbox.quiesce()
        assert (outbox.counters.sent, outbox.counters.acknowledged) == (3, 3)
    assert receiver.got == ["a", "a", "b"]


def test_a_dropped_webhook_is_never_sent() -> None:
    """Nothing on the wire, and the counter says so."""
    receiver = Receiver()
    with running(receiver) as outbox:
        outbox.put(delivery(facts(1)[0], "a", replace(CLEAN, drop=True)))
        outbox.quiesce()
        assert outbox.counters.dropped == 1
    assert receiver.got == []


def test_a_reordered_delivery_comes_after_the_next_one() -> None:
    """The connection's next delivery passes it."""
    receiver = Receiver()
    with running(receiver) as outbox:
        outbox.put(delivery(facts(1)[0], "a", replace(CLEAN, reorder=True)))
        outbox.put(delivery(facts(1)[0], "b"))
        outbox.quiesce(keep_held=True)
    assert receiver.got == ["b", "a"]


def test_a_held_delivery_waits_until_all_is_asked_for() -> None:
    """`hold` outlasts later deliveries and a quiesce that keeps held ones, but not a full one."""
    receiver = Receiver()
    with running(receiver) as outbox:
        outbox.put(delivery(facts(1)[0], "a"), hold=True)
        outbox.put(delivery(facts(1)[0], "b"))
        outbox.quiesce(keep_held=True)
        assert receiver.got == ["b"]
        assert outbox.pending == 1
        outbox.quiesce()
    assert receiver.got == ["b", "a"]
    assert outbox.pending == 0


def test_quiesce_waits_for_the_attempt_under_way() -> None:
    """It does not return before the answer is in."""
    receiver = Receiver()
    receiver.gate.clear()
    with running(receiver) as outbox:
        outbox.put(delivery(facts(1)[0], "a"))
        waiting = threading.Thread(target=outbox.quiesce)
        waiting.start()
        waiting.join(0.05)
        assert waiting.is_alive()
        receiver.gate.set()
        waiting.join(10)
        assert not waiting.is_alive()


def test_a_stopped_outbox_keeps_nobody_waiting() -> None:
    """Quiesce returns when the outbox stops, even with deliveries left."""
    outbox = Outbox(Receiver(), monotonic=time.monotonic)
    outbox.put(delivery(facts(1)[0], "a"))
    outbox.stop()
    outbox.quiesce()
    assert outbox.pending == 1


def test_a_seed_decides_the_faults() -> None:
    """The same seed draws the same plans; about as many strike as the probability says."""
    faults = read_faults({"drop": 0.2, "duplicate": 0.5, "delay": 3, "restamp": 0.5})

    def plans(seed: int) -> list[Plan]:
        dice = random.Random(seed)
        return [draw_plan(dice, faults) for _ in range(1000)]

    assert plans(3) == plans(3) != plans(4)
    assert 150 < sum(plan.drop for plan in plans(3)) < 250
    assert 0 <= min(plan.delay for plan in plans(3)) <= max(plan.delay for plan in plans(3)) <= 3


def test_one_fault_more_leaves_the_others_where_they_were() -> None:
    """Each delivery throws equally many dice, whichever faults are on."""
    one, two = random.Random(5), random.Random(5)
    alone = [draw_plan(one, {"drop": 0.3}).drop for _ in range(200)]
    beside = [draw_plan(two, {"drop": 0.3, "duplicate": 1.0, "delay": 9}).drop for _ in range(200)]
    assert alone == beside


@pytest.mark.parametrize(
    "given",
    [{"nonsense": 1}, {"drop": 2}, {"drop": -0.1}, {"drop": True}, {"drop": "1"}, {"delay": 1e9}],
)
def test_a_fault_that_is_not_known_or_out_of_range_is_refused(given: dict[str, object]) -> None:
    """Nothing is silently ignored."""
    with pytest.raises(BadRequest):
        read_faults(given)


def test_every_fault_of_the_interface_is_known() -> None:
    """The names that the interface promises."""
    assert set(FAULTS) >= {
        "drop",
        "duplicate",
        "delay",
        "reorder",
        "restamp",
        "listShift",
        "http5xx",
        "http429",
        "html",
        "truncate",
    }
