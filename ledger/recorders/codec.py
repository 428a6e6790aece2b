"""The only place where event and payload bytes are made and read.

A stored state is JSON that begins with the version of its form: `{"v":1,…}`. Decoding is typed and
goes through the closed list of names in `ledger.domain.events`: nothing in the database can name
code to import.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, cast

import msgspec

from ledger.domain.claim import ERASED, STAYS, Statement, canonical_json
from ledger.domain.errors import EventTooNew, UnknownEventType, UnreadableEvent
from ledger.domain.events import TYPES, ConnectionEvent, Event
from ledger.recorders.base import NewRow, StoredRow

_encode = msgspec.json.encode
_decode_payload = msgspec.json.Decoder(dict[str, Any]).decode
_FIELDS: Final = "fields"
"""The payload's member with the fields that do not stay in the event."""
_NO_FIELDS: Final[dict[str, Any]] = {}


class _Head(msgspec.Struct):
    v: int


def digest(salt: bytes, payload: bytes) -> str:
    """Give the salted SHA-256 that an event keeps of its payload, in hex."""
    return hashlib.sha256(salt + payload).hexdigest()


def stated_reference(reference: str) -> bytes:
    """Give the bytes by which the state of a connection event is told to state a reference."""
    return _encode({"clientReferenceId": reference})[1:-1]


def to_row(
    stream: str,
    version: int,
    event: Event,
    *,
    payload: bytes | None = None,
    salt: bytes | None = None,
    message_id: str | None = None,
) -> NewRow:
    """Make the stored form of an event.

    Of a connection event everything that may have to be forgotten is taken out of it and becomes
    the payload.
    """
    if isinstance(event, ConnectionEvent):
        return _connection_row(stream, version, event, salt or b"")
    state = _framed(event.VERSION, _encode(event))
    return NewRow(stream, version, event.NAME, state, payload, salt, message_id)


def _connection_row(stream: str, version: int, event: ConnectionEvent, salt: bytes) -> NewRow:
    claim = event.statement.claim
    apart = {name: value for name, value in claim.fields.items() if name not in STAYS}
    if not claim.personal and not apart:
        return NewRow(stream, version, event.NAME, _framed(event.VERSION, _encode(event)))
    payload = canonical_json({**claim.personal, _FIELDS: apart} if apart else claim.personal)
    stays = {name: value for name, value in claim.fields.items() if name in STAYS}
    bare = Statement(replace(claim, personal={}, fields=stays), event.statement.evidence)
    event = type(event)(statement=bare, digest=digest(salt, payload))
    state = _framed(event.VERSION, _encode(event))
    return NewRow(stream, version, event.NAME, state, payload, salt)


def _framed(version: int, state: bytes) -> bytes:
    return b'{"v":%d,%s' % (version, state[1:])


def _reader(cls: type[Event]) -> tuple[bytes, Callable[[bytes], Event]]:
    """Say how states of the version begin that this code writes, and how they are read."""
    return b'{"v":%d,' % cls.VERSION, msgspec.json.Decoder(cls).decode


_READERS: Final = {name: _reader(cls) for name, cls in TYPES.items()}


def to_event(row: StoredRow) -> Event:
    """Read a stored event, a connection event together with its payload.

    One whose payload is not given (any more) is flagged as erased.

    Raises:
        UnknownEventType: its name is not in the list.
        EventTooNew: a later program wrote it.
        UnreadableEvent: its bytes do not have the form of its type.
    """
    reader = _READERS.get(row.topic)
    if reader is None:
        raise UnknownEventType(row.topic)
    current, decode = reader
    state = row.state
    try:
        event: Event = decode(state) if state.startswith(current) else _upcast(row)
    except msgspec.MsgspecError as error:
        raise UnreadableEvent(row.topic, str(error)) from error
    if isinstance(event, ConnectionEvent) and event.digest:
        return _with_personal(event, row)
    return event


def _upcast(row: StoredRow) -> Event:
    cls = TYPES[row.topic]
    version = msgspec.json.decode(row.state, type=_Head).v
    if version > cls.VERSION:
        raise EventTooNew(row.topic, version, cls.VERSION)
    form: dict[str, Any] = json.loads(row.state)
    for step in range(version, cls.VERSION):
        form = cls.UPCASTS[step](form)
    return msgspec.convert(form, cls)


def _with_personal(event: ConnectionEvent, row: StoredRow) -> ConnectionEvent:
    claim = event.statement.claim
    if row.payload is None:
        claim = replace(claim, flags=(*claim.flags, ERASED))
        return replace(event, statement=replace(event.statement, claim=claim))
    try:
        personal = _decode_payload(row.payload)
    except msgspec.MsgspecError as error:
        raise UnreadableEvent(row.topic, f"payload: {error}") from error
    # Nobody else has this event yet, and to make it anew would take longer than all the rest.
    cast(dict[str, Any], claim.fields).update(personal.pop(_FIELDS, _NO_FIELDS))
    cast(dict[str, Any], claim.personal).update(personal)
    return event


def statement_of(row: StoredRow) -> Statement | None:
    """Read the statement of a connection event; None for an event of another kind.

    Raises the errors of `to_event`.
    """
    event = to_event(row)
    return event.statement if isinstance(event, ConnectionEvent) else None
