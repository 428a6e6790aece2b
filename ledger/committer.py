"""Group commit: many waiting requests, one transaction, each answered when it is durable.

One thread takes whatever has queued up while the last batch was being made durable, records it as
one batch, and wakes the requests. Nothing lingers: the batch is as large as the disk is slow.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from ledger.application import Ledger, Observation, Recorded
from ledger.domain.errors import LedgerBusy, LedgerError, StoreUnavailable
from ledger.recorders.base import Head

log = logging.getLogger(__name__)

CAPACITY: Final = 1_000
"""How many requests may wait; the next one is told to come back."""
DEADLINE_S: Final = 3.0
"""How long a request waits to become durable, in seconds."""
BATCH: Final = 500
"""The most observations in one transaction."""


class _Waiting:
    """One request's place in the queue."""

    __slots__ = ("done", "error", "observation", "result", "taken")

    def __init__(self, observation: Observation | None) -> None:
        self.observation = observation
        self.done = threading.Lock()
        self.done.acquire()
        self.taken = False
        self.result: Recorded | None = None
        self.error: Exception | None = None


class Committer:
    """Queues observations of many threads and records them in batches, in its own thread."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        capacity: int = CAPACITY,
        deadline: float = DEADLINE_S,
        on_commit: Callable[[Sequence[Recorded]], None] = lambda _: None,
    ) -> None:
        """Record into `ledger`; `on_commit` is told each batch's results after it is durable."""
        self._ledger = ledger
        self._capacity = capacity
        self._deadline = deadline
        self._on_commit = on_commit
        self._queue: deque[_Waiting] = deque()
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)

    @property
    def depth(self) -> int:
        """How many requests wait now."""
        return len(self._queue)

    def start(self) -> None:
        """Begin to record."""
        self._thread.start()

    def stop(self) -> None:
        """Record what is queued, then end the thread; later submissions are refused."""
        with self._work:
            self._stopping = True
            self._work.notify()
        if self._thread.is_alive():
            self._thread.join()

    def submit(self, observation: Observation) -> Recorded:
        """Record one observation; returns when it is durable.

        Raises:
            LedgerBusy: the queue is full, or it did not become durable in time.
            StoreUnavailable: the store failed. Nothing is promised in either case.
            LedgerError: the ledger refused this observation.
        """
        result = self._wait(_Waiting(observation))
        assert result is not None
        return result

    def fence(self) -> Head:
        """Let an empty batch pass: afterwards all that was submitted before it is visible.

        Raises what `submit` raises.
        """
        self._wait(_Waiting(None))
        return self._ledger.log.head()

    def _wait(self, waiting: _Waiting) -> Recorded | None:
        with self._work:
            if self._stopping:
                raise LedgerBusy("The service is stopping; send the delivery again.")
            if len(self._queue) >= self._capacity:
                raise LedgerBusy(
                    f"{self._capacity} deliveries are waiting for the store; send it again later."
                )
            self._queue.append(waiting)
            if len(self._queue) == 1:
                self._work.notify()
        if not waiting.done.acquire(timeout=self._deadline):
            self._withdraw(waiting)
            raise LedgerBusy(
                f"Not durable within {self._deadline:g} s; nothing is promised, send it again."
            )
        if waiting.error is not None:
            raise waiting.error
        return waiting.result

    def _withdraw(self, waiting: _Waiting) -> None:
        with self._lock:
            if not waiting.taken:
                self._queue.remove(waiting)

    def _take(self) -> list[_Waiting]:
        with self._work:
            while not self._queue and not self._stopping:
                self._work.wait()
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            for waiting in batch:
                waiting.taken = True
            return batch

    def _run(self) -> None:
        while batch := self._take():
            self._commit(batch)

    def _commit(self, batch: Sequence[_Waiting]) -> None:
        observed = [w for w in batch if w.observation is not None]
        try:
            results = self._ledger.record([w.observation for w in observed if w.observation])
        except StoreUnavailable as error:
            log.warning("the store did not take a batch of %d: %s", len(batch), error)
            self._fail(batch, error)
        except Exception as error:  # noqa: BLE001 - one poisonous observation must not fail others
            self._one_by_one(batch, error)
        else:
            for waiting, result in zip(observed, results, strict=True):
                waiting.result = result
            self._wake(batch)
            self._announce(results)

    def _announce(self, results: Sequence[Recorded]) -> None:
        try:
            self._on_commit(results)
        except Exception as error:  # noqa: BLE001 - what is durable is durable; go on committing
            log.error("telling of a commit failed: %s", type(error).__name__)

    def _one_by_one(self, batch: Sequence[_Waiting], error: Exception) -> None:
        """Record the batch's members apart, so that only the culprit is refused."""
        if len(batch) > 1:
            for waiting in batch:
                self._commit([waiting])
            return
        if not isinstance(error, LedgerError):
            log.error("an observation could not be recorded: %s", type(error).__name__)
            error = StoreUnavailable("The observation could not be recorded; send it again.")
        self._fail(batch, error)

    def _fail(self, batch: Sequence[_Waiting], error: Exception) -> None:
        for waiting in batch:
            waiting.error = error
        self._wake(batch)

    @staticmethod
    def _wake(batch: Sequence[_Waiting]) -> None:
        for waiting in batch:
            waiting.done.release()
