"""A cache in front of the list, which repeats an answer for a while and says its `Age`."""

from copy import deepcopy
from email.utils import formatdate
from typing import Final

from api.emulator.calls import Answer
from api.emulator.manner import CacheDate, Manner

_MOST: Final = 10_000
"""How many answers are kept."""


class Cache:
    """Answers by what was asked."""

    def __init__(self) -> None:
        """Begin empty."""
        self._kept: dict[str, tuple[int, Answer]] = {}

    def lookup(self, key: str | None, manner: Manner, now: int) -> Answer | None:
        """Give a kept answer that is young enough; `now` in milliseconds, UTC."""
        if key is None or key not in self._kept or not manner.cacheSeconds:
            return None
        made, kept = self._kept[key]
        age = (now - made) // 1000
        if age >= manner.cacheSeconds:
            return None
        answer = deepcopy(kept)
        answer.headers["Age"] = str(age)
        if manner.date and manner.cacheDate is CacheDate.MADE:
            answer.headers["Date"] = formatdate(made // 1000, usegmt=True)
        return answer

    def keep(self, key: str | None, answer: Answer, manner: Manner, now: int) -> None:
        """Keep an answer made at `now` (milliseconds, UTC)."""
        if key is None or answer.status != 200 or not manner.cacheSeconds:
            return
        if len(self._kept) >= _MOST:
            self._kept.clear()
        self._kept[key] = (now, deepcopy(answer))
