"""From the raw body of a delivery to what it says; nothing that the provider signed raises here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ledger.domain.claim import Kind
from ledger.domain.status import Status
from ledger.ofauth.fields import millis
from ledger.ofauth.schemas import UNKNOWN_STATUS, WEBHOOK, Facts, facts, load
from ledger.ofauth.shapes import flatten
from ledger.ofauth.text import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_DIGITS,
    Unreadable,
    check_text,
    glance,
    is_storable,
    parse,
)

MAX_TYPE: Final = 128
"""Characters of a type text that are kept."""

REASONS: Final[Mapping[str, str]] = {
    "too_big": f"The body has more than {MAX_BYTES // 1024} KiB.",
    "not_utf8": "The body is not UTF-8.",
    "not_json": "The body is not JSON, or has a key twice in one object, `NaN`, or a number of "
    f"more than {MAX_DIGITS} digits.",
    "too_deep": f"The body has more than {MAX_DEPTH} levels.",
    "bad_text": "A string holds a NUL or half a surrogate pair.",
    "bad_shape": "There is no type, no connection id, or a value of the wrong kind.",
    "unknown_type": "This version does not know its `connection.*` type.",
    "failed": "It could be read, but our own code failed on it: report it.",
}
"""Why a delivery is parked: the fixed words, and what they mean."""

_TYPE_KEYS: Final = ("type", "eventType", "event")
_KINDS: Final[Mapping[str, Kind]] = {
    "connection.created": Kind.CREATED,
    "connection.updated": Kind.UPDATED,
    "connection.expired": Kind.EXPIRED,
    "connection.disconnected": Kind.DISCONNECTED,
}
_DECIDED: Final[Mapping[Kind, Status]] = {
    Kind.EXPIRED: Status.EXPIRED,
    Kind.DISCONNECTED: Status.DELETED,
}
# These can carry app tokens and private messages.
_WITHHELD: Final = ("rules.", "realtime.", "of.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a body could not be read."""

    reason: str
    """A word of `REASONS`, as `delivery.parked` keeps it."""
    detail: str
    """Which part it was: field paths and kinds, none of the body's text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a connection webhook states, before it has a time."""

    connection_id: str
    kind: Kind
    status: Status | None
    fields: Mapping[str, Any]
    """As in a claim: by the provider's names, absent when not stated."""
    personal: Mapping[str, Any]
    """`userData` by its documented keys, and `extra` with unknown fields; each only if any."""
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What could be read from one body."""

    type: str | None
    """The provider's own type text, its first 128 characters; None when unreadable."""
    dated: int | None
    """The body's own timestamp, milliseconds since the epoch, UTC; None when it has none."""
    test: bool = False
    """Whether the body says `live: false`."""
    kept: bool = True
    """Whether the body may be kept: not for `rules.*`, `realtime.*` and `of.*`."""
    said: Said | None = None
    """For the four known types about a connection, unless a test."""
    problem: Problem | None = None


def read(body: bytes) -> Reading:
    """Read a delivery's body, in any of OFAuth's three shapes; never raises."""
    if len(body) > MAX_BYTES:
        return _refused(glance(body), Unreadable("too_big", f"more than {MAX_BYTES} bytes"))
    try:
        top = parse(body)
    except Unreadable as error:
        return _refused(glance(body), error)
    if not isinstance(top, dict):
        return _refused({}, Unreadable("bad_shape", "top level: not an object"))
    try:
        return _read(body, top)
    except Unreadable as error:
        return _refused(top, error)


def _read(body: bytes, top: dict[str, Any]) -> Reading:
    kind_text = _type(top)
    if kind_text is not None and kind_text.startswith(_WITHHELD):
        return _head(top, kept=False)
    check_text(body, top)
    if kind_text is None:
        raise Unreadable("bad_shape", "type: no text")
    if top.get("live") is False or not kind_text.startswith("connection."):
        return _head(top)
    kind = _KINDS.get(kind_text)
    if kind is None:
        raise Unreadable("unknown_type", "type: a connection.* type that is not known")
    members, extra, paths = flatten(top)
    loaded = load(WEBHOOK, members, paths)
    said = _said(kind, loaded["id"], facts(loaded, extra))
    return Reading(type=kind_text, dated=loaded.get("timestamp"), said=said)


def _refused(top: Mapping[str, Any], error: Unreadable) -> Reading:
    """Say why a body was refused; one that is not ours to keep is nobody's to repair."""
    kind_text = _type(top)
    if kind_text is not None and kind_text.startswith(_WITHHELD):
        return _head(top, kept=False)
    return _head(top, problem=Problem(reason=error.reason, detail=error.detail))


def _head(top: Mapping[str, Any], *, kept: bool = True, problem: Problem | None = None) -> Reading:
    """Give what the top level alone tells."""
    stamp = top.get("timestamp")
    return Reading(
        type=_type(top),
        dated=millis(stamp) if isinstance(stamp, str) else None,
        test=top.get("live") is False,
        kept=kept,
        problem=problem,
    )


def _type(top: Mapping[str, Any]) -> str | None:
    """Give the type text under the first of its three names that is not null."""
    for key in _TYPE_KEYS:
        text = top.get(key)
        if text is not None:
            usable = isinstance(text, str) and text and is_storable(text)
            return text[:MAX_TYPE] if usable else None
    return None


def _said(kind: Kind, connection_id: str, stated: Facts) -> Said:
    """Let the type win over the body's status where it decides (semantics, section 4)."""
    status, carried, personal, flags = stated
    if kind in _DECIDED:
        status, flags = _DECIDED[kind], ()
        carried.pop("providerStatus", None)
    elif kind is Kind.CREATED and UNKNOWN_STATUS not in flags:
        status = status or Status.ACTIVE
    return Said(
        connection_id=connection_id,
        kind=kind,
        status=status,
        fields=carried,
        personal=personal,
        flags=flags,
    )
