"""The `emulator` command, as a user starts it."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).resolve().parents[2]
EMULATOR = (sys.executable, "-u", "-m", "api", "emulator")


def run(*options: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [*EMULATOR, *options], cwd=ROOT, capture_output=True, text=True, timeout=60
    )


def test_the_emulator_says_where_it_listens_and_how_to_use_it() -> None:
    """Address, a secret made for the run, and the controls; SIGTERM ends it with exit code 0."""
    command = [*EMULATOR, "--port", "0", "--webhook-url", "http://127.0.0.1:1/"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "/v2/account/connections" in line:
                break
        said = "".join(lines)
        url = re.search(r"http://127\.0\.0\.1:\d+", said)
        assert url is not None
        assert re.search(r"export LEDGER_WEBHOOK_SECRETS=whsec_\S{32}", said)
        truth = requests.get(f"{url[0]}/_emulator/truth", timeout=20).json()
        assert truth["list"] == []
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_an_address_that_is_taken_is_exit_3() -> None:
    """And the sentence names the way out."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("--port", str(taken.getsockname()[1]))
    assert done.returncode == 3
    assert "--port" in done.stderr


@pytest.mark.parametrize(
    "options",
    [("--webhook-url", "localhost:1"), ("--webhook-secret", ""), ("--port", "99999")],
    ids=["url", "secret", "port"],
)
def test_a_bad_option_is_exit_2(options: tuple[str, str]) -> None:
    """Before anything listens."""
    assert run(*options).returncode == 2


def test_the_help_names_every_fault() -> None:
    """A user need not read the source to break things."""
    said = run("--help").stdout
    for fault in ("drop", "duplicate", "delay", "reorder", "restamp", "listShift", "truncate"):
        assert fault in said
