"""Link sessions in the emulator: the page step by step, and how a session may end."""

from __future__ import annotations

import re
from typing import Any

import pytest

from api.emulator.errors import LinkEnded
from api.emulator.links import STEPS, Login
from api.emulator.world import Action, Details
from tests.emulated import Office

RETURN = "https://app.example/return?tab=1"


def secret_of(url: str) -> str:
    """The last part of the address of a Link page."""
    return url.rpartition("/")[2]


def ids(office: Office) -> list[str]:
    """The connections that exist."""
    return [row["id"] for row in office.emulator.truth()["list"]]


def test_a_creator_clicks_through() -> None:
    """Four pages; the last button leads back with the documented parameters."""
    office = Office()
    url = office.link(clientReferenceId="mia", redirectUrl=RETURN)
    seen = []
    for choice in ("continue", "continue", "login"):
        page = office.browse("GET", url)
        assert page.status == 200
        seen.append(page.body.decode().partition("<h1>")[2].partition("</h1>")[0])
        back = office.press(url, choice)
    assert seen == ["Connect your account", "Allow access", "Log in"]
    [made] = ids(office)
    assert back == {
        "tab": "1",
        "status": "success",
        "connection_id": made,
        "client_reference_id": "mia",
    }
    assert office.told() == [("connection.created", "active")]


def test_every_button_of_every_page_leads_on() -> None:
    """Whatever is pressed, each way ends with one of the documented sets of parameters."""
    ends: set[tuple[str, ...]] = set()
    ways: list[list[str]] = [[]]
    while ways:
        way = ways.pop()
        office = Office()
        url = office.link()
        if back := office.press(url, *way):
            back.pop("connection_id", None)
            ends.add(tuple(back.values()))
            continue
        buttons = re.findall(
            r'name="choice" value="([^"]+)"', office.browse("GET", url).body.decode()
        )
        assert buttons
        ways += [[*way, button] for button in buttons]
    assert ends == {
        ("success",),
        ("error", "invalid_credentials"),
        *(("cancelled", step) for step in STEPS),
    }


def test_a_button_that_is_not_on_the_page_does_nothing() -> None:
    """Nor does a form without one."""
    office = Office()
    url = office.link()
    assert office.press(url, "nonsense", "code", "") == {}
    assert b"Connect your account" in office.browse("GET", url).body


def test_a_code_is_asked_for() -> None:
    """The connection waits for it, listed as awaiting_2fa, and is active after it."""
    office = Office()
    url = office.link()
    office.press(url, "continue", "continue", "login-2fa")
    [row] = office.emulator.truth()["list"]
    assert row["status"] == "awaiting_2fa"
    assert office.press(url, "code") == {"status": "success", "connection_id": row["id"]}
    assert office.told() == [
        ("connection.created", "awaiting_2fa"),
        ("connection.updated", "active"),
    ]


def test_a_connection_may_be_hidden_until_its_code() -> None:
    """By the setting: then there is one webhook, after the code."""
    office = Office()
    office.emulator.set_manner({"twoFactor": "hidden"})
    url = office.link(clientReferenceId="mia")
    office.browse("POST", url, choice="login-2fa", username="mia_lind")
    assert ids(office) == []
    office.press(url, "code")
    assert office.told() == [("connection.created", "active")]
    assert office.emulator.truth()["list"][0]["userData"]["username"] == "mia_lind"


@pytest.mark.parametrize("step", STEPS)
def test_a_creator_turns_back_at_each_step(step: str) -> None:
    """The application learns where, and nothing is connected but what waited for a code."""
    office = Office()
    url = office.link(clientReferenceId="mia")
    office.press(url, *["continue", "continue", "login-2fa"][: STEPS.index(step)])
    back = office.press(url, "cancel")
    assert back == {"status": "cancelled", "step": step, "client_reference_id": "mia"}
    assert len(ids(office)) == (step == "2fa")


def test_a_wrong_password_is_an_error() -> None:
    """The application learns which."""
    office = Office()
    assert office.press(office.link(), "wrong-password") == {
        "status": "error",
        "error_code": "invalid_credentials",
    }


def test_a_session_lapses() -> None:
    """After its time the page says so, and its buttons lead back with an error."""
    office = Office()
    url = office.link()
    office.pass_time(1801)
    assert b"has ended" in office.browse("GET", url).body
    assert office.press(url, "login") == {"status": "error", "error_code": "session_expired"}
    assert ids(office) == []


def test_a_button_pressed_twice_leads_to_where_it_led_first() -> None:
    """And does nothing more."""
    office = Office()
    url = office.link()
    assert office.press(url, "login") == office.press(url, "login")
    assert office.press(url, "cancel") == office.press(url, "login")
    assert len(ids(office)) == 1


def test_a_reconnect_keeps_the_id() -> None:
    """The connection is active again, with what the creator brought along."""
    office = Office()
    connection = office.create()
    office.act(connection, Action.EXPIRE)
    url = office.link(connectionId=connection, clientReferenceId="mia")
    office.browse("POST", url, choice="login", username="mia_new")
    [row] = office.emulator.truth()["list"]
    assert (row["id"], row["status"], row["userData"]["username"]) == (
        connection,
        "active",
        "mia_new",
    )


@pytest.mark.parametrize("deleted", [True, False])
def test_an_unknown_target_silently_makes_another_connection(deleted: bool) -> None:
    """Nothing in the answer says so; of a deleted one the account stays the same."""
    office = Office()
    target = office.create() if deleted else "conn_never"
    account = office.emulator.truth()["list"][0]["userData"] if deleted else None
    if deleted:
        office.ask("DELETE", f"/v2/connections/{target}")
    started = office.ask("POST", "/v2/link/init", {"connectionId": target})
    assert set(started) == {"mode", "url", "expiresAt"}
    made = office.press(started["url"], "login")["connection_id"]
    assert made != target
    [row] = office.emulator.truth()["list"]
    assert row["id"] == made
    if deleted:
        assert row["userData"] == account


def test_a_reconnect_may_end_elsewhere() -> None:
    """By the fault `fork`, or by control: the target is left as it was."""
    office = Office()
    target = office.create()
    office.act(target, Action.EXPIRE)
    office.emulator.set_faults({"fork": 1})
    forked = office.press(office.link(connectionId=target), "login")["connection_id"]
    office.emulator.set_faults({})
    secret = secret_of(office.link(connectionId=target))
    told = office.emulator.log_in(secret, Login(details=Details(), elsewhere=True))
    rows = {row["id"]: row for row in office.emulator.truth()["list"]}
    assert set(rows) == {target, forked, told["connectionId"]}
    assert rows[target]["status"] == "expired"
    assert len({row["userData"]["id"] for row in rows.values()}) == 1


def test_a_dropped_session_is_gone() -> None:
    """Its page is not found any more."""
    office = Office()
    url = office.link()
    path = f"/v2/link/{secret_of(url)}"
    assert office.ask("GET", path) == {"status": "initialized"}
    office.ask("DELETE", path)
    assert office.ask("GET", path) == {"status": "not_found"}
    office.ask("DELETE", path, status=404)
    assert office.browse("GET", url).status == 404


def test_the_login_status_tells_the_creators_session_at_its_end() -> None:
    """As the whitelabel flow does: a body that nobody may record."""
    office = Office()
    url = office.link()
    path = f"/v2/link/{secret_of(url)}"
    states = []
    for choice in ("continue", "login-2fa", "code"):
        office.press(url, choice)
        states.append(office.ask("GET", path)["status"])
    assert states == ["pending", "awaiting_2fa", "completed"]
    data = office.ask("GET", path)["data"]
    assert [data["id"]] == ids(office)
    assert set(data["session"]) == {"user-id", "user-agent", "cookie", "x-bc"}


@pytest.mark.parametrize(
    ("registered", "match", "asked", "status"),
    [
        ([], "exact", "https://app.example/any", 200),
        (["https://app.example/a"], "exact", "https://app.example/a", 200),
        (["https://app.example/a"], "exact", "https://app.example/a?x=1", 400),
        (["https://app.example/a"], "prefix", "https://app.example/a?x=1", 200),
        (["https://app.example/a"], "prefix", "https://app.example/b", 400),
        ([], "exact", "javascript:alert(1)", 400),
        ([], "exact", "/relative", 400),
    ],
)
def test_redirect_urls_are_registered(
    registered: list[str], match: str, asked: str, status: int
) -> None:
    """Exactly or by prefix; without any registered every http address will do."""
    office = Office()
    office.emulator.set_manner({"redirectUris": registered, "redirectMatch": match})
    office.ask("POST", "/v2/link/init", {"redirectUrl": asked}, status=status)


def test_without_a_redirect_url_the_first_registered_one_is_used() -> None:
    """And without any, the emulator's own page."""
    office = Office()
    url = office.link()
    office.emulator.set_manner({"redirectUris": ["https://one.example/", "https://two.example/"]})
    other = office.link()
    for page, start in (
        (url, "http://ofauth.test/link/finished?"),
        (other, "https://one.example/?"),
    ):
        answer = office.browse("POST", page, choice="login")
        assert answer.headers["Location"].startswith(start)
    assert b"is connected" in office.browse("GET", "/link/finished?status=success").body


def test_link_pages_may_have_another_address_than_the_calls() -> None:
    """As where the browser is on another machine than the program."""
    office = Office()
    office.emulator.set_manner({"linkUrl": "https://link.example/"})
    url = office.link()
    assert url.startswith("https://link.example/link/")
    answer = office.browse("POST", url, choice="login")
    assert answer.headers["Location"].startswith("https://link.example/link/finished?")


@pytest.mark.parametrize(
    "body",
    [
        {"connectionId": "abc"},
        {"clientAppId": "abc"},
        {"geolocation": {}},
        {"geolocation": "US"},
        {"clientReferenceId": 7},
        {"redirectUrl": 7},
        [],
    ],
)
def test_a_link_session_asked_for_wrongly_is_refused(body: Any) -> None:
    """Nothing is started."""
    office = Office()
    assert office.ask("POST", "/v2/link/init", body, status=400)["type"] == "BAD_REQUEST"
    assert office.emulator.truth()["effects"]["linked"] == 0


def test_what_a_page_shows_of_others_is_escaped() -> None:
    """A client reference is text, not HTML."""
    office = Office()
    page = office.browse("GET", office.link(clientReferenceId="<script>alert(1)</script>"))
    assert b"<script>" not in page.body
    assert b"&lt;script&gt;" in page.body


def test_a_session_that_is_over_takes_nothing_more() -> None:
    """The controls say so."""
    office = Office()
    secret = secret_of(office.link())
    office.emulator.cancel(secret, "login")
    for again in (
        lambda: office.emulator.log_in(secret, Login(details=Details())),
        lambda: office.emulator.fail(secret, "any"),
        lambda: office.emulator.cancel(secret, "login"),
    ):
        with pytest.raises(LinkEnded):
            again()
