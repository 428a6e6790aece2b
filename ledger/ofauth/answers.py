"""The provider's answers: when they were given, and which are errors and of what type."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple

from ledger.ofauth.errors import (
    ConnectionGone,
    Forbidden,
    NoSession,
    ProviderError,
    ProviderFailed,
    RateLimited,
    RefusedKey,
    Rejected,
    UnreadableAnswer,
)
from ledger.ofauth.text import Unreadable, parse

LONGEST_WAIT_S: Final = 86_400.0
"""The longest `Retry-After` that is believed, in seconds."""
_SECONDS: Final = re.compile("[0-9]{1,9}")
_WORD: Final = re.compile("[A-Z][A-Z_]{1,39}")
_REQUEST_ID: Final = re.compile("req_[A-Za-z0-9_-]{1,64}")
_ERROR_KEYS: Final = frozenset({"error", "message", "type", "code"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer as it came, whole; nothing of it is ever shown."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    """Looked up in any case."""
    body: bytes = field(repr=False)
    asked: int
    """When we asked, by our clock, milliseconds since the epoch, UTC."""
    commands: bool
    """Whether the call could change something."""

    @property
    def answered(self) -> int:
        """When the provider answered: its `Date` minus its `Age`, milliseconds UTC.

        Without a readable `Date`: when we asked, since what it tells is at least as new.
        """
        moment = _date(self.headers.get("Date"))
        if moment is None:
            return self.asked
        return max(0, moment - 1000 * _age(self.headers.get("Age")))

    @property
    def dated(self) -> bool:
        """Whether `answered` is by the provider's clock."""
        return _date(self.headers.get("Date")) is not None

    @property
    def retry_after(self) -> float | None:
        """How long the provider wants to be left alone, seconds; None when it does not say."""
        text = self.headers.get("Retry-After", "").strip()
        if text.isascii() and text.isdigit():
            return min(float(text[:15]), LONGEST_WAIT_S)
        until = _date(text)
        if until is None:
            return None
        return min(max(0.0, (until - self.answered) / 1000), LONGEST_WAIT_S)

    def value(self) -> Any:
        """Give the JSON value that the body is.

        Raises:
            UnreadableAnswer: it is none.
        """
        try:
            return parse(self.body)
        except Unreadable as error:
            why = error.detail
        raise self.unreadable(why)

    def members(self) -> dict[str, Any]:
        """Give the members of the JSON object that the body is.

        Raises:
            UnreadableAnswer: it is none.
        """
        value = self.value()
        if not isinstance(value, dict):
            raise self.unreadable("the body is not an object")
        return value

    def unreadable(self, why: str) -> UnreadableAnswer:
        """Make the error of an answer that does not have its form; `why` quotes nothing of it."""
        return UnreadableAnswer(
            why, status=self.status, answered=self.answered, may_have_happened=self.commands
        )


class _Told(NamedTuple):
    formed: bool
    """Whether the body has one of the provider's forms of errors."""
    type: str | None
    request_id: str | None


def failure(answer: Answer, *, names_connection: bool = False) -> ProviderError | None:
    """Give the error that an answer is, or None for 2xx.

    Only a call that names a connection can learn that it is gone or has no session.
    """
    if 200 <= answer.status < 300:
        return None
    if answer.status < 400:
        moved = answer.unreadable("a redirect, which is not followed")
        moved.lasting = True
        return moved
    told = _error(answer.body)
    cls = _class(answer.status, told.type, names_connection)
    if cls is Rejected and not told.formed:
        return answer.unreadable("no error in the provider's form")
    # a proxy's 408 does not tell how far the call came
    unknown = answer.commands and (answer.status >= 500 or answer.status == 408)
    return cls(
        status=answer.status,
        type=told.type,
        request_id=told.request_id,
        answered=answer.answered,
        retry_after=answer.retry_after,
        may_have_happened=unknown,
    )


def _class(status: int, kind: str | None, names_connection: bool) -> type[ProviderError]:
    if status >= 500:
        return ProviderFailed
    if status == 429:
        return RateLimited
    if names_connection and status == 401 and kind in ("SESSION_EXPIRED", "SESSION_NOT_PROVIDED"):
        return NoSession
    if names_connection and status == 404 and kind == "RESOURCE_NOT_FOUND":
        return ConnectionGone
    if status == 401 and kind in (None, "UNAUTHORIZED"):
        return RefusedKey
    return Forbidden if status == 403 else Rejected


def _error(body: bytes) -> _Told:
    """Read an error in any of the provider's forms; never raises."""
    try:
        value = parse(body)
    except Unreadable:
        return _Told(False, None, None)
    if not isinstance(value, dict) or not value.keys() & _ERROR_KEYS:
        return _Told(False, None, None)
    words = [value.get("type"), value.get("code")]
    kind = next((one for one in words if isinstance(one, str) and _WORD.fullmatch(one)), None)
    request_id = value.get("requestId")
    known = isinstance(request_id, str) and _REQUEST_ID.fullmatch(request_id)
    return _Told(True, kind, request_id if known else None)


def _date(text: str | None) -> int | None:
    """Give an HTTP date in milliseconds since the epoch, UTC; None when it is none."""
    if not text or not text.isascii() or len(text) > 64:
        return None
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        value = int(moment.timestamp()) * 1000
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return value if moment >= datetime(1970, 1, 1, tzinfo=UTC) else None


def _age(text: str | None) -> int:
    """Give seconds of an `Age`; 0 when it is none."""
    return int(text) if text and _SECONDS.fullmatch(text.strip()) else 0
