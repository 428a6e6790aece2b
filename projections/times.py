"""Times as answers write them where they stand among other data."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

TIME_FIELDS: Final = frozenset(
    {"createdAt", "updatedAt", "expiredAt", "lastCheckedAt", "missingSince", "lastListedAt"}
)
"""The fields that are times; claims carry them as milliseconds since the epoch, UTC."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def rfc3339(milliseconds: int) -> str:
    """Write a time in milliseconds since the epoch as RFC 3339 in UTC."""
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def readable(name: str, value: Any) -> Any:
    """Give a field's value as answers show it: a time as RFC 3339, all else as it is."""
    return rfc3339(value) if name in TIME_FIELDS and isinstance(value, int) else value


def source_of(channel: str) -> str:
    """Say by which way evidence came: `sweep`, `command`, or `webhook` for every dialect."""
    return channel if channel in ("sweep", "command") else "webhook"
