"""The emulator's clock: another one, moved on as tests ask for it."""

import time
from collections.abc import Callable

Now = Callable[[], int]
"""Milliseconds since the epoch, UTC."""
Monotonic = Callable[[], float]
"""Seconds that only go on."""


def now_ms() -> int:
    """Read this machine's clock: milliseconds since the epoch, UTC."""
    return time.time_ns() // 1_000_000


class Clock:
    """Both clocks of an emulator, ahead of the given ones by the same time."""

    def __init__(self, now: Now, monotonic: Monotonic) -> None:
        """Begin with the given time; `now` in milliseconds, UTC, `monotonic` in seconds."""
        self._now = now
        self._monotonic = monotonic
        self._ahead_ms = 0

    def now(self) -> int:
        """Milliseconds since the epoch, UTC."""
        return self._now() + self._ahead_ms

    def monotonic(self) -> float:
        """Seconds that only go on."""
        return self._monotonic() + self._ahead_ms / 1000

    def forward(self, milliseconds: int) -> None:
        """Move on."""
        self._ahead_ms += milliseconds
