"""`doctor` asks OFAuth whose key it is; the reference lists every check that there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.emulator.server import EmulatorServer
from tests.builders import open_ledger
from tests.docs.pages import table_under
from tests.provided import Provided, settings_for
from tests.serving import environment, run_command

FOREIGN = "another-key"


@pytest.fixture
def env(database_url: str, tmp_path: Path, provider: EmulatorServer) -> dict[str, str]:
    """The settings of a ledger whose first pass over the provider's list is done."""
    with Provided(database_url, tmp_path, provider) as serving:
        serving.tell()
        serving.read("/api/connections")
    return environment(database_url, **settings_for(provider))


def found(env: dict[str, str]) -> tuple[int, str, str]:
    """The exit code, and what is found of the provider."""
    ran = run_command("doctor", "--json", env=env)
    [line] = [one for one in ran.json["items"] if one["check"] == "provider"]
    return ran.code, line["level"], line["found"] + line["advice"]


def test_a_provider_that_answers_is_well(env: dict[str, str]) -> None:
    """And every check stands in the table of the reference."""
    assert found(env)[:2] == (0, "ok")
    table = table_under("docs/reference/commands.md", "doctor")[1:]
    documented = [name for row in table for name in row[0].split(", ")]
    items = run_command("doctor", "--json", env=env).json["items"]
    assert list(dict.fromkeys(one["check"] for one in items)) == documented


def test_a_key_that_is_not_taken_fails(env: dict[str, str]) -> None:
    """With what to do; the key is not shown."""
    code, level, said = found(env | {"LEDGER_OFAUTH_API_KEY": "canary-wrong"})
    assert (code, level) == (1, "failed")
    assert "LEDGER_OFAUTH_API_KEY" in said
    assert "canary" not in said


def test_another_organisations_key_fails(env: dict[str, str], provider: EmulatorServer) -> None:
    """No pass would be made with it, so connections that are gone would never be found."""
    provider.emulator.set_manner({"foreignKey": FOREIGN})
    code, level, said = found(env | {"LEDGER_OFAUTH_API_KEY": FOREIGN})
    assert (code, level) == (1, "failed")
    assert "another organisation" in said


def test_a_provider_is_asked_before_there_are_views_or_passes(
    database_url: str, provider: EmulatorServer
) -> None:
    """Right after the ledger was made, which is when a wrong address is best found."""
    open_ledger(database_url).log.close()
    assert found(environment(database_url, **settings_for(provider)))[:2] == (0, "ok")
