"""Any JSON at all, for fuzzing with hypothesis, and the check that a store can keep a value."""

import itertools
import sqlite3
from collections.abc import Iterator
from typing import Any, Final

from hypothesis import strategies as st

ODD_TEXT: Final = st.text(st.characters(), max_size=6) | st.sampled_from(
    [
        "\0",
        "\ud800",
        "a\udfff",
        "😀",
        "connection.created",
        "2024-01-15T10:30:00Z",
        "conn_1",
        "active",
        "user",
    ]
)
"""Text of every kind, and some that bodies hold."""
NAMES: Final = st.sampled_from(
    ["type", "event", "eventType", "timestamp", "live", "data", "connection", "connectionId", "id",
     "userId", "status", "permissions", "platformUserId", "userData", "clientReferenceId", "avatar"]
)  # fmt: skip
"""Member names that have a meaning somewhere in a body or row."""
JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ODD_TEXT,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(NAMES | ODD_TEXT, inner, max_size=4)
    ),
    max_leaves=12,
)
"""Any JSON value that Python can write, also such as no store can keep."""
_DATABASE: Final = sqlite3.connect(":memory:")


def texts_of(value: Any) -> Iterator[str]:
    """Every string and key inside a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from itertools.chain(value, *(texts_of(inside) for inside in value.values()))
    elif isinstance(value, list | tuple):
        for inside in value:
            yield from texts_of(inside)


def assert_storable(value: Any) -> None:
    """SQLite gives each text back, and PostgreSQL would: it has no NUL and is UTF-8."""
    for text in texts_of(value):
        assert "\0" not in text
        assert _DATABASE.execute("SELECT ?", (text,)).fetchone() == (text,)
