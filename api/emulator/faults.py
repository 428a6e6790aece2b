"""What can go wrong on purpose, and the dice that decide when.

All dice of a delivery are thrown when it is queued, and always equally many, so that a seed gives
the same faults whatever the threads and the receiver do.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from api.emulator.errors import BadRequest

MOST_ATTEMPTS: Final = 5
"""How often a delivery is tried in all, as OFAuth documents."""

FAULTS: Final[Mapping[str, str]] = {
    "drop": "probability that a webhook is never sent",
    "duplicate": "probability that an acknowledged delivery is sent once more",
    "delay": "each delivery waits up to this many seconds; the order stays",
    "reorder": "probability that a delivery waits until its connection's next one is through",
    "restamp": "probability that a retry is stamped and signed anew (unset: as its dialect does)",
    "listShift": "probability that a page of the list begins one row too early or too late",
    "listInsert": "probability that a creator connects right before a page of the list is made",
    "listRemove": "probability that a connection is deleted right before a page is made",
    "listMove": "probability that a row gets another place right before a page is made",
    "doubleRow": "probability that a row of a page stands in it twice",
    "hasMore": "probability that hasMore of a page says the contrary",
    "http401": "probability that the HTTP API answers 401, of the type that `refusal` says",
    "http403": "probability that the HTTP API answers 403",
    "http429": "probability that the HTTP API answers 429",
    "http5xx": "probability that the HTTP API answers 500, 502 or 503 without acting",
    "late5xx": "probability that it answers so although it has acted",
    "html": "probability that a gateway's HTML page replaces an answer of the HTTP API",
    "truncate": "probability that an answer of the HTTP API is half a JSON text",
    "cut": "probability that the connection closes in the middle of an answer",
    "lostRequest": "probability that the connection closes without an answer; it has not acted",
    "lostAnswer": "probability that the connection closes without an answer; it has acted",
    "slow": "each answer of the HTTP API waits up to this many seconds",
    "fork": "probability that a reconnect on a Link page ends in a new connection",
}
"""Every fault by its name in `PUT /_emulator/faults`, and what its value means."""

MOST_DELAY_SECONDS: Final = 3600.0
_IN_SECONDS: Final = ("delay", "slow")
Faults = Mapping[str, float]


def read_faults(given: Mapping[str, Any]) -> Faults:
    """Check fault names and values.

    Raises:
        BadRequest: a name is unknown or a value is out of its range.
    """
    for name, value in given.items():
        if name not in FAULTS:
            raise BadRequest(f"Unknown fault, expected some of {', '.join(FAULTS)}.")
        most = MOST_DELAY_SECONDS if name in _IN_SECONDS else 1.0
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
            raise BadRequest(f"The value of fault {name} is not a number from 0 to {most:g}.")
    return {name: float(value) for name, value in given.items()}


class Dice:
    """Decides when a fault of the HTTP API strikes: after a seed, for the same calls alike."""

    def __init__(self, rng: random.Random) -> None:
        """Begin without faults."""
        self._rng = rng
        self.faults: Faults = {}
        """What may go wrong from now on."""

    def strikes(self, fault: str) -> bool:
        """Throw the dice for a fault."""
        chance = self.faults.get(fault, 0.0)
        return chance > 0 and self._rng.random() < chance

    def seconds(self, fault: str) -> float:
        """Throw the dice for a fault whose value is a number of seconds."""
        most = self.faults.get(fault, 0.0)
        return self._rng.random() * most if most > 0 else 0.0

    def choose(self, *values: int) -> int:
        """Throw the dice for how a fault shows itself."""
        return self._rng.choice(values)

    def below(self, end: int) -> int:
        """Throw the dice for a number from 0 to below `end`."""
        return self._rng.randrange(end)

    def token(self, prefix: str) -> str:
        """Make an id of 20 hex digits."""
        return f"{prefix}{self._rng.getrandbits(80):020x}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What the dice decided for one delivery."""

    drop: bool
    duplicate: bool
    reorder: bool
    delay: float
    """Seconds before the first attempt."""
    restamps: tuple[bool | None, ...]
    """For each attempt after the first: stamped anew, or None for the dialect's own habit."""

    def restamp(self, attempt: int) -> bool | None:
        """Tell whether an attempt (1 is the second) is stamped anew; None: as the dialect does."""
        return self.restamps[min(attempt, len(self.restamps)) - 1]


def draw_plan(rng: random.Random, faults: Faults) -> Plan:
    """Throw the dice for one delivery."""
    drop, duplicate, reorder, delay = (rng.random() for _ in range(4))
    restamps = [rng.random() for _ in range(MOST_ATTEMPTS)]
    chance = faults.get("restamp")
    return Plan(
        drop=drop < faults.get("drop", 0.0),
        duplicate=duplicate < faults.get("duplicate", 0.0),
        reorder=reorder < faults.get("reorder", 0.0),
        delay=delay * faults.get("delay", 0.0),
        restamps=tuple(None if chance is None else one < chance for one in restamps),
    )
