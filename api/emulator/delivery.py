"""One webhook on its way: its body and its headers at each attempt."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Final

from api.emulator.bodies import Notice, Shape, render
from api.emulator.errors import BadRequest
from api.emulator.faults import Plan
from api.emulator.settings import read_settings
from api.emulator.world import Fact
from ledger.ofauth.signatures import Dialect, Secret, SignatureError, sign

DIALECTS: Final[Mapping[str, tuple[Dialect, ...]]] = {
    "documented": (Dialect.DOCUMENTED,),
    "svix": (Dialect.SVIX,),
    "standard": (Dialect.STANDARD,),
    "both": (Dialect.DOCUMENTED, Dialect.SVIX),
}
"""The values of `dialect` in `PUT /_emulator/deliveries`."""


class BodyTime(StrEnum):
    """Whose time a body's timestamp is."""

    FACT = "fact"
    ATTEMPT = "attempt"


class Precision(StrEnum):
    """What a body's timestamp is cut to."""

    MILLISECONDS = "milliseconds"
    SECONDS = "seconds"


class Retries(StrEnum):
    """How long a delivery waits before it is tried again."""

    DOUBLING = "doubling"
    SVIX = "svix"


_SVIX_WAITS_S: Final = (5.0, 300.0, 1800.0, 7200.0)
"""Svix's published schedule, as far as five attempts go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How deliveries are made: what the published material leaves open is a setting here."""

    dialect: str = field(default="documented", metadata={"choices": DIALECTS})
    """How they are signed; `both` is documented and svix together."""
    shape: Shape = Shape.DOCUMENTED
    """The form of the body. The `sdk` shape has no time in it."""
    live: bool = True
    """Whether they are no test events; only the `sdk` shape says it."""
    bodyTime: BodyTime = BodyTime.FACT
    """Whose time the body carries: that of the fact or of each attempt."""
    timestamps: Precision = Precision.MILLISECONDS
    """The precision of that time."""
    decodedSecret: bool = False
    """Whether the documented dialect signs with the decoded part of a `whsec_` secret."""
    retries: Retries = Retries.DOUBLING
    """How long a delivery waits between its five attempts: twice as long each time, or 5 s, 5 min,
    30 min and 2 h as Svix does."""
    retrySeconds: float = 1.0
    """The doubling wait before the second attempt, in seconds."""

    def changed(self, given: Mapping[str, Any]) -> "Style":
        """Take over the settings given.

        Raises:
            BadRequest: a name is unknown or a value is not one of its kind.
        """
        return replace(self, **read_settings(self, given))

    def wait(self, attempts: int) -> float:
        """Give the seconds between so many attempts and the next one."""
        if self.retries is Retries.SVIX:
            return _SVIX_WAITS_S[min(attempts, len(_SVIX_WAITS_S)) - 1]
        return self.retrySeconds * 2.0 ** (attempts - 1)

    def as_json(self) -> dict[str, Any]:
        """Give every setting by its name."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


@dataclass(slots=True)
class Delivery:
    """One webhook, with what its attempts so far have left behind."""

    fact: Fact | Notice
    message_id: str
    plan: Plan
    style: Style
    attempts: int = 0
    """How many attempts were made."""
    acknowledged: bool = False
    _stamps: dict[Dialect, int] = field(default_factory=dict)

    @property
    def lane(self) -> str:
        """The connection, whose deliveries go out in order; a notice is alone."""
        return self.message_id if isinstance(self.fact, Notice) else self.fact.connection.id

    def request(self, secret: Secret, *, now: int) -> tuple[bytes, dict[str, str]]:
        """Make body and signature headers of the next attempt; `now` in milliseconds, UTC.

        Raises:
            SignatureError: the secret cannot sign the dialect.
        """
        style = self.style
        at = now if style.bodyTime is BodyTime.ATTEMPT else self.fact.at
        seconds = style.timestamps is Precision.SECONDS
        body = render(self.fact, style.shape, at=at, seconds=seconds, live=style.live)
        headers: dict[str, str] = {}
        for dialect in DIALECTS[style.dialect]:
            if self._stamped_anew(dialect):
                self._stamps[dialect] = now // 1000
            headers |= sign(
                dialect,
                secret,
                body,
                stamp=self._stamps[dialect],
                message_id=None if dialect is Dialect.DOCUMENTED else self.message_id,
                decoded=style.decodedSecret,
            )
        return body, headers

    def _stamped_anew(self, dialect: Dialect) -> bool:
        if dialect not in self._stamps or self.style.bodyTime is BodyTime.ATTEMPT:
            return True
        decided = self.plan.restamp(self.attempts)
        return dialect is not Dialect.DOCUMENTED if decided is None else decided


def check_signable(style: Style, secret: Secret) -> None:
    """Make sure that the secret can sign in the style's dialects.

    Raises:
        BadRequest: it cannot.
    """
    try:
        for dialect in DIALECTS[style.dialect]:
            sign(dialect, secret, b"", stamp=0, message_id="msg_check", decoded=style.decodedSecret)
    except SignatureError:
        raise BadRequest(
            "The webhook secret cannot sign this dialect. Start the emulator with a "
            "whsec_<base64> secret, or without one to let it make its own."
        ) from None
