"""Times on the wire."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.times import format_micros, format_millis, parse_micros

LAST = 253_402_300_799_999_999


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:01.5z", 1_500_000),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("2026-01-31T12:00:00.123456789Z", 1_769_860_800_123_456),
    ],
)
def test_rfc_3339_is_read_as_microseconds(text: str, micros: int) -> None:
    """Any offset; digits finer than a microsecond are cut off."""
    assert parse_micros(text) == micros


@pytest.mark.parametrize(
    "text",
    ["", "now", "2026-01-31", "2026-01-31T12:00:00", "2026-01-31 12:00:00Z", "20260131T120000Z",
     "2026-02-30T00:00:00Z", "2026-01-31T24:00:00Z", "2026-01-31T12:00:60Z", "2026-01-31T12:00Z",
     "2026-01-31T12:00:00 02:00", "٢٠26-01-31T12:00:00Z", "2026-01-31T12:00:00+99:00"],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    """ValueError, whatever is wrong."""
    with pytest.raises(ValueError, match=r"expected|calendar"):
        parse_micros(text)


@given(st.integers(min_value=0, max_value=LAST))
def test_what_is_written_reads_back(micros: int) -> None:
    """To the microsecond, or to the millisecond."""
    assert parse_micros(format_micros(micros)) == micros
    assert parse_micros(format_millis(micros // 1000)) == micros // 1000 * 1000


@given(st.text(max_size=40))
def test_no_text_raises_anything_else(text: str) -> None:
    """Only ValueError."""
    with contextlib.suppress(ValueError):
        parse_micros(text)
