"""How the emulator's HTTP API answers: errors, limits, dates, keys, and what goes wrong."""

from __future__ import annotations

from typing import Any

import pytest

from api.emulator.calls import Ending
from api.emulator.errors import BadRequest
from api.emulator.world import Action
from tests.emulated import Office

LIST = "/v2/account/connections"
DATE = "Thu, 01 Jan 2026 12:00:00 GMT"


def expired_one(**manner: Any) -> tuple[Office, str]:
    """An office with an expired connection."""
    office = Office()
    connection = office.create()
    office.act(connection, Action.EXPIRE)
    office.emulator.set_manner(manner)
    return office, connection


@pytest.mark.parametrize(
    ("form", "keys", "kind"),
    [
        ("documented", {"error", "type", "requestId"}, "type"),
        ("older", {"error", "code", "details"}, "code"),
        ("sdk", {"message", "code", "details"}, "code"),
    ],
)
def test_errors_have_one_of_three_forms(form: str, keys: set[str], kind: str) -> None:
    """The form changes, and neither status nor type."""
    office = Office()
    office.emulator.set_manner({"errorForm": form})
    error = office.ask("DELETE", "/v2/connections/conn_never", status=404)
    assert set(error) == keys
    assert error[kind] == "RESOURCE_NOT_FOUND"


@pytest.mark.parametrize(
    ("method", "path"), [("DELETE", ""), ("POST", "/invalidate"), ("GET", "/settings")]
)
@pytest.mark.parametrize("kind", ["SESSION_NOT_PROVIDED", "SESSION_EXPIRED"])
def test_an_expired_connection_may_be_refused(kind: str, method: str, path: str) -> None:
    """Every call that names it, and the call has no effect."""
    office, connection = expired_one(expired=kind)
    error = office.ask(method, f"/v2/connections/{connection}{path}", status=401)
    assert error["type"] == kind
    assert ("actionRequired" in error) == (kind == "SESSION_EXPIRED")
    assert office.list_ids() == [connection]
    assert office.emulator.truth()["effects"]["deleted"] == {}


def test_a_refused_delete_may_have_its_effect_all_the_same() -> None:
    """So a 401 proves nothing, neither way."""
    office, connection = expired_one(expired="SESSION_NOT_PROVIDED", refusedActs=True)
    office.ask("DELETE", f"/v2/connections/{connection}", status=401)
    assert office.list_ids() == []
    assert office.emulator.truth()["effects"]["deleted"] == {connection: 1}


def test_a_connection_that_is_gone_may_be_answered_401() -> None:
    """The same answer as for an expired one, by the setting."""
    office = Office()
    office.emulator.set_manner({"gone": "SESSION_NOT_PROVIDED", "refusedActs": True})
    error = office.ask("DELETE", "/v2/connections/conn_never", status=401)
    assert error["type"] == "SESSION_NOT_PROVIDED"


@pytest.mark.parametrize(
    "kind", ["UNAUTHORIZED", "SESSION_NOT_PROVIDED", "SESSION_EXPIRED", "RULES_OUTDATED"]
)
def test_every_401_can_be_had(kind: str) -> None:
    """The fault answers with the type that is set, and does not act."""
    office = Office()
    connection = office.create()
    office.emulator.set_manner({"refusal": kind})
    office.emulator.set_faults({"http401": 1})
    assert office.ask("DELETE", f"/v2/connections/{connection}", status=401)["type"] == kind
    assert len(office.emulator.truth()["list"]) == 1


def test_a_key_may_be_forbidden_something() -> None:
    """By the fault."""
    office = Office()
    office.emulator.set_faults({"http403": 1})
    assert office.ask("GET", LIST, status=403)["type"] == "FORBIDDEN"


@pytest.mark.parametrize(
    ("form", "expected"),
    [("seconds", "90"), ("date", "Thu, 01 Jan 2026 12:01:30 GMT"), ("none", None)],
)
def test_retry_after_has_three_forms(form: str, expected: str | None) -> None:
    """Seconds, a date, or nothing."""
    office = Office()
    office.emulator.set_manner({"retryAfter": form, "retryAfterSeconds": 90})
    office.emulator.set_faults({"http429": 1})
    answer = office.send("GET", LIST)
    assert answer.status == 429
    assert answer.headers.get("Retry-After") == expected
    assert answer.headers["X-RateLimit-Remaining"] == "0"


def test_a_rate_limit_counts_calls_in_a_minute() -> None:
    """Beyond it 429 until the minute is over; the answers say how many are left."""
    office = Office()
    office.emulator.set_manner({"rateLimit": 2})
    office.pass_time(20)
    answers = [office.send("GET", LIST) for _ in range(3)]
    assert [one.status for one in answers] == [200, 200, 429]
    assert [one.headers["X-RateLimit-Remaining"] for one in answers] == ["1", "0", "0"]
    assert answers[2].headers["Retry-After"] == "40"
    office.pass_time(39)
    assert office.send("GET", LIST).status == 429
    office.pass_time(1)
    assert office.send("GET", LIST).status == 200


def test_answers_are_dated_by_the_emulators_clock() -> None:
    """Or not at all."""
    office = Office()
    assert office.send("GET", LIST).headers["Date"] == DATE
    assert office.browse("GET", office.link()).headers["Date"] == DATE
    office.emulator.set_manner({"date": False})
    assert "Date" not in office.send("GET", LIST).headers


@pytest.mark.parametrize(
    ("date", "expected"), [("made", DATE), ("sent", "Thu, 01 Jan 2026 12:00:09 GMT")]
)
def test_a_cache_repeats_the_list_with_its_age(date: str, expected: str) -> None:
    """Until it is too old; `Date` is when it was made or when it was sent."""
    office = Office()
    office.emulator.set_manner({"cacheSeconds": 10, "cacheDate": date})
    first = office.send("GET", LIST)
    assert "Age" not in first.headers
    connection = office.create()
    office.pass_time(9)
    again = office.send("GET", LIST)
    assert (again.body, again.headers["Age"]) == (first.body, "9")
    assert again.headers["Date"] == expected
    assert office.send("GET", f"{LIST}?limit=9").json()["list"] != []
    office.pass_time(1)
    assert office.list_ids("") == [connection]


def test_only_the_list_is_cached() -> None:
    """Settings and the state of a login are new each time."""
    office = Office()
    office.emulator.set_manner({"cacheSeconds": 10})
    path = f"/v2/connections/{office.create()}/settings"
    office.ask("GET", path)
    office.ask("PATCH", path, {"vaultPlus": {"enabled": True}})
    assert office.ask("GET", path)["vaultPlus"]["enabled"] is True


@pytest.mark.parametrize(
    ("fault", "acts"),
    [
        ("http401", False),
        ("http403", False),
        ("http429", False),
        ("http5xx", False),
        ("html", False),
        ("lostRequest", False),
        ("late5xx", True),
        ("truncate", True),
        ("cut", True),
        ("lostAnswer", True),
    ],
)
def test_each_fault_strikes_before_or_after_the_call_acts(fault: str, acts: bool) -> None:
    """The caller cannot see which; the counters can."""
    office = Office()
    connection = office.create()
    office.emulator.set_faults({fault: 1})
    office.send("DELETE", f"/v2/connections/{connection}")
    assert office.emulator.truth()["effects"]["deleted"] == ({connection: 1} if acts else {})
    assert bool(office.emulator.truth()["list"]) is not acts


@pytest.mark.parametrize(
    ("fault", "ending", "counted"),
    [
        ("cut", Ending.CUT, "GET /v2/account/connections 200"),
        ("lostAnswer", Ending.LOST, "GET /v2/account/connections lost"),
        ("lostRequest", Ending.LOST, "GET /v2/account/connections lost"),
    ],
)
def test_an_answer_may_not_arrive_whole(fault: str, ending: Ending, counted: str) -> None:
    """The answer says how it ends, and whoever carries it lets it end so."""
    office = Office()
    office.emulator.set_faults({fault: 1})
    assert office.send("GET", LIST).ending is ending
    assert office.emulator.truth()["requests"] == {counted: 1}


def test_a_slow_answer_says_how_long_it_waits() -> None:
    """Up to the value; whoever carries it waits."""
    office = Office()
    office.emulator.set_faults({"slow": 20})
    waits = [office.send("GET", LIST).wait for _ in range(50)]
    assert 0 <= min(waits) < 5
    assert 15 < max(waits) < 20


def test_a_foreign_key_belongs_to_another_organisation() -> None:
    """It sees its own connections, and can do nothing to ours."""
    office = Office(api_key="ours")
    office.emulator.set_manner({"foreignKey": "theirs"})
    connection = office.create()
    stranger = office.create("stranger", foreign=True)
    ours, theirs = (office.send("GET", "/v2/account/whoami", key=key) for key in ("ours", "theirs"))
    assert ours.json()["id"] != theirs.json()["id"]
    listed = office.send("GET", LIST, key="theirs").json()["list"]
    assert [row["id"] for row in listed] == [stranger]
    assert office.send("DELETE", f"{LIST}/{connection}", key="theirs").status == 404
    assert office.send("GET", LIST, key="other").status == 401
    assert [kind for kind, _ in office.told()] == ["connection.created"]
    assert [row["id"] for row in office.emulator.truth()["list"]] == [connection]


def test_a_confirmation_may_be_empty() -> None:
    """204 instead of a JSON object."""
    office = Office()
    office.emulator.set_manner({"emptyConfirmation": True})
    answer = office.send("DELETE", f"/v2/connections/{office.create()}")
    assert (answer.status, answer.body) == (204, b"")


def test_imports_may_be_silent() -> None:
    """Then only the list tells of them."""
    office = Office()
    office.emulator.set_manner({"importsTold": False})
    body = {"cookie": "auth_id=1; sess=2; fp=3", "userAgent": "x"}
    made = office.ask("POST", "/v2/connections/import", body)["id"]
    office.ask("PATCH", f"/v2/connections/import/{made}", body)
    assert office.told() == []


def test_link_init_may_leave_out_its_mode_and_be_short() -> None:
    """By two settings."""
    office = Office()
    office.emulator.set_manner({"linkMode": False, "linkSeconds": 60})
    started = office.ask("POST", "/v2/link/init", {})
    assert set(started) == {"url", "expiresAt"}
    assert started["expiresAt"] == "2026-01-01T12:01:00.000Z"


@pytest.mark.parametrize(
    "given",
    [
        {"nonsense": 1},
        {"order": "alphabetical"},
        {"order": 1},
        {"ascending": "yes"},
        {"mostLimit": 0},
        {"mostLimit": 1.5},
        {"mostLimit": True},
        {"absentKeys": ["id"]},
        {"absentKeys": "status"},
        {"redirectUris": [1]},
        {"refusal": "NO"},
        {"foreignKey": 7},
        {"linkSeconds": 0},
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(given: dict[str, Any]) -> None:
    """And nothing is changed, not even the good part of it."""
    office = Office()
    before = office.emulator.set_manner({})
    with pytest.raises(BadRequest):
        office.emulator.set_manner({"nextOffset": True, **given})
    assert office.emulator.set_manner({}) == before


def test_a_notice_of_any_type_goes_out_signed() -> None:
    """System events and relayed ones share the endpoint."""
    office = Office()
    office.emulator.set_style({"shape": "sdk", "dialect": "svix"})
    office.emulator.notify("rules.updated", {"rules": {"app_token": "x"}})
    office.emulator.pump()
    [(body, headers)] = office.got
    assert b'"eventType":"rules.updated"' in body
    assert "svix-signature" in headers


def test_what_was_given_up_is_sent_again_by_hand() -> None:
    """With the same id, days later."""
    office = Office(refusing=True)
    office.emulator.set_style({"dialect": "svix", "retries": "svix"})
    office.create()
    counts = []
    for seconds in (0, 5, 300, 1800, 7199, 1):
        office.pass_time(seconds)
        counts.append(len(office.got))
    assert counts == [1, 2, 3, 4, 4, 5]
    office.pass_time(3 * 86_400)
    assert office.emulator.redeliver() == 1
    office.pass_time(0)
    office.refusing = False
    office.pass_time(5)
    assert len(office.got) == 7
    assert office.emulator.deliveries()["acknowledged"] == 1
    assert len({headers["svix-id"] for _, headers in office.got}) == 1
    assert office.emulator.redeliver() == 0
