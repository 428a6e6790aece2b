"""The times in OFAuth's JSON: their form, their range, and what a body without one gives."""

import pytest

from ledger.ofauth.fields import millis
from ledger.ofauth.payloads import read
from tests.hostile import encoded

STAMP = "2024-01-15T10:30:00Z"
DATED = 1_705_314_600_000
BODY = {"type": "connection.updated", "data": {"connection": {"id": "conn_1"}}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T01:00:00+01:00", 0),
        (STAMP, DATED),
        ("2024-01-15T12:30:00+02:00", DATED),
        ("2024-01-15T10:30:00-00:00", DATED),
        ("2024-01-15T10:30:00.1Z", DATED + 100),
        ("2024-01-15T10:30:00.123999999Z", DATED + 123),
        ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
        ("9999-12-31T23:59:59-00:01", None),
        ("1970-01-01T00:00:00+00:01", None),
        ("1969-12-31T23:59:59Z", None),
        ("0000-01-01T00:00:00Z", None),
        ("2024-02-30T00:00:00Z", None),
        ("2024-01-15T24:00:00Z", None),
        ("2024-01-15T10:30:60Z", None),
        ("2024-01-15T10:30:00", None),
        ("2024-01-15T10:30Z", None),
        ("2024-01-15 10:30:00Z", None),
        ("20240115T103000Z", None),
        ("2024-W03-1T10:30:00Z", None),
        ("2024-01-15T10:30:00,5Z", None),
        ("2024-01-15T10:30:00.Z", None),
        ("2024-01-15T10:30:00.1234567890Z", None),
        ("2024-01-15T10:30:00+0200", None),
        ("2024-01-15T10:30:00+24:00", None),
        ("2024-01-15T10:30:00Z\n", None),
        ("٢٠٢٤-01-15T10:30:00Z", None),
        ("", None),
    ],
)
def test_a_time_is_rfc_3339(text: str, expected: int | None) -> None:
    """Full RFC 3339 times from 1970 to 9999 are read in UTC, cut to milliseconds."""
    assert millis(text) == expected
    reading = read(encoded({**BODY, "timestamp": text}))
    assert reading.dated == expected
    assert (reading.problem is None) == (expected is not None)


def test_a_null_time_counts_as_absent() -> None:
    """Without a time of its own the body takes that of its signature."""
    reading = read(encoded({**BODY, "timestamp": None}))
    assert (reading.dated, reading.problem) == (None, None)
