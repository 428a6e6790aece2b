"""The commands that look after a ledger: forget, backup and doctor."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api.checks.finding import Finding, Level
from api.checks.store import judge_postgres, judge_sqlite
from api.checks.views import check_clock, check_silence, check_views, check_waiting
from ledger.recorders.base import Head
from ledger.recorders.condition import PostgresCondition, SQLiteCondition, is_mended
from projections.answers import Blocked
from tests.builders import NOON, webhook
from tests.erasing import REFERENCE, deliver_all, left
from tests.integration.test_api_http import ask
from tests.serving import ADMIN, READ, Serve, Serving, environment, run_command, signed


@pytest.fixture
def env(database_url: str, tmp_path: Path) -> dict[str, str]:
    """The settings of a ledger that knows a person with canaries in every field."""
    with Serving(database_url, tmp_path) as serving:
        deliver_all(serving)
        serving.read("/api/connections")
    return environment(database_url, LEDGER_DATA_DIR=str(tmp_path / "data"))


# forget


def test_forget_erases_without_a_service(env: dict[str, str], tmp_path: Path) -> None:
    """Log, views, quarantine and files, as over HTTP."""
    ran = run_command("forget", REFERENCE, "--yes", "--json", env=env)
    assert ran.code == 0, ran.err
    assert (ran.json["connections"], ran.json["quarantined"]) == (2, 5)
    assert left(env["LEDGER_DATABASE_URL"], tmp_path) == {}
    state = run_command("state", REFERENCE, "--json", env=env).json
    assert [one["userData"] for one in state["connections"]] == [None, None]
    again = run_command("forget", REFERENCE, "--yes", env=env)
    assert (again.code, "deliveries:           0" in again.out) == (0, True)


def test_forget_asks_for_the_reference_again(env: dict[str, str], tmp_path: Path) -> None:
    """Another answer erases nothing."""
    before = left(env["LEDGER_DATABASE_URL"], tmp_path)
    ran = run_command("forget", REFERENCE, env=env, given=b"other\n")
    assert ran.code == 2
    assert "Nothing was erased" in ran.err
    assert left(env["LEDGER_DATABASE_URL"], tmp_path) == before != {}
    assert run_command("forget", REFERENCE, env=env, given=f"{REFERENCE}\n".encode()).code == 0


def test_forget_of_somebody_unknown_is_a_finding(env: dict[str, str]) -> None:
    """Exit 1 with a sentence that does not repeat the reference."""
    ran = run_command("forget", "nobody", "--yes", env=env)
    assert (ran.code, "never been heard of" in ran.err, "nobody" in ran.err) == (1, True, False)


def test_forget_asks_the_service_that_holds_the_ledger(sqlite_url: str, tmp_path: Path) -> None:
    """With its address and a token; else it says both ways out."""
    env = environment(sqlite_url, LEDGER_DATA_DIR=str(tmp_path / "data"))
    with Serve(env, tmp_path / "serve.log") as serve:
        body = webhook(ref="mia", userData={"name": "canary-mia"})
        assert ask(serve.port, "POST", "/webhooks/ofauth", body, **signed(body))[0] == 204
        assert run_command("forget", "mia", "--yes", env=env).code == 3
        remote = env | {"LEDGER_URL": serve.url, "LEDGER_TOKEN": ADMIN}
        ran = run_command("forget", "mia", "--yes", "--json", env=remote)
        assert (ran.code, ran.json["claims"], ran.json["remains"]) == (0, 1, [])
        assert left(sqlite_url, tmp_path) == {}
        again = run_command("forget", "mia", "--yes", env=remote)
        assert (again.code, "tells of the person again" in again.err) == (0, True)
        assert run_command("forget", "nobody", "--yes", env=remote).code == 1
        weak = remote | {"LEDGER_TOKEN": READ}
        assert run_command("forget", "mia", "--yes", env=weak).code == 3


# backup


def test_a_backup_is_one_moment_of_a_ledger_that_is_written(
    sqlite_url: str, tmp_path: Path
) -> None:
    """Whole transactions only, private, in one file; restored, it answers and makes its views."""
    copy = tmp_path / "copies" / "copy.db"
    copy.parent.mkdir()
    env = environment(sqlite_url, LEDGER_DATA_DIR=str(tmp_path / "data"))
    done = threading.Event()
    with Serving(sqlite_url, tmp_path) as serving:
        for i in range(50):
            serving.tell("updated", f"conn_{i}", at=NOON, userData={"name": "x" * 2000})

        def write() -> None:
            i = 0
            while not done.is_set():
                i += 1
                serving.deliver(webhook("updated", f"conn_{i % 50}", at=NOON + i, ref=f"u{i}"))

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for number in range(3):
                ran = run_command("backup", str(copy.with_name(f"{number}.db")), env=env)
                assert ran.code == 0, ran.err
            ran = run_command("backup", str(copy), env=env)
        finally:
            done.set()
            writer.join(20)
        head = serving.service.services.log.head().position
    assert sorted(file.name for file in copy.parent.iterdir()) == [
        "0.db", "1.db", "2.db", "copy.db",
    ]  # fmt: skip
    assert copy.stat().st_mode & 0o777 == 0o600
    assert ran.code == 0
    position = int(ran.out.split("position:")[1].split()[0])
    assert 100 <= position <= head
    with Serving(f"sqlite:///{copy}", tmp_path / "restored") as restored:
        events = restored.read("/api/events", after=position - 2, minPosition=position)["items"]
        assert [item["type"].partition(".")[0] for item in events] == ["delivery", "connection"]
        assert restored.read("/api/connections", limit=500)["items"] != []


def test_a_backup_tells_the_same_to_programs(sqlite_url: str, tmp_path: Path) -> None:
    """As JSON; a byte of the file's name that is no text becomes a mark."""
    with Serving(sqlite_url, tmp_path) as serving:
        serving.tell()
    env = environment(sqlite_url)
    copy = tmp_path / os.fsdecode(b"caf\xe9.db")
    told = run_command("backup", str(copy), "--json", env=env).json
    assert told == {
        "file": f"{tmp_path}/caf\N{REPLACEMENT CHARACTER}.db",
        "position": 2,
        "events": 2,
        "bytes": copy.stat().st_size,
    }
    plain = run_command("backup", str(tmp_path / "plain.db"), env=env).out
    assert [line.split(":")[0] for line in plain.splitlines()] == list(told)


def test_a_backup_replaces_nothing(sqlite_url: str, tmp_path: Path) -> None:
    """A file that is there stays; a place that cannot be written is said."""
    with Serving(sqlite_url, tmp_path) as serving:
        serving.tell()
    env = environment(sqlite_url)
    there = tmp_path / "there.db"
    there.write_text("precious")
    ran = run_command("backup", str(there), env=env)
    assert (ran.code, "is not overwritten" in ran.err) == (2, True)
    assert there.read_text() == "precious"
    assert run_command("backup", str(tmp_path / "no" / "folder.db"), env=env).code == 3
    assert not list(tmp_path.glob("*.partial*"))


def test_a_damaged_ledger_gives_no_backup(sqlite_url: str, tmp_path: Path) -> None:
    """What would be restored is read back first."""
    with Serving(sqlite_url, tmp_path) as serving:
        for i in range(60):
            serving.tell("updated", f"conn_{i}", at=NOON, userData={"name": "x" * 900})
    file = tmp_path / "ledger.db"
    content = bytearray(file.read_bytes())
    content[8 * 4096 : 9 * 4096] = b"\xff" * 4096
    file.write_bytes(content)
    ran = run_command("backup", str(tmp_path / "copy.db"), env=environment(sqlite_url))
    assert ran.code == 3
    assert not (tmp_path / "copy.db").exists()


def test_a_backup_on_postgresql_names_its_own_tools(postgres_url: str, tmp_path: Path) -> None:
    """It is a usage error."""
    ran = run_command("backup", str(tmp_path / "copy.db"), env=environment(postgres_url))
    assert (ran.code, "pg_dump" in ran.err) == (2, True)


# doctor


def levels(findings: Any) -> set[tuple[str, str]]:
    """Check and level of findings, those that are well left out."""
    items = [(one.check, one.level) if isinstance(one, Finding) else (one["check"], one["level"])
             for one in findings]  # fmt: skip
    return {item for item in items if item[1] != "ok"}


def test_doctor_finds_nothing_wrong_beside_a_running_service(
    database_url: str, tmp_path: Path
) -> None:
    """Exit 0; only that there is no key, and the version of SQLite, are worth a warning."""
    env = environment(database_url, LEDGER_DATA_DIR=str(tmp_path / "data"))
    with Serving(database_url, tmp_path) as serving:
        serving.tell()
        serving.read("/api/connections")
        ran = run_command("doctor", "--json", env=env)
    assert ran.code == 0, ran.out
    of_version = {("store", "warning")} if database_url.startswith("sqlite:") else set()
    assert levels(ran.json["items"]) - of_version == {("sweep", "warning")}
    checks = {item["check"] for item in ran.json["items"]}
    assert checks == {
        "settings", "store", "clock", "views", "parked", "quarantine", "duplicates",
        "silence", "commands", "sweep",
    }  # fmt: skip
    plain = run_command("doctor", env=env)
    assert plain.out.splitlines()[0] == "check\tlevel\tfound\tadvice"


def test_doctor_fails_on_what_waits_for_a_person(env: dict[str, str], database_url: str) -> None:
    """Parked deliveries and held requests, each with what to do; no canary is printed."""
    ran = run_command("doctor", "--json", env=env)
    assert ran.code == 1
    bad = levels(ran.json["items"])
    assert {("parked", "failed"), ("quarantine", "failed")} <= bad
    assert all(item["advice"] for item in ran.json["items"] if item["level"] != "ok")
    assert "canary" not in ran.out
    assert REFERENCE not in ran.out


@pytest.mark.parametrize(
    ("change", "level"),
    [
        ({"LEDGER_WEBHOOK_SECRETS": ""}, "failed"),
        ({"LEDGER_WEBHOOK_SECRETS": "whsec_"}, "failed"),
        ({"LEDGER_WEBHOOK_SECRETS": "whsec_not*base64*but*long*enough"}, "failed"),
        ({"LEDGER_WEBHOOK_SECRETS": "whsec_c2hvcnQ="}, "warning"),
        ({"LEDGER_WEBHOOK_SECRETS": "short"}, "warning"),
        ({"LEDGER_API_TOKENS": ""}, "failed"),
        ({"LEDGER_API_TOKENS": "a:b:c"}, "failed"),
        ({"LEDGER_STALE_AFTER_SECONDS": "-1"}, "failed"),
        ({"POSTGRES_ENABLE_DB_FUNCTIONS": "y"}, "warning"),
    ],
)
def test_doctor_judges_settings(
    sqlite_url: str, tmp_path: Path, change: dict[str, str], level: str
) -> None:
    """Missing, bad and weak ones, without showing a secret."""
    with Serving(sqlite_url, tmp_path) as serving:
        serving.tell()
        serving.read("/api/connections")
    ran = run_command("doctor", "--json", env=environment(sqlite_url) | change)
    assert ("settings", level) in levels(ran.json["items"])
    assert ran.code == (1 if level == "failed" else 0)
    assert "not*base64" not in ran.out


def test_doctor_says_that_there_is_no_ledger(tmp_path: Path) -> None:
    """And makes none."""
    ran = run_command("doctor", "--json", env=environment(f"sqlite:///{tmp_path}/none.db"))
    assert (ran.code, levels(ran.json["items"])) == (1, {("store", "failed")})
    away = environment("postgresql://nobody@127.0.0.1:1/none")
    ran = run_command("doctor", "--json", env=away)
    assert (ran.code, levels(ran.json["items"])) == (1, {("store", "failed")})
    assert not list(tmp_path.iterdir())


def test_doctor_says_that_others_may_read_the_file(sqlite_url: str, tmp_path: Path) -> None:
    """The log holds personal data and connection ids."""
    with Serving(sqlite_url, tmp_path) as serving:
        serving.tell()
    (tmp_path / "ledger.db").chmod(0o644)
    ran = run_command("doctor", "--json", env=environment(sqlite_url))
    assert ("store", "failed") in levels(ran.json["items"])


def test_doctor_knows_which_sqlite_is_mended() -> None:
    """3.51.3 and later, and two branches that were mended as well."""
    mended = [(3, 44, 6), (3, 44, 9), (3, 50, 7), (3, 51, 3), (3, 52, 0)]
    broken = [(3, 40, 1), (3, 44, 5), (3, 45, 0), (3, 50, 6), (3, 51, 2)]
    assert all(is_mended(version) for version in mended)
    assert not any(is_mended(version) for version in broken)


def test_doctor_judges_stores() -> None:
    """Whatever could lose what was acknowledged fails."""
    good = SQLiteCondition("3.51.3", True, "wal", True, True, False, size=10**9, free=10**9)
    path = Path("ledger.db")
    assert levels(judge_sqlite(path, good)) == set()
    bad = SQLiteCondition("3.40.1", False, "delete", False, False, True, size=1, free=10**8)
    assert [one.level for one in judge_sqlite(path, bad)] == [
        "ok", "warning", "warning", "failed", "failed", "failed",
    ]  # fmt: skip
    small = replace(good, size=10**9 + 1)
    assert levels(judge_sqlite(path, small)) == {("store", "warning")}
    assert levels(judge_postgres(PostgresCondition(150004, True, True, "on", False))) == set()
    worst = PostgresCondition(120001, False, False, "off", True)
    assert [one.level for one in judge_postgres(worst)] == [
        "ok", "failed", "failed", "failed", "warning",
    ]  # fmt: skip


def test_doctor_judges_views_clock_and_silence() -> None:
    """Behind, blocked, of another log; a clock that went back; nothing heard for too long."""
    assert check_views({"history": 90}, [], 100)[0].level is Level.OK
    blocked = Blocked("history", "connection:conn_secret", "conn~1", 5, "EventTooNew")
    found = check_views({"history": 101, "current_state": 100}, [blocked], 100)
    assert [one.level for one in found] == [Level.FAILED, Level.FAILED]
    assert "conn_secret" not in json.dumps([one.found for one in found])
    assert check_views({"history": 0}, [], 10**6)[0].level is Level.WARNING
    assert check_clock(Head(1, 10**15), 10**15).level is Level.OK
    assert check_clock(Head(1, 10**15), 10**15 - 10**6).level is Level.FAILED
    assert check_silence({"svix": 0, "documented": NOON}, NOON + 999, 1000).level is Level.OK
    assert check_silence({"svix": NOON}, NOON + 1001, 1000).level is Level.FAILED
    assert check_silence({}, NOON, 1000).level is Level.WARNING
    assert [one.level for one in check_waiting(0, 0)] == [Level.OK, Level.OK]


def test_doctor_writes_nothing(sqlite_url: str, tmp_path: Path) -> None:
    """Not even a lock file, and a service can start at the same time."""
    with Serving(sqlite_url, tmp_path) as serving:
        serving.tell()
    before = {file.name: file.stat().st_mtime_ns for file in tmp_path.glob("*.db")}
    (tmp_path / "ledger.db.lock").unlink()
    run_command("doctor", env=environment(sqlite_url))
    assert {file.name: file.stat().st_mtime_ns for file in tmp_path.glob("*.db")} == before
    assert not (tmp_path / "ledger.db.lock").exists()
