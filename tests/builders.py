"""Short ways to say what happened: signed deliveries and rows, and a ledger with its own clock."""

import json
from collections.abc import Callable
from typing import Any

from ledger.application import Delivery, Ledger
from ledger.ofauth.signatures import Dialect, Secret, Verdict, Verification
from ledger.recorders import open_log
from ledger.recorders.base import Log

SECRET = Secret("whsec_" + "c2VjcmV0LWZvci10ZXN0cy1vbmx5ISEh")
NOON = 1_767_268_800_000
"""2026-01-01T12:00:00Z in milliseconds."""


class Clock:
    """A clock that moves only when told to, or by a microsecond at each look."""

    def __init__(self, ms: int = NOON) -> None:
        self.us = ms * 1000

    def __call__(self) -> int:
        """Give microseconds UTC, one more at each look."""
        self.us += 1
        return self.us

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.us += round(seconds * 1_000_000)


def counting_entropy() -> Callable[[int], bytes]:
    """Bytes that look random to the ledger and are the same in every run."""
    state = {"n": 0}

    def entropy(size: int) -> bytes:
        state["n"] += 1
        return state["n"].to_bytes(8, "big").rjust(size, b"\0")[-size:]

    return entropy


def open_ledger(url: str, clock: Clock | None = None) -> Ledger:
    """A writing ledger on `url` with a clock of its own."""
    clock = clock or Clock()
    entropy = counting_entropy()
    log: Log = open_log(url, writer=True, entropy=entropy, now=clock)
    return Ledger(log, now=clock, entropy=entropy)


def iso(ms: int) -> str:
    """The provider's way to write a time."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def webhook(
    kind: str = "created",
    connection: str = "conn_1",
    *,
    at: int | None = NOON,
    ref: str | None = "user_1",
    status: str | None = None,
    **connection_fields: Any,
) -> bytes:
    """A body in the documented shape, or in the SDK's (without a time) when `at` is None."""
    said: dict[str, Any] = {"id": connection, **connection_fields}
    if status is not None:
        said["status"] = status
    data = {"connection": said} if ref is None else {"clientReferenceId": ref, "connection": said}
    if at is None:
        body = {"eventType": f"connection.{kind}", "live": True, "data": data}
    else:
        body = {"type": f"connection.{kind}", "timestamp": iso(at), "data": data}
    return json.dumps(body).encode()


def delivery(
    body: bytes,
    *,
    stamp: int = NOON // 1000,
    message_id: str | None = None,
    dialect: Dialect | None = None,
    observed: int = NOON,
    delayed: bool = False,
) -> Delivery:
    """A delivery whose signature was found good."""
    dialect = dialect or (Dialect.DOCUMENTED if message_id is None else Dialect.SVIX)
    verification = Verification(dialect, stamp, message_id, SECRET.label)
    return Delivery(body=body, verdict=Verdict((verification,), delayed), observed=observed)
