"""Group commit: who waits, who is answered, who is told to come back."""

import threading
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from ledger.application import Ledger, Observation, Outcome, Recorded, Retry
from ledger.committer import Committer
from ledger.domain.errors import LedgerBusy, LedgerError, StoreUnavailable
from ledger.recorders.base import Head


class FakeLedger:
    """A ledger whose store opens and closes on command and remembers its batches."""

    def __init__(self, judge: Callable[[str], None] = lambda _: None) -> None:
        self.open = threading.Event()
        self.open.set()
        self.entered = threading.Semaphore(0)
        self.batches: list[list[str]] = []
        self.judge = judge
        self.log = self

    def record(self, batch: Sequence[Observation]) -> list[Recorded]:
        """Record a batch, once the store is open."""
        names = [cast(Retry, one).stream for one in batch]
        self.entered.release()
        self.open.wait()
        for name in names:
            self.judge(name)
        self.batches.append(names)
        return [Recorded(Outcome.NEW, len(self.batches), name) for name in names]

    def head(self) -> Head:
        """The end of the log is the number of batches."""
        return Head(len(self.batches), 0)


def started(ledger: FakeLedger, **more: Any) -> Committer:
    """A committer that runs."""
    committer = Committer(cast(Ledger, ledger), **more)
    committer.start()
    return committer


class Sender:
    """A request in a thread of its own."""

    def __init__(self, committer: Committer, name: str) -> None:
        self.result: Recorded | None = None
        self.error: Exception | None = None
        self.committer, self.name = committer, name
        self.thread = threading.Thread(target=self._send)
        self.thread.start()

    def _send(self) -> None:
        try:
            self.result = self.committer.submit(Retry(self.name))
        except LedgerError as error:
            self.error = error

    def wait(self) -> "Sender":
        """Wait for the answer."""
        self.thread.join()
        return self


def queue_up(committer: Committer, names: Sequence[str]) -> list[Sender]:
    """Send all names and return once they wait in the queue."""
    before = committer.depth
    senders = [Sender(committer, name) for name in names]
    while committer.depth < before + len(names) and all(s.thread.is_alive() for s in senders):
        threading.Event().wait(0.001)
    return senders


def test_what_queues_up_behind_a_commit_becomes_one_batch() -> None:
    """Nothing lingers: the batch is what came while the disk was busy."""
    ledger = FakeLedger()
    ledger.open.clear()
    committer = started(ledger)
    first = Sender(committer, "first")
    ledger.entered.acquire()
    others = queue_up(committer, ["a", "b", "c"])
    ledger.open.set()
    assert all(sender.wait().result for sender in [first, *others])
    assert [sorted(batch) for batch in ledger.batches] == [["first"], ["a", "b", "c"]]
    committer.stop()


def test_a_full_queue_refuses_at_once() -> None:
    """The request over the limit is told to come back, the others are recorded."""
    ledger = FakeLedger()
    ledger.open.clear()
    committer = started(ledger, capacity=2)
    first = Sender(committer, "first")
    ledger.entered.acquire()
    waiting = queue_up(committer, ["a", "b"])
    with pytest.raises(LedgerBusy, match="waiting"):
        committer.submit(Retry("c"))
    ledger.open.set()
    assert all(sender.wait().result for sender in [first, *waiting])
    assert all("c" not in batch for batch in ledger.batches)
    committer.stop()


def test_an_item_not_yet_taken_is_withdrawn_at_its_deadline() -> None:
    """A refused request that nobody began is not recorded behind the sender's back."""
    ledger = FakeLedger()
    ledger.open.clear()
    committer = started(ledger, deadline=0.05)
    first = Sender(committer, "first")
    ledger.entered.acquire()
    second = Sender(committer, "second").wait()
    assert isinstance(second.error, LedgerBusy)
    assert isinstance(first.wait().error, LedgerBusy)
    ledger.open.set()
    committer.stop()
    assert ledger.batches == [["first"]]


def test_a_store_that_fails_fails_the_whole_batch() -> None:
    """Nobody is told that something is durable when the store could not say so."""

    def down(_: str) -> None:
        raise StoreUnavailable("down")

    committer = started(FakeLedger(down))
    with pytest.raises(StoreUnavailable):
        committer.submit(Retry("a"))
    committer.stop()


def test_one_poisonous_item_does_not_fail_its_batch() -> None:
    """The culprit is refused alone; what came with it is recorded."""

    def poison(name: str) -> None:
        if name == "poison":
            raise ValueError(name)

    ledger = FakeLedger(poison)
    ledger.open.clear()
    committer = started(ledger)
    first = Sender(committer, "first")
    ledger.entered.acquire()
    others = queue_up(committer, ["a", "poison", "b"])
    ledger.open.set()
    results = {s.name: s.wait().result is not None for s in [first, *others]}
    assert results == {"first": True, "a": True, "poison": False, "b": True}
    committer.stop()


def test_a_failing_listener_does_not_stop_the_committer() -> None:
    """What is durable is durable, whatever becomes of the news."""

    def listener(_: Sequence[Recorded]) -> None:
        raise ValueError("metrics")

    committer = started(FakeLedger(), on_commit=listener)
    assert committer.submit(Retry("a")).outcome is Outcome.NEW
    assert committer.submit(Retry("b")).outcome is Outcome.NEW
    committer.stop()


def test_the_listener_hears_of_a_batch_after_it_is_durable() -> None:
    """Projections are woken with something to read."""
    ledger = FakeLedger()
    heard: list[tuple[int, list[str]]] = []
    committer = started(
        ledger,
        on_commit=lambda results: heard.append(
            (len(ledger.batches), [result.stream for result in results])
        ),
    )
    committer.submit(Retry("a"))
    committer.stop()
    assert heard == [(1, ["a"])]


def test_stopping_records_what_is_queued_and_refuses_what_comes_after() -> None:
    """A shutdown loses nothing that it accepted."""
    ledger = FakeLedger()
    ledger.open.clear()
    committer = started(ledger)
    first = Sender(committer, "first")
    ledger.entered.acquire()
    waiting = queue_up(committer, ["a", "b"])
    ledger.open.set()
    committer.stop()
    assert all(sender.wait().result for sender in [first, *waiting])
    with pytest.raises(LedgerBusy, match="stopping"):
        committer.submit(Retry("late"))


def test_a_fence_waits_for_what_was_submitted_before_it() -> None:
    """After the fence the log holds every batch before it."""
    ledger = FakeLedger()
    ledger.open.clear()
    committer = started(ledger)
    first = Sender(committer, "first")
    ledger.entered.acquire()
    heads: list[Head] = []
    fence = threading.Thread(target=lambda: heads.append(committer.fence()))
    fence.start()
    ledger.open.set()
    fence.join()
    assert first.wait().result is not None
    assert heads[0].position >= 1
    committer.stop()
