"""What `POST /webhooks/ofauth` answers: the table of semantics section 3."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from werkzeug.test import Client, TestResponse

from api.app import create_wsgi
from ledger.application import Observation, Recorded
from ledger.domain.errors import LedgerBusy, StoreUnavailable
from ledger.ofauth.signatures import Dialect, Secret, sign
from ledger.recorders.base import Head
from tests.builders import SECRET, webhook
from tests.serving import HOOK, PROBLEM, Serving, signed

MIB = 1024 * 1024
STRANGER = Secret("whsec_" + "c3RyYW5nZXItc3RyYW5nZXItc3RyYW5n")


def is_refusal(response: TestResponse) -> bool:
    """The one fixed answer to everything that is not signed well."""
    body = response.json
    return (response.status_code, response.content_type, body and body["type"]) == (
        401,
        PROBLEM,
        "urn:connection-ledger:problem:bad-signature",
    )


def test_204_means_durable_and_names_the_position(serving: Serving) -> None:
    """A good delivery is in the log when it is answered, byte for byte."""
    body = webhook()
    response = serving.deliver(body)
    assert response.status_code == 204
    assert response.data == b""
    log = serving.service.services.log
    rows = log.read_log(0, 10)
    assert [row.topic for row in rows] == ["delivery.received", "connection.created"]
    assert log.body(rows[0].position) == body
    assert int(response.headers["Ledger-Position"]) == rows[-1].position


def test_a_repeat_gets_the_position_of_the_original(serving: Serving) -> None:
    """The same delivery again is 204, and nothing about the connection is added."""
    first = serving.deliver(webhook())
    second = serving.deliver(webhook())
    assert second.status_code == 204
    assert second.headers["Ledger-Position"] == first.headers["Ledger-Position"]


@pytest.mark.parametrize("dialect", list(Dialect))
def test_every_dialect_is_taken(small: Serving, dialect: Dialect) -> None:
    """Documented, Svix and Standard Webhooks."""
    body = webhook()
    headers = sign(dialect, SECRET, body, stamp=int(time.time()), message_id="msg_1")
    assert small.deliver(body, **headers).status_code == 204


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"\xff\xfe", "not_utf8"),
        (b"[" * 33 + b"]" * 33, "too_deep"),
        (b'{"type": "connection.new", "data": {}}', "unknown_type"),
        (b'"' + b"x" * (256 * 1024) + b'"', "too_big"),
        (b'"' + b"x" * (MIB - 2) + b'"', "too_big"),
    ],
    ids=["empty", "broken", "not utf-8", "deep", "unknown type", "257 KiB", "1 MiB"],
)
def test_what_is_signed_and_unreadable_is_kept_and_parked(
    serving: Serving, body: bytes, reason: str
) -> None:
    """Nothing that the provider signed is refused because we cannot understand it."""
    assert serving.deliver(body).status_code == 204
    assert [item["reason"] for item in serving.read("/api/parked")["items"]] == [reason]


def test_over_1_mib_is_413(small: Serving) -> None:
    """A body over 1 MiB is not read."""
    body = b"x" * (MIB + 1)
    response = small.deliver(body)
    assert (response.status_code, response.content_type) == (413, PROBLEM)


def test_an_old_signature_is_taken_and_marked(small: Serving) -> None:
    """Over 300 s old is delayed, which changes nothing else."""
    body = webhook()
    assert small.deliver(body, **signed(body, stamp=int(time.time()) - 5_000)).status_code == 204


def test_an_old_signature_is_refused_when_strict(sqlite_url: str, tmp_path: Path) -> None:
    """LEDGER_STRICT_TIMESTAMPS refuses what is delayed."""
    body = webhook()
    with Serving(sqlite_url, tmp_path, LEDGER_STRICT_TIMESTAMPS="true") as serving:
        old = signed(body, stamp=int(time.time()) - 5_000)
        assert is_refusal(serving.deliver(body, **old))
        assert serving.deliver(body).status_code == 204


def test_a_signature_from_the_future_is_refused(small: Serving) -> None:
    """Over 300 s ahead of our clock is 401."""
    body = webhook()
    assert is_refusal(small.deliver(body, **signed(body, stamp=int(time.time()) + 400)))


def test_every_refusal_is_the_same(small: Serving) -> None:
    """Nothing in the answer tells which check failed: only the request's id differs."""
    body = webhook()
    attempts = [
        {"X-Nothing": "1"},
        {"OFAuth-Signature": "t=1,v1=" + "0" * 64},
        {"OFAuth-Signature": "t=1"},
        {"svix-id": "msg_1"},
        sign(Dialect.SVIX, STRANGER, body, stamp=int(time.time()), message_id="msg_1"),
        {**signed(body), "svix-id": "msg_1"},
        {"OFAuth-Signature": "é" * 10},
    ]
    seen = set()
    for headers in attempts:
        response = small.deliver(body, **headers)
        assert is_refusal(response)
        told = dict(response.json or {})
        assert told.pop("requestId") == response.headers["X-Request-Id"]
        seen.add(json.dumps(told))
    assert len(seen) == 1


def test_a_whole_dialect_with_a_wrong_secret_is_put_aside(small: Serving) -> None:
    """What a corrected secret may verify goes into the quarantine; garbage does not."""
    body, now = webhook(), int(time.time())
    assert is_refusal(small.deliver(body, **sign(Dialect.DOCUMENTED, STRANGER, body, stamp=now)))
    assert is_refusal(small.deliver(body, **{"OFAuth-Signature": "garbage"}))
    old = sign(Dialect.DOCUMENTED, STRANGER, body, stamp=now - 400)
    assert is_refusal(small.deliver(body, **old))
    big = b"x" * (64 * 1024 + 1)
    assert is_refusal(small.deliver(big, **sign(Dialect.DOCUMENTED, STRANGER, big, stamp=now)))
    held = small.read("/api/quarantine", minPosition=None)["items"]
    assert [(one["dialect"], one["size"]) for one in held] == [("documented", len(body))]


def test_what_is_held_is_listed_page_by_page(small: Serving) -> None:
    """Oldest first; the cursor of one page gives the next."""
    for n in range(3):
        body = webhook(connection=f"conn_{n}")
        stamp = int(time.time())
        headers = sign(Dialect.DOCUMENTED, STRANGER, body, stamp=stamp)
        assert is_refusal(small.deliver(body, **headers))
    first = small.read("/api/quarantine", limit=2)
    rest = small.read("/api/quarantine", limit=2, cursor=first["nextCursor"])
    ids = [one["id"] for one in (*first["items"], *rest["items"])]
    assert len(first["items"]) == 2
    assert ids == sorted(set(ids))
    assert len(ids) == 3
    assert rest["nextCursor"] is None


def test_a_corrected_secret_lets_the_quarantine_be_recorded(
    sqlite_url: str, tmp_path: Path
) -> None:
    """`quarantine verify` checks against the received time, records and lets go."""
    body = webhook(ref="late_secret")
    with Serving(sqlite_url, tmp_path, LEDGER_WEBHOOK_SECRETS=STRANGER.value) as serving:
        assert is_refusal(serving.deliver(body))
        looked = serving.post("/api/quarantine/verify").json
        assert looked == {"verified": 0, "refused": 1, "position": None}
    with Serving(sqlite_url, tmp_path) as serving:
        response = serving.post("/api/quarantine/verify")
        serving.position = int(response.headers["Ledger-Position"])
        assert response.json == {"verified": 1, "refused": 0, "position": serving.position}
        assert serving.read("/api/clients/late_secret")["status"] == "active"
        assert serving.read("/api/quarantine", minPosition=None)["items"] == []


class BrokenWriter:
    """A writer that raises."""

    depth = 0

    def __init__(self, error: Exception) -> None:
        self.error = error

    def submit(self, observation: Observation) -> Recorded:
        """Fail."""
        raise self.error

    def fence(self) -> Head:
        """Fail."""
        raise self.error


@pytest.mark.parametrize("error", [LedgerBusy("full"), StoreUnavailable("gone")])
def test_503_when_nothing_can_be_promised(small: Serving, error: Exception) -> None:
    """A full queue or an absent store is 503 with Retry-After 30."""
    broken = replace(small.service.services, writer=BrokenWriter(error))
    body = webhook()
    response = Client(create_wsgi_once(broken)).post(HOOK, data=body, headers=signed(body))
    assert (response.status_code, response.content_type) == (503, PROBLEM)
    assert response.headers["Retry-After"] == "30"


def test_a_failure_nobody_foresaw_is_a_problem_without_its_text(small: Serving) -> None:
    """Even then the answer is a problem, and says nothing of what failed."""
    broken = replace(small.service.services, writer=BrokenWriter(RuntimeError("canary")))
    body = webhook()
    response = Client(create_wsgi_once(broken)).post(HOOK, data=body, headers=signed(body))
    assert (response.status_code, response.content_type) == (500, PROBLEM)
    assert "canary" not in response.text


def create_wsgi_once(services: object) -> object:
    """Another application around the same store."""
    from api.metrics import Metrics

    return create_wsgi(replace(services, metrics=Metrics()))  # type: ignore[type-var]


@pytest.mark.parametrize("method", ["get", "put", "delete", "patch"])
def test_only_post_is_taken(small: Serving, method: str) -> None:
    """Every other method is 405 and names POST."""
    response = getattr(small.client, method)(HOOK)
    assert (response.status_code, response.content_type) == (405, PROBLEM)
    assert "POST" in response.headers["Allow"]


def test_a_slash_at_the_end_changes_nothing(small: Serving) -> None:
    """Somebody will type it into the provider's dashboard."""
    body = webhook()
    assert small.client.post(f"{HOOK}/", data=body, headers=signed(body)).status_code == 204
