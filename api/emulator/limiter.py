"""How many calls were made in the minute that runs."""

from typing import Final

_MINUTE_MS: Final = 60_000


class Limiter:
    """Counts calls in minutes of the clock."""

    def __init__(self) -> None:
        """Begin without calls."""
        self._minute = 0
        self._calls = 0

    def count(self, now: int, limit: int) -> tuple[int, int]:
        """Count a call at `now` (milliseconds, UTC).

        Gives how many calls the limit leaves, below 0 when this one is too many, and the seconds
        until the next minute.
        """
        minute, passed = divmod(now, _MINUTE_MS)
        if minute != self._minute:
            self._minute, self._calls = minute, 0
        self._calls += 1
        return limit - self._calls, -(-(_MINUTE_MS - passed) // 1000)
