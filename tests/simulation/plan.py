"""What a history is like, drawn from its seed: how the provider answers, and what goes wrong."""

from dataclasses import dataclass
from random import Random
from typing import Any, Final

FOREIGN_KEY: Final = "key-of-somebody-else"

_FAULTS: Final[dict[str, tuple[float, ...]]] = {
    "drop": (0.05, 0.15, 0.3),
    "duplicate": (0.1, 0.3),
    "delay": (2.0, 60.0, 900.0),
    "reorder": (0.1, 0.3),
    "restamp": (0.0, 0.5, 1.0),
    "listShift": (0.1,),
    "listInsert": (0.1,),
    "listRemove": (0.05,),
    "listMove": (0.1,),
    "doubleRow": (0.2,),
    "hasMore": (0.1,),
    "http401": (0.03,),
    "http429": (0.05,),
    "http5xx": (0.05, 0.2),
    "late5xx": (0.05,),
    "html": (0.05,),
    "truncate": (0.05,),
    "cut": (0.05,),
    "lostRequest": (0.05,),
    "lostAnswer": (0.05,),
    "slow": (3.0, 11.0),
}
"""The values that a fault may have where it strikes."""
_REFUSALS: Final = ("UNAUTHORIZED", "SESSION_NOT_PROVIDED", "SESSION_EXPIRED", "RULES_OUTDATED")
_OF_EXPIRED: Final = ("allowed", "SESSION_NOT_PROVIDED", "SESSION_NOT_PROVIDED", "SESSION_EXPIRED")
_ABSENT_KEYS: Final = ("createdAt", "updatedAt", "expiredAt", "imported", "lastCheckedAt")
"""What rows may leave out without hiding what the views are compared in."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How one history goes; times are in seconds."""

    style: dict[str, Any]
    """How webhooks are made; see `api.emulator.delivery.Style`."""
    manner: dict[str, Any]
    """How the HTTP API answers; see `api.emulator.manner.Manner`."""
    faults: dict[str, float]
    """What goes wrong at the provider while faults strike; see `api.emulator.faults.FAULTS`."""
    refuse: float
    """How often a webhook is not acknowledged."""
    forget: float
    """How often one that is not acknowledged was recorded all the same."""
    disturb: float
    """How often something happens to a connection right before a page of the list is made."""
    kill: float
    """How often the process is killed at a request of a pass."""
    steps: int
    """How many things happen while faults strike."""
    connections: int
    """How many connections there were before the ledger came."""
    interval: int
    """Between two passes."""
    foreign: bool
    """Whether the ledger is given another organisation's key for a while."""

    @property
    def timed(self) -> bool:
        """Whether webhooks say when their facts happened, and rows when they last changed."""
        told = self.style["shape"] != "sdk" and self.style["bodyTime"] == "fact"
        exact = self.style["timestamps"] == "milliseconds"
        return told and exact and "updatedAt" not in self.manner["absentKeys"]

    @property
    def orderly(self) -> bool:
        """Whether a reader of the list can know that it was shown everything.

        Not when it begins anywhere, rows jump, or old pages are shown.
        """
        lies = self.faults.keys() & {"listShift", "listMove"}
        return not lies and not self.manner["cacheSeconds"]


def draw(random: Random) -> Plan:
    """Draw a plan."""
    return Plan(
        style=_style(random),
        manner=_manner(random),
        faults=_faults(random),
        refuse=random.choice((0.0, 0.2, 0.5)),
        forget=random.choice((0.0, 0.5)),
        disturb=random.choice((0.0, 0.2)),
        kill=random.choice((0.0, 0.0, 0.05)),
        steps=random.randrange(10, 24),
        connections=random.randrange(2, 14),
        interval=random.choice((300, 600, 1_200)),
        foreign=random.random() < 0.2,
    )


def _style(random: Random) -> dict[str, Any]:
    return {
        "dialect": random.choice(("documented", "svix", "standard", "both")),
        "shape": random.choice(("documented", "documented", "documented", "older", "sdk", "sdk")),
        "bodyTime": random.choice(("fact",) * 7 + ("attempt",)),
        "timestamps": random.choice(("milliseconds",) * 4 + ("seconds",)),
        "decodedSecret": random.random() < 0.5,
        "retries": random.choice(("doubling", "svix")),
        "retrySeconds": random.choice((1.0, 30.0, 400.0)),
    }


def _manner(random: Random) -> dict[str, Any]:
    absent = [name for name in _ABSENT_KEYS if random.random() < 0.08]
    return {
        "order": random.choice(("created", "updated", "shuffled")),
        "ascending": random.random() < 0.5,
        "mostLimit": random.choice((4, 8, 8, 12, 100)),
        "nextOffset": random.random() < 0.5,
        "nothing": random.choice(("null", "absent")),
        "absentKeys": absent,
        "expiryAheadSeconds": random.choice((0, 0, 86_400)),
        "checkSeconds": random.choice((0, 60)),
        "paths": random.choice(("both", "account")),
        "errorForm": random.choice(("documented", "older", "sdk")),
        "gone": random.choice(("RESOURCE_NOT_FOUND",) * 24 + ("SESSION_NOT_PROVIDED",)),
        "expired": random.choice(_OF_EXPIRED),
        "refusedActs": random.random() < 0.3,
        "refusal": random.choice(_REFUSALS),
        "emptyConfirmation": random.random() < 0.5,
        "date": random.random() < 0.9,
        "cacheSeconds": random.choice((0, 0, 0, 0, 0, 60)),
        "cacheDate": random.choice(("made", "sent")),
        "rateLimit": random.choice((0, 0, 60)),
        "retryAfter": random.choice(("seconds", "date", "none")),
        "linkSeconds": random.choice((1_800, 3_600)),
        "linkMode": random.random() < 0.5,
        "twoFactor": random.choice(("listed", "hidden")),
        "importsTold": random.random() < 0.5,
        "foreignKey": FOREIGN_KEY,
    }


def _faults(random: Random) -> dict[str, float]:
    return {
        name: random.choice(values) for name, values in _FAULTS.items() if random.random() < 0.35
    }
