"""One English sentence for each kind of history entry, without any id."""

from collections.abc import Collection
from typing import Final

from ledger.domain.claim import Kind

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
    "connection.missing": "The provider's list does not show the connection any more.",
    "connection.deletion_requested": "The deletion of the connection was requested.",
    "connection.invalidation_requested": "The end of the connection's session was requested.",
    "connection.forked": "A Link session for one connection ended in another.",
    "connection.expiry_suspected": "A call was refused for want of a session: it may have ended.",
}
_NOTES: Final = {
    Kind.NOT_FOUND.value: "The provider answered that it does not know the connection.",
    Kind.REFUSED.value: "The provider refused what was requested; the request is closed.",
}


def summary(
    name: str, status: str | None, changed: Collection[str], note: str | None = None
) -> str:
    """Say what an entry of this type tells, with the status after it and what it changed.

    `note` is the kind of a note.
    """
    state = STATUS_WORDS[status]
    if name in _FIXED:
        return _FIXED[name]
    if note in _NOTES:
        return _NOTES[note]
    if name == "connection.reappeared":
        after = " after its deletion" if "status" in changed else ""
        return f"The provider lists the connection again{after}."
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
