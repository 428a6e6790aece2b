"""What can come in, and what became of it: the vocabulary of the write path."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ledger.domain.claim import Claim, Evidence
from ledger.domain.event import Event
from ledger.domain.link_events import LinkEvent
from ledger.domain.words import DELIVERY, connection_stream
from ledger.ofauth.payloads import Reading
from ledger.ofauth.signatures import Verdict


class Outcome(StrEnum):
    """What became of one observation."""

    NEW = "new"
    REPEATED = "repeated"
    PARKED = "parked"
    RESOLVED = "resolved"
    STILL_PARKED = "still_parked"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One signed delivery, as it came."""

    body: bytes
    verdict: Verdict
    observed: int
    """When it reached us: milliseconds since the epoch, UTC."""


@dataclass(frozen=True, slots=True)
class Retry:
    """The wish to read a parked delivery again, by its stream."""

    stream: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRow:
    """One row of the provider's list, as a pass over it read it."""

    row: Mapping[str, Any]
    answered: int
    """When the provider answered the page: milliseconds since the epoch, UTC."""
    observed: int
    """When the page reached us: milliseconds since the epoch, UTC."""
    evidence: str
    """The stream of the pass."""


@dataclass(frozen=True, slots=True)
class Noted:
    """A claim of the ledger's own: the outcome of a command, or what a pass or a link concludes.

    It is named and appended whole like any other, once for each piece of evidence.
    """

    claim: Claim
    """What is stated or noted, `identified`."""
    evidence: Evidence
    """The stream of the pass or the link, or for a command a name of its own, `command:` and hex
    digits; the channel `sweep` or `command`."""


@dataclass(frozen=True, slots=True)
class Happened:
    """An event of a pass itself, appended as it is.

    An event that its stream holds already is not appended again, so that a write in doubt can be
    repeated.
    """

    stream: str
    event: Event
    payload: bytes | None = None
    """What is kept beside it and may have to be forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkStep:
    """Something that happened to a Link session."""

    link: str
    """The session's id."""
    events: tuple[LinkEvent, ...]
    """What is to be appended, in one transaction, as far as it may follow what is known."""
    payload: bytes | None = None
    """What rests beside the first of them and may have to be forgotten."""
    salt: bytes | None = None
    """What its digest was salted with."""

    @property
    def beside(self) -> Mapping[str, Any]:
        """What is stored beside the first event."""
        return {"payload": self.payload, "salt": self.salt}


Observation = Delivery | Retry | ListedRow | Noted | Happened | LinkStep


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of one observation, durable when it is returned."""

    outcome: Outcome
    position: int
    """The last position written for it; of the original, for a repeat."""
    stream: str
    tied: bool = False
    """Whether what a delivery says of the status is too close to something else to be sure of."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """An observation read as far as can be without the lock."""

    observation: Observation
    stream: str
    reading: Reading | None = None
    receipt: str = ""
    body: bytes = b""
    connection: str | None = None

    @property
    def streams(self) -> list[str]:
        """The streams that must be seen to decide."""
        happened = isinstance(self.observation, Happened | LinkStep)
        own = [self.stream] if happened or self.stream.startswith(DELIVERY) else []
        return own if self.connection is None else [*own, connection_stream(self.connection)]

    @property
    def message_id(self) -> str | None:
        """The verified message id, when the body is one that is kept."""
        if not isinstance(self.observation, Delivery) or self.reading is None:
            return None
        return self.observation.verdict.message_id if self.reading.kept else None


def identity(body: bytes, dated: int | None, verdict: Verdict) -> str:
    """Name the stream of a delivery: its identity, for ever (semantics, section 4).

    A body with its own timestamp is its own identity; else the verified message id and the body;
    else the signature's time and the body.
    """
    content = hashlib.sha256(body).digest()
    if dated is not None:
        seed = b"body:" + content
    elif verdict.message_id is not None:
        seed = b"message:" + content + verdict.message_id.encode()
    else:
        seed = b"stamp:" + content + b"%d" % verdict.stamp
    return DELIVERY + hashlib.sha256(seed).hexdigest()[:32]
