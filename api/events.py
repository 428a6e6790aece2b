"""The feed: the whole log in its order, for those who keep views of their own."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from flask import g
from marshmallow import fields, validate

from api.auth import requires
from api.errors import invalid
from api.moments import settle
from api.pagination import after, next_cursor
from api.routes import Routes
from api.schemas import CamelSchema, Micros, Millis, PageQuery, Whole
from api.services import Services, services
from api.times import format_millis
from ledger.domain.claim import Statement
from ledger.domain.errors import LedgerError
from ledger.domain.events import TYPES, ConnectionEvent, Event
from ledger.domain.words import DELIVERY
from ledger.recorders.base import StoredRow
from ledger.recorders.codec import to_event
from projections.answers import Page
from projections.times import readable

MAX_WAIT_S: Final = 20
FAMILIES: Final = tuple(sorted({f"{name.partition('.')[0]}." for name in TYPES}))
"""Beginnings of type names, each of which stands for all types that begin so."""

_NAMES: Final = {
    "observed": "observed_at",
    "client": "client_reference_id",
    "connection": "connection_id",
}
"""Fields of events that are called otherwise in answers."""
_TIMES: Final = frozenset(
    {"observed", "expires_at", "proved_at", "answered_from", "answered_to", "since", "until"}
)

blueprint = Routes("events", __name__, description="The log itself")


class EventsQuery(PageQuery):
    """Which part of the log is meant."""

    after = Whole(
        load_default=0, metadata={"description": "Events behind this position: `nextAfter`."}
    )
    type = fields.List(
        fields.String(validate=validate.OneOf([*TYPES, *FAMILIES])),
        metadata={"description": "Only these types; `connection.` means all that begin so."},
    )
    wait = Whole(
        load_default=0,
        validate=validate.Range(0, MAX_WAIT_S),
        metadata={
            "description": "Seconds to wait for something new when there is nothing. At most 8 "
            "wait at once; others are answered at once."
        },
    )


class EventSchema(CamelSchema):
    """A stored event."""

    position = fields.Integer(metadata={"description": "Its place in the log."})
    type = fields.String(metadata={"description": "Its stored type."})
    stream = fields.String(metadata={"description": "What it is about."})
    version = fields.Integer(metadata={"description": "Its place in its stream."})
    occurred_at = Millis(
        allow_none=True,
        metadata={"description": "By the provider's clock; null for what has no such time."},
    )
    recorded_at = Micros(metadata={"description": "When it entered the log."})
    data = fields.Dict(
        allow_none=True,
        metadata={"description": "Null when this program cannot read it; of `delivery.*` also "
                  "without the scope `admin`."},
    )  # fmt: skip


class FeedSchema(CamelSchema):
    """A part of the log."""

    items = fields.List(fields.Nested(EventSchema), metadata={"description": "In their order."})
    next_cursor = fields.String(
        allow_none=True, metadata={"description": "The `cursor` of the next page; null at the end."}
    )
    next_after = fields.Integer(
        metadata={"description": "What to give as `after` to go on; nothing is left out."}
    )


@blueprint.get("/api/events")
@requires("read")
@blueprint.query(EventsQuery)
@blueprint.answers(FeedSchema)
def events(query: dict[str, Any]) -> Any:
    """The log in its order, after a position."""
    settle(query)
    use = services()
    cursor = after(query)
    start = query["after"] if cursor is None else int(cursor[0])
    if start > use.log.head().position:
        raise invalid("after", "lies beyond the end of the log")
    asked = (tuple(query.get("type") or ()), query["limit"])
    rows, reached = _read(use, start, *asked)
    if not rows and query["wait"]:
        rows, reached = _wait(use, reached, query["wait"], *asked)
    full = len(rows) == query["limit"]
    page = Page(tuple(_item(row) for row in rows), (reached,) if full else None)
    body = {"items": page.items, "next_cursor": next_cursor(page), "next_after": reached}
    return body, 200, {"Ledger-Position": str(reached)}


def _read(
    use: Services, start: int, types: Sequence[str], limit: int
) -> tuple[list[StoredRow], int]:
    """Give what lies behind a position, and how far the log was read for it."""
    end = use.log.head().position
    rows = use.log.read_log(start, limit, up_to=end, topics=types, payloads=True)
    return rows, rows[-1].position if len(rows) == limit else max(start, end)


def _wait(
    use: Services, start: int, seconds: int, types: Sequence[str], limit: int
) -> tuple[list[StoredRow], int]:
    """Read again whenever the log has grown, until there is something or the time is over."""
    rows: list[StoredRow] = []
    until = use.monotonic() + seconds
    with use.arrivals.place() as placed:
        while placed and not rows and use.arrivals.wait_beyond(start, until):
            rows, start = _read(use, start, types, limit)
    return rows, start


def _item(row: StoredRow) -> dict[str, Any]:
    try:
        event = to_event(row)
    except LedgerError:
        event = None
    statement = event.statement if isinstance(event, ConnectionEvent) else None
    hidden = row.stream.startswith(DELIVERY) and "admin" not in g.token_scopes
    return {
        "position": row.position,
        "type": row.topic,
        "stream": row.stream,
        "version": row.version,
        "occurred_at": None if statement is None else statement.claim.k,
        "recorded_at": row.recorded_at,
        "data": None if event is None or hidden else data_of(event),
    }


def data_of(event: Event) -> dict[str, Any]:
    """Give what an event says as it is answered; unknown fields of the provider stay inside."""
    if isinstance(event, ConnectionEvent):
        return _stated(event.statement)
    said = {
        _NAMES.get(name, name): format_millis(value) if name in _TIMES and value else value
        for name, value in msgspec.to_builtins(event).items()
        if name != "receipt"
    }
    data: dict[str, Any] = _camel(said)
    return data


def _stated(statement: Statement) -> dict[str, Any]:
    claim, evidence = statement.claim, statement.evidence
    return {
        "connectionId": claim.connection_id,
        "claimId": claim.id,
        "kind": claim.kind.value,
        "status": claim.status,
        **{name: readable(name, claim.fields[name]) for name in sorted(claim.fields)},
        "userData": claim.personal.get("userData"),
        "flags": sorted(claim.flags),
        "evidence": {
            "deliveryId": evidence.stream,
            "dialect": evidence.channel,
            "observedAt": format_millis(evidence.observed),
        },
    }


def _camel(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_camel_name(str(name)): _camel(one) for name, one in value.items()}
    return [_camel(one) for one in value] if isinstance(value, list | tuple) else value


def _camel_name(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)
