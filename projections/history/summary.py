"""One English sentence for each kind of history entry, without any id."""

from collections.abc import Collection
from typing import Final

STATUS_WORDS: Final = {
    None: "in a state not told yet",
    "active": "active",
    "awaiting_2fa": "waiting for the second factor",
    "expired": "expired",
    "deleted": "deleted",
}
_FIXED: Final = {
    "connection.awaiting_2fa": "The creator must pass a second factor.",
    "connection.activated": "The second factor was passed: the connection is active.",
    "connection.expired": "The session ended: the creator must authenticate again.",
    "connection.reconnected": "The session is good again: the connection is active.",
    "connection.reassigned": "The connection was given to another client.",
    "connection.deleted": "The connection was removed for good.",
    "connection.reappeared": "The provider lists the connection again after its deletion.",
}


def summary(name: str, status: str | None, changed: Collection[str]) -> str:
    """Say what an entry of this type tells, with the status after it and what it changed."""
    state = STATUS_WORDS[status]
    if name in _FIXED:
        return _FIXED[name]
    if name == "connection.created":
        return f"The connection was created, {state}."
    if name == "connection.discovered":
        return f"The connection was heard of for the first time, {state}."
    if name == "connection.confirmed":
        return f"Nothing new: the connection is still {state}."
    names = sorted(changed)
    if not names:
        return "Something about the connection was told again."
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{listed} changed; the connection is {state}."
