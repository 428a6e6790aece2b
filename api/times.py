"""Times on the wire: RFC 3339 in UTC with `Z` out, RFC 3339 with any offset in."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

_FORM: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE: Final = _EPOCH.replace(tzinfo=None)
_MICROSECOND: Final = timedelta(microseconds=1)


def parse_micros(text: str) -> int:
    """Read an RFC 3339 time as microseconds since the epoch, UTC; finer digits are cut off.

    Raises:
        ValueError: the text is not such a time.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError(
            "expected an RFC 3339 time such as 2026-01-31T12:00:00Z (in a URL write + as %2B)"
        )
    day, clock, fraction, offset = match.groups()
    micros = (fraction or "")[:6].ljust(6, "0")
    offset = "+00:00" if offset in "Zz" else offset
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}.{micros}{offset}")
        return (moment - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        raise ValueError("this day or hour does not exist in the calendar") from None


def format_millis(value: int) -> str:
    """Write milliseconds since the epoch, UTC, as `2026-01-31T12:00:00.000Z`."""
    return (_NAIVE + timedelta(milliseconds=value)).isoformat(timespec="milliseconds") + "Z"


def format_micros(value: int) -> str:
    """Write microseconds since the epoch, UTC, as `2026-01-31T12:00:00.000000Z`."""
    return (_NAIVE + timedelta(microseconds=value)).isoformat(timespec="microseconds") + "Z"
