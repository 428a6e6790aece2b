"""Webhook bodies of the documented shape, and what is read in them."""

from typing import Any

from ledger.ofauth.payloads import Said, read
from tests.hostile import encoded

STAMP = "2024-01-15T10:30:00Z"
DATED = 1_705_314_600_000


def documented(kind: str = "connection.updated", **connection: Any) -> dict[str, Any]:
    """A body of the documented shape; the keywords are members of its connection."""
    return {
        "type": kind,
        "timestamp": STAMP,
        "data": {"connection": {"id": "conn_1", **connection}},
    }


def said(body: dict[str, Any]) -> Said:
    """What a readable body says."""
    reading = read(encoded(body))
    assert reading.problem is None
    assert reading.said is not None
    return reading.said


def reason(body: bytes | dict[str, Any]) -> str | None:
    """Why a body cannot be read; None when it can."""
    reading = read(body if isinstance(body, bytes) else encoded(body))
    assert reading.problem is None or reading.said is None
    return reading.problem.reason if reading.problem else None
