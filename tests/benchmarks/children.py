"""Servers as child processes: started, found, ended."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tests.benchmarks.load import BenchError
from tests.benchmarks.workload import SECRET

ROOT: Final = Path(__file__).parents[2]
TOKEN: Final = "token-for-measurements"
OURS: Final = ("api", "serve", "--port", "0")
END_S: Final = 60.0


def settings(database: str) -> dict[str, str]:
    """Give the environment of every server, ours and rivals."""
    return {
        "LEDGER_DATABASE_URL": database,
        "LEDGER_WEBHOOK_SECRETS": SECRET.value,
        "LEDGER_API_TOKENS": f"bench:read+write+admin:{TOKEN}",
    }


def start(
    module: tuple[str, ...], env: Mapping[str, str], log: Path
) -> tuple["subprocess.Popen[str]", str]:
    """Start `python -m module…` and give it with the address that its first line names.

    Raises:
        BenchError: it ended before it listened.
    """
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    with log.open("a") as errors:
        child = subprocess.Popen(
            [sys.executable, "-m", *module],
            cwd=ROOT,
            env=inherited | dict(env),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            process_group=0,
        )
    assert child.stdout is not None
    line = child.stdout.readline()
    if not line.startswith("Listening on http"):
        child.kill()
        raise BenchError(f"{module[0]} did not start:\n{log.read_text()[-2000:]}")
    url = line.split()[-1]
    _await(child, int(url.rpartition(":")[2]))
    return child, url


def _await(child: "subprocess.Popen[str]", port: int) -> None:
    """Wait until the port takes connections: a server of several processes speaks too early."""
    while child.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        threading.Event().wait(0.02)


@contextmanager
def serving(module: tuple[str, ...], env: Mapping[str, str], log: Path) -> Iterator[str]:
    """Run a server for the length of a `with` block and give its address."""
    child, url = start(module, env, log)
    try:
        yield url
    finally:
        child.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            child.wait(END_S)
        # and the workers of a server of several processes
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        assert child.stdout is not None
        child.stdout.close()
