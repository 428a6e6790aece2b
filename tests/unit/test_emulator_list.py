"""The emulator's list: its orders, its rows, and what goes wrong while it is read."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from api.emulator.world import Action, Details
from tests.emulated import Office


def filled(connections: int = 12, **manner: Any) -> tuple[Office, list[str]]:
    """An office with connections a minute apart, oldest first, which answers in some manner."""
    office = Office()
    office.emulator.set_manner(manner)
    made = []
    for number in range(connections):
        office.pass_time(60)
        made.append(office.create(f"creator-{number}"))
    return office, made


def read_all(office: Office, limit: int = 5) -> list[str]:
    """Read all pages, one after the other, and give the ids as they came."""
    ids: list[str] = []
    while True:
        page = office.ask("GET", f"/v2/connections?limit={limit}&offset={len(ids)}")
        ids += [row["id"] for row in page["list"]]
        if not page["hasMore"]:
            return ids


@pytest.mark.parametrize("ascending", [False, True])
def test_the_list_is_in_the_order_of_creation(ascending: bool) -> None:
    """Newest first, unless it is asked for the other way round."""
    office, made = filled(ascending=ascending)
    assert read_all(office) == (made if ascending else made[::-1])


def test_the_list_is_in_the_order_of_changes() -> None:
    """What changed last is first."""
    office, made = filled(order="updated")
    office.pass_time(60)
    office.act(made[3], Action.EXPIRE)
    assert read_all(office) == [made[3], *(one for one in made[::-1] if one != made[3])]


def test_a_shuffled_list_is_always_shuffled_alike() -> None:
    """No sort key of a row explains it, and new rows come in anywhere."""
    office, made = filled(connections=30, order="shuffled")
    first = read_all(office)
    assert first == read_all(office)
    assert sorted(first) == sorted(made)
    assert first not in (made, made[::-1])
    new = office.create()
    assert [one for one in read_all(office) if one != new] == first


@pytest.mark.parametrize(("order", "key"), [("created", "createdAt"), ("updated", "updatedAt")])
def test_the_order_holds_whatever_happens(order: str, key: str) -> None:
    """Rows come, change and go between the pages; each reading is sorted anew."""
    office, made = filled(20, order=order)
    dice = random.Random(7)
    for _ in range(200):
        office.pass_time(1)
        if len(made) < 5 or dice.random() < 0.2:
            made.append(office.create())
            continue
        action = dice.choice([*Action, Action.UPDATE])
        chosen = dice.choice(made)
        office.act(chosen, action)
        if action is Action.DISCONNECT:
            made.remove(chosen)
        rows = office.emulator.truth()["list"]
        expected = sorted(rows, key=lambda row: (row[key], row["id"]), reverse=True)
        assert read_all(office) == [row["id"] for row in expected]


def test_more_may_happen_than_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the list is sorted anew."""
    monkeypatch.setattr("api.emulator.world._MOST_FACTS", 3)
    office, made = filled(2)
    assert read_all(office) == made[::-1]
    made += [office.create() for _ in range(5)]
    assert sorted(read_all(office)) == sorted(made)


@pytest.mark.parametrize(("over", "status"), [("cut", 200), ("refuse", 400)])
def test_a_limit_above_the_greatest(over: str, status: int) -> None:
    """It is cut to it, or refused."""
    office, _ = filled(mostLimit=3, overLimit=over)
    answer = office.send("GET", "/v2/connections?limit=4")
    assert answer.status == status
    if status == 200:
        assert len(answer.json()["list"]) == 3
        assert answer.json()["hasMore"] is True
    assert len(office.list_ids("")) == 3


def test_a_page_may_say_the_next_offset() -> None:
    """The last one does not."""
    office, _ = filled(nextOffset=True)
    assert office.ask("GET", "/v2/connections?limit=5&offset=5")["nextOffset"] == 10
    assert "nextOffset" not in office.ask("GET", "/v2/connections?limit=5&offset=10")


def test_what_is_not_there_is_null_or_absent() -> None:
    """By the setting; what is there stays."""
    office = Office()
    office.create(None)
    [row] = office.ask("GET", "/v2/account/connections")["list"]
    assert (row["expiredAt"], row["clientReferenceId"]) == (None, None)
    office.emulator.set_manner({"nothing": "absent", "absentKeys": ["permissions"]})
    [row] = office.ask("GET", "/v2/account/connections")["list"]
    assert {"expiredAt", "clientReferenceId", "permissions"} & set(row) == set()
    assert {"id", "status", "userData", "imported", "lastCheckedAt"} < set(row)


def test_an_avatar_that_is_not_there_is_null_or_absent() -> None:
    """Also inside of userData."""
    office = Office()
    body = {"cookie": "auth_id=1; sess=2; fp=3", "userAgent": "x"}
    imported = office.ask("POST", "/v2/connections/import", body)["id"]
    assert office.ask("GET", "/v2/connections")["list"][0]["userData"]["avatar"] is not None
    office.emulator.act(imported, Action.UPDATE, Details(user_data={"avatar": None}))
    assert office.ask("GET", "/v2/connections")["list"][0]["userData"]["avatar"] is None
    office.emulator.set_manner({"nothing": "absent"})
    assert "avatar" not in office.ask("GET", "/v2/connections")["list"][0]["userData"]


def test_an_expiry_may_lie_ahead() -> None:
    """Active rows then say one, and expired ones still say when it was."""
    office, [first, second] = filled(2, expiryAheadSeconds=3600)
    office.act(first, Action.EXPIRE)
    rows = {row["id"]: row for row in office.ask("GET", "/v2/connections")["list"]}
    assert rows[second]["expiredAt"] == "2026-01-01T13:02:00.000Z"
    assert rows[first]["expiredAt"] == "2026-01-01T12:02:00.000Z"


def test_health_checks_go_on_in_steps() -> None:
    """Nothing else in the row changes, and imported connections are not checked."""
    office, [managed] = filled(1, checkSeconds=300)
    imported = office.create("noah", imported=True)
    office.pass_time(700)
    rows = {row["id"]: row for row in office.ask("GET", "/v2/account/connections")["list"]}
    assert rows[managed]["lastCheckedAt"] == "2026-01-01T12:10:00.000Z"
    assert rows[managed]["updatedAt"] == "2026-01-01T12:01:00.000Z"
    assert rows[imported]["lastCheckedAt"] == "2026-01-01T12:01:00.000Z"


@pytest.mark.parametrize("paths", ["account", "plain"])
def test_one_of_the_paths_may_be_missing(paths: str) -> None:
    """Then its calls find no route; Link and whoami are not concerned."""
    office, [connection] = filled(1, paths=paths)
    there, missing = ("/v2/account", "/v2") if paths == "account" else ("/v2", "/v2/account")
    assert office.ask("GET", f"{missing}/connections", status=404)["type"] == "ROUTE_NOT_FOUND"
    office.ask("GET", f"{there}/connections/{connection}/settings")
    office.ask("GET", "/v2/account/whoami")
    office.link()


def test_a_row_comes_in_under_the_reader() -> None:
    """A creator connects before a page is made; it is true, and told."""
    office, made = filled()
    office.emulator.set_faults({"listInsert": 1})
    ids = read_all(office)
    repeated = [one for one, times in Counter(ids).items() if times > 1]
    assert repeated
    assert set(office.list_ids()) > set(made)
    assert len([one for one in office.told() if one[0] == "connection.created"]) > len(made)


def test_a_row_goes_out_under_the_reader() -> None:
    """A connection is deleted before a page is made, and a row that is there is skipped."""
    office, made = filled(40, ascending=True)
    office.emulator.set_faults({"listRemove": 1})
    ids = read_all(office)
    living = {row["id"] for row in office.emulator.truth()["list"]}
    assert len(living) < len(made)
    assert living - set(ids)
    assert ("connection.disconnected", "active") in office.told()


def test_a_row_moves_under_the_reader() -> None:
    """Nothing has changed at the provider, and yet rows are skipped or come twice."""
    office, made = filled(40)
    office.emulator.set_faults({"listMove": 1})
    seen = [read_all(office) for _ in range(5)]
    assert any(Counter(one) != Counter(made) for one in seen)
    office.emulator.set_faults({})
    assert sorted(read_all(office)) == sorted(made)


def test_a_row_may_stand_in_a_page_twice() -> None:
    """A full page then lacks its last row."""
    office, made = filled()
    office.emulator.set_faults({"doubleRow": 1})
    ids = office.list_ids("limit=5")
    assert len(ids) == 5
    assert len(set(ids)) == 4
    assert set(ids) < set(made[-5:])


def test_has_more_may_say_the_contrary() -> None:
    """At the end that more follow, before it that none do."""
    office, _ = filled()
    office.emulator.set_faults({"hasMore": 1})
    assert office.ask("GET", "/v2/connections?limit=5")["hasMore"] is False
    assert office.ask("GET", "/v2/connections?limit=50")["hasMore"] is True


def test_a_seed_decides_what_goes_wrong_with_the_list() -> None:
    """The same calls give the same answers, byte for byte."""

    def answers(seed: int) -> list[bytes]:
        office = Office(seed=seed)
        office.emulator.set_faults(
            dict.fromkeys(("listShift", "listInsert", "listRemove", "listMove", "doubleRow"), 0.5)
        )
        for _ in range(20):
            office.create()
        return [office.send("GET", f"/v2/connections?offset={n}").body for n in range(30)]

    assert answers(3) == answers(3)
    assert answers(3) != answers(4)


def test_filters_hold_while_rows_move() -> None:
    """A page of expired ones has no active one."""
    office, made = filled(20)
    for connection in made[::2]:
        office.act(connection, Action.EXPIRE)
    office.emulator.set_faults({"listMove": 1, "doubleRow": 0.5})
    page = office.ask("GET", "/v2/connections?status=expired&limit=100")
    assert {row["status"] for row in page["list"]} == {"expired"}
