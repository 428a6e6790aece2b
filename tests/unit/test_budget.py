"""The budget of calls: a rate in the long run, a burst at once, pauses when the provider asks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from ledger.ofauth.budget import Budget
from ledger.ofauth.errors import RateLimited
from tests.asking import Clock


def budget(clock: Clock, rate: float = 2.0, burst: int = 3) -> Budget:
    """A full budget."""
    return Budget(rate=rate, burst=burst, monotonic=clock, sleep=clock.sleep)


def test_a_burst_does_not_wait_and_the_next_ones_do() -> None:
    """Half a second each, at two a second."""
    clock = Clock()
    one = budget(clock)
    for _ in range(6):
        one.take()
    assert clock.slept == [0.5, 0.5, 0.5]


def test_rest_fills_it_up_to_the_burst_and_no_further() -> None:
    """An hour of silence allows no more than a minute of it."""
    for rest in (1.5, 60.0, 3600.0):
        clock = Clock()
        one = budget(clock)
        for _ in range(3):
            one.take()
        clock.now += rest
        for _ in range(3):
            one.take()
        assert clock.slept == []
        one.take()
        assert clock.slept == [0.5]


def test_a_pause_holds_up_everyone_and_empties_it() -> None:
    """After it calls come at the rate, not in a burst."""
    clock = Clock()
    one = budget(clock)
    one.pause(10.0)
    for _ in range(3):
        one.take()
    assert clock.slept == [10.0, 0.5, 0.5]


def test_a_shorter_pause_does_not_shorten_a_longer_one() -> None:
    """The latest end counts."""
    clock = Clock()
    one = budget(clock)
    one.pause(10.0)
    one.pause(1.0)
    one.take()
    assert clock.slept == [10.0]


def test_who_is_in_a_hurry_is_refused_and_takes_no_place() -> None:
    """It is told how long it would have been."""
    clock = Clock()
    one = budget(clock, burst=1)
    one.take()
    one.take(most=0.5)
    for _ in range(3):
        one.pause(2.0)
        with pytest.raises(RateLimited) as caught:
            one.take(most=1.9)
        assert caught.value.retry_after == 2.0
    one.take(most=2.0)
    assert clock.slept == [0.5, 2.0]


def test_places_are_given_out_once_to_many_threads() -> None:
    """Each waits behind those that asked before, also when nobody has slept yet."""
    waits: list[float] = []
    clock = Clock()
    one = Budget(rate=10.0, burst=1, monotonic=clock, sleep=waits.append)
    with ThreadPoolExecutor(8) as pool:
        for _ in range(50):
            pool.submit(one.take)
    assert sorted(round(wait, 6) for wait in waits) == [round(n / 10, 6) for n in range(1, 50)]
