"""One bash for one page: commands keep its folder, its variables and its background programs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import queue
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.docs.network import own_network

ROOT = Path(__file__).resolve().parents[2]
COMMAND_SECONDS = 100
BACKGROUND_SECONDS = 30
STOP_SECONDS = 10
TURN = f"connection-ledger-pages-{os.getuid()}.lock"
"""A file in the folder for temporary files: where pages cannot have networks of their own, whoever
holds it runs a page. It is never removed."""

LAST_WILL = "trap 'trap - TERM; kill 0' EXIT\n"
"""Bash ends when its input does, so also when this process is killed; then its programs do too."""


class BlockFailedError(AssertionError):
    """A documented command did not do what the page says."""


class Shell:
    """A bash in `folder`, with this environment's commands first on PATH and no LEDGER_* set."""

    def __init__(self, folder: Path) -> None:
        """Name the folder in which the commands run."""
        self.folder = folder
        self.environment = clean_environment()
        self.lines: queue.Queue[str | None] = queue.Queue()

    def __enter__(self) -> Self:
        """Start bash, where no other page's programs listen on the ports that the pages name."""
        self.turn = (Path(tempfile.gettempdir()) / TURN).open("w")
        if not own_network():
            fcntl.flock(self.turn, fcntl.LOCK_EX)
        self.process = subprocess.Popen(
            [*own_network(), "bash", "--noprofile", "--norc"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.folder,
            env=self.environment,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self.reader = threading.Thread(target=self._read)
        self.reader.start()
        self._send(LAST_WILL)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End bash and every program that it started."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._signal(signal.SIGTERM)
        self.process.stdin.close()
        self.reader.join(STOP_SECONDS)
        self._signal(signal.SIGKILL)
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()
        self.turn.close()

    def run(self, command: str) -> str:
        """Run a command and return what it printed.

        Raises BlockFailedError when its exit code is not 0 or it does not end in time.
        """
        mark = secrets.token_hex(8)
        self._send(f"{{ {command}\n}} </dev/null\nprintf '\\n%s %s\\n' {mark} $?\n")
        output: list[str] = []
        for line in self._lines_in(COMMAND_SECONDS, command, output):
            if line.startswith(mark):
                code = line.split()[1]
                break
            output.append(line)
        text = "\n".join(output).removesuffix("\n")
        if code != "0":
            raise BlockFailedError(
                f"$ {command}\nexit code {code}, expected 0; it printed:\n{text}"
            )
        return text

    def start(self, command: str, expected: list[str]) -> None:
        """Run a command in the background and wait until it has printed the expected lines.

        Raises BlockFailedError when it does not print them in time.
        """
        log = self.folder / f".background-{secrets.token_hex(4)}.log"
        log.touch()
        self.run(f"{{ {command}\n}} >{log} 2>&1 &")
        deadline = time.monotonic() + BACKGROUND_SECONDS
        while not matches(expected, text := log.read_text(errors="replace"), whole=False):
            if time.monotonic() > deadline:
                raise BlockFailedError(difference(command, expected, text))
            time.sleep(0.05)

    def _send(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line.rstrip())
        self.lines.put(None)

    def _lines_in(self, seconds: float, command: str, output: list[str]) -> Iterator[str]:
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self.lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                printed = "\n".join(output)
                raise BlockFailedError(f"$ {command}\ndid not end well; it printed:\n{printed}")
            yield line

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


def clean_environment() -> dict[str, str]:
    """Return what a reader's terminal has: this environment's commands, no settings, no colour."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("LEDGER_", "PYTEST_", "MAKE"))
    }
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    return kept | {"PATH": path, "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "100", "LINES": "40"}


def matches(expected: list[str], text: str, *, whole: bool = True) -> bool:
    """Tell whether a text is as expected: `...` alone is any lines, inside a line any characters.

    Without `whole` the text may go on after the expected lines.
    """
    parts = [
        r"(?:.*\n)*?"
        if line.strip() == "..."
        else ".*?".join(map(re.escape, line.rstrip().split("..."))) + r"[ \t]*\n"
        for line in expected
    ]
    pattern = re.compile("".join(parts))
    text = text.rstrip("\n") + "\n"
    return bool(pattern.fullmatch(text) if whole else pattern.match(text))


def difference(command: str, expected: list[str], text: str) -> str:
    """Say what was expected of a command, and what came."""
    return "\n".join([f"$ {command}", "expected:", *expected, "got:", text])
