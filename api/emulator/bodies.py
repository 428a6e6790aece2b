"""The bodies of webhooks, in each of the three shapes that OFAuth's published material shows."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from api.emulator.world import Fact
from api.times import format_millis


class Shape(StrEnum):
    """A published form of the body."""

    DOCUMENTED = "documented"
    SDK = "sdk"
    OLDER = "older"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something else than a connection's fact, of which a webhook tells: any type, any data."""

    type: str
    """The webhook's type."""
    at: int
    """When it happened: milliseconds since the epoch, UTC."""
    data: Mapping[str, Any]


def render(fact: Fact | Notice, shape: Shape, *, at: int, seconds: bool, live: bool) -> bytes:
    """Write the body of a fact's webhook.

    `at` (milliseconds since the epoch, UTC) becomes the body's timestamp, cut to `seconds`
    if so asked; the SDK shape has none, and it alone says whether it is `live`.
    """
    timestamp = format_millis(at)
    if seconds:
        timestamp = f"{timestamp[:19]}Z"
    body: dict[str, Any]
    data = fact.data if isinstance(fact, Notice) else _DATA[shape](fact)
    if shape is Shape.SDK:
        body = {"eventType": fact.type, "live": live, "data": data}
    elif shape is Shape.OLDER:
        body = {"event": fact.type, "timestamp": timestamp, "data": data}
    else:
        body = {"type": fact.type, "timestamp": timestamp, "data": data}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _documented_data(fact: Fact) -> dict[str, Any]:
    one = fact.connection
    connection: dict[str, Any] = {"id": one.id, "status": one.status}
    if fact.type != "connection.expired":  # of an expired one only these two are told
        connection |= {"permissions": list(one.permissions), "userData": dict(one.user_data)}
    return {"clientReferenceId": one.client_reference_id, "connection": connection}


def _sdk_data(fact: Fact) -> dict[str, Any]:
    one = fact.connection
    connection: dict[str, Any] = {"id": one.id, "status": one.status}
    if fact.type != "connection.expired":
        user = dict(one.user_data)
        number = user.pop("id", None)
        connection = {
            "id": one.id,
            "platformUserId": number,
            "status": one.status,
            "userData": {"userId": number, **user},
            "permissions": list(one.permissions),
        }
    return {"connection": connection, "clientReferenceId": one.client_reference_id}


def _older_data(fact: Fact) -> dict[str, Any]:
    one = fact.connection
    return {"connectionId": one.id, "userId": one.user_data.get("id"), "status": one.status}


_DATA = {
    Shape.DOCUMENTED: _documented_data,
    Shape.SDK: _sdk_data,
    Shape.OLDER: _older_data,
}
