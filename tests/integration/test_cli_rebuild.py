"""`projections list` and `projections rebuild`: with a service, without one, and interrupted."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from api.cli.progress import showing
from projections.current_state.projection import CurrentState
from projections.generations import generations_of
from projections.opening import open_store
from projections.runner import Runner
from tests.builders import NOON, delivery, open_ledger, webhook
from tests.fault_server import FaultServer, answer, hang_up
from tests.integration.test_api_http import ask
from tests.rebuilding import children, complete, remnants, until
from tests.serving import ADMIN, READ, Serve, environment, run_command, signed

ALL = "current_state, history, deliveries, links"


@pytest.fixture
def env(database_url: str) -> dict[str, str]:
    """The settings of a ledger whose views have read a part of it, and that nobody serves."""
    return filled(database_url)


def filled(url: str, count: int = 24) -> dict[str, str]:
    """Make a log of so many deliveries, and views of the first half."""
    ledger = open_ledger(url)
    bodies = [webhook(connection=f"conn_{n:05}", ref=f"user_{n % 100}") for n in range(count)]
    store = open_store(url)
    for first in range(0, count, 500):
        ledger.record([delivery(body) for body in bodies[first : first + 500]])
        if not first:
            Runner(ledger.log, store).step(count)
    store.close()
    ledger.log.close()
    return environment(url)


def by_name(listed: Any, field: str) -> dict[str, Any]:
    """One field of what `projections list` tells."""
    return {item["name"]: item[field] for item in listed["items"]}


def damage(url: str) -> None:
    """Write something wrong into the live views."""
    store = open_store(url)
    with store.writing() as session:
        session.run("UPDATE current_state{g} SET status = 'expired'")
    store.close()


def test_the_list_says_how_far_each_projection_is(env: dict[str, str]) -> None:
    """As a table and as JSON, in the form of the API."""
    ran = run_command("projections", "list", "--json", env=env)
    assert ran.code == 0
    assert by_name(ran.json, "position") == dict.fromkeys(ALL.split(", "), 24)
    assert by_name(ran.json, "lag") == dict.fromkeys(ALL.split(", "), 24)
    assert ran.json["rebuild"] is None
    lines = run_command("projections", "list", env=env).out.splitlines()
    assert lines[:2] == [
        "name\tversion\tgeneration\tposition\tlag\tblocked",
        f"current_state\t{CurrentState.version}\t1\t24\t24\t0",
    ]


def test_the_list_tells_of_the_rebuild_that_runs_and_of_the_one_that_failed(
    env: dict[str, str],
) -> None:
    """How long it will still take; or why it ended, and what to do."""
    told = {
        "state": "running", "phase": "reading", "names": ["history"], "generation": 2, "done": 50,
        "total": 100, "seconds": 2.0, "rate": 25.0, "secondsLeft": 2.0, "position": None,
        "differences": [], "detail": None,
    }  # fmt: skip
    failed = told | {"state": "failed", "detail": "It died. Rebuild again."}
    answers = [answer(200, {"items": [], "rebuild": one}) for one in (told, failed)]
    with FaultServer(*answers) as service:
        remote = env | {"LEDGER_URL": service.url, "LEDGER_TOKEN": READ}
        runs = run_command("projections", "list", env=remote)
        assert "phase:                reading" in runs.out
        assert "secondsLeft:          2.0" in runs.out
        ended = run_command("projections", "list", env=remote)
    assert "secondsLeft" not in ended.out
    assert "It died. Rebuild again." in ended.err


def test_a_list_without_views_is_a_list_of_zeros(sqlite_url: str, tmp_path: Path) -> None:
    """And nothing is made for it."""
    open_ledger(sqlite_url).log.close()
    ran = run_command("projections", "list", "--json", env=environment(sqlite_url))
    assert by_name(ran.json, "position") == dict.fromkeys(ALL.split(", "), 0)
    assert remnants(sqlite_url) == []
    missing = environment(f"sqlite:///{tmp_path}/none.db")
    assert run_command("projections", "list", env=missing).code == 3


def test_a_rebuild_without_a_service(env: dict[str, str]) -> None:
    """To the end of the log, with a line for each phase."""
    ran = run_command("projections", "rebuild", env=env)
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[:3] == [
        "state:                done", f"names:                {ALL}", "generation:           2",
    ]  # fmt: skip
    listed = run_command("projections", "list", "--json", env=env).json
    assert set(by_name(listed, "generation").values()) == {2}
    assert set(by_name(listed, "lag").values()) == {0}
    some = run_command("projections", "rebuild", "history", "--json", env=env)
    assert (some.code, some.json["names"], some.json["generation"]) == (0, ["history"], 3)


def test_verify_without_a_service_feeds_the_live_views_first(env: dict[str, str]) -> None:
    """They had read half of the log; then nothing differs."""
    ran = run_command("projections", "rebuild", "--verify", "--json", env=env)
    assert ran.code == 0, ran.err
    assert (ran.json["state"], ran.json["differences"]) == ("done", [])
    assert complete(env["LEDGER_DATABASE_URL"]) == [1, 2]


def test_verify_prints_the_first_ten_differences(env: dict[str, str]) -> None:
    """Exit 1, and the live views stay until one rebuilds without it."""
    url = env["LEDGER_DATABASE_URL"]
    damage(url)
    ran = run_command("projections", "rebuild", "--verify", env=env)
    assert ran.code == 1
    assert "without --verify" in ran.err
    rows = ran.out.partition("\n\n")[2].splitlines()
    assert rows[:2] == [
        "projection\ttable\tkey\twhat\tcolumns",
        'current_state\tcurrent_state\t{"id": "conn_00000"}\tdiffers\tstatus',
    ]
    assert len(rows) == 11
    assert complete(url) == [1]
    assert run_command("projections", "rebuild", env=env).code == 0
    assert run_command("projections", "rebuild", "--verify", env=env).code == 0


def test_an_unknown_projection_is_a_usage_error(env: dict[str, str]) -> None:
    """With the names that there are."""
    ran = run_command("projections", "rebuild", "histories", env=env)
    assert (ran.code, "current_state" in ran.err) == (2, True)


def test_a_rebuild_through_the_service_that_holds_the_ledger(
    sqlite_url: str, tmp_path: Path
) -> None:
    """With its address and a token; else it says both ways out."""
    env = environment(sqlite_url, LEDGER_DATA_DIR=str(tmp_path / "data"))
    with Serve(env, tmp_path / "serve.log") as serve:
        for number in range(12):
            body = webhook(connection=f"conn_{number:02}", at=NOON)
            assert ask(serve.port, "POST", "/webhooks/ofauth", body, **signed(body))[0] == 204
        alone = run_command("projections", "rebuild", env=env)
        assert (alone.code, "--url" in alone.err) == (3, True)
        remote = env | {"LEDGER_URL": serve.url, "LEDGER_TOKEN": ADMIN}
        ran = run_command("projections", "rebuild", "--json", env=remote)
        assert (ran.code, ran.json["state"], ran.json["generation"]) == (0, "done", 2)
        listed = run_command("projections", "list", env=remote)
        assert "generation:           2" in listed.out
        listed_json = run_command("projections", "list", "--json", env=remote).json
        assert listed_json["rebuild"] == ran.json
        # as somebody might, who thinks that a view is a place to write
        damage(sqlite_url)
        differs = run_command("projections", "rebuild", "--verify", "--json", env=remote)
        assert (differs.code, len(differs.json["differences"])) == (1, 10)
        weak = remote | {"LEDGER_TOKEN": READ}
        assert run_command("projections", "rebuild", env=weak).code == 3
        assert run_command("projections", "list", env=weak).code == 0
        # nobody there: the ledger's own way, which is closed while the service runs
        away = env | {"LEDGER_URL": "http://127.0.0.1:1", "LEDGER_TOKEN": ADMIN}
        assert run_command("projections", "list", env=away).code == 0
        assert run_command("projections", "rebuild", env=away).code == 3


@pytest.mark.parametrize("answers", [0, 1, 2])
def test_a_command_whose_service_dies_does_not_take_its_place(
    env: dict[str, str], answers: int
) -> None:
    """It would hold the ledger while somebody starts the service again."""
    url = env["LEDGER_DATABASE_URL"]
    there = remnants(url)
    running = answer(202, {"state": "running"})
    with FaultServer(*[running] * answers, hang_up) as service:
        remote = env | {"LEDGER_URL": service.url, "LEDGER_TOKEN": ADMIN}
        ran = run_command("projections", "rebuild", env=remote)
        assert len(service.asked) == answers + 1
    assert (ran.code, "went away" in ran.err, "opening" in ran.err) == (3, True, False)
    assert remnants(url) == there


def test_a_command_whose_service_is_gone_after_an_answer_does_not_take_its_place(
    env: dict[str, str],
) -> None:
    """Nobody listens any more, which is not as if nobody had listened."""
    there = remnants(env["LEDGER_DATABASE_URL"])
    with FaultServer() as service:

        def answer_last(connection: socket.socket) -> None:
            service.close()
            connection.sendall(answer(202, {"state": "running"}, Connection="close"))

        service.react(answer_last)
        remote = env | {"LEDGER_URL": service.url, "LEDGER_TOKEN": ADMIN}
        ran = run_command("projections", "rebuild", env=remote)
    assert (ran.code, "went away" in ran.err, "opening" in ran.err) == (3, True, False)
    assert remnants(env["LEDGER_DATABASE_URL"]) == there


def test_the_command_and_a_service_exclude_each_other_on_postgresql(postgres_url: str) -> None:
    """Whoever comes second is told to wait."""
    env = filled(postgres_url)
    with closing(generations_of(postgres_url)) as service:
        service.begin()
        ran = run_command("projections", "rebuild", env=env)
        assert (ran.code, "only one rebuild runs at a time" in ran.err) == (3, True)
        service.end()
    assert run_command("projections", "rebuild", env=env).code == 0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_cancels_and_leaves_nothing(database_url: str, how: signal.Signals) -> None:
    """Ctrl-C while the log is being read: no file, no table, no process."""
    env = filled(database_url, 4_000)
    there = remnants(database_url)
    base = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    with subprocess.Popen(
        [sys.executable, "-m", "api", "projections", "rebuild"],
        cwd=Path(__file__).parents[2],
        env=base | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        until(lambda: bool(children(command.pid)))
        [child] = children(command.pid)
        os.kill(child, signal.SIGSTOP)
        command.send_signal(how)
        out, err = command.communicate(timeout=60)
    assert command.returncode == 1, err
    assert "Cancelling." in err
    assert "state:                cancelled" in out
    assert not os.path.exists(f"/proc/{child}")
    assert remnants(database_url) == there


def test_a_terminal_shows_a_bar_with_rate_and_time_left(sqlite_url: str) -> None:
    """And the result below it."""
    env = filled(sqlite_url, 4_000)
    base = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "api", "projections", "rebuild"],
        cwd=Path(__file__).parents[2],
        env=base | env | {"TERM": "xterm", "COLUMNS": "100"},
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
    ) as command:
        os.close(theirs)
        shown = b""
        while True:
            try:
                shown += os.read(ours, 65_536)
            except OSError:  # the other end is closed
                break
        assert command.stdout is not None
        assert "state:                done" in command.stdout.read()
    os.close(ours)
    assert command.returncode == 0
    assert "━" in shown.decode()


def test_elsewhere_lines_say_phase_rate_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    """One for each phase and each tenth of it."""
    rebuild = {"phase": "starting", "done": 0, "total": None, "rate": None, "secondsLeft": None}
    with showing() as show:
        show(rebuild)
        for done in range(0, 1_001, 20):
            rates = {"rate": 100.4 if done else None, "secondsLeft": (1_000 - done) / 100}
            show(rebuild | {"phase": "reading", "done": done, "total": 1_000} | rates)
        show(rebuild | {"phase": "indexing", "done": 1_000, "total": 1_000, "rate": 99.0})
    lines = capsys.readouterr().err.splitlines()
    assert lines[:3] == [
        "starting",
        "reading: 0 of 1000 events, 10 s left",
        "reading: 100 of 1000 events, 100/s, 9 s left",
    ]
    assert lines[-1] == "indexing: 1000 of 1000 events, 99/s"
    assert len(lines) == 13
