"""Sweeps of a running service: by themselves, when asked for, and what is told of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import api.sweeping
from api.emulator.calls import Answer, Call
from api.emulator.server import EmulatorServer
from api.emulator.world import Action, Details
from ledger.reconcile.sweep import LEASE
from tests.builders import open_ledger, webhook
from tests.provided import KEY, Provided, now_ms, settings_for
from tests.rebuilding import until
from tests.serving import ADMIN, PROBLEM, READ, Serve, Serving, environment, run_command


@pytest.fixture
def settings(provider: EmulatorServer) -> dict[str, str]:
    """What a service needs to know of the provider."""
    return settings_for(provider)


@pytest.fixture
def serving(database_url: str, tmp_path: Path, provider: EmulatorServer) -> Iterator[Provided]:
    """A service whose first pass, over an empty list, is done."""
    with Provided(database_url, tmp_path, provider) as serving:
        yield serving


def create(provider: EmulatorServer, reference: str) -> str:
    """Let a creator connect."""
    row = provider.emulator.create(Details(client_reference_id=reference))
    return str(row["id"])


def metric(serving: Provided, name: str) -> float:
    """The value of a metric without labels."""
    [line] = [
        one for one in serving.get("/metrics").text.splitlines() if one.startswith(f"{name} ")
    ]
    return float(line.split()[1])


def test_what_no_webhook_told_is_found_by_the_next_pass(
    serving: Provided, provider: EmulatorServer
) -> None:
    """The state is the provider's, and the answer says what it rests on."""
    id = create(provider, "mia")
    told = serving.sweep()
    assert (told["state"], told["connections"], told["appended"]) == ("valid", 1, 1)
    client = serving.read("/api/clients/mia")
    assert (client["status"], client["connections"][0]["id"]) == ("active", id)
    assert client["connections"][0]["lastEvidenceSource"] == "sweep"
    provider.emulator.act(id, Action.EXPIRE)
    serving.sweep()
    assert serving.read("/api/clients/mia")["status"] == "expired"
    types = [one["type"] for one in serving.read("/api/clients/mia/history")["items"]]
    assert types[-1] == "connection.expired"


def test_a_pass_keeps_to_the_key_with_which_it_began(
    serving: Provided, provider: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another organisation's key that comes meanwhile brings none of its pages into it."""
    id = create(provider, "mia")
    provider.emulator.set_manner({"foreignKey": "another-key"})
    provider.emulator.create(Details(client_reference_id="stranger"), foreign=True)
    transport = serving.service._provider._client._transport
    call = provider.emulator.call

    def replace_the_key(one: Call) -> Answer:
        if one.segments[-1] == "whoami":
            monkeypatch.setattr(transport, "_api_key", lambda: "another-key")
        return call(one)

    monkeypatch.setattr(provider.emulator, "call", replace_the_key)
    assert (serving.sweep()["state"], serving.sweep()["state"]) == ("valid", "abandoned")
    assert [one["id"] for one in serving.read("/api/connections")["items"]] == [id]


def test_passes_are_listed_with_what_they_found(
    serving: Provided, provider: EmulatorServer
) -> None:
    """The newest first, in pages; one by its id."""
    create(provider, "mia")
    ids = [serving.sweep()["id"] for _ in range(3)]
    listed = serving.passes()
    assert [one["id"] for one in listed[:3]] == ids[::-1]
    assert listed[-1]["backfill"] is True
    assert listed[0] == serving.get(f"/api/sweeps/{ids[-1]}").json
    answer = serving.get("/api/sweeps", limit=3)
    assert int(answer.headers["Ledger-Position"]) >= listed[0]["position"]
    first = answer.json
    assert [one["id"] for one in first["items"]] == ids[::-1]
    rest = serving.get("/api/sweeps", limit=3, cursor=first["nextCursor"]).json
    assert [one["id"] for one in rest["items"]] == [listed[-1]["id"]]
    assert rest["nextCursor"] is None


def test_metrics_probes_and_doctor_tell_of_the_sweep(
    serving: Provided, provider: EmulatorServer
) -> None:
    """How old the newest valid pass is, and how much it found otherwise than was known."""
    create(provider, "mia")
    serving.sweep()
    assert metric(serving, "ledger_sweep_drift") == 1
    assert 0 <= metric(serving, "ledger_sweep_age_seconds") < 60
    assert metric(serving, "ledger_sweep_braked") == 0
    serving.sweep()
    assert metric(serving, "ledger_sweep_drift") == 0
    ready = serving.get("/readyz", token=None)
    assert (ready.status_code, ready.json["status"]) == (200, "ready")
    assert ready.json["checks"] == {"store": "ok", "sweep": "ok", "commands": "ok"}


def test_a_braked_sweep_waits_for_an_operator(serving: Provided, provider: EmulatorServer) -> None:
    """The service goes on taking deliveries, and says that it is degraded."""
    ids = [create(provider, f"client-{number}") for number in range(20)]
    serving.sweep()
    for id in ids[:6]:
        provider.emulator.act(id, Action.DISCONNECT)
    told = serving.sweep()
    assert (told["state"], told["braked"], told["absent"]) == ("valid", True, 6)
    ready = condition(serving, "braked")
    assert (ready.status_code, ready.json["status"]) == (200, "degraded")
    assert metric(serving, "ledger_sweep_braked") == 1
    assert serving.sweep(confirmAbsences=True)["braked"] is False
    assert condition(serving, "ok").json["status"] == "ready"
    serving.sweep()
    gone = [one["id"] for one in serving.read("/api/connections", status="deleted")["items"]]
    assert sorted(gone) == sorted(ids[:6])


def condition(serving: Provided, word: str) -> Any:
    """The probe, once it has looked again."""
    until(lambda: serving.get("/readyz", token=None).json["checks"]["sweep"] == word)
    return serving.get("/readyz", token=None)


def test_two_words_too_close_to_each_other_bring_a_pass_forward(
    serving: Provided, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be days away; what the list says settles the matter."""
    monkeypatch.setattr(api.sweeping, "TIE_COOLDOWN_S", 0.0)
    at = now_ms() - 60_000
    serving.deliver(webhook("expired", at=at))
    serving.deliver(webhook("updated", at=at + 5_000, status="active"))
    assert len(serving.passes()) == 1
    serving.deliver(webhook("expired", at=at + 5_500))
    until(lambda: serving.states() == ["valid", "valid"])


def test_a_provider_that_fails_makes_no_valid_pass(
    serving: Provided, provider: EmulatorServer
) -> None:
    """The pass says why, in a fixed word."""
    create(provider, "mia")
    provider.emulator.set_faults({"truncate": 1})
    told = serving.sweep()
    assert (told["state"], told["reasons"]) == ("abandoned", ["provider"])
    provider.emulator.set_faults({})
    assert serving.sweep()["state"] == "valid"


def test_services_that_look_alike_to_the_outside_hold_no_lease_together(
    postgres_url: str, tmp_path: Path, provider: EmulatorServer
) -> None:
    """In containers two of them can have the same host name and the same process id."""
    with (
        Provided(postgres_url, tmp_path / "one", provider) as one,
        Provided(postgres_url, tmp_path / "two", provider) as two,
    ):
        logs = [made.service.services.log for made in (one, two)]
        names = [made.service.services.sweeping._holder for made in (one, two)]
        leases = [
            log.take_lease("a lease", name, now_ms(), 60_000)
            for log, name in zip(logs, names, strict=True)
        ]
    assert leases == [1, None]


def test_only_an_administrator_may_sweep(serving: Provided) -> None:
    """Everybody who reads may see the passes."""
    assert serving.post("/api/sweeps", token=READ).status_code == 403
    assert serving.get("/api/sweeps", token=READ, minPosition=None).status_code == 200
    assert serving.get("/api/sweeps/none", minPosition=None).status_code == 404


def test_without_a_key_nothing_is_swept(database_url: str, tmp_path: Path) -> None:
    """The answer says which setting is missing."""
    with Serving(database_url, tmp_path) as serving:
        response = serving.post("/api/sweeps")
        assert (response.status_code, response.content_type) == (503, PROBLEM)
        assert "LEDGER_OFAUTH_API_KEY" in response.json["detail"]
        assert serving.get("/readyz", token=None).json["checks"]["sweep"] == "off"


def test_no_id_key_or_address_is_logged(
    serving: Provided, provider: EmulatorServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Also when the provider fails in every way."""
    caplog.set_level("DEBUG")
    id = create(provider, "canary-reference")
    for faults in ({}, {"html": 1}, {"http5xx": 1}, {"truncate": 1}):
        provider.emulator.set_faults(faults)
        serving.sweep()
    assert not any(canary in caplog.text for canary in (id, KEY, "canary-reference"))


# the command


def test_the_command_sweeps_without_a_service(
    database_url: str, tmp_path: Path, settings: dict[str, str], provider: EmulatorServer
) -> None:
    """It prints what it found; exit 0 when the pass was valid."""
    env = environment(database_url, LEDGER_DATA_DIR=str(tmp_path / "data"), **settings)
    with Serving(database_url, tmp_path):
        pass
    create(provider, "mia")
    ran = run_command("sweep", "--json", env=env)
    assert (ran.code, ran.json["state"], ran.json["appended"]) == (0, "valid", 1)
    assert "active" in run_command("state", "mia", env=env).out
    provider.emulator.set_faults({"html": 1})
    ran = run_command("sweep", env=env)
    assert ran.code == 1
    assert "abandoned" in ran.out


def test_the_command_needs_a_key(database_url: str, tmp_path: Path) -> None:
    """Exit 2, with the name of the setting."""
    with Serving(database_url, tmp_path):
        pass
    ran = run_command("sweep", env=environment(database_url))
    assert ran.code == 2
    assert "LEDGER_OFAUTH_API_KEY" in ran.err


def test_the_command_asks_the_service_that_holds_the_ledger(
    sqlite_url: str, tmp_path: Path, settings: dict[str, str], provider: EmulatorServer
) -> None:
    """With its address and a token; without them it says both ways out."""
    env = environment(sqlite_url, LEDGER_DATA_DIR=str(tmp_path / "data"), **settings)
    with Serve(env, tmp_path / "log") as service:
        create(provider, "mia")
        ran = run_command("sweep", env=env)
        assert ran.code == 3
        assert "--url" in ran.err
        asked = env | {"LEDGER_URL": service.url, "LEDGER_TOKEN": ADMIN}
        ran = run_command("sweep", "--json", env=asked)
        assert (ran.code, ran.json["state"]) == (0, "valid")


EVERY = 7
"""How long a command that goes on is told to wait, in seconds."""


class Waits:
    """In place of what Ctrl-C sets: each wait between two passes is over when a step is done.

    After the last step the command is interrupted.
    """

    def __init__(self, *steps: Callable[[], object]) -> None:
        self._steps = list(steps)

    def is_set(self) -> bool:
        """Whether the command is interrupted while it works."""
        return False

    def wait(self, seconds: float) -> bool:
        """Wait, and tell whether the command is interrupted."""
        assert seconds == EVERY
        if not self._steps:
            return True
        self._steps.pop(0)()
        return False

    @contextmanager
    def lent(self) -> Iterator[Waits]:
        """Lend it to the command."""
        yield self


def test_a_command_that_goes_on_waits_while_another_sweeps(
    database_url: str,
    tmp_path: Path,
    settings: dict[str, str],
    provider: EmulatorServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It says so in one line; to one that shall make a single pass it is the answer."""
    env = environment(database_url, LEDGER_DATA_DIR=str(tmp_path / "data"), **settings)
    another = open_ledger(database_url).log
    epoch = another.take_lease(LEASE, "another", now_ms(), 600_000)
    assert epoch is not None
    another.close()

    def let_go() -> None:
        log = open_ledger(database_url).log
        log.release_lease(LEASE, epoch)
        log.close()

    alone = run_command("sweep", env=env)
    assert (alone.code, alone.out) == (3, "")
    monkeypatch.setattr("api.cli.sweep.interrupts", Waits(let_go).lent)
    ran = run_command("sweep", "--every", str(EVERY), "--json", env=env)
    assert (ran.code, ran.json["state"]) == (0, "valid")
    assert ran.err == "Another pass over the list is running; the next try is in 7 s.\n"


def test_a_command_that_never_made_a_pass_says_so_by_its_code(
    database_url: str, tmp_path: Path, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another sweeps from its beginning to its end."""
    env = environment(database_url, LEDGER_DATA_DIR=str(tmp_path / "data"), **settings)
    log = open_ledger(database_url).log
    assert log.take_lease(LEASE, "another", now_ms(), 600_000) is not None
    log.close()
    monkeypatch.setattr("api.cli.sweep.interrupts", Waits(lambda: None).lent)
    ran = run_command("sweep", "--every", str(EVERY), env=env)
    assert (ran.code, ran.out, len(ran.err.splitlines())) == (3, "", 2)


def test_a_command_that_goes_on_outlasts_another_writer(
    sqlite_url: str,
    tmp_path: Path,
    settings: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another command may write a SQLite ledger between two passes, and for as long as it takes."""
    env = environment(sqlite_url, LEDGER_DATA_DIR=str(tmp_path / "data"), **settings)
    open_ledger(sqlite_url).log.close()
    writers = []
    waits = Waits(
        lambda: writers.append(open_ledger(sqlite_url).log),
        lambda: writers[0].close(),
    )
    monkeypatch.setattr("api.cli.sweep.interrupts", waits.lent)
    ran = run_command("sweep", "--every", str(EVERY), env=env)
    assert (ran.code, ran.out.count("valid")) == (0, 2)
    assert ran.err == "Another process writes this ledger; the next try is in 7 s.\n"
