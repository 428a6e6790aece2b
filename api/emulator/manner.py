"""How the HTTP API answers: what the provider's published material leaves open is a setting."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Final

from api.emulator.errors import REFUSALS
from api.emulator.settings import read_settings

ROW_KEYS: Final = (
    "status",
    "userData",
    "permissions",
    "createdAt",
    "updatedAt",
    "expiredAt",
    "clientReferenceId",
    "imported",
    "lastCheckedAt",
)
"""The keys of a list row beside `id`."""


class Order(StrEnum):
    """How the list is sorted."""

    CREATED = "created"
    UPDATED = "updated"
    SHUFFLED = "shuffled"


class Paths(StrEnum):
    """Which paths there are."""

    BOTH = "both"
    ACCOUNT = "account"
    PLAIN = "plain"


class OverLimit(StrEnum):
    """What happens to a `limit` above the maximum."""

    CUT = "cut"
    REFUSE = "refuse"


class Nothing(StrEnum):
    """How a fact that is not there is written in a row."""

    NULL = "null"
    ABSENT = "absent"


class ErrorForm(StrEnum):
    """The form of an error's body."""

    DOCUMENTED = "documented"
    OLDER = "older"
    SDK = "sdk"


class Gone(StrEnum):
    """What a call that names no existing connection is answered."""

    NOT_FOUND = "RESOURCE_NOT_FOUND"
    NO_SESSION = "SESSION_NOT_PROVIDED"


class Expired(StrEnum):
    """What a call that names an expired connection is answered."""

    ALLOWED = "allowed"
    NO_SESSION = "SESSION_NOT_PROVIDED"
    EXPIRED = "SESSION_EXPIRED"


class RetryAfter(StrEnum):
    """The form of `Retry-After`."""

    SECONDS = "seconds"
    DATE = "date"
    NONE = "none"


class Match(StrEnum):
    """How a `redirectUrl` is compared with the registered ones."""

    EXACT = "exact"
    PREFIX = "prefix"


class TwoFactor(StrEnum):
    """Whether a connection is in the list while its creator is asked for a 2FA code."""

    LISTED = "listed"
    HIDDEN = "hidden"


class CacheDate(StrEnum):
    """Whose time the `Date` of a cached answer is."""

    MADE = "made"
    SENT = "sent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How the HTTP API answers from now on; the defaults are the published form."""

    order: Order = Order.CREATED
    """The order of the list: by creation, by last change, or one fixed shuffle."""
    ascending: bool = False
    """Whether the oldest are first instead of the newest."""
    mostLimit: int = field(default=100, metadata={"least": 1, "most": 100_000})
    """The greatest `limit`."""
    overLimit: OverLimit = OverLimit.CUT
    """What happens to a greater one: it is cut to it, or answered 400."""
    nextOffset: bool = False
    """Whether a page that has a next one says its offset."""
    nothing: Nothing = Nothing.NULL
    """How rows write what is not there: as `null`, or not at all."""
    absentKeys: tuple[str, ...] = field(default=(), metadata={"choices": ROW_KEYS})
    """Keys that rows never have."""
    expiryAheadSeconds: int = field(default=0, metadata={"most": 366 * 86_400})
    """Above 0: rows of connections that are not expired say `expiredAt`, so long after
    their last change."""
    checkSeconds: int = field(default=0, metadata={"most": 86_400})
    """Above 0: `lastCheckedAt` goes on in steps of so many seconds, but not of imported ones."""
    paths: Paths = Paths.BOTH
    """Which of the path families there are."""
    errorForm: ErrorForm = ErrorForm.DOCUMENTED
    """Bodies of errors: `error`, `type` and `requestId`; `error`, `code` and `details`; or
    `message`, `code` and `details`."""
    gone: Gone = Gone.NOT_FOUND
    """The error for calls that name a connection which is gone or never was."""
    expired: Expired = Expired.ALLOWED
    """The error for calls that name an expired connection; `allowed` for none."""
    refusedActs: bool = False
    """Whether a delete or invalidate that `expired` refuses has its effect all the same."""
    refusal: str = field(default="UNAUTHORIZED", metadata={"choices": tuple(REFUSALS)})
    """The type that the fault `http401` answers with."""
    emptyConfirmation: bool = False
    """Whether delete and invalidate answer 204 without a body."""
    date: bool = True
    """Whether answers have a `Date`."""
    cacheSeconds: int = field(default=0, metadata={"most": 86_400})
    """How long a cache in front repeats a page of the list, with `Age`; 0 for no cache."""
    cacheDate: CacheDate = CacheDate.MADE
    """Whether the `Date` beside `Age` is when the answer was made, or when it was sent."""
    rateLimit: int = field(default=0, metadata={"most": 1_000_000})
    """Calls allowed in a minute, 0 for as many as you like."""
    retryAfter: RetryAfter = RetryAfter.SECONDS
    """The form of `Retry-After` in a 429; `none` leaves it away."""
    retryAfterSeconds: int = field(default=1, metadata={"most": 86_400})
    """What the `Retry-After` of the fault `http429` says."""
    redirectUris: tuple[str, ...] = ()
    """The registered URLs to return to; without any, every one is taken."""
    redirectMatch: Match = Match.EXACT
    """How a `redirectUrl` is compared with them."""
    linkSeconds: int = field(default=1800, metadata={"least": 1, "most": 86_400})
    """The life of a Link session."""
    linkUrl: str | None = None
    """Where browsers find the Link pages, such as `http://localhost:9090`; `null` for the address
    that was called."""
    linkMode: bool = True
    """Whether the answer of link/init says its `mode`."""
    twoFactor: TwoFactor = TwoFactor.LISTED
    """Whether a connection is listed, and told of, before its 2FA code was entered."""
    importsTold: bool = True
    """Whether an import sends webhooks."""
    foreignKey: str | None = None
    """A key of another organisation, which has connections of its own: those that were made with
    `foreign`."""

    def changed(self, given: Mapping[str, Any]) -> "Manner":
        """Take over the settings given.

        Raises:
            BadRequest: a name is unknown or a value is not one of its kind.
        """
        return replace(self, **read_settings(self, given))

    def as_json(self) -> dict[str, Any]:
        """Give every setting by its name."""
        return {one.name: getattr(self, one.name) for one in fields(self)}
