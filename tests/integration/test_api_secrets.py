"""Canaries: what must never be written is put everywhere, then looked for."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client

from api.app import create_wsgi
from api.logs import configure
from api.metrics import Metrics
from ledger.domain.words import short_id
from tests.builders import NOON, SECRET, webhook
from tests.logged import logged
from tests.serving import ADMIN, HOOK, READ, Serving, signed

CONNECTION = "conn_canaryconnection"
REFERENCE = "canary-reference"
BODY = "canary-body-text"
TOKEN = "canary-wrong-token"
CANARIES = (CONNECTION, REFERENCE, BODY, TOKEN, ADMIN, READ, SECRET.value, SECRET.value[6:])


@pytest.fixture(params=["text", "json"])
def written(request: pytest.FixtureRequest) -> Iterator[tuple[str, io.StringIO]]:
    """Everything that is logged, in either form."""
    root, stream = logging.getLogger(), io.StringIO()
    before, level, hook = root.handlers[:], root.level, threading.excepthook
    configure(request.param, stream)
    yield request.param, stream
    root.handlers[:], threading.excepthook = before, hook
    root.setLevel(level)


def put_canaries_everywhere(serving: Serving) -> None:
    """Ask, order and deliver with canaries in every place that a caller fills."""
    user = {"id": BODY, "name": BODY, "username": BODY, "avatar": None}
    serving.tell(connection=CONNECTION, ref=REFERENCE, userData=user)
    serving.tell("expired", CONNECTION, ref=REFERENCE, at=NOON + 1, status=BODY)
    serving.deliver(webhook(BODY, CONNECTION, ref=REFERENCE))
    serving.deliver(json.dumps({"type": 7, BODY: CONNECTION}).encode())
    serving.deliver(BODY.encode())
    unsigned = {"OFAuth-Signature": BODY, "User-Agent": BODY, "X-Request-Id": CONNECTION}
    serving.deliver(webhook(), **unsigned)
    serving.deliver(webhook(), **{**signed(b"other"), "Content-Type": BODY})
    for path in ("/api/clients/", "/api/connections/", "/api/nothing/", "/docs/", "/webhooks/"):
        for canary in (CONNECTION, REFERENCE):
            for suffix in ("", "/history"):
                serving.get(f"{path}{canary}{suffix}", clientReferenceId=BODY, minPosition=None)
                serving.get(f"{path}{canary}{suffix}", token=TOKEN, cursor=CONNECTION)
    serving.get("/api/history", clientReferenceId=REFERENCE, accept="text/csv")
    serving.client.open(f"/{CONNECTION}", method=CONNECTION.upper())
    serving.client.get("/api/parked", headers={"apikey": TOKEN})
    serving.post("/api/parked/retry", {"ids": [CONNECTION], BODY: 1})
    serving.post("/api/parked/retry", {"ids": [CONNECTION]})
    serving.post("/api/parked/retry")
    serving.post("/api/quarantine/verify")


def break_everything(serving: Serving) -> None:
    """Let exceptions with canaries in their text come out of every part, and of a library."""

    class Broken:
        depth = 0

        def __getattr__(self, name: str) -> Any:
            def fail(*_: Any, **__: Any) -> Any:
                secret = CONNECTION
                try:
                    raise ValueError(secret)
                except ValueError as error:
                    raise RuntimeError(BODY) from error

            return fail

    broken = replace(
        serving.service.services, metrics=Metrics(), questions=Broken(), writer=Broken()
    )
    client = Client(create_wsgi(broken))
    client.get(f"/api/clients/{REFERENCE}", headers={"apikey": ADMIN})
    client.post(HOOK, data=webhook(), headers=signed(webhook()))
    library = logging.getLogger("waitress")
    library.warning("Exception while serving %s", f"/api/connections/{CONNECTION}")
    try:
        raise RuntimeError(BODY)
    except RuntimeError:
        library.exception(f"Exception while serving /api/connections/{CONNECTION}")
    thread = threading.Thread(target=Broken().anything, name="dies")
    thread.start()
    thread.join()


def test_no_canary_is_ever_logged_or_measured(
    database_url: str, tmp_path: Path, written: tuple[str, io.StringIO]
) -> None:
    """No connection id, token, secret, reference or body text in logs or metrics."""
    form, stream = written
    with Serving(database_url, tmp_path, LEDGER_LOG_FORMAT=form) as serving:
        put_canaries_everywhere(serving)
        break_everything(serving)
        metrics = serving.get("/metrics", token=READ).text
        short = short_id(CONNECTION, serving.service.services.log.key)
    said = logged(stream)
    for canary in CANARIES:
        assert canary.lower() not in said.lower()
        assert canary.lower() not in metrics.lower()
    assert short not in metrics
    assert "ledger_deliveries_total" in metrics
    lines = said.splitlines()
    assert len(lines) > 40
    if form == "json":
        assert all("message" in json.loads(line) for line in lines)


def test_a_request_is_one_line_with_its_route_and_its_callers_name(
    sqlite_url: str, tmp_path: Path, written: tuple[str, io.StringIO]
) -> None:
    """Method, route, status, time, request id and the name of the token."""
    form, stream = written
    with Serving(sqlite_url, tmp_path) as serving:
        serving.tell()
        assert logged(stream)
        stream.truncate(0)
        stream.seek(0)
        response = serving.get("/api/connections/conn_1", token=READ)
    [line] = [line for line in logged(stream).splitlines() if "api.requests" in line]
    request_id = response.headers["X-Request-Id"]
    if form == "json":
        told = json.loads(line)
        assert told["method"] == "GET"
        assert told["route"] == "/api/connections/<connection_id>"
        assert (told["status"], told["token"]) == (200, "reader")
        assert told["request"] == request_id
    else:
        expected = "method=GET route=/api/connections/<connection_id> status=200"
        assert expected in line
        assert f"request={request_id} token=reader" in line


def test_a_failure_is_logged_with_its_place_and_its_request(
    sqlite_url: str, tmp_path: Path, written: tuple[str, io.StringIO]
) -> None:
    """Classes and frames of the whole chain, without their text."""
    _, stream = written
    with Serving(sqlite_url, tmp_path) as serving:
        break_everything(serving)
    said = logged(stream)
    assert "builtins.RuntimeError" in said
    assert "caused by builtins.ValueError" in said
    assert "test_api_secrets.py" in said


def test_metrics_count_what_happened(small: Serving) -> None:
    """Deliveries, refusals, silence, lag, parked, quarantine, connections by status."""
    small.tell()
    small.deliver(b"{")
    small.deliver(webhook(), **{"OFAuth-Signature": "garbage"})
    small.get("/api/connections")
    lines = set(small.get("/metrics").text.splitlines())
    expected = {
        'ledger_deliveries_total{dialect="documented",outcome="new"} 1.0',
        'ledger_deliveries_total{dialect="documented",outcome="parked"} 1.0',
        'ledger_refused_total{reason="malformed"} 1.0',
        'ledger_connections{status="active"} 1.0',
        'ledger_blocked_streams{projection="history"} 0.0',
        'ledger_projection_lag{projection="current_state"} 0.0',
        "ledger_parked 1.0",
        "ledger_quarantine_files 0.0",
        "ledger_queue_depth 0.0",
        "ledger_store_up 1.0",
        "ledger_ingest_seconds_count 2.0",
        "ledger_commit_batch_size_count 2.0",
        f"ledger_log_position {small.position}.0",
    }
    assert expected - lines == set()
    assert any(line.startswith('ledger_silence_seconds{dialect="documented"}') for line in lines)
