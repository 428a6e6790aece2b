"""What is delivered in the measurements: lives of connections, four webhooks each, interleaved.

A life is created, updated, expired, active again. Every body is distinct and carries its own time,
so none is a repeat. The lives of a cohort run side by side: the last thing said about a connection
lies as many deliveries back as the cohort has connections.
"""

import json
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from ledger.ofauth.signatures import Dialect, Secret, sign

SECRET: Final = Secret("whsec_c2VjcmV0LWZvci1tZWFzdXJlbWVudHMtb25seSEh")
PATH: Final = "/webhooks/ofauth"
COHORT: Final = 1_000
STEPS: Final = ("created", "updated", "expired", "active")
STEP_MS: Final = 600_000
"""Milliseconds between two webhooks of one life."""
LIFE_MS: Final = len(STEPS) * STEP_MS


def interleaved(connections: int, cohort: int = COHORT) -> Iterator[tuple[int, int]]:
    """Give (number of the connection, step of its life) in the order of delivery."""
    for first in range(0, connections, cohort):
        for step in range(len(STEPS)):
            for number in range(first, min(first + cohort, connections)):
                yield number, step


def connection_id(number: int) -> str:
    """Name a connection; names do not sort as they were born."""
    return f"conn_{(number * 2654435761) % 2**32:08x}{number:08x}"


def step_name(step: int) -> str:
    """Say what happens at a step of a life: it goes on and on after the first four."""
    return STEPS[step] if step < len(STEPS) else STEPS[1 + (step - 1) % (len(STEPS) - 1)]


def user_data(number: int, step: int) -> dict[str, str | None]:
    """Say who it is; each update of details brings a new avatar."""
    picture = f"{number:08x}{(step + 2) // 3}"
    return {
        "id": str(10_000_000 + number),
        "name": f"Creator number {number}",
        "username": f"creator_{number}",
        "avatar": f"https://cdn.example.com/avatars/{picture}/{picture}/original-1920x1080.jpg",
    }


PERMISSIONS: Final = tuple(
    f"{area}:{right}"
    for area in ("profile", "messages", "posts", "subscribers", "earnings", "vault", "promotions")
    for right in ("read", "write")
)


def body(
    number: int, step: int, at_ms: int, client: str, permissions: Sequence[str] = PERMISSIONS
) -> bytes:
    """Write one webhook of a life in the documented shape, as of a time in milliseconds UTC."""
    name = step_name(step)
    connection: dict[str, Any] = {"id": connection_id(number)}
    if name == "expired":
        connection["status"] = "expired"
    else:
        connection["status"] = "active"
        connection["permissions"] = permissions
        connection["userData"] = user_data(number, step)
    return json.dumps(
        {
            "type": f"connection.{'updated' if name == 'active' else name}",
            "timestamp": rfc3339(at_ms),
            "data": {"clientReferenceId": client, "connection": connection},
        }
    ).encode()


def rfc3339(ms: int) -> str:
    """Write a time as the provider does."""
    moment = datetime.fromtimestamp(ms / 1000, UTC).replace(tzinfo=None)
    return moment.isoformat(timespec="milliseconds") + "Z"


def deliveries(count: int, now_ms: int, seed: int = 1) -> Iterator[bytes]:
    """Give signed HTTP requests, each distinct, of lives that end at `now_ms` at the latest."""
    spread = random.Random(seed)
    clients = max(1, count // len(STEPS) // 2)
    for number, step in interleaved(-(-count // len(STEPS))):
        born = now_ms - LIFE_MS - (number * 7) % 3_600_000
        # a client has two connections, and they are not neighbours
        content = body(number, step, born + step * STEP_MS, f"user_{number % clients}")
        headers = sign(
            Dialect.DOCUMENTED, SECRET, content, stamp=now_ms // 1000 - spread.randrange(3)
        )
        yield _request(headers, content)


def _request(headers: dict[str, str], content: bytes) -> bytes:
    lines = [
        f"POST {PATH} HTTP/1.1",
        "Host: 127.0.0.1",
        "User-Agent: OFAuth-Webhooks/1.0",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content
