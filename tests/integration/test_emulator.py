"""The emulator over real HTTP: signatures, shapes, retries, faults, the list and the controls."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests
import standardwebhooks
import svix

from api.emulator.emulator import Emulator
from api.emulator.sender import WebhookSender
from api.emulator.server import EmulatorServer
from ledger.ofauth.signatures import Secret, verify

SECRET = "whsec_" + base64.b64encode(b"an emulator's signing key").decode()
SHAPE_KEYS = {"documented": "type", "sdk": "eventType", "older": "event"}
KEY = {"apikey": "any"}


@dataclass
class Received:
    """One request that reached the receiver."""

    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body, parsed."""
        value: dict[str, Any] = json.loads(self.body)
        return value


class Receiver(ThreadingHTTPServer):
    """A webhook receiver that answers 503 as often as it is told to, then 204."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got: list[Received] = []
        self.refusals = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        """Where it takes webhooks."""
        return f"http://127.0.0.1:{self.server_port}/webhooks/ofauth"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            self.server.got.append(Received(dict(self.headers.items()), body))
            refused = self.server.refusals > 0
            self.server.refusals -= refused
        self.send_response(503 if refused else 204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Rig:
    """An emulator, its receiver, a clock in the test's hand, and the controls as methods."""

    def __init__(self, stack: ExitStack, *, seed: int = 1, api_key: str | None = None) -> None:
        self.receiver = Receiver()
        serving = threading.Thread(target=self.receiver.serve_forever, args=(0.01,))
        serving.start()
        stack.callback(serving.join)
        stack.callback(self.receiver.server_close)
        stack.callback(self.receiver.shutdown)
        self.ms = int(time.time() * 1000)
        self.tick = 0
        emulator = Emulator(
            seed=seed,
            now=self.now,
            monotonic=time.monotonic,
            secret=Secret(SECRET),
            send=WebhookSender(self.receiver.url),
            api_key=api_key,
        )
        self.url = stack.enter_context(EmulatorServer(emulator)).url
        self.http = stack.enter_context(requests.Session())
        self.http.trust_env = False
        self.put("deliveries", retrySeconds=0.001)

    def now(self) -> int:
        """The time in milliseconds, which goes on by `tick` each time it is read."""
        self.ms += self.tick
        return self.ms

    def call(self, method: str, path: str, status: int = 200, **options: Any) -> Any:
        """Make a call, and give its JSON."""
        answer = self.http.request(method, f"{self.url}/{path}", timeout=20, **options)
        assert answer.status_code == status, answer.text
        return answer.json()

    def put(self, control: str, **values: Any) -> Any:
        """Set faults or deliveries."""
        return self.call("PUT", f"_emulator/{control}", json=values)

    def create(self, **values: Any) -> Any:
        """Let a creator finish Link."""
        return self.call("POST", "_emulator/connections", 201, json=values)

    def act(self, row: Any, action: str, **values: Any) -> Any:
        """Let something happen to a connection."""
        return self.call("POST", f"_emulator/connections/{row['id']}/{action}", json=values)

    def settle(self, **values: Any) -> list[Received]:
        """Wait until all is delivered, and give what was received."""
        self.call("POST", "_emulator/quiesce", json=values)
        return self.receiver.got


@pytest.fixture
def rig() -> Iterator[Rig]:
    """An emulator that delivers to a receiver."""
    with ExitStack() as stack:
        yield Rig(stack)


def _independent(headers: dict[str, str], body: bytes) -> None:
    """Check OFAuth-Signature by other code than the emulator signs with."""
    stamp, signature = headers["OFAuth-Signature"].split(",")
    signed = stamp.removeprefix("t=").encode() + b"." + body
    expected = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert signature == f"v1={expected}"


VERIFIERS = {
    "documented": (_independent,),
    "svix": (lambda headers, body: svix.Webhook(SECRET).verify(body, headers),),
    "standard": (
        lambda headers, body: standardwebhooks.Webhook(SECRET).verify(body.decode(), headers),
    ),
    "both": (
        _independent,
        lambda headers, body: svix.Webhook(SECRET).verify(body, headers),
    ),
}


@pytest.mark.parametrize("dialect", VERIFIERS)
@pytest.mark.parametrize("shape", SHAPE_KEYS)
def test_every_dialect_and_shape_verifies_by_other_code(rig: Rig, dialect: str, shape: str) -> None:
    """The svix and standardwebhooks packages, and plain hmac, accept what the emulator signs."""
    rig.put("deliveries", dialect=dialect, shape=shape)
    row = rig.create(clientReferenceId="müller/1")
    for action in ("expire", "reconnect", "await-2fa", "activate", "update", "disconnect"):
        rig.act(row, action)
    got = rig.settle()
    assert [one.json[SHAPE_KEYS[shape]] for one in got] == [
        "connection.created",
        "connection.expired",
        *["connection.updated"] * 4,
        "connection.disconnected",
    ]
    for one in got:
        for check in VERIFIERS[dialect]:
            check(one.headers, one.body)


@pytest.mark.parametrize("decoded", [False, True])
def test_both_readings_of_the_secret_are_accepted_by_the_ledger(rig: Rig, decoded: bool) -> None:
    """The documented dialect signs with the whole secret or its decoded part."""
    rig.put("deliveries", decodedSecret=decoded)
    rig.create()
    [one] = rig.settle()
    verify(one.headers.items(), one.body, [Secret(SECRET)], now=rig.ms / 1000)


def test_a_refused_delivery_is_retried_until_it_is_acknowledged(rig: Rig) -> None:
    """Three answers of 503, then 204: four attempts with one body and one message id."""
    rig.put("deliveries", dialect="svix")
    rig.receiver.refusals = 3
    rig.create()
    got = rig.settle()
    assert len({one.body for one in got}) == len({one.headers["svix-id"] for one in got}) == 1
    truth = rig.call("GET", "_emulator/truth")
    assert truth["deliveries"] == {
        "sent": 4,
        "acknowledged": 1,
        "dropped": 0,
        "failed": 0,
        "pending": 0,
    }


def test_a_retry_comes_when_the_clock_is_moved(rig: Rig) -> None:
    """Nobody waits for an hour: threads that wait look at the clock again."""
    rig.put("deliveries", retrySeconds=3600)
    rig.receiver.refusals = 1
    rig.create()
    while rig.call("GET", "_emulator/truth")["deliveries"]["sent"] == 0:
        pass
    rig.call("POST", "_emulator/clock", json={"forwardSeconds": 3600})
    assert len(rig.settle()) == 2


@pytest.mark.parametrize(
    ("faults", "documented", "svix"), [({}, 1, 4), ({"restamp": 1}, 4, 4), ({"restamp": 0}, 1, 1)]
)
def test_retries_are_stamped_anew_or_not(
    rig: Rig, faults: dict[str, float], documented: int, svix: int
) -> None:
    """Svix stamps each attempt and the documented dialect does not, unless `restamp` says."""
    rig.put("deliveries", dialect="both")
    rig.put("faults", **faults)
    rig.tick = 1000
    rig.receiver.refusals = 3
    rig.create()
    got = rig.settle()
    assert len(got) == 4
    assert len({one.headers["OFAuth-Signature"] for one in got}) == documented
    assert len({one.headers["svix-timestamp"] for one in got}) == svix
    assert len({one.body for one in got}) == 1


def test_a_body_may_carry_the_time_of_the_attempt(rig: Rig) -> None:
    """Then each attempt has another body, and is signed anew."""
    rig.put("deliveries", bodyTime="attempt")
    rig.tick = 1000
    rig.receiver.refusals = 2
    rig.create()
    got = rig.settle()
    assert len({one.body for one in got}) == len(got) == 3
    for one in got:
        _independent(one.headers, one.body)


def test_a_seed_decides_what_arrives() -> None:
    """The same calls with the same seed put the same bodies on the wire."""

    def bodies(seed: int) -> list[bytes]:
        with ExitStack() as stack:
            rig = Rig(stack, seed=seed)
            rig.put("faults", drop=0.3, duplicate=0.3, reorder=0.3)
            row = rig.create(clientReferenceId="mia", at="2026-01-01T12:00:00Z")
            for minute in range(10, 40):
                rig.act(row, "update", at=f"2026-01-01T12:{minute}:00Z", hold=minute == 20)
            return [one.body for one in rig.settle()]

    first = bodies(1)
    assert first == bodies(1)
    assert sorted(first) != sorted(bodies(2))
    times = [json.loads(body)["timestamp"] for body in first]
    assert times != sorted(times)
    assert len(set(times)) < len(times)


def test_a_held_delivery_comes_late(rig: Rig) -> None:
    """`hold` lets later deliveries pass, until quiesce asks for everything."""
    row = rig.create(at="2026-01-01T09:00:00Z")
    rig.act(row, "expire", at="2026-01-01T10:00:00Z", hold=True)
    rig.act(row, "reconnect", at="2026-01-01T11:00:00Z")
    assert len(rig.settle(keepHeld=True)) == 2
    assert [one.json["timestamp"][11:13] for one in rig.settle()] == ["09", "11", "10"]


def test_the_truth_and_the_list_agree(rig: Rig) -> None:
    """Pages of the list, put together, are the truth."""
    for number in range(25):
        rig.create(clientReferenceId=f"creator-{number}", imported=number % 2 == 0)
    pages, offset, more = [], 0, True
    while more:
        page = rig.call("GET", f"v2/account/connections?offset={offset}", headers=KEY)
        pages += page["list"]
        offset, more = offset + 10, page["hasMore"]
    assert pages == rig.call("GET", "_emulator/truth")["list"]
    older = rig.call("GET", "v2/connections?limit=100", headers={"Authorization": "Bearer x"})
    assert set(pages[0]) - set(older["list"][0]) == {"imported", "lastCheckedAt"}
    imported = rig.call("GET", "v2/connections?limit=100&imported=true", headers=KEY)
    assert len(imported["list"]) == 13


def test_the_list_filters_by_status(rig: Rig) -> None:
    """One of the three, and nothing else."""
    row = rig.create()
    rig.create()
    rig.act(row, "expire")
    page = rig.call("GET", "v2/account/connections?status=expired", headers=KEY)
    assert [one["id"] for one in page["list"]] == [row["id"]]
    error = rig.call("GET", "v2/account/connections?status=deleted", 400, headers=KEY)
    assert error["type"] == "BAD_REQUEST"


def test_the_key_is_asked_for() -> None:
    """Without --api-key any key will do, but none will not; with it only that one."""
    with ExitStack() as stack:
        rig = Rig(stack, api_key="right")
        whoami = rig.call("GET", "v2/account/whoami", headers={"apikey": "right"})
        assert set(whoami) == {"id", "name", "permissions"}
        for headers in ({}, {"apikey": "wrong"}, {"Authorization": "Bearer wrong"}):
            error = rig.call("GET", "v2/account/whoami", 401, headers=headers)
            assert error["type"] == "UNAUTHORIZED"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "kind"),
    [
        ("GET", "v2/nothing", None, 404, "ROUTE_NOT_FOUND"),
        ("GET", "nothing", None, 404, "ROUTE_NOT_FOUND"),
        ("DELETE", "_emulator/truth", None, 405, "BAD_REQUEST"),
        ("POST", "_emulator/connections", "[]", 400, "BAD_REQUEST"),
        ("POST", "_emulator/connections", '{"name": 1}', 400, "BAD_REQUEST"),
        ("POST", "_emulator/connections", '{"permissions": "all"}', 400, "BAD_REQUEST"),
        ("POST", "_emulator/connections", '{"at": "yesterday"}', 400, "BAD_REQUEST"),
        ("POST", "_emulator/connections/conn_x/expire", "", 404, "RESOURCE_NOT_FOUND"),
        ("POST", "_emulator/connections/conn_x/forget", "", 400, "BAD_REQUEST"),
        ("PUT", "_emulator/faults", '{"nonsense": 1}', 400, "BAD_REQUEST"),
        ("PUT", "_emulator/deliveries", '{"dialect": "morse"}', 400, "BAD_REQUEST"),
        ("PUT", "_emulator/deliveries", '{"shape": []}', 400, "BAD_REQUEST"),
        ("PUT", "_emulator/deliveries", '{"dialect": []}', 400, "BAD_REQUEST"),
    ],
)
def test_errors_have_the_providers_form(
    rig: Rig, method: str, path: str, body: str | None, status: int, kind: str
) -> None:
    """Text, type and a request id, whatever went wrong."""
    error = rig.call(method, path, status, data=body)
    assert error["type"] == kind
    assert error["error"]
    assert error["requestId"].startswith("req_")


@pytest.mark.parametrize(
    ("fault", "statuses"),
    [("http429", {429}), ("http5xx", {500, 502, 503}), ("html", {502}), ("truncate", {200})],
)
def test_faults_of_the_http_api_strike_it_and_not_the_controls(
    rig: Rig, fault: str, statuses: set[int]
) -> None:
    """With probability 1 every answer under /v2 is hurt."""
    rig.create()
    rig.put("faults", **{fault: 1})
    for _ in range(5):
        answer = rig.http.get(f"{rig.url}/v2/connections", headers=KEY, timeout=20)
        assert answer.status_code in statuses
        if fault in ("html", "truncate"):
            with pytest.raises(requests.JSONDecodeError):
                answer.json()
    rig.put("faults")
    assert len(rig.call("GET", "v2/connections", headers=KEY)["list"]) == 1


def test_a_shifted_list_repeats_or_skips_a_row(rig: Rig) -> None:
    """A page begins one row earlier or later than asked."""
    rows = [rig.create()["id"] for _ in range(9)]
    rig.put("faults", listShift=1)
    everything = [one["id"] for one in rig.call("GET", "_emulator/truth")["list"]]
    assert set(everything) == set(rows)
    page = rig.call("GET", "v2/connections?offset=4&limit=1", headers=KEY)["list"]
    assert page[0]["id"] in (everything[3], everything[5])


def test_a_secret_that_cannot_sign_svix_is_refused_when_svix_is_chosen() -> None:
    """The mistake shows at once and not at the first webhook."""
    emulator = Emulator(
        seed=1, now=lambda: 0, monotonic=time.monotonic, secret=Secret("plain!"), send=None
    )
    with pytest.raises(Exception, match="whsec_"):
        emulator.set_style({"dialect": "svix"})
    assert emulator.set_style({"shape": "sdk"})["dialect"] == "documented"


def test_a_receiver_that_is_not_there_is_no_acknowledgement() -> None:
    """A refused connection counts as no answer."""
    with Receiver() as gone:
        url = gone.url
    assert WebhookSender(url)(b"{}", {}) is False
