"""What is meant to be written, on its way from the helper to the process that writes."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from projections.applying import Intent
from projections.base import Projection, Write
from projections.batch import Trouble, reason_for
from projections.rebuild.job import Failed
from projections.rebuild.telling import Meant

_UNFIT: Final = (TypeError, ValueError, OverflowError)


class Sent(Struct, frozen=True, array_like=True, gc=False):
    """An intent, with numbers for what both sides know."""

    projection: int
    """Its number among those that are built."""
    stream: str
    writes: list[tuple[int, list[Any]]]
    """The number of a statement among those of the projection, and its rows."""
    first_new: int
    trouble: Trouble | None


class Parcel(Struct, frozen=True, tag="parcel", gc=False):
    """What some streams told."""

    facts: int
    """How many events of the log they held."""
    sent: list[Sent]


encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Parcel | Failed).decode


def pack(projections: Sequence[Projection], meant: Meant) -> bytes:
    """Make a parcel of what is meant; a stream that does not go into it is blocked instead."""
    sent = [_sent(projections, intent) for intent in meant.intents]
    try:
        return encode(Parcel(meant.facts, sent))
    except _UNFIT:
        return encode(Parcel(meant.facts, [_fit(one) for one in sent]))


def unpack(projections: Sequence[Projection], content: memoryview) -> Meant | Failed:
    """Give what was packed for the same projections, or why there is no more to come."""
    parcel = _decode(content)
    if isinstance(parcel, Failed):
        return parcel
    return Meant(parcel.facts, [_intent(projections, one) for one in parcel.sent])


def _sent(projections: Sequence[Projection], intent: Intent) -> Sent:
    statements = intent.projection.statements
    return Sent(
        projections.index(intent.projection),
        intent.stream,
        [(statements.index(write.statement), list(write.rows)) for write in intent.writes],
        intent.first_new,
        intent.trouble,
    )


def _intent(projections: Sequence[Projection], sent: Sent) -> Intent:
    projection = projections[sent.projection]
    writes = [Write(projection.statements[number], *rows) for number, rows in sent.writes]
    return Intent(projection, sent.stream, writes, sent.first_new, sent.trouble, was_blocked=False)


def _fit(sent: Sent) -> Sent:
    """Block the stream of rows that cannot be sent: they could not be written either."""
    try:
        encode(sent)
    except _UNFIT as error:
        trouble = Trouble(sent.first_new, reason_for(error))
        return Sent(sent.projection, sent.stream, [], sent.first_new, trouble)
    return sent
