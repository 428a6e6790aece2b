"""`serve` as a child process of the demonstration."""

import re
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import api
from ledger.domain.errors import LedgerError

_STOP_S: Final = 15.0
_LAST_LINES: Final = 8
_ADDRESS = re.compile(r"http://\S+?:\d+")


class StageError(LedgerError):
    """The demonstration cannot go on, because a part of it does not work."""


class Service:
    """The real service on a free port, with settings of its own; it logs into a file."""

    def __init__(self, log: Path, environment: Mapping[str, str]) -> None:
        """Start it.

        Raises:
            StageError: it ended before it listened.
        """
        self._log = log
        with log.open("wb") as written:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "api", "serve", "--port", "0"],
                cwd=Path(api.__file__).parents[1],
                env={**environment, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=written,
                text=True,
                start_new_session=True,  # Ctrl-C reaches the demonstration alone, which ends both
            )
        try:
            self.url = self._read_address()
            """Where it listens."""
        except BaseException:
            self.stop()
            raise
        threading.Thread(target=self._drain, name="service-output", daemon=True).start()

    def wait(self) -> StageError:
        """Wait until it ends by itself, and give what it said last."""
        self._process.wait()
        return self._last_words()

    def stop(self) -> int:
        """End it in order, by force when that takes too long, and give its exit code."""
        self._process.terminate()
        try:
            return self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _read_address(self) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if match := _ADDRESS.search(line):
                return match[0]
        self._process.wait()
        raise self._last_words()

    def _drain(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for _ in output:
                pass

    def _last_words(self) -> StageError:
        lines = self._log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
        said = "\n  ".join(lines) or "nothing"
        code = self._process.returncode
        return StageError(f"The service ended with exit code {code}. It said last:\n  {said}")
