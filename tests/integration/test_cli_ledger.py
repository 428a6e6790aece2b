"""The commands that read and write a ledger, with and without a service that holds it."""

from __future__ import annotations

import csv
import io
import json
import time
from pathlib import Path
from typing import Any

import pytest

from api.bootstrap import entropy
from ledger.domain.words import short_id
from ledger.ofauth.signatures import Dialect, Secret, sign
from ledger.quarantine import Quarantine
from tests.builders import NOON, delivery, iso, open_ledger, webhook
from tests.integration.test_api_http import ask
from tests.serving import ADMIN, READ, Serve, environment, run_command

MINUTE = 60_000
STRANGER = Secret("whsec_" + "c3RyYW5nZXItc3RyYW5nZXItc3RyYW5n")


@pytest.fixture
def env(database_url: str, tmp_path: Path) -> dict[str, str]:
    """The settings of a ledger that holds a short story and a parked delivery."""
    ledger = open_ledger(database_url)
    for body in (
        webhook(at=NOON, ref="team/=user", status="active"),
        webhook("updated", at=NOON + 3 * MINUTE, ref=None, status="active"),
        webhook("expired", at=NOON + MINUTE, ref=None, status="expired"),
        b"{",
    ):
        ledger.record([delivery(body)])
    ledger.log.close()
    return environment(database_url, LEDGER_DATA_DIR=str(tmp_path / "data"))


def hold(env: dict[str, str], secret: Secret) -> None:
    """Put a request into the quarantine that this secret signed."""
    body, now = webhook(connection="conn_held", ref="held"), int(time.time())
    headers = sign(Dialect.DOCUMENTED, secret, body, stamp=now)
    folder = Path(env["LEDGER_DATA_DIR"]) / "quarantine"
    Quarantine(folder, entropy=entropy).keep(list(headers.items()), body, now * 1000)


def types(items: Any) -> list[str]:
    """The short types of history entries."""
    return [item["type"].removeprefix("connection.") for item in items]


def test_state_answers_without_a_service(env: dict[str, str]) -> None:
    """For people and for programs, now and at another time."""
    ran = run_command("state", "team/=user", env=env)
    assert ran.code == 0
    assert "active" in ran.out
    told = run_command("state", "team/=user", "--json", env=env).json
    assert told["connections"][0]["id"] == "conn_1"
    then = run_command(
        "state", "team/=user", "--json", "--valid-at", iso(NOON + 2 * MINUTE), env=env
    )
    assert then.json["status"] == "expired"
    before = run_command("state", "team/=user", "--as-of", "2020-01-01T00:00:00Z", env=env)
    assert before.code == 1


def test_state_takes_a_connection_or_its_short_form(env: dict[str, str]) -> None:
    """Whatever somebody found in a log."""
    ledger = open_ledger(env["LEDGER_DATABASE_URL"])
    short = short_id("conn_1", ledger.log.key)
    ledger.log.close()
    for name in ("conn_1", short):
        assert run_command("state", name, "--json", env=env).json["id"] == "conn_1"
        told = run_command("history", name, "--format", "json", env=env).json
        assert types(told["items"]) == ["created", "reconnected", "expired"]


def test_history_is_printed_in_every_form(env: dict[str, str]) -> None:
    """Table, JSON, NDJSON and CSV; in either order; formula-safe."""
    told = run_command("history", "team/=user", "--format", "json", env=env).json["items"]
    assert types(told) == ["created", "reconnected", "expired"]
    lines = run_command("history", "team/=user", "--format", "ndjson", env=env).out.splitlines()
    assert [json.loads(line) for line in lines] == told
    table = run_command("history", "team/=user", "--format", "csv", env=env).out
    rows = list(csv.DictReader(io.StringIO(table)))
    assert [row["type"] for row in rows] == [entry["type"] for entry in told]
    plain = run_command("history", "team/=user", "--by", "occurredAt", env=env)
    names = [line.split("\t")[2] for line in plain.out.splitlines()[1:]]
    assert names == ["connection.created", "connection.expired", "connection.reconnected"]
    valid = run_command(
        "history", "team/=user", "--json", "--valid-at", iso(NOON + MINUTE), env=env
    )
    assert types(valid.json["items"]) == ["created", "expired"]


def test_what_was_never_heard_of_is_a_finding(env: dict[str, str]) -> None:
    """Exit 1 with a sentence."""
    for command in ("state", "history"):
        ran = run_command(command, "nobody", env=env)
        assert (ran.code, ran.out) == (1, "")
        assert "never been heard of" in ran.err
    assert run_command("state", "conn~00000000", env=env).code == 1


def test_usage_and_settings_errors_are_2(env: dict[str, str]) -> None:
    """A time that is none, the future, a bad setting."""
    assert run_command("state", "x", "--as-of", "yesterday", env=env).code == 2
    assert run_command("state", "x", "--as-of", "2999-01-01T00:00:00Z", env=env).code == 2
    assert run_command("nonsense", env=env).code == 2
    assert run_command("state", "x", env=env | {"LEDGER_STALE_AFTER_SECONDS": "0"}).code == 2


def test_a_ledger_that_is_not_there_is_3(tmp_path: Path) -> None:
    """And no reading or writing command makes one."""
    env = environment(f"sqlite:///{tmp_path}/none.db")
    for command in (["state", "x"], ["history", "x"], ["parked", "list"], ["parked", "retry"]):
        ran = run_command(*command, env=env)
        assert ran.code == 3, command
        assert "LEDGER_DATABASE_URL" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_parked_deliveries_are_listed_and_retried(env: dict[str, str]) -> None:
    """With the reason; exit 1 while some stay parked."""
    [item] = run_command("parked", "list", "--json", env=env).json["items"]
    assert item["reason"] == "not_json"
    assert "not_json" in run_command("parked", "list", env=env).out
    ran = run_command("parked", "retry", "--json", env=env)
    assert ran.code == 1
    assert [one["outcome"] for one in ran.json["items"]] == ["still_parked"]
    assert run_command("parked", "retry", item["id"], env=env).code == 1
    assert run_command("parked", "retry", "delivery:none", env=env).code == 1


def test_quarantined_requests_are_verified_after_a_correction(env: dict[str, str]) -> None:
    """Recorded with the received time, then gone; exit 1 while some do not verify."""
    hold(env, STRANGER)
    [item] = run_command("quarantine", "list", "--json", env=env).json["items"]
    assert item["dialect"] == "documented"
    refused = run_command("quarantine", "verify", "--json", env=env)
    assert (refused.code, refused.json["refused"]) == (1, 1)
    corrected = env | {"LEDGER_WEBHOOK_SECRETS": STRANGER.value}
    verified = run_command("quarantine", "verify", "--json", env=corrected)
    assert (verified.code, verified.json["verified"]) == (0, 1)
    assert run_command("state", "held", "--json", env=env).json["status"] == "active"
    assert run_command("quarantine", "list", "--json", env=env).json["items"] == []
    nothing = {k: v for k, v in env.items() if k != "LEDGER_WEBHOOK_SECRETS"}
    assert run_command("quarantine", "verify", env=nothing).code == 2


def test_a_held_ledger_is_written_through_its_service(sqlite_url: str, tmp_path: Path) -> None:
    """Without an address and a token: exit 3 that says both ways out; reading always works."""
    env = environment(sqlite_url, LEDGER_DATA_DIR=str(tmp_path / "data"))
    hold(env, Secret(env["LEDGER_WEBHOOK_SECRETS"]))
    with Serve(env, tmp_path / "log") as process:
        assert run_command("parked", "list", env=env).code == 0
        for command in (["parked", "retry"], ["quarantine", "verify"]):
            ran = run_command(*command, env=env)
            assert ran.code == 3
            assert "--url" in ran.err
            assert "LEDGER_TOKEN" in ran.err
            assert "stop" in ran.err
        no_token = run_command("parked", "retry", "--url", process.url, env=env)
        assert (no_token.code, "LEDGER_TOKEN is not set" in no_token.err) == (3, True)
        reader = env | {"LEDGER_TOKEN": READ, "LEDGER_URL": process.url}
        forbidden = run_command("parked", "retry", env=reader)
        assert (forbidden.code, "403" in forbidden.err) == (3, True)
        assert "LEDGER_TOKEN" in forbidden.err
        chief = env | {"LEDGER_TOKEN": ADMIN}
        verified = run_command("quarantine", "verify", "--json", "--url", process.url, env=chief)
        assert (verified.code, verified.json["verified"]) == (0, 1)
        assert run_command("parked", "retry", env=chief | {"LEDGER_URL": process.url}).code == 0
        told = run_command("state", "held", "--json", env=env)
        assert told.json["status"] == "active"
    ran = run_command("parked", "retry", "--url", process.url, env=chief)
    assert (ran.code, "Nobody listens" in ran.err) == (0, True)


def test_a_file_that_is_no_ledger_is_3(sqlite_url: str, tmp_path: Path) -> None:
    """A sentence, no traceback."""
    (tmp_path / "ledger.db").write_bytes(b"no database at all" * 100)
    for command in (["state", "x"], ["parked", "list"], ["parked", "retry"]):
        ran = run_command(*command, env=environment(sqlite_url))
        assert (ran.code, ran.out) == (3, "")
        assert ran.err.endswith(".\n")


def test_a_token_that_was_made_opens_the_door(sqlite_url: str, tmp_path: Path) -> None:
    """The entry for the settings holds a hash only, and the token fits it."""
    made = run_command("token", "grafana", "read", "--json", env={}).json
    assert made["token"] not in made["entry"]
    assert made["entry"].startswith("grafana:read:sha256=")
    env = environment(sqlite_url, LEDGER_API_TOKENS=made["entry"])
    with Serve(env, tmp_path / "log") as process:
        assert ask(process.port, "GET", "/api/connections", apikey=made["token"])[0] == 200
        assert ask(process.port, "GET", "/api/parked", apikey=made["token"])[0] == 403
    assert run_command("token", "bad name", "read", env={}).code == 2
    assert run_command("token", "name", "everything", env={}).code == 2


@pytest.mark.parametrize("dialect", [dialect.value for dialect in Dialect])
def test_signed_headers_are_accepted(sqlite_url: str, tmp_path: Path, dialect: str) -> None:
    """`sign` makes what a first curl needs."""
    env = environment(sqlite_url)
    body = webhook()
    lines = run_command("sign", "--dialect", dialect, env=env, given=body).out.splitlines()
    headers = dict(line.split(": ", 1) for line in lines)
    with Serve(env, tmp_path / "log") as process:
        status, _, _ = ask(process.port, "POST", "/webhooks/ofauth", body, **headers)
        assert status == 204
    assert run_command("sign", env={}, given=body).code == 2


def test_every_command_explains_itself(tmp_path: Path) -> None:
    """`--help` everywhere, and a program's version."""
    for command in ([], ["serve"], ["state"], ["history"], ["parked"], ["parked", "retry"],
                    ["quarantine"], ["quarantine", "verify"], ["sign"], ["token"]):  # fmt: skip
        ran = run_command(*command, "--help", env={})
        assert (ran.code, "Usage:" in ran.out) == (0, True)
    assert run_command("--version", env={}).out[0].isdigit()
