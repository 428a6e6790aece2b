"""The shapes of OFAuth's webhook bodies, brought into the one that `WebhookSchema` reads.

The documented and the SDK's shape nest a `connection` object in `data`; in the older one `data`
has its fields itself, and the id is called `connectionId`.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from ledger.ofauth.text import Unreadable


class Flat(NamedTuple):
    """A body about a connection in the one shape."""

    members: dict[str, Any]
    """As sent, by the names of `WebhookSchema`."""
    extra: dict[str, Any]
    """The members of `data` and `connection` that have no meaning here, as sent."""
    paths: Mapping[str, str]
    """Where each name was looked for, for messages."""


_TOP: Final = {"timestamp": "timestamp", "live": "live"}
_CONNECTION: Final = ("id", "status", "permissions", "platformUserId", "userData")
_NESTED_DATA: Final = frozenset({"connection", "connectionId", "clientReferenceId"})
_NESTED_PATHS: Final = {
    **_TOP,
    **{name: f"data.connection.{name}" for name in _CONNECTION},
    "clientReferenceId": "data.clientReferenceId",
}
_FLAT_NAMES: Final = ("connectionId", "userId", "clientReferenceId", *_CONNECTION[1:])
_FLAT_DATA: Final = frozenset({"connection", *_FLAT_NAMES})
_FLAT_PATHS: Final = {
    **_TOP,
    **{name: f"data.{name}" for name in _FLAT_NAMES},
    "id": "data.connectionId",
}


def flatten(top: Mapping[str, Any]) -> Flat:
    """Bring a parsed body into the one shape.

    Raises:
        Unreadable: `data` or its `connection` is no object, or they name different connections.
    """
    data = _object(top.get("data"), "data")
    members = {name: top[name] for name in _TOP if name in top}
    if data.get("connection") is None:
        members |= {name: data[name] for name in _FLAT_NAMES if name in data}
        members["id"] = members.pop("connectionId", None)
        return Flat(members, _others(data, _FLAT_DATA), _FLAT_PATHS)
    connection = _object(data["connection"], "data.connection")
    members |= {name: connection[name] for name in _CONNECTION if name in connection}
    if "clientReferenceId" in data:
        members["clientReferenceId"] = data["clientReferenceId"]
    if data.get("connectionId") not in (None, connection.get("id")):
        raise Unreadable("bad_shape", "data.connectionId: not the id of data.connection")
    extra = _others(data, _NESTED_DATA) | _others(connection, frozenset(_CONNECTION))
    return Flat(members, extra, _NESTED_PATHS)


def _object(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Unreadable("bad_shape", f"{path}: missing or not an object")
    return value


def _others(sent: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """Give the members that are not known; of one found at both levels, the inner one stays."""
    return {name: sent[name] for name in sent.keys() - known}
