"""What goes over the wire: camelCase JSON, times in RFC 3339."""

import re
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Any, Final

from marshmallow import Schema, ValidationError, fields, missing, validate

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

    def dump(self, obj: Any, *, many: bool | None = None) -> Any:
        """Write a mapping or an object as marshmallow does, without what none of ours uses.

        Marshmallow asks anew for each value how it is to be got; of a long page that is most.
        """
        if self.many if many is None else many:
            return [self.dump(one, many=False) for one in obj]
        get = obj.get if isinstance(obj, Mapping) else partial(getattr, obj)
        return {
            key: write(value, name, obj)
            for name, key, write in self._written
            if (value := get(name, missing)) is not missing
        }

    @cached_property
    def _written(self) -> list[tuple[str, str, Callable[..., Any]]]:
        """Name, name on the wire and way of writing of each field."""
        return [
            (name, field.data_key or name, field._serialize)
            for name, field in self.dump_fields.items()
        ]


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
        metadata={"description": "As we would have answered then, by what was recorded up to it."}
    )


class MomentQuery(AsOfQuery):
    """Which moment is meant, by both clocks."""

    valid_at = Millis(
        metadata={"description": "What was true then, by all that is known to have occurred by it."}
    )


class ClientQuery(MomentQuery):
    """Which client is meant."""

    client_reference_id = Text(
        required=True, metadata={"description": "The client, whatever characters it holds."}
    )


class PageQuery(FreshQuery):
    """Which page of a list is meant."""

    limit = Whole(
        load_default=DEFAULT_LIMIT,
        validate=validate.Range(1, MAX_LIMIT),
        metadata={"description": f"How many items, 1 to {MAX_LIMIT}."},
    )
    cursor = fields.String(metadata={"description": "`nextCursor` of the page before."})


class ConnectionsQuery(PageQuery):
    """Which connections are meant."""

    status = fields.String(
        validate=validate.OneOf([status.value for status in Status]),
        metadata={"description": "Only those with this status."},
    )
    client_reference_id = Text(metadata={"description": "Only this client's."})
    stale = Truth(metadata={"description": "Only those that are stale, or that are not."})


class HistoryQuery(PageQuery, AsOfQuery):
    """Which entries of a history are meant, and in which order."""

    type = fields.List(
        fields.String(validate=validate.OneOf(list(CONNECTION_TYPES))),
        metadata={"description": "Only this type; may be given several times."},
    )
    from_ = Millis(
        data_key="from", metadata={"description": "Only what occurred at this time or later."}
    )
    to = Millis(metadata={"description": "Only what occurred before this time."})
    by = fields.String(
        load_default="position",
        validate=validate.OneOf(["position", "occurredAt"]),
        metadata={
            "description": "The order: `position`, as recorded, or `occurredAt`, as it happened."
        },
    )
    order = fields.String(
        load_default="asc",
        validate=validate.OneOf(["asc", "desc"]),
        metadata={"description": "`asc`, oldest first, or `desc`, newest first."},
    )


class ClientHistoryQuery(HistoryQuery):
    """Whose history is meant."""

    client_reference_id = Text(required=True, metadata={"description": "The client."})


class RetryBody(CamelSchema):
    """Which parked deliveries are to be read again; all of them when `ids` is absent."""

    ids = fields.List(
        Text(),
        validate=validate.Length(max=MAX_LIMIT),
        metadata={"description": "As `/api/parked` names them."},
    )


# Answers


def _said(cls: type[fields.Field[Any]], text: str, **how: Any) -> fields.Field[Any]:
    return cls(metadata={"description": text}, **how)


def _maybe(cls: type[fields.Field[Any]], text: str) -> fields.Field[Any]:
    return cls(allow_none=True, metadata={"description": text})


class ParkedSchema(CamelSchema):
    """A delivery that is kept and could not be read."""

    id = _said(fields.String, "Its stream, which `ids` of a retry take.")
    position = _said(fields.Integer, "Of the event that parked it.")
    reason = _said(fields.String, "A fixed word.")
    detail = _said(fields.String, "Which part could not be read, without any of its text.")
    type = _maybe(fields.String, "The provider's type text, when it could be read.")
    size = _said(fields.Integer, "Bytes of the body.")
    observed_at = _said(Millis, "When it reached the ledger.")
    dialect = _said(fields.String, "Of its signature.")


class RetriedSchema(CamelSchema):
    """What became of a parked delivery."""

    id = _said(fields.String, "Its stream.")
    outcome = _said(
        fields.String, "`resolved`, `still_parked`, or `unchanged` when it is not parked."
    )
    position = _said(fields.Integer, "Of the last event written of it.")


class HeldSchema(CamelSchema):
    """A request that no secret verified."""

    id = _said(fields.String, "Its file's name.")
    received_at = _said(Millis, "When it came; its signature is checked against this time.")
    size = _said(fields.Integer, "Bytes of the body.")
    dialect = _said(fields.String, "Of the signature that it claims to have.")


class VerifiedSchema(CamelSchema):
    """What a second look at the quarantine brought."""

    verified = _said(fields.Integer, "How many were recorded and let go.")
    refused = _said(fields.Integer, "How many still do not verify; they stay.")
    position = _maybe(fields.Integer, "The last position written; null when nothing was.")


class BlockedSchema(CamelSchema):
    """A stream that a projection could not fold."""

    stream = _said(fields.String, "Its name, which may hold a connection id.")
    position = _said(fields.Integer, "Of the first event that is not in the view.")
    reason = _said(fields.String, "What failed.")


class ProjectionSchema(CamelSchema):
    """How far a projection has come."""

    name = _said(fields.String, "Which.")
    version = _said(fields.Integer, "Of its rules.")
    generation = _said(fields.Integer, "Which copy of the views answers.")
    position = _said(fields.Integer, "How far it has read.")
    lag = _said(fields.Integer, "Positions between it and the log's end.")
    blocked = fields.List(
        fields.Nested(BlockedSchema),
        metadata={"description": "Streams that it could not fold; the others go on."},
    )


class HealthSchema(CamelSchema):
    """Whether the service can do its work."""

    status = _said(fields.String, "One word.")
    checks = _said(fields.Dict, "By part: `ok`, or what is wrong with it.")


class FieldErrorSchema(CamelSchema):
    """One bad part of a request."""

    location = _said(fields.String, "`query`, `json` or `path`.")
    name = _said(fields.String, "Which part.")
    message = _said(fields.String, "What is wrong with it.")


class ProblemSchema(CamelSchema):
    """An error, as RFC 9457 has it."""

    type = _said(fields.String, "`urn:connection-ledger:problem:` and its name.", required=True)
    title = _said(fields.String, "What kind of problem it is.", required=True)
    status = _said(fields.Integer, "The status of the answer.", required=True)
    detail = _said(fields.String, "What happened, and what to do next.", required=True)
    request_id = _said(fields.String, "Names the request in the log.", required=True)
    errors = fields.List(
        fields.Nested(FieldErrorSchema), metadata={"description": "Of bad input: its parts."}
    )


def page_of(item: type[Schema]) -> Schema:
    """Make the schema of one page of a list."""
    members: Mapping[str, fields.Field[Any]] = {
        "items": fields.List(fields.Nested(item)),
        "next_cursor": _maybe(fields.String, "The `cursor` of the next page; null at the end."),
    }
    name = f"{item.__name__.removesuffix('Schema')}PageSchema"
    made: Schema = type(name, (CamelSchema,), dict(members))()
    return made


def _micros(value: Any) -> int:
    try:
        return parse_micros(str(value))
    except ValueError as error:
        raise ValidationError(str(error)) from error
