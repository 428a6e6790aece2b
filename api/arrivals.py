"""Waiting for something new in the log, for as many readers as the server can spare threads."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

PLACES: Final = 8
"""How many readers may wait at once: half of the slots, so that others are still answered."""
LOOK_S: Final = 0.2
"""How often the log is looked at for commits of other processes while anybody waits, in seconds."""


class Arrivals:
    """Wakes readers at commits of this process; those of others are found by looking.

    However many wait, the log is looked at once in `LOOK_S` seconds.
    """

    def __init__(self, head: Callable[[], int], monotonic: Callable[[], float]) -> None:
        """`head` gives the position of the log's end, `monotonic` seconds."""
        self._look = head
        self._monotonic = monotonic
        self._places = threading.BoundedSemaphore(PLACES)
        self._moved = threading.Condition()
        self._head = 0
        self._looked = float("-inf")
        self._stopping = False

    def announce(self, position: int) -> None:
        """Tell those who wait that the log goes up to this position."""
        with self._moved:
            if position > self._head:
                self._head = position
                self._moved.notify_all()

    def stop(self) -> None:
        """Let everybody go who waits, within `LOOK_S`; may be called by a signal's handler."""
        self._stopping = True

    @contextmanager
    def place(self) -> Iterator[bool]:
        """Lend a place to wait at; False when all are taken."""
        placed = self._places.acquire(blocking=False)
        try:
            yield placed
        finally:
            if placed:
                self._places.release()

    def wait_beyond(self, position: int, until: float) -> bool:
        """Wait until the log goes beyond a position; False at `until`, in seconds of `monotonic`.

        Raises StoreUnavailable when the log cannot be looked at.
        """
        while True:
            with self._moved:
                if self._head > position:
                    return True
                now = self._monotonic()
                if now >= until or self._stopping:
                    return False
                rest = self._looked + LOOK_S - now
                if rest > 0:
                    self._moved.wait(min(rest, until - now))
                    continue
                self._looked = now
            # Not under the lock: a commit must not wait for this query to be announced.
            self.announce(self._look())
