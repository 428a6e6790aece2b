"""What goes over the wire is what marshmallow would make of it."""

from __future__ import annotations

from typing import Any

import pytest
from marshmallow import Schema, fields

from api.answers import ClientSchema, HistoryEntrySchema
from api.history import HistoryPage
from api.schemas import CamelSchema, Millis
from ledger.domain.connection import fold
from projections.current_state.document import client_view, connection_view
from tests.given import CONNECTION, SECOND, as_statement, awaiting_2fa, created, expired, updated
from tests.unit.test_projections_entries import entries

SAID = (
    created(userData={"id": "7", "name": "Zoë"}, permissions=["profile:read"]),
    expired(at=SECOND * 2, expiredAt=1_700_000_000_000),
    awaiting_2fa(at=SECOND * 4),
    updated(at=SECOND * 3, clientReferenceId="another"),
)


class PartSchema(CamelSchema):
    """A part."""

    seen_at = Millis()


class WholeSchema(CamelSchema):
    """Something with parts."""

    user_data = fields.Dict()
    parts = fields.List(fields.Nested(PartSchema))
    first_part = fields.Nested(PartSchema, allow_none=True)


def test_a_mapping_is_written_without_what_it_lacks() -> None:
    """Absent is not null."""
    whole = {"first_part": None, "parts": [{"seen_at": 1}, {}], "more": 1}
    assert WholeSchema().dump(whole) == {
        "parts": [{"seenAt": "1970-01-01T00:00:00.001Z"}, {}],
        "firstPart": None,
    }


def test_many_are_written_one_by_one() -> None:
    """As a list, whichever way it is asked for."""
    several = [{"seen_at": 0}, {"seen_at": None}]
    expected = [{"seenAt": "1970-01-01T00:00:00.000Z"}, {"seenAt": None}]
    assert PartSchema(many=True).dump(several) == expected
    assert PartSchema().dump(several, many=True) == expected


def answers() -> list[tuple[Schema, Any]]:
    """What is answered of a connection with a life, each with its schema."""
    connection = fold(CONNECTION, map(as_statement, SAID))
    assert connection is not None
    found = entries(*SAID)
    return [
        (HistoryPage, {"items": found, "next_cursor": None}),
        (HistoryEntrySchema(many=True), found),
        (ClientSchema(), client_view("user", [connection_view(connection)], known=True)),
    ]


def test_answers_are_what_marshmallow_makes_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name by name and in the same order, inside of others too."""
    ours = [repr(schema.dump(value)) for schema, value in answers()]
    monkeypatch.delattr(CamelSchema, "dump")
    assert ours == [repr(schema.dump(value)) for schema, value in answers()]
