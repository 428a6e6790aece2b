"""When passes are made: on an interval, after a tie, and by whichever process comes first."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import pairwise

import pytest

import api.sweeping
from api.sweeping import Sweeping
from ledger.domain.sweep_events import SweepStarted
from ledger.ofauth.results import Organisation
from ledger.recorders import codec
from tests.builders import NOON, counting_entropy, open_ledger
from tests.listing import ListedProvider
from tests.rebuilding import until

SECOND = 1_000
INTERVAL_S = 300


class Ticking:
    """A clock that goes on by a second at each look, so that whoever waits for it gets there."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ms = NOON
        self.looks = 0

    def __call__(self) -> int:
        """Milliseconds UTC."""
        with self._lock:
            self._ms += SECOND
            self.looks += 1
            return self._ms


class Clockwork:
    """Processes that sweep one list of one ledger."""

    def __init__(self, url: str) -> None:
        self.now_ms = Ticking()
        self.ledger = open_ledger(url)
        self.provider: ListedProvider | None = ListedProvider(self.now_ms)
        self.entropy = counting_entropy()
        self.made: list[Sweeping] = []

    def start(self, holder: str = "one") -> Sweeping:
        """Let one more process sweep."""
        made = Sweeping(
            self.ledger,
            lambda: self.provider,
            living=list,
            interval_s=lambda: INTERVAL_S,
            holder=holder,
            now_ms=self.now_ms,
            entropy=self.entropy,
        )
        self.made.append(made)
        made.start()
        return made

    def began(self) -> list[int]:
        """When passes began, milliseconds UTC, the oldest first."""
        rows = self.ledger.log.passes(limit=200, oldest_first=True)
        return [
            event.observed for row in rows if isinstance(event := codec.to_event(row), SweepStarted)
        ]

    def apart(self, passes: int) -> list[float]:
        """How far apart so many passes began, in seconds, once they have."""
        until(lambda: len(self.began()) >= passes)
        return [(after - before) / SECOND for before, after in pairwise(self.began()[:passes])]


@pytest.fixture
def clockwork(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clockwork]:
    """An empty ledger and list, and threads that look at their clock all the time."""
    monkeypatch.setattr(api.sweeping, "LOOK_S", 0.001)
    clockwork = Clockwork(sqlite_url)
    yield clockwork
    for made in clockwork.made:
        made.stop()
    clockwork.ledger.log.close()


def test_passes_are_an_interval_apart(clockwork: Clockwork) -> None:
    """The first one is made at once."""
    clockwork.start()
    for apart in clockwork.apart(4):
        assert INTERVAL_S - 20 <= apart <= INTERVAL_S + 20


def test_a_tie_brings_the_next_pass_forward(clockwork: Clockwork) -> None:
    """It comes a minute after the last one began, and the one after it is in no hurry."""
    assert clockwork.provider is not None

    def tie(page: int) -> None:
        if page == 0:
            clockwork.made[0].hasten()

    clockwork.provider.before_page = tie
    clockwork.start()
    first, second = clockwork.apart(3)
    assert 60 - 20 <= first < INTERVAL_S - 20
    assert INTERVAL_S - 20 <= second <= INTERVAL_S + 20


def test_two_processes_make_no_more_passes_than_one(clockwork: Clockwork) -> None:
    """Each sees in the log when the other began; that both begin at the same time is rare."""
    clockwork.start("one")
    clockwork.start("two")
    assert sum(clockwork.apart(5)) >= 3 * INTERVAL_S


def test_without_a_key_the_thread_rests(
    clockwork: Clockwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It neither looks at the log nor at the clock."""
    looked: list[float] = []
    clockwork.provider = None
    waiting = threading.Event()
    real = threading.Condition.wait

    def wait(condition: threading.Condition, timeout: float | None = None) -> bool:
        if threading.current_thread().name == "sweep" and timeout is not None:
            looked.append(timeout)
            waiting.set()
        return real(condition, timeout)

    monkeypatch.setattr(threading.Condition, "wait", wait)
    monkeypatch.setattr(api.sweeping, "LOOK_S", 0.5)
    clockwork.start()
    assert waiting.wait(30)
    assert set(looked) == {0.5}
    assert clockwork.now_ms.looks == 0


def test_a_pass_that_runs_ends_when_the_process_does(clockwork: Clockwork) -> None:
    """It is abandoned before its next request, and says so."""
    entered, go = threading.Event(), threading.Event()
    provider = clockwork.provider
    assert provider is not None

    def whoami() -> Organisation:
        entered.set()
        go.wait(30)
        return Organisation(id="org_1", name=None, answered=clockwork.now_ms())

    provider.whoami = whoami  # type: ignore[method-assign]
    sweeping = clockwork.start()
    assert entered.wait(30)
    stopping = threading.Thread(target=sweeping.stop)
    stopping.start()
    until(lambda: sweeping._stopping)
    go.set()
    stopping.join(30)
    assert not stopping.is_alive()
    topics = [row.topic for row in clockwork.ledger.log.passes(limit=10)]
    assert topics == ["sweep.abandoned", "sweep.started"]
    assert provider.asked == []
