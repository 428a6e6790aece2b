"""How often the provider is asked: a token bucket that also keeps to what the provider demands."""

import threading
from collections.abc import Callable

from ledger.ofauth.errors import RateLimited


class Budget:
    """Gives out calls, `rate` a second and `burst` at once; safe to use from many threads."""

    def __init__(
        self,
        *,
        rate: float,
        burst: int,
        monotonic: Callable[[], float],
        sleep: Callable[[float], object],
    ) -> None:
        """Begin full; `monotonic` gives seconds, `sleep` waits for that many.

        `sleep` may return early, so that a service that ends is not kept.
        """
        self._rate = rate
        self._burst = burst
        self._monotonic = monotonic
        self._sleep = sleep
        self._lock = threading.Lock()
        self._calls = float(burst)
        self._as_of = monotonic()

    def take(self, *, most: float | None = None) -> None:
        """Wait until a call may be made; each gets its place in the order of asking.

        Raises:
            RateLimited: it would take longer than `most` seconds; no place was taken.
        """
        with self._lock:
            now = self._monotonic()
            self._fill(now, self._burst)
            wait = self._as_of - now + max(0.0, 1.0 - self._calls) / self._rate
            if most is not None and wait > most:
                raise RateLimited("by our own count", retry_after=wait)
            self._calls -= 1.0
        if wait > 0:
            self._sleep(wait)

    def pause(self, seconds: float) -> None:
        """Let no further call be made for so long, because the provider said so."""
        with self._lock:
            self._fill(self._monotonic() + seconds, 1)

    def _fill(self, until: float, most: int) -> None:
        """Come to a moment, from which on at most so many calls may follow at once."""
        if until > self._as_of:
            self._calls = min(most, self._calls + (until - self._as_of) * self._rate)
            self._as_of = until
