"""What commands ask of a service at --url, with which token, and what they make of its answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from api.emulator.server import EmulatorServer
from tests.fault_server import FaultServer, answer
from tests.integration.test_api_http import ask
from tests.provided import settings_for
from tests.rebuilding import until
from tests.serving import ADMIN, ONLY_ADMIN, PROBLEM, READ, Serve, environment, run_command

ORDERS = (["parked", "retry"], ["quarantine", "verify"], ["forget", "mia", "--yes"])
FOLLOWED = (["projections", "rebuild"], ["sweep"])
ALL = (*ORDERS, *FOLLOWED, ["projections", "list"])


def test_what_a_token_cannot_follow_is_not_started(
    sqlite_url: str, tmp_path: Path, provider: EmulatorServer
) -> None:
    """Without `read`, exit 3 that names both scopes; other orders need `admin` alone."""
    data = {"LEDGER_DATA_DIR": str(tmp_path / "data")}
    env = environment(sqlite_url, **data, **settings_for(provider))
    with Serve(env, tmp_path / "log") as service:

        def told(path: str) -> Any:
            return json.loads(ask(service.port, "GET", path, apikey=ADMIN)[2])

        def done() -> tuple[Any, list[str]]:
            passes = told("/api/sweeps")["items"]
            return told("/api/projections")["rebuild"], [one["state"] for one in passes]

        # the pass that a service makes when it starts
        until(lambda: done()[1] == ["valid"])
        for token in (ONLY_ADMIN, READ):
            weak = env | {"LEDGER_URL": service.url, "LEDGER_TOKEN": token}
            for command in FOLLOWED:
                ran = run_command(*command, env=weak)
                assert (ran.code, "the scopes read and admin" in ran.err) == (3, True), command
            codes = [run_command(*command, env=weak).code for command in ORDERS]
            assert codes == ([0, 0, 1] if token == ONLY_ADMIN else [3, 3, 3])
        assert done() == (None, ["valid"])
        for command in (*FOLLOWED, *ORDERS):
            held = run_command(*command, env=env)
            scopes = "the scopes read and admin," if command in FOLLOWED else "the scope admin,"
            assert (held.code, scopes in held.err) == (3, True), command


@pytest.mark.parametrize("host", ["machine 127.0.0.1", "default"])
def test_the_token_is_sent_whatever_a_netrc_says(host: str, tmp_path: Path) -> None:
    """It is the service's own, and the file's user and password stay where they are."""
    netrc = tmp_path / "netrc"
    netrc.write_text(f"{host} login canary password canary\n")
    with FaultServer(answer(200, {"items": [], "rebuild": None})) as service:
        env = {"LEDGER_URL": service.url, "LEDGER_TOKEN": READ, "NETRC": str(netrc)}
        assert run_command("projections", "list", env=env).code == 0
    assert [one.headers["authorization"] for one in service.asked] == [f"Bearer {READ}"]


def test_a_service_is_asked_through_the_proxy_of_the_environment() -> None:
    """As by curl, and with the token."""
    with FaultServer(answer(200, {"items": [], "rebuild": None})) as proxy:
        env = {"LEDGER_URL": "http://ledger.example", "LEDGER_TOKEN": READ}
        proxied = {"http_proxy": proxy.url, "no_proxy": "", "NO_PROXY": ""}
        assert run_command("projections", "list", env=env | proxied).code == 0
    [asked] = proxy.asked
    assert asked.target == "http://ledger.example/api/projections"
    assert asked.headers["authorization"] == f"Bearer {READ}"


NO_LEDGERS = [
    answer(404, {"error": "not found"}),
    answer(404, b"<html>Not Found</html>", kind="text/html"),
    answer(404, {"title": "Not Found", "detail": "x"}, kind=PROBLEM),
    answer(403, {"message": "Forbidden"}),
    answer(502, {"message": "Bad Gateway"}),
    answer(302, {"message": "Moved"}, Location="https://elsewhere.example/"),
    answer(200, b"<html>Welcome</html>", kind="text/html"),
    answer(200, ["welcome"]),
]


@pytest.mark.parametrize("said", NO_LEDGERS, ids=[str(n) for n in range(len(NO_LEDGERS))])
def test_what_is_no_ledger_is_told_from_one(said: bytes, sqlite_url: str) -> None:
    """One sentence with the status and what to do, and exit 3."""
    status = said.split()[1].decode()
    with FaultServer(said) as other:
        env = environment(sqlite_url, LEDGER_URL=other.url, LEDGER_TOKEN=ADMIN)
        for command in ALL:
            ran = run_command(*command, env=env)
            assert (ran.code, ran.out) == (3, ""), command
            assert f"not a ledger (status {status}); check the address" in ran.err
            assert ran.err.count("\n") == 1


def test_the_emulator_is_no_ledger(sqlite_url: str, provider: EmulatorServer) -> None:
    """Its address and the service's are easily mistaken for each other."""
    env = environment(sqlite_url, LEDGER_URL=provider.url, LEDGER_TOKEN=ADMIN)
    for command in ALL:
        ran = run_command(*command, env=env)
        assert (ran.code, "not a ledger" in ran.err) == (3, True), command


def test_what_a_ledger_does_not_know_stays_a_finding(sqlite_url: str, tmp_path: Path) -> None:
    """Exit 1 with the detail of its problem."""
    with Serve(environment(sqlite_url), tmp_path / "log") as service:
        for url, detail in (
            (service.url, "No delivery 'delivery:none'"),
            (f"{service.url}/nowhere", "No route has this path"),
        ):
            env = environment(sqlite_url, LEDGER_URL=url, LEDGER_TOKEN=ADMIN)
            ran = run_command("parked", "retry", "delivery:none", env=env)
            assert (ran.code, detail in ran.err) == (1, True), ran.err


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8381",
        "foo",
        "http://",
        "ftp://ledger.example.com",
        "http://a b",
        "http://a:99999",
    ],
)
def test_what_is_no_address_is_a_usage_error(url: str, sqlite_url: str) -> None:
    """Exit 2 with the form that is wanted, wherever it was given."""
    env = environment(sqlite_url, LEDGER_TOKEN=ADMIN)
    for command in ALL:
        for ran in (
            run_command(*command, "--url", url, env=env),
            run_command(*command, env=env | {"LEDGER_URL": url}),
        ):
            assert (ran.code, ran.out) == (2, ""), command
            assert "LEDGER_URL" in ran.err
            assert "it must be an address such as https://ledger.example.com." in ran.err


@pytest.mark.parametrize("token", ["canary\ncanary", "token: canary\nentry: a", "canary\x7f"])
def test_what_cannot_be_a_token_is_a_usage_error(token: str, sqlite_url: str) -> None:
    """Exit 2 before anything is sent, and it is not shown."""
    with FaultServer(answer(200)) as service:
        env = environment(sqlite_url, LEDGER_URL=service.url, LEDGER_TOKEN=token)
        for command in ALL:
            ran = run_command(*command, env=env)
            assert (ran.code, "on one line" in ran.err) == (2, True), command
            assert "canary" not in ran.out + ran.err
        assert service.connections == 0


@pytest.mark.parametrize("token", ["clé → ключ", f" {READ}\n"])
def test_every_token_of_the_service_can_be_given(
    token: str, sqlite_url: str, tmp_path: Path
) -> None:
    """Also one beyond ASCII; white space around it and the address does not count."""
    env = environment(sqlite_url, LEDGER_API_TOKENS=f"reader:read:{token.strip()}")
    with Serve(env, tmp_path / "log") as service:
        asked = env | {"LEDGER_URL": f" {service.url}/\n", "LEDGER_TOKEN": token}
        ran = run_command("projections", "list", env=asked)
    assert (ran.code, ran.err) == (0, "")
