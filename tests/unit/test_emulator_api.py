"""The provider's HTTP API in the emulator: what each call does, on both path families."""

from __future__ import annotations

import random
import threading
from typing import Any

import pytest

from api.emulator.world import Action
from tests.emulated import NOON, Office

FAMILIES = pytest.mark.parametrize("family", ["/v2/account", "/v2"])
COOKIE = "auth_id=4711; sess=abc; fp=def"


@FAMILIES
def test_a_delete_is_told_and_ends_the_row(family: str) -> None:
    """The row leaves the list, a webhook says so, and a second delete finds nothing."""
    office = Office()
    connection = office.create()
    assert office.ask("DELETE", f"{family}/connections/{connection}") == {"success": True}
    assert office.list_ids() == []
    assert office.told()[-1] == ("connection.disconnected", "active")
    error = office.ask("DELETE", f"{family}/connections/{connection}", status=404)
    assert error["type"] == "RESOURCE_NOT_FOUND"
    assert office.emulator.truth()["effects"]["deleted"] == {connection: 1}
    assert office.emulator.truth()["gone"] == [connection]


@FAMILIES
def test_an_invalidate_expires_and_keeps_the_row(family: str) -> None:
    """The creator is logged out once, however often it is asked."""
    office = Office()
    connection = office.create()
    for _ in range(2):
        office.ask("POST", f"{family}/connections/{connection}/invalidate")
    [row] = office.emulator.truth()["list"]
    assert (row["status"], row["expiredAt"]) == ("expired", "2026-01-01T12:00:00.001Z")
    assert office.told() == [("connection.created", "active"), ("connection.expired", "expired")]
    assert office.emulator.truth()["effects"]["invalidated"] == {connection: 1}


@FAMILIES
def test_an_invalidate_after_a_reconnect_logs_out_again(family: str) -> None:
    """The counter shows when a repeated call did harm."""
    office = Office()
    connection = office.create()
    office.ask("POST", f"{family}/connections/{connection}/invalidate")
    office.act(connection, Action.RECONNECT)
    office.ask("POST", f"{family}/connections/{connection}/invalidate")
    assert office.emulator.truth()["effects"]["invalidated"] == {connection: 2}


@FAMILIES
def test_settings_are_read_and_changed(family: str) -> None:
    """What a PATCH does not name stays; null resets the settings."""
    office = Office()
    path = f"{family}/connections/{office.create()}/settings"
    assert office.ask("GET", path)["vaultPlus"]["enabled"] is False
    given = {"vaultPlus": {"enabled": True, "settings": {"retentionDays": 7}}}
    changed = office.ask("PATCH", path, given)["settings"]["vaultPlus"]
    assert (changed["enabled"], changed["settingsOverrides"]) == (True, {"retentionDays": 7})
    office.ask("PATCH", path, {"vaultPlus": {"settings": None}})
    read = office.ask("GET", path)["vaultPlus"]
    assert (read["enabled"], read["settingsOverrides"]) == (True, {})
    assert office.ask("PATCH", path, {"vaultPlus": 1}, status=400)["type"] == "BAD_REQUEST"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", ""),
        ("POST", "/invalidate"),
        ("GET", "/settings"),
        ("PATCH", "/settings"),
    ],
)
@FAMILIES
def test_a_connection_that_never_was_is_not_found(family: str, method: str, path: str) -> None:
    """Every call that names one says so."""
    error = Office().ask(method, f"{family}/connections/conn_never{path}", status=404)
    assert error["type"] == "RESOURCE_NOT_FOUND"


@FAMILIES
def test_an_import_is_listed_as_imported(family: str) -> None:
    """It carries the upstream account of its cookie, and a new session keeps its id."""
    office = Office()
    body = {"cookie": COOKIE, "userAgent": "Mozilla", "clientReferenceId": "mia"}
    row = office.ask("POST", f"{family}/connections/import", body)
    assert (row["imported"], row["userData"]["id"], row["clientReferenceId"]) == (
        True,
        "4711",
        "mia",
    )
    office.act(row["id"], Action.EXPIRE)
    again = office.ask("PATCH", f"{family}/connections/import/{row['id']}", body)
    assert (again["id"], again["status"]) == (row["id"], "active")
    assert office.emulator.truth()["effects"]["imported"] == {row["id"]: 2}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"cookie": "auth_id=1; sess=2", "userAgent": "Mozilla"},
        {"cookie": COOKIE},
        {"cookie": 7, "userAgent": "Mozilla"},
        {"cookie": COOKIE, "userAgent": "Mozilla", "permissions": "all"},
    ],
)
def test_an_import_without_a_whole_session_is_refused(body: dict[str, Any]) -> None:
    """Three cookies and the user agent are needed."""
    office = Office()
    error = office.ask("POST", "/v2/account/connections/import", body, status=400)
    assert error["type"] == "BAD_REQUEST"
    assert office.emulator.truth()["list"] == []


def test_a_new_session_of_somebody_else_is_refused() -> None:
    """An import belongs to the account of its first cookie, and others are no imports."""
    office = Office()
    body = {"cookie": COOKIE, "userAgent": "Mozilla"}
    row = office.ask("POST", "/v2/account/connections/import", body)
    other = {**body, "cookie": COOKIE.replace("4711", "4712")}
    office.ask("PATCH", f"/v2/account/connections/import/{row['id']}", other, status=400)
    managed = office.create()
    office.ask("PATCH", f"/v2/account/connections/import/{managed}", body, status=400)


def test_a_password_change_ends_every_session_of_the_account() -> None:
    """Two connections of one upstream account expire together, a stranger's does not."""
    office = Office()
    ids = [
        office.ask("POST", "/v2/connections/import", {"cookie": COOKIE, "userAgent": "x"})["id"]
        for _ in range(2)
    ]
    stranger = office.create()
    office.emulator.change_password(ids[0])
    statuses = {row["id"]: row["status"] for row in office.emulator.truth()["list"]}
    assert statuses == {ids[0]: "expired", ids[1]: "expired", stranger: "active"}


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/v2/account"),
        ("GET", "/v2/whoami"),
        ("POST", "/v2/account/link/init"),
        ("PUT", "/v2/connections"),
        ("GET", "/v2/link"),
        ("GET", "/elsewhere"),
        ("GET", "/"),
    ],
)
def test_there_are_no_other_routes(method: str, target: str) -> None:
    """Also not a known path with another method, or on the other family."""
    assert Office().ask(method, target, status=404)["type"] == "ROUTE_NOT_FOUND"


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=-1", "limit=ten", "limit=1e3", "offset=x", "imported=yes", "status=pending"],
)
def test_a_query_that_makes_no_sense_is_refused(query: str) -> None:
    """The provider says BAD_REQUEST, and ignores what it does not know."""
    office = Office()
    error = office.ask("GET", f"/v2/connections?{query}", status=400)
    assert error["type"] == "BAD_REQUEST"
    assert office.ask("GET", "/v2/connections?colour=red") == {"list": [], "hasMore": False}


def test_calls_are_counted_by_route_and_status() -> None:
    """The counter names no id."""
    office = Office()
    connection = office.create()
    for _ in range(2):
        office.send("DELETE", f"/v2/connections/{connection}")
    office.send("GET", "/v2/account/whoami", key="")
    office.send("GET", "/v2/nothing")
    assert office.emulator.truth()["requests"] == {
        "DELETE /v2/connections/{id} 200": 1,
        "DELETE /v2/connections/{id} 404": 1,
        "GET /v2/account/whoami 401": 1,
        "no such route 404": 1,
    }


def test_the_clock_is_moved_on() -> None:
    """Then everything happens later: facts, dates and retries."""
    office = Office(refusing=True)
    office.create()
    office.emulator.pump()
    assert office.emulator.next_due() == NOON / 1000 + 1
    assert office.emulator.forward(10_000) == "2026-01-01T12:00:10.000Z"
    assert office.emulator.pump() == 1
    assert office.send("GET", "/v2/connections").headers["Date"] == "Thu, 01 Jan 2026 12:00:10 GMT"


def test_the_facts_tell_what_happened_in_order() -> None:
    """Also what no webhook told."""
    office = Office()
    office.emulator.set_faults({"drop": 1})
    connection = office.create()
    office.act(connection, Action.EXPIRE)
    office.ask("DELETE", f"/v2/connections/{connection}")
    assert [(one["type"], one["row"]["id"]) for one in office.emulator.facts()] == [
        ("connection.created", connection),
        ("connection.expired", connection),
        ("connection.disconnected", connection),
    ]
    assert office.told() == []


def test_retries_go_out_as_the_clock_comes_to_them() -> None:
    """Nothing is sent before its time, and after five attempts it is given up."""
    office = Office(refusing=True)
    office.create()
    counts = []
    for seconds in (0, 0.9, 0.1, 1.9, 0.1, 4, 8, 1000):
        office.pass_time(seconds)
        counts.append(len(office.got))
    assert counts == [1, 1, 2, 2, 3, 4, 5, 5]
    assert office.emulator.deliveries()["failed"] == 1
    assert office.emulator.next_due() is None


def test_nobody_waits_for_what_nobody_sends() -> None:
    """In one process deliveries are pumped; waiting for them would be for ever."""
    office = Office()
    office.emulator.quiesce()
    office.create()
    with pytest.raises(RuntimeError, match="pumped"):
        office.emulator.quiesce()
    office.emulator.pump()
    office.emulator.quiesce()


def test_a_seed_decides_everything() -> None:
    """Ids, answers, faults and webhooks of a long life are the same, byte for byte."""
    faults = (
        "drop",
        "duplicate",
        "reorder",
        "restamp",
        "http5xx",
        "lostAnswer",
        "listMove",
        "fork",
    )

    def life(seed: int) -> list[object]:
        office, dice = Office(seed=seed), random.Random(1)
        office.emulator.set_faults({**dict.fromkeys(faults, 0.2), "delay": 30, "slow": 5})
        seen: list[object] = []
        for _ in range(150):
            office.pass_time(dice.random() * 10)
            office.refusing = dice.random() < 0.3
            living = [row["id"] for row in office.emulator.truth()["list"]]
            match dice.randrange(5):
                case 0:
                    office.create()
                case 1 if living:
                    office.act(dice.choice(living), dice.choice(list(Action)))
                case 2 if living:
                    path = f"/v2/connections/{dice.choice(living)}"
                    seen.append(office.send(dice.choice(["DELETE", "PATCH"]), path))
                case 3 if living:
                    body = {"connectionId": dice.choice(living)}
                    started = office.send("POST", "/v2/link/init", body)
                    if started.status == 200:
                        seen.append(office.press(started.json()["url"], "login"))
                case _:
                    seen.append(office.send("GET", "/v2/account/connections"))
        return [*seen, office.got, office.emulator.truth(), office.emulator.facts()]

    before = threading.active_count()
    assert life(1) == life(1)
    assert life(1) != life(2)
    assert threading.active_count() == before
