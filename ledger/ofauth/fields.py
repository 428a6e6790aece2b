"""Fields of OFAuth's JSON for marshmallow: strict kinds, null allowed, no message quotes input."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from marshmallow import ValidationError, fields, missing

_RFC3339: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?"
    r"(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_END_OF_9999: Final = 253_402_300_799_999
_T = TypeVar("_T")


def millis(text: str) -> int | None:
    """Give an RFC 3339 time in milliseconds since the epoch, UTC, finer parts cut off.

    None when the text has another form, or names a time before 1970 or after 9999.
    """
    if not _RFC3339.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    value = (moment - _EPOCH) // _MILLISECOND
    return value if 0 <= value <= _END_OF_9999 else None


class _Optional(fields.Field[_T]):
    """A field that may be absent or null."""

    def __init__(self) -> None:
        super().__init__(allow_none=True)

    def deserialize(
        self,
        value: Any,
        attr: str | None = None,
        data: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        # Every delivery runs this ten times: marshmallow's validators and hooks, which these
        # fields do not use, would take most of its time.
        if value is None or value is missing:
            return value
        return self._deserialize(value, attr, data)


class Text(_Optional[str]):
    """A string of at most `most` characters and twice as many bytes; null counts as absent.

    The bound in bytes keeps a reference and an id together below what PostgreSQL indexes.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise ValidationError("not a string")
        if len(value) > self.most:
            raise ValidationError(f"over {self.most} characters")
        if len(value.encode()) > 2 * self.most:
            raise ValidationError(f"over {2 * self.most} bytes")
        return value


class Texts(_Optional[list[str]]):
    """A list of strings in their order; null counts as absent."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[str]:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ValidationError("not a list of strings")
        return list(value)


class Members(_Optional[dict[str, Any]]):
    """An object with any members; null counts as absent."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Any, **kwargs: Any
    ) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise ValidationError("not an object")
        return dict(value)


class Moment(_Optional[int]):
    """An RFC 3339 time, read as milliseconds since the epoch, UTC."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        moment = millis(value) if isinstance(value, str) else None
        if moment is None:
            raise ValidationError("not an RFC 3339 time from 1970 to 9999")
        return moment


class Flag(_Optional[bool]):
    """true or false, nothing that resembles it; null counts as absent."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("not true or false")
        return value
