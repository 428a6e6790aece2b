"""The emulator over real HTTP: what happens between an answer and its reader, and Link pages."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from api.emulator.emulator import Emulator
from api.emulator.server import EmulatorServer
from ledger.ofauth.signatures import Secret

KEY = {"apikey": "any"}


class Desk:
    """An emulator that listens, and somebody who calls it."""

    def __init__(self, server: EmulatorServer, http: requests.Session) -> None:
        self.url = server.url
        self.http = http

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        """Make a call of the provider's API."""
        return self.http.request(
            method, f"{self.url}/v2/{path}", headers=KEY, timeout=20, **options
        )

    def control(self, method: str, path: str, status: int = 200, **body: Any) -> Any:
        """Use a control, and give its JSON."""
        url = f"{self.url}/_emulator/{path}"
        answer = self.http.request(method, url, json=body, timeout=20)
        assert answer.status_code == status, answer.text
        return answer.json()


@pytest.fixture
def desk() -> Iterator[Desk]:
    """An emulator that sends no webhooks."""
    emulator = Emulator(
        seed=1,
        now=lambda: time.time_ns() // 1_000_000,
        monotonic=time.monotonic,
        secret=Secret("whsec_ZW11bGF0b3I="),
        send=None,
    )
    with EmulatorServer(emulator) as server, requests.Session() as http:
        http.trust_env = False
        yield Desk(server, http)


@pytest.mark.parametrize("fault", ["cut", "lostRequest", "lostAnswer"])
def test_an_answer_that_does_not_arrive_whole_is_an_error_of_the_connection(
    desk: Desk, fault: str
) -> None:
    """And afterwards the emulator answers as before."""
    desk.control("PUT", "faults", **{fault: 1})
    expected = (
        requests.exceptions.ChunkedEncodingError if fault == "cut" else requests.ConnectionError
    )
    with pytest.raises(expected):
        desk.call("GET", "account/connections")
    desk.control("PUT", "faults")
    assert desk.call("GET", "account/connections").json() == {"list": [], "hasMore": False}


def test_a_slow_answer_comes_after_the_readers_patience(desk: Desk) -> None:
    """The call has acted by then."""
    row = desk.control("POST", "connections", 201)
    desk.control("PUT", "faults", slow=3600)
    with pytest.raises(requests.ReadTimeout):
        desk.http.delete(f"{desk.url}/v2/connections/{row['id']}", headers=KEY, timeout=0.2)
    assert desk.control("GET", "truth")["gone"] == [row["id"]]


@pytest.mark.parametrize("dated", [True, False])
def test_the_date_is_that_of_the_answer_or_is_not_there(desk: Desk, dated: bool) -> None:
    """Also the server in front adds none."""
    desk.control("PUT", "answers", date=dated)
    headers = desk.call("GET", "account/whoami").headers
    assert ("Date" in headers) is dated
    assert not [name for name in headers if name.lower().startswith("x-emulator")]


def test_a_link_page_is_under_the_address_that_was_called(desk: Desk) -> None:
    """Whatever name the caller has for the emulator's host."""
    other = desk.url.replace("127.0.0.1", "localhost")
    answer = desk.http.post(f"{other}/v2/link/init", headers=KEY, timeout=20)
    page = answer.json()["url"]
    assert page.startswith(f"{other}/link/")
    shown = desk.http.get(page, timeout=20)
    assert shown.headers["Content-Type"].startswith("text/html")
    end = desk.http.post(page, data={"choice": "login"}, timeout=20)
    assert end.url.startswith(f"{other}/link/finished?status=success&connection_id=conn_")
    assert "is connected" in end.text


def test_a_page_that_does_not_exist_is_not_found(desk: Desk) -> None:
    """As a page, and not as JSON."""
    for path in ("link/never", "link/never/more"):
        answer = desk.http.get(f"{desk.url}/{path}", timeout=20)
        assert (answer.status_code, answer.headers["Content-Type"]) == (
            404,
            "text/html; charset=utf-8",
        )


@pytest.mark.parametrize(
    ("steps", "status", "redirect"),
    [
        ([{}], "completed", "status=success"),
        ([{"outcome": "2fa"}], "awaiting_2fa", None),
        ([{"outcome": "2fa"}, {}], "completed", "status=success"),
        ([{"outcome": "cancelled", "step": "2fa"}], "denied", "status=cancelled&step=2fa"),
        ([{"outcome": "error"}], "invalid_credentials", "error_code=invalid_credentials"),
        ([{"outcome": "error", "errorCode": "blocked"}], "failed", "error_code=blocked"),
    ],
)
def test_a_control_goes_through_a_link_page(
    desk: Desk, steps: list[dict[str, Any]], status: str, redirect: str | None
) -> None:
    """Every way in which a session may end, without a browser."""
    body = {"clientReferenceId": "mia", "redirectUrl": "https://app.example/return"}
    secret = desk.call("POST", "link/init", json=body).json()["url"].rpartition("/")[2]
    for step in steps:
        told = desk.control("POST", f"links/{secret}", **step)
    assert told["status"] == status
    if redirect is None:
        assert told["redirectUrl"] is None
    else:
        assert told["redirectUrl"].startswith("https://app.example/return?status=")
        assert redirect in told["redirectUrl"]
    assert (told["connection"] is not None) == (status in ("completed", "awaiting_2fa"))


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("links/never", {}, 404),
        ("links/SECRET", {"outcome": "maybe"}, 400),
        ("links/SECRET", {"outcome": "cancelled", "step": "success"}, 400),
        ("links/SECRET", {"elsewhere": "yes"}, 400),
        ("links/SECRET", {"who": "mia"}, 400),
        ("clock", {"forwardSeconds": -1}, 400),
        ("clock", {"forwardSeconds": "1"}, 400),
        ("webhooks", {"data": {}}, 400),
        ("webhooks", {"type": "x", "data": []}, 400),
        ("redeliver", {"all": True}, 400),
        ("connections/conn_never/change-password", {}, 404),
    ],
)
def test_a_control_that_makes_no_sense_is_refused(
    desk: Desk, path: str, body: dict[str, Any], status: int
) -> None:
    """With what it expects."""
    secret = desk.call("POST", "link/init").json()["url"].rpartition("/")[2]
    error = desk.control("POST", path.replace("SECRET", secret), status, **body)
    assert error["type"] == ("RESOURCE_NOT_FOUND" if status == 404 else "BAD_REQUEST")


def test_the_controls_that_ask_for_little(desk: Desk) -> None:
    """Clock, facts, webhooks and what is sent again."""
    row = desk.control("POST", "connections", 201)
    now = desk.control("POST", "clock", forwardSeconds=86_400)["now"]
    assert now > row["createdAt"]
    desk.control("POST", f"connections/{row['id']}/change-password")
    facts = desk.control("GET", "facts")["facts"]
    assert [one["type"] for one in facts] == ["connection.created", "connection.expired"]
    assert facts[1]["at"] >= now
    assert desk.control("POST", "webhooks", 202, type="rules.updated") == {}
    assert desk.control("POST", "redeliver") == {"deliveries": 0}
