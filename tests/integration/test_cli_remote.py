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
from tests.serving import ADMIN, ONLY_ADMIN, READ, Serve, environment, run_command

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
