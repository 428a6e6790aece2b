"""What the API answers about clients, connections and what happened to them."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import pytest

from ledger.domain.words import short_id
from tests.builders import NOON, iso, webhook
from tests.serving import Serving

MINUTE = 60_000
CONNECTION_KEYS = {
    "id", "clientReferenceId", "status", "statusSince", "permissions", "userData", "createdAt",
    "updatedAt", "expiredAt", "deletedAt", "missingSince", "deletionRequestedAt",
    "expirySuspectedAt", "imported", "lastCheckedAt", "lastEvidenceAt", "lastEvidenceSource",
    "stale", "predecessorId", "successorId", "duplicateOf", "flags",
}  # fmt: skip
ENTRY_KEYS = {
    "position", "type", "recordedAs", "connectionId", "clientReferenceId", "occurredAt",
    "observedAt", "recordedAt", "source", "late", "summary", "data", "evidence",
}  # fmt: skip


def utc_now() -> str:
    """The present time as the API takes it."""
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def tell_story(serving: Serving, ref: str = "user_1") -> None:
    """Created, then reconnected, then the expiry in between comes late."""
    serving.tell("created", at=NOON, ref=ref, status="active")
    serving.tell("updated", at=NOON + 3 * MINUTE, ref=ref, status="active")
    serving.tell("expired", at=NOON + MINUTE, ref=None, status="expired")


def types(serving: Serving, path: str, **query: Any) -> list[str]:
    """The types of a history's entries, in its order."""
    items = serving.read(path, **query)["items"]
    return [item["type"].removeprefix("connection.") for item in items]


def test_a_client_is_answered_with_every_key(serving: Serving) -> None:
    """Names are fixed; facts that nobody stated are null."""
    tell_story(serving)
    client = serving.read("/api/clients/user_1")
    assert client["clientReferenceId"] == "user_1"
    assert client["status"] == "active"
    assert client["linkSessions"] == []
    [connection] = client["connections"]
    assert set(connection) == CONNECTION_KEYS
    assert connection["statusSince"] == iso(NOON + 3 * MINUTE)
    assert connection["missingSince"] is None


@pytest.mark.parametrize(
    "ref",
    ["team/eu/user 1", "ümläut/x", "a?b=c&d", "..%2e", "x/history/y", "/x", "//", "two\nlines"],
)
def test_a_reference_may_hold_any_character(serving: Serving, ref: str) -> None:
    """As a path with slashes, and as a parameter."""
    from urllib.parse import quote

    serving.tell(ref=ref)
    assert serving.read(f"/api/clients/{quote(ref)}")["clientReferenceId"] == ref
    by_query = serving.read("/api/clients", clientReferenceId=ref)
    assert by_query["clientReferenceId"] == ref
    assert types(serving, f"/api/clients/{quote(ref)}/history") == ["created"]
    assert types(serving, "/api/history", clientReferenceId=ref) == ["created"]


def test_a_reference_that_ends_in_history_is_asked_for_by_parameter(small: Serving) -> None:
    """The path form reads it as the history of the rest."""
    small.tell(ref="my/history")
    assert small.read("/api/clients", clientReferenceId="my/history")["status"] == "active"
    assert small.get("/api/clients/my/history").status_code == 404


def test_what_was_never_heard_of_is_404(serving: Serving) -> None:
    """A client, a connection, a short form, and their histories."""
    for path in (
        "/api/clients/nobody",
        "/api/clients/nobody/history",
        "/api/connections/conn_none",
        "/api/connections/conn_none/history",
        "/api/connections/conn~00000000",
    ):
        assert serving.get(path).status_code == 404, path
    assert serving.get("/api/clients", clientReferenceId="nobody").status_code == 404


def test_what_no_store_can_hold_is_refused(serving: Serving) -> None:
    """A NUL in a reference or id is 422 on every store, never an error of its database."""
    for path in ("/api/clients/a%00b", "/api/connections/%00", "/api/clients/%00/history"):
        assert serving.get(path).status_code == 422, path
    assert serving.get("/api/clients", clientReferenceId="\0").status_code == 422
    assert serving.get("/api/clients", clientReferenceId="").status_code == 422


def test_an_answer_names_its_position_and_its_rules(serving: Serving) -> None:
    """Ledger-Position and Ledger-Projection, so that an answer can be asked for again."""
    tell_story(serving)
    headers = serving.get("/api/clients/user_1").headers
    assert int(headers["Ledger-Position"]) >= serving.position
    assert re.fullmatch(r"current_state; version=\d+; generation=\d+", headers["Ledger-Projection"])
    named = serving.get("/api/clients/user_1/history").headers["Ledger-Projection"]
    assert named.startswith("history; version=")


def test_valid_at_is_the_providers_clock_and_as_of_ours(serving: Serving) -> None:
    """What was true then by all we know now; what we would have answered then."""
    serving.tell("created", at=NOON, status="active")
    serving.tell("updated", at=NOON + 3 * MINUTE, status="active")
    serving.get("/api/clients/user_1")
    before = utc_now()
    serving.tell("expired", at=NOON + MINUTE, status="expired")
    between = iso(NOON + 2 * MINUTE)

    def status(**query: Any) -> Any:
        return serving.read("/api/clients/user_1", **query)["status"]

    assert status() == "active"
    assert status(validAt=between) == "expired"
    assert status(validAt=between, asOf=before) == "active"
    assert types(serving, "/api/clients/user_1/history", asOf=before) == ["created", "confirmed"]
    connection = serving.read("/api/connections/conn_1", validAt=between)
    assert connection["status"] == "expired"


def test_as_of_now_knows_what_was_acknowledged_before_it(serving: Serving) -> None:
    """A T younger than 5 s waits for writes under way and for the views."""
    for number in range(20):
        serving.tell(connection=f"conn_{number}", ref=f"user_{number}")
        answer = serving.get(f"/api/clients/user_{number}", asOf=utc_now(), minPosition=None)
        assert answer.status_code == 200


def test_as_of_now_waits_for_a_write_that_has_its_time_already(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the same question would be answered otherwise a moment later."""
    log, committing, commit = serving.service.services.log, Event(), Event()
    real = log._commit  # type: ignore[attr-defined]

    def slowly(connection: Any) -> None:
        committing.set()
        assert commit.wait(2)
        real(connection)

    monkeypatch.setattr(log, "_commit", slowly)
    with ThreadPoolExecutor(2) as threads:
        told = threads.submit(serving.deliver, webhook())
        assert committing.wait(20)
        asked = threads.submit(serving.get, "/api/clients/user_1", asOf=utc_now())
        while not asked.done() and not serving.service.services.writer.depth:
            wait([asked], timeout=0.01)
        commit.set()
        assert told.result().status_code == 204
        assert asked.result().status_code == 200


def test_an_old_as_of_answers_the_same_bytes_for_ever(serving: Serving) -> None:
    """Later arrivals, however early their time, change nothing in it."""
    tell_story(serving)
    then = utc_now()
    asked = ("/api/clients/user_1", "/api/clients/user_1/history", "/api/connections/conn_1")
    before = [serving.get(path, asOf=then).data for path in asked]
    serving.tell("updated", at=NOON - MINUTE, status="expired", ref="user_2")
    serving.tell("disconnected", at=NOON + 9 * MINUTE)
    assert [serving.get(path, asOf=then).data for path in asked] == before


@pytest.mark.parametrize("parameter", ["asOf", "validAt"])
def test_the_future_is_422(small: Serving, parameter: str) -> None:
    """Nobody knows it."""
    small.tell()
    future = (datetime.now(UTC) + timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    response = small.get("/api/clients/user_1", **{parameter: future})
    assert response.status_code == 422
    assert [error["name"] for error in response.json["errors"]] == [parameter]


def test_min_position_reads_what_was_just_written(serving: Serving) -> None:
    """The position of a 204 is enough to see its effect at once."""
    for number in range(20):
        serving.tell(connection=f"conn_{number}", ref=f"user_{number}")
        assert serving.get(f"/api/clients/user_{number}").status_code == 200


def test_min_position_beyond_the_end_is_refused_at_once(serving: Serving) -> None:
    """Waiting for what was never written would be waiting for nothing."""
    serving.tell()
    began = time.monotonic()
    response = serving.get("/api/clients/user_1", minPosition=serving.position + 1)
    assert response.status_code == 422
    assert time.monotonic() - began < 2


def test_history_is_in_the_order_of_recording_or_of_happening(serving: Serving) -> None:
    """A late claim comes last by position, and in its place by occurredAt."""
    tell_story(serving)
    path = "/api/clients/user_1/history"
    assert types(serving, path) == ["created", "reconnected", "expired"]
    assert types(serving, path, by="occurredAt") == ["created", "expired", "reconnected"]
    assert types(serving, path, by="occurredAt", order="desc") == [
        "reconnected",
        "expired",
        "created",
    ]
    entries = serving.read(path)["items"]
    assert [entry["late"] for entry in entries] == [False, False, True]
    assert entries[1]["recordedAs"] == "connection.confirmed"
    assert set(entries[0]) == ENTRY_KEYS
    assert set(entries[0]["evidence"][0]) == {"position", "deliveryId", "dialect", "observedAt"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", entries[0]["recordedAt"])


def test_history_is_filtered_by_type_and_time(serving: Serving) -> None:
    """`from` is included, `to` is not; `type` may be given several times."""
    tell_story(serving)
    path = "/api/connections/conn_1/history"
    assert types(serving, path, type="connection.expired") == ["expired"]
    several = ["connection.expired", "connection.created"]
    assert types(serving, path, type=several) == ["created", "expired"]
    window = {"from": iso(NOON + MINUTE), "to": iso(NOON + 3 * MINUTE)}
    assert types(serving, path, **window) == ["expired"]


@pytest.mark.parametrize("by", ["position", "occurredAt"])
@pytest.mark.parametrize("as_of", [False, True])
def test_pages_put_together_are_the_whole(serving: Serving, by: str, as_of: bool) -> None:
    """Each entry once, in order, whatever the page's size."""
    tell_story(serving)
    query = {"by": by} | ({"asOf": utc_now()} if as_of else {})
    path = "/api/clients/user_1/history"
    whole = serving.read(path, **query)["items"]
    pieces, cursor = [], None
    while True:
        page = serving.read(path, **query, limit=1, cursor=cursor)
        pieces += page["items"]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert pieces == whole


def test_a_cursor_is_of_no_use_with_another_question(small: Serving) -> None:
    """Nor is anything made up."""
    tell_story(small)
    path = "/api/clients/user_1/history"
    cursor = small.read(path, limit=1)["nextCursor"]
    assert small.get(path, limit=2, cursor=cursor).status_code == 200
    assert small.get(path, by="occurredAt", cursor=cursor).status_code == 422
    assert small.get("/api/connections", cursor=cursor).status_code == 422
    for made_up in ("x", "é", "A" * 40, cursor[:-2], cursor + "AAAA"):
        assert small.get(path, cursor=made_up).status_code == 422


def test_ndjson_and_csv_stream_the_whole(serving: Serving) -> None:
    """Every entry, whatever the limit, as the JSON has them."""
    tell_story(serving)
    path = "/api/clients/user_1/history"
    whole = serving.read(path)["items"]
    ndjson = serving.get(path, accept="application/x-ndjson", limit=1)
    assert ndjson.mimetype == "application/x-ndjson"
    assert [json.loads(line) for line in ndjson.text.splitlines()] == whole
    table = serving.get(path, accept="text/csv")
    assert table.mimetype == "text/csv"
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert set(rows[0]) == ENTRY_KEYS
    assert [int(row["position"]) for row in rows] == [entry["position"] for entry in whole]
    assert json.loads(rows[0]["evidence"]) == whole[0]["evidence"]
    assert "Ledger-Position" in table.headers


def test_csv_is_no_formula_for_a_spreadsheet(serving: Serving) -> None:
    """A cell that would begin like a formula begins with an apostrophe."""
    serving.tell(ref="=cmd|' /C calc'!A0")
    table = serving.get("/api/history", accept="text/csv", clientReferenceId="=cmd|' /C calc'!A0")
    [row] = csv.DictReader(io.StringIO(table.text))
    assert row["clientReferenceId"] == "'=cmd|' /C calc'!A0"


def test_connections_are_listed_and_filtered(serving: Serving) -> None:
    """By status, client and staleness, page by page."""
    now = int(time.time() * 1000)
    for number in range(5):
        serving.tell(connection=f"conn_{number}", ref=f"user_{number % 2}", at=now - MINUTE)
    serving.tell("expired", "conn_3", at=now, ref=None)

    def ids(**query: Any) -> list[str]:
        return [item["id"] for item in serving.read("/api/connections", **query)["items"]]

    assert ids() == [f"conn_{number}" for number in range(5)]
    assert ids(status="expired") == ["conn_3"]
    assert ids(clientReferenceId="user_1") == ["conn_1", "conn_3"]
    assert ids(stale="true") == []
    assert len(ids(stale="false")) == 5
    first = serving.read("/api/connections", limit=3)
    rest = serving.read("/api/connections", limit=3, cursor=first["nextCursor"])
    assert [item["id"] for item in first["items"] + rest["items"]] == ids()
    assert rest["nextCursor"] is None


def test_a_connection_is_found_by_the_form_that_logs_print(serving: Serving) -> None:
    """`conn~` and 8 hex digits, wherever an id is asked for."""
    tell_story(serving)
    short = short_id("conn_1", serving.service.services.log.key)
    assert serving.read(f"/api/connections/{short}")["id"] == "conn_1"
    assert len(types(serving, f"/api/connections/{short}/history")) == 3


def test_parked_deliveries_are_listed_and_retried(serving: Serving) -> None:
    """With the reason; a retry says what became of each."""
    assert serving.deliver(b"{").status_code == 204
    [item] = serving.read("/api/parked")["items"]
    assert item["reason"] == "not_json"
    assert item["size"] == 1
    for body in (None, {}, {"ids": [item["id"]]}, {"ids": [item["id"].removeprefix("delivery:")]}):
        retried = serving.post("/api/parked/retry", body)
        assert retried.status_code == 200
        [one] = retried.json["items"]
        assert (one["id"], one["outcome"]) == (item["id"], "still_parked")
        assert one["position"] == item["position"]
        assert retried.headers["Ledger-Position"] == str(item["position"])
    assert serving.post("/api/parked/retry", {"ids": ["nothing"]}).status_code == 404
    assert serving.post("/api/parked/retry", {"ids": "x"}).status_code == 422
    assert serving.post("/api/parked/retry", {"all": True}).status_code == 422


def test_projections_say_how_far_they_are(serving: Serving) -> None:
    """Position, lag, version, generation and what is blocked, of each."""
    tell_story(serving)
    serving.get("/api/clients/user_1")
    response = serving.get("/api/projections")
    assert int(response.headers["Ledger-Position"]) == serving.position
    items = {item["name"]: item for item in response.json["items"]}
    assert set(items) == {"current_state", "history", "deliveries", "links"}
    for item in items.values():
        assert (item["position"], item["lag"], item["blocked"]) == (serving.position, 0, [])


def test_views_and_log_survive_a_restart(database_url: str, tmp_path: Any) -> None:
    """What was acknowledged is answered by the next process."""
    with Serving(database_url, tmp_path) as first:
        tell_story(first)
        answer = first.read("/api/clients/user_1/history")
    with Serving(database_url, tmp_path) as second:
        second.position = first.position
        assert second.read("/api/clients/user_1/history") == answer
