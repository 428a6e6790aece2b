"""What was stored once is read for ever; what a later program stored is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from ledger.domain.errors import EventTooNew, UnknownEventType, UnreadableEvent
from ledger.domain.events import TYPES, ConnectionConfirmed, Event
from ledger.recorders import codec
from ledger.recorders.base import StoredRow
from ledger.recorders.codec import to_event, to_row
from tests.given import as_statement, delete_requested, refused

ASSET = Path(__file__).parents[1] / "assets" / "events.jsonl"
SALT = b"salt"
"""With which the payloads of the asset were digested."""
STORED = [json.loads(line) for line in ASSET.read_text(encoding="utf-8").splitlines()]


def row(stored: dict[str, Any]) -> StoredRow:
    """Give a line of the asset as it rests in the log."""
    payload = stored["payload"]
    return StoredRow(
        position=1,
        stream=stored["stream"],
        version=1,
        topic=stored["topic"],
        state=stored["state"].encode(),
        recorded_at=1,
        payload=None if payload is None else payload.encode(),
    )


def form(stored: dict[str, Any]) -> tuple[str, int]:
    """Give the type and the version of a line."""
    return stored["topic"], json.loads(stored["state"])["v"]


def of(topic: str, state: bytes) -> StoredRow:
    """Make a row without a payload."""
    return StoredRow(1, "stream:1", 1, topic, state, 1, None)


def test_the_asset_has_every_version_of_every_type() -> None:
    """A new type, or a new version, brings its line."""
    wanted = {
        (name, version) for name, cls in TYPES.items() for version in range(1, cls.VERSION + 1)
    }
    assert {form(one) for one in STORED} == wanted


@pytest.mark.parametrize("stored", STORED, ids=lambda one: "-v".join(map(str, form(one))))
def test_every_stored_form_is_read(stored: dict[str, Any]) -> None:
    """The bytes in the asset were written by the program of their day."""
    event = to_event(row(stored))
    assert stored["topic"] == event.NAME
    if form(stored)[1] == event.VERSION:
        again = to_row(stored["stream"], 1, event, salt=SALT)
        assert (again.state, again.payload) == (row(stored).state, row(stored).payload)


def test_what_closes_a_request_cannot_be_erased() -> None:
    """Or the request would be open again."""
    asked, answer = delete_requested(command="command:1"), refused(closes="command:1")
    for claim in (asked, replace(answer, fields={**answer.fields, "httpStatus": 403})):
        stored = to_row("connection:1", 1, ConnectionConfirmed(statement=as_statement(claim)))
        assert stored.payload is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Third(Event):
    """An event in its third form."""

    NAME = "example.received"
    VERSION = 3
    UPCASTS: ClassVar = {
        1: lambda form: {"bytes": form["size"]},
        2: lambda form: {**form, "dialect": "documented"},
    }
    bytes: int
    dialect: str


@pytest.mark.parametrize(
    "state",
    [
        b'{"v":1,"size":7}',
        b'{"v":2,"bytes":7}',
        b'{"v":3,"bytes":7,"dialect":"documented"}',
    ],
)
def test_older_forms_are_brought_up_to_date(state: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Step by step, from whichever version it was."""
    monkeypatch.setitem(TYPES, Third.NAME, Third)
    monkeypatch.setitem(codec._READERS, Third.NAME, codec._reader(Third))
    assert to_event(of(Third.NAME, state)) == Third(bytes=7, dialect="documented")


def test_a_later_form_is_refused() -> None:
    """It says which version it has and which one can be read."""
    with pytest.raises(EventTooNew, match=r"version 9, this program reads up to 1"):
        to_event(of("delivery.parked", b'{"v":9,"reason":"not_json","detail":""}'))


def test_a_type_of_a_later_program_is_refused() -> None:
    """Nothing in the database can name code to import."""
    for topic in ("sweep.dreamt", "os:system", ""):
        with pytest.raises(UnknownEventType):
            to_event(of(topic, b'{"v":1}'))


@pytest.mark.parametrize(
    "state", [b"", b"{", b"[]", b"{}", b'{"v":"1"}', b'{"v":1}', b'{"v":1,"reason":1,"detail":""}']
)
def test_bytes_of_another_form_are_refused(state: bytes) -> None:
    """With our own error, whatever they are."""
    with pytest.raises(UnreadableEvent):
        to_event(of("delivery.parked", state))
