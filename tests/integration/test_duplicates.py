"""Accounts that are connected twice: over HTTP, by commands, as a metric and in `doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.builders import NOON, iso
from tests.serving import READ, WRITE, Serving, environment, run_command

MINUTE = 60_000


def connect(serving: Serving, name: str, account: str, at: int = 0, **more: Any) -> None:
    """Let a creator's account be connected once more."""
    serving.tell(
        connection=f"conn_{name}",
        ref=f"user_{name}",
        at=NOON + at,
        userData={"id": account},
        **more,
    )


def test_groups_of_duplicates_are_listed_with_their_connections(serving: Serving) -> None:
    """Oldest first, each as `/api/connections` gives it."""
    connect(serving, "a", "ann", at=MINUTE)
    connect(serving, "b", "ann")
    connect(serving, "c", "bea")
    [group] = serving.read("/api/duplicates")["items"]
    assert set(group) == {"count", "connections"}
    assert group["count"] == 2
    assert [one["id"] for one in group["connections"]] == ["conn_b", "conn_a"]
    assert group["connections"] == [serving.read(f"/api/connections/conn_{n}") for n in "ba"]
    assert [one["duplicateOf"] for one in group["connections"]] == ["conn_a", "conn_b"]
    headers = serving.get("/api/duplicates").headers
    assert headers["Ledger-Projection"].startswith("current_state; version=")
    assert int(headers["Ledger-Position"]) >= serving.position


def test_pages_of_groups_put_together_are_the_whole(serving: Serving) -> None:
    """Each group once, whatever the page's size; a cursor is of no use with another list."""
    for number in range(5):
        for name in "ab":
            connect(serving, f"{name}{number}", f"account {number}")
    whole = serving.read("/api/duplicates")
    assert (len(whole["items"]), whole["nextCursor"]) == (5, None)
    pieces, cursor = [], None
    while True:
        page = serving.read("/api/duplicates", limit=2, cursor=cursor)
        pieces += page["items"]
        if (cursor := page["nextCursor"]) is None:
            break
        assert serving.get("/api/connections", cursor=cursor).status_code == 422
    assert pieces == whole["items"]


def test_asking_for_duplicates_is_asking_a_list(small: Serving) -> None:
    """A token that reads; nothing is asked that the list does not know."""
    connect(small, "a", "ann")
    assert small.get("/api/duplicates", token=READ).json["items"] == []
    assert small.get("/api/duplicates", token=WRITE).status_code == 403
    assert small.get("/api/duplicates", token=None).status_code == 401
    for bad in ({"limit": 0}, {"limit": 501}, {"asOf": iso(NOON)}, {"cursor": "x"}):
        assert small.get("/api/duplicates", **bad).status_code == 422, bad


def test_one_that_is_deleted_is_a_duplicate_no_longer_and_was_one(serving: Serving) -> None:
    """Now, in a list, for its client, and at an earlier time by both clocks."""
    connect(serving, "a", "ann")
    connect(serving, "b", "ann")
    serving.tell("disconnected", "conn_b", ref=None, at=NOON + MINUTE)

    def of_a(**moment: str) -> list[Any]:
        client = serving.read("/api/clients/user_a", **moment)["connections"][0]
        return [client["duplicateOf"],
                serving.read("/api/connections/conn_a", **moment)["duplicateOf"]]  # fmt: skip

    [told] = serving.read("/api/history", clientReferenceId="user_b", type="connection.created")[
        "items"
    ]
    assert serving.read("/api/duplicates")["items"] == []
    assert {one["duplicateOf"] for one in serving.read("/api/connections")["items"]} == {None}
    assert of_a() == [None, None]
    assert of_a(asOf=told["recordedAt"]) == ["conn_b", "conn_b"]
    assert of_a(validAt=iso(NOON + 1)) == ["conn_b", "conn_b"]


def test_the_command_line_says_the_same_without_a_service(
    database_url: str, tmp_path: Path
) -> None:
    """Folded from the log, now and at an earlier time."""
    with Serving(database_url, tmp_path) as serving:
        connect(serving, "a", "ann")
        connect(serving, "b", "ann")
        answered = serving.read("/api/clients/user_a")["connections"]
    env = environment(database_url)
    assert run_command("state", "user_a", "--json", env=env).json["connections"] == answered
    shown = run_command("state", "conn_b", env=env)
    assert "duplicateOf:          conn_a\n" in shown.out
    moment = run_command("state", "conn_b", "--json", "--valid-at", iso(NOON), env=env)
    assert moment.json["duplicateOf"] == "conn_a"


def test_duplicates_are_counted_for_whoever_watches(database_url: str, tmp_path: Path) -> None:
    """A metric, and a line of `doctor` that is a warning and not a failure."""
    env = environment(database_url)

    def said() -> Any:
        [line] = [one for one in run_command("doctor", "--json", env=env).json["items"]
                  if one["check"] == "duplicates"]  # fmt: skip
        return line

    with Serving(database_url, tmp_path) as serving:
        connect(serving, "a", "ann")
        serving.read("/api/connections")
        assert "ledger_duplicates 0.0" in serving.get("/metrics").text.splitlines()
        assert said()["level"] == "ok"
        connect(serving, "b", "ann")
        connect(serving, "c", "ann")
        serving.read("/api/connections")
        assert "ledger_duplicates 1.0" in serving.get("/metrics").text.splitlines()
        assert (said()["level"], "/api/duplicates" in said()["advice"]) == ("warning", True)
        assert said()["found"].endswith(" 1.")
