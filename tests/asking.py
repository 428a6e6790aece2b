"""A client of the provider's API for tests: short timeouts, and a clock that sleeping moves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ledger.ofauth.client import OFAuthClient, Timeouts

KEY = "canary-key-of-the-provider"
NOW = 1_700_000_000_000
"""What the client's clock shows, milliseconds UTC."""
JITTER = 0.25
QUICK = Timeouts(connect=2.0, read=0.2, whole=0.5)


class Clock:
    """Seconds that pass only by sleeping."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        """Give the seconds so far."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let so many seconds pass at once."""
        self.slept.append(round(seconds, 6))
        self.now += seconds


@contextmanager
def asking(url: str, clock: Clock | None = None, **more: Any) -> Iterator[OFAuthClient]:
    """Give a client of the provider at an address, and close it."""
    clock = clock or Clock()
    given: dict[str, Any] = {"api_key": lambda: KEY, "timeouts": Timeouts(2.0, 20.0, 20.0)} | more
    client = OFAuthClient(
        url,
        now_ms=lambda: NOW,
        monotonic=clock,
        sleep=clock.sleep,
        jitter=lambda: JITTER,
        **given,
    )
    try:
        yield client
    finally:
        client.close()
