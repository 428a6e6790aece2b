"""The real service as a child process, as an operator runs it: started, killed, stopped."""

import base64
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

KEY = b"a key that only this sender has!"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
TOKEN = "not-a-real-token"
KILLED = (-signal.SIGKILL, -signal.SIGALRM)
"""Exit codes of a service that was killed, also by a timer of the kernel."""
FAULTS = ("COMMIT_TOO_LATE",)
"""Planted faults that a test may pass on to the killable service."""


@dataclass
class Service:
    """The service as a child process that can be killed and started again."""

    environment: dict[str, str]
    port: int
    child: subprocess.Popen[bytes] | None = None
    lives: int = 0
    output: Path = Path(os.devnull)

    def __enter__(self) -> Self:
        """Do nothing yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Kill it, if it still runs because a test has failed."""
        if self.child is not None and self.child.poll() is None:
            self.kill()

    def start(
        self,
        kill_at_commit: int | None = None,
        where: str = "before",
        *,
        stop_at: str | None = None,
        how: str = "killed",
    ) -> None:
        """Start it, with a failpoint when one is given, and wait until it answers.

        `stop_at` names a method like `package.module:Class.method`, before or after the first call
        of which the process is `killed` or the work is `cut`.
        """
        environment = dict(self.environment)
        module = "api"
        if kill_at_commit is not None or stop_at is not None:
            module = "tests.acceptance.killable"
            environment |= {"KILL_AT_COMMIT": str(kill_at_commit or 0), "KILL_WHERE": where}
            environment |= {"STOP_AT": stop_at or "", "STOP_HOW": how}
            environment |= {name: os.environ[name] for name in FAULTS if name in os.environ}
        self.lives += 1
        with self.output.open("ab") as log:
            self.child = subprocess.Popen(
                [sys.executable, "-m", module, "serve", "--port", str(self.port)],
                env=environment,
                stdout=log,
                stderr=log,
            )
        while self.child.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            threading.Event().wait(0.02)
        # At a failpoint it may die before it is asked; else somebody would wait for it in vain.
        told = self.output.read_text(errors="replace")[-500:] if self.output.is_file() else ""
        assert self.child.returncode in KILLED, f"ended with {self.child.returncode}: {told}"

    def kill(self) -> None:
        """Kill it at once and bury it."""
        assert self.child is not None
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()

    def stop(self) -> int:
        """End it as an operator would; gives its exit code."""
        assert self.child is not None
        self.child.send_signal(signal.SIGTERM)
        return self.child.wait(60)

    def bury(self) -> float:
        """Wait until it dies by itself, and see that it was killed; gives when, by `monotonic`."""
        assert self.child is not None
        # Unlike Popen.wait with a timeout, this returns at the very moment.
        os.waitid(os.P_PID, self.child.pid, os.WEXITED | os.WNOWAIT)
        died = time.monotonic()
        assert self.child.wait(120) in KILLED
        return died

    def resident(self) -> int:
        """Bytes of memory that it holds."""
        assert self.child is not None
        status = Path(f"/proc/{self.child.pid}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
        return int(line.split()[1]) * 1024


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def service_on(url: str, folder: Path) -> Service:
    """The service with everything it needs in its environment."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.getcwd(),
        "LEDGER_DATABASE_URL": url,
        "LEDGER_DATA_DIR": str(folder / "data"),
        "LEDGER_WEBHOOK_SECRETS": SECRET,
        "LEDGER_API_TOKENS": f"tester:read+write+admin:{TOKEN}",
    }
    return Service(environment, free_port(), output=folder / "serve.log")
