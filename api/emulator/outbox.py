"""Deliveries under way: in order per connection, retried with backoff, until acknowledged.

Every connection is a lane of which one delivery is under way at a time. Held deliveries stand
beside their lane. Threads wait on one Condition; nothing polls. An outbox that is not started has
no threads: whoever holds it sends what is due by `pump`, on a clock of its own.
"""

import heapq
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Final

from api.emulator.delivery import Delivery
from api.emulator.faults import MOST_ATTEMPTS

WORKERS: Final = 4
"""Threads that send: as many connections' deliveries are under way at once."""
_MOST_FAILED: Final = 10_000
"""How many given-up deliveries are kept to be sent again, newest first to stay."""


@dataclass(slots=True)
class Counters:
    """What became of webhooks."""

    sent: int = 0
    """Requests made, retries and duplicates included."""
    acknowledged: int = 0
    """Requests that were answered 2xx in time."""
    dropped: int = 0
    """Webhooks never sent, by the fault `drop`."""
    failed: int = 0
    """Webhooks given up after the last attempt."""


class Outbox:
    """Sends deliveries from threads of its own. `send` tells whether one was acknowledged."""

    def __init__(
        self,
        send: Callable[[Delivery], bool],
        *,
        monotonic: Callable[[], float],
        workers: int = WORKERS,
    ) -> None:
        """Prepare an outbox; `monotonic` counts seconds. `start` starts it."""
        self._send = send
        self._monotonic = monotonic
        self._changed = threading.Condition(threading.RLock())
        self._lanes: dict[str, deque[Delivery]] = {}
        self._due: list[tuple[float, int, str]] = []
        self._held: dict[str, list[tuple[Delivery, bool]]] = {}
        self._failed: deque[Delivery] = deque(maxlen=_MOST_FAILED)
        self._order = count()
        self._stopped = False
        self._workers = workers
        self._threads: list[threading.Thread] = []
        self.counters = Counters()

    def start(self) -> None:
        """Start sending."""
        self._threads = [
            threading.Thread(target=self._work, name=f"emulator-{n}", daemon=True)
            for n in range(self._workers)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop after the attempts under way; what is still queued is not sent."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def pump(self) -> int:
        """Send, on this thread, what is due by the clock, and give how many attempts that were.

        For an outbox that was not started: nothing else sends.
        """
        made = 0
        while self._due and self._due[0][0] <= self._monotonic():
            delivery = self._lanes[heapq.heappop(self._due)[2]][0]
            acknowledged = self._send(delivery)
            with self._changed:
                self._settle(delivery, acknowledged)
            made += 1
        return made

    def next_due(self) -> float | None:
        """Tell when the next attempt is due, by the clock in seconds; None when none waits."""
        with self._changed:
            return self._due[0][0] if self._due else None

    def release(self) -> None:
        """Let everything that is held back follow now."""
        with self._changed:
            for lane in list(self._held):
                self._release(lane, everything=True)

    def redeliver(self) -> int:
        """Try again all that was given up, as one does by hand, and tell how many they are."""
        with self._changed:
            given_up = list(self._failed)
            self._failed.clear()
            for delivery in given_up:
                delivery.attempts = 0
                self._enqueue(delivery)
            self._changed.notify_all()
        return len(given_up)

    def look_again(self) -> None:
        """Let threads look at the clock again, because it was moved."""
        with self._changed:
            self._changed.notify_all()

    def put(self, delivery: Delivery, *, hold: bool = False) -> None:
        """Queue a delivery; `hold` keeps it back until a `quiesce` that releases."""
        with self._changed:
            if delivery.plan.drop:
                self.counters.dropped += 1
            elif hold or delivery.plan.reorder:
                self._held.setdefault(delivery.lane, []).append((delivery, hold))
            else:
                # reordered ones follow here and not when this one has arrived, so that the
                # order on the wire depends on the dice alone
                self._enqueue(delivery)
                self._release(delivery.lane, everything=False)
            self._changed.notify_all()

    def quiesce(self, *, keep_held: bool = False) -> None:
        """Return when no delivery is pending; held ones are sent too, unless they are kept.

        Raises:
            RuntimeError: nobody sends them, because the outbox was not started.
        """
        with self._changed:
            while not self._stopped:
                if not keep_held:
                    self.release()
                if not self._lanes:
                    return
                if not self._threads:
                    raise RuntimeError("An outbox that was not started is pumped, not quiesced.")
                self._changed.wait()

    @property
    def pending(self) -> int:
        """How many deliveries are neither acknowledged nor given up, held ones included."""
        with self._changed:
            held = sum(map(len, self._held.values()))
            return held + sum(map(len, self._lanes.values()))

    def _enqueue(self, delivery: Delivery) -> None:
        lane = self._lanes.setdefault(delivery.lane, deque())
        lane.append(delivery)
        if len(lane) == 1:
            self._schedule(delivery.lane, delivery.plan.delay)

    def _schedule(self, lane: str, seconds: float) -> None:
        heapq.heappush(self._due, (self._monotonic() + seconds, next(self._order), lane))
        self._changed.notify_all()

    def _release(self, lane: str, *, everything: bool) -> None:
        held = self._held.pop(lane, [])
        kept = [] if everything else [pair for pair in held if pair[1]]
        if kept:
            self._held[lane] = kept
        for delivery, hold in held:
            if everything or not hold:
                self._enqueue(delivery)

    def _work(self) -> None:
        while True:
            with self._changed:
                lane = self._next_lane()
                if lane is None:
                    return
                delivery = self._lanes[lane][0]
            acknowledged = self._send(delivery)
            with self._changed:
                self._settle(delivery, acknowledged)
                self._changed.notify_all()

    def _next_lane(self) -> str | None:
        """Wait for the lane whose turn it is; None when the outbox was stopped."""
        while not self._stopped:
            if not self._due:
                self._changed.wait()
                continue
            wait = self._due[0][0] - self._monotonic()
            if wait <= 0:
                return heapq.heappop(self._due)[2]
            self._changed.wait(wait)
        return None

    def _settle(self, delivery: Delivery, acknowledged: bool) -> None:
        """Decide what follows an attempt: a retry, a duplicate, or the lane's next delivery."""
        delivery.attempts += 1
        self.counters.sent += 1
        self.counters.acknowledged += acknowledged
        if acknowledged and not delivery.acknowledged:
            delivery.acknowledged = True
            if delivery.plan.duplicate:
                self._schedule(delivery.lane, 0.0)
                return
        if not delivery.acknowledged:
            if delivery.attempts < MOST_ATTEMPTS:
                self._schedule(delivery.lane, delivery.style.wait(delivery.attempts))
                return
            self.counters.failed += 1
            self._failed.append(delivery)
        self._advance(delivery.lane)

    def _advance(self, lane: str) -> None:
        waiting = self._lanes[lane]
        waiting.popleft()
        if waiting:
            self._schedule(lane, waiting[0].plan.delay)
        else:
            del self._lanes[lane]
