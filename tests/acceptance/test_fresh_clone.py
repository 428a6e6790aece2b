"""A fresh clone needs nothing but git, make and Python: each command does its own set-up."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.docs.shell import clean_environment

ROOT = Path(__file__).resolve().parents[2]
PLAIN_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1200)]


@pytest.mark.parametrize(
    "command",
    [("demo", "ONCE=1"), ("test", "PYTEST_ARGS=--quiet tests/unit tests/integration")],
    ids=["demo", "test"],
)
def test_a_fresh_clone_runs_in_a_virtual_environment_of_its_own(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    """The committed files alone, in another folder, with no environment made before."""
    clone = tmp_path / "connection-ledger"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    environment = clean_environment() | {"PATH": PLAIN_PATH}
    subprocess.run(["make", *command], cwd=clone, env=environment, check=True)
    assert (clone / ".venv" / "bin" / "connection-ledger").exists()
