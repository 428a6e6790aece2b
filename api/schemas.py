"""What goes over the wire: camelCase JSON, times in RFC 3339."""

import re
from collections.abc import Mapping
from typing import Any, Final

from marshmallow import Schema, ValidationError, fields, validate

from api.times import format_micros, format_millis, parse_micros
from ledger.domain.events import CONNECTION_TYPES
from ledger.domain.status import Status

MAX_LIMIT: Final = 500
DEFAULT_LIMIT: Final = 50
_WHOLE = re.compile(r"[0-9]{1,18}", re.ASCII)


class Millis(fields.Field[int]):
    """A time kept in milliseconds since the epoch, UTC."""

    def _serialize(self, value: int | None, attr: str | None, obj: Any, **_: Any) -> str | None:
        return None if value is None else format_millis(value)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> int:
        return _micros(value) // 1000


class Micros(fields.Field[int]):
    """A time kept in microseconds since the epoch, UTC."""

    def _serialize(self, value: int | None, attr: str | None, obj: Any, **_: Any) -> str | None:
        return None if value is None else format_micros(value)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> int:
        return _micros(value)


class Whole(fields.Integer):
    """A whole number, written in digits only."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> int:
        if not isinstance(value, str) or not _WHOLE.fullmatch(value):
            raise ValidationError("expected a whole number of at most 18 digits")
        return int(value)


class Truth(fields.Boolean):
    """`true` or `false`."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> bool:
        if value not in ("true", "false"):
            raise ValidationError("expected true or false")
        return bool(value == "true")


class Text(fields.String):
    """Text that every store can look up."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text: str = super()._deserialize(value, attr, data, **kwargs) or ""
        if not is_storable(text):
            raise ValidationError("expected text that is not empty and holds no NUL")
        return text


def is_storable(text: str) -> bool:
    """Tell whether a text can be in a store at all."""
    if not text or "\0" in text:
        return False
    return not any("\ud800" <= c <= "\udfff" for c in text)


class CamelSchema(Schema):
    """A schema whose names are camelCase on the wire."""

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        """Give the field its name on the wire."""
        head, *rest = (field_obj.data_key or field_name).split("_")
        field_obj.data_key = head + "".join(part.capitalize() for part in rest)


# Questions


class NoQuery(CamelSchema):
    """No parameters."""


class FreshQuery(CamelSchema):
    """How new the answer must be."""

    min_position = Whole(
        metadata={"description": "Wait up to 5 s until the views have reached this position."}
    )


class AsOfQuery(FreshQuery):
    """Which moment of our own knowledge is meant."""

    as_of = Micros(
        metadata={"description": "Answer as we would have answered then: recordedAt <= asOf."}
    )


class MomentQuery(AsOfQuery):
    """Which moment is meant, by both clocks."""

    valid_at = Millis(
        metadata={"description": "What was true then, by all that is known: occurredAt <= validAt."}
    )


class ClientQuery(MomentQuery):
    """Which client is meant."""

    client_reference_id = Text(required=True)


class PageQuery(FreshQuery):
    """Which page of a list is meant."""

    limit = Whole(load_default=DEFAULT_LIMIT, validate=validate.Range(1, MAX_LIMIT))
    cursor = fields.String(metadata={"description": "`nextCursor` of the page before."})


class ConnectionsQuery(PageQuery):
    """Which connections are meant."""

    status = fields.String(validate=validate.OneOf([status.value for status in Status]))
    client_reference_id = Text()
    stale = Truth()


class HistoryQuery(PageQuery, AsOfQuery):
    """Which entries of a history are meant, and in which order."""

    type = fields.List(fields.String(validate=validate.OneOf(list(CONNECTION_TYPES))))
    from_ = Millis(data_key="from", metadata={"description": "occurredAt at or after."})
    to = Millis(metadata={"description": "occurredAt before."})
    by = fields.String(load_default="position", validate=validate.OneOf(["position", "occurredAt"]))
    order = fields.String(load_default="asc", validate=validate.OneOf(["asc", "desc"]))


class ClientHistoryQuery(HistoryQuery):
    """Whose history is meant."""

    client_reference_id = Text(required=True)


class RetryBody(CamelSchema):
    """Which parked deliveries are to be read again; all of them when `ids` is absent."""

    ids = fields.List(Text(), validate=validate.Length(max=MAX_LIMIT))


# Answers


def _maybe(cls: type[fields.Field[Any]], **kwargs: Any) -> fields.Field[Any]:
    return cls(allow_none=True, **kwargs)


class ConnectionSchema(CamelSchema):
    """A connection; facts that nobody stated are null."""

    id = fields.String()
    client_reference_id = _maybe(fields.String)
    status = _maybe(fields.String)
    status_since = _maybe(Millis)
    permissions = fields.List(fields.String(), allow_none=True)
    user_data = fields.Dict(allow_none=True)
    created_at = _maybe(Millis)
    updated_at = _maybe(Millis)
    expired_at = _maybe(Millis)
    deleted_at = _maybe(Millis)
    missing_since = _maybe(Millis)
    deletion_requested_at = _maybe(Millis)
    expiry_suspected_at = _maybe(Millis)
    imported = _maybe(fields.Boolean)
    last_checked_at = _maybe(Millis)
    last_evidence_at = _maybe(Millis)
    last_evidence_source = _maybe(fields.String)
    stale = fields.Boolean()
    predecessor_id = _maybe(fields.String)
    successor_id = _maybe(fields.String)
    duplicate_of = fields.List(fields.String(), allow_none=True)
    flags = fields.List(fields.String())


class ClientSchema(CamelSchema):
    """A client and its connections."""

    client_reference_id = fields.String()
    status = _maybe(fields.String)
    connections = fields.List(fields.Nested(ConnectionSchema))
    link_sessions = fields.List(fields.Dict())
    last_evidence_at = _maybe(Millis)
    last_evidence_source = _maybe(fields.String)
    stale = fields.Boolean()


class EvidenceSchema(CamelSchema):
    """One delivery that states a claim."""

    position = _maybe(fields.Integer)
    delivery_id = fields.String()
    dialect = _maybe(fields.String)
    observed_at = Millis()


class HistoryEntrySchema(CamelSchema):
    """One thing that happened to a connection."""

    position = fields.Integer()
    type = fields.String()
    recorded_as = _maybe(fields.String)
    connection_id = fields.String()
    client_reference_id = _maybe(fields.String)
    occurred_at = Millis()
    observed_at = Millis()
    recorded_at = Micros()
    source = fields.String()
    late = fields.Boolean()
    summary = fields.String()
    data = fields.Dict()
    evidence = fields.List(fields.Nested(EvidenceSchema))


class ParkedSchema(CamelSchema):
    """A delivery that is kept and could not be read."""

    id = fields.String()
    position = fields.Integer()
    reason = fields.String()
    detail = fields.String()
    type = _maybe(fields.String)
    size = fields.Integer()
    observed_at = Millis()
    dialect = fields.String()


class RetriedSchema(CamelSchema):
    """What became of a parked delivery."""

    id = fields.String()
    outcome = fields.String()
    position = fields.Integer()


class HeldSchema(CamelSchema):
    """A request that no secret verified."""

    id = fields.String()
    received_at = Millis()
    size = fields.Integer()
    dialect = fields.String()


class VerifiedSchema(CamelSchema):
    """What a second look at the quarantine brought."""

    verified = fields.Integer()
    refused = fields.Integer()
    position = _maybe(fields.Integer)


class BlockedSchema(CamelSchema):
    """A stream that a projection could not fold."""

    stream = fields.String()
    position = fields.Integer()
    reason = fields.String()


class ProjectionSchema(CamelSchema):
    """How far a projection has come."""

    name = fields.String()
    version = fields.Integer()
    generation = fields.Integer()
    position = fields.Integer()
    lag = fields.Integer(metadata={"description": "Positions between it and the log's end."})
    blocked = fields.List(fields.Nested(BlockedSchema))


class HealthSchema(CamelSchema):
    """Whether the service can do its work."""

    status = fields.String()
    checks = fields.Dict()


class FieldErrorSchema(CamelSchema):
    """One bad part of a request."""

    location = fields.String()
    name = fields.String()
    message = fields.String()


class ProblemSchema(CamelSchema):
    """An error, as RFC 9457 has it."""

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    request_id = fields.String(required=True)
    errors = fields.List(fields.Nested(FieldErrorSchema))


def page_of(item: type[Schema]) -> Schema:
    """Make the schema of one page of a list."""
    members: Mapping[str, fields.Field[Any]] = {
        "items": fields.List(fields.Nested(item)),
        "next_cursor": _maybe(fields.String),
    }
    name = f"{item.__name__.removesuffix('Schema')}PageSchema"
    made: Schema = type(name, (CamelSchema,), dict(members))()
    return made


def _micros(value: Any) -> int:
    try:
        return parse_micros(str(value))
    except ValueError as error:
        raise ValidationError(str(error)) from error
