"""A service to ask in tests: in this process as WSGI, or as a child that listens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from click.testing import CliRunner
from werkzeug.test import Client, TestResponse

from api.bootstrap import Service, open_service
from api.cli import cli
from api.settings import Settings
from ledger.application import Ledger
from ledger.ofauth.signatures import Dialect, sign
from tests.builders import SECRET, webhook

READ, WRITE, ADMIN = "token-that-reads", "token-that-writes", "token-that-administers"
ONLY_ADMIN = "token-that-does-nothing-else"
TOKENS = (
    f"reader:read:{READ},writer:write:{WRITE},chief:read+write+admin:{ADMIN},"
    f"warden:admin:{ONLY_ADMIN}"
)
HOOK = "/webhooks/ofauth"
PROBLEM = "application/problem+json"


def environment(url: str, **more: str) -> dict[str, str]:
    """The settings of a service on a database."""
    return {
        "LEDGER_DATABASE_URL": url,
        "LEDGER_WEBHOOK_SECRETS": SECRET.value,
        "LEDGER_API_TOKENS": TOKENS,
    } | more


def signed(body: bytes, *, stamp: int | None = None) -> dict[str, str]:
    """The headers of a good delivery, stamped now unless told otherwise (seconds UTC)."""
    return sign(
        Dialect.DOCUMENTED, SECRET, body, stamp=int(time.time()) if stamp is None else stamp
    )


class _Client(Client):
    """A client that reads and closes each answer, as a server does."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        """Ask."""
        return super().open(*args, **{"buffered": True} | kwargs)


class Serving:
    """A service in this process, asked through WSGI, that knows its last position."""

    admin: Mapping[str, str] = {"Authorization": f"Bearer {ADMIN}"}
    """The header of who may do everything."""

    def __init__(self, url: str, folder: Path, **settings: str) -> None:
        env = environment(url, LEDGER_DATA_DIR=str(folder / "data"), **settings)
        self.service: Service = open_service(Settings.from_env(env, serving=True))
        self.client = _Client(self.service.app)
        self.position = 0

    def __enter__(self) -> Self:
        self.service.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.service.stop()

    @property
    def ledger(self) -> Ledger:
        """Its ledger, to record many things at once."""
        return self.service.services.forget.ledger

    def deliver(self, body: bytes, **headers: str) -> TestResponse:
        """Deliver a body with a good signature, or with these headers."""
        response = self.client.post(HOOK, data=body, headers=headers or signed(body))
        if response.status_code == 204:
            self.position = max(self.position, int(response.headers["Ledger-Position"]))
        return response

    def tell(self, *args: Any, **kwargs: Any) -> int:
        """Deliver a body of `webhook` and give its position."""
        assert self.deliver(webhook(*args, **kwargs)).status_code == 204
        return self.position

    def get(
        self, path: str, token: str | None = ADMIN, accept: str | None = None, **query: Any
    ) -> TestResponse:
        """Ask, once the views have reached the last delivery."""
        if path.startswith("/api/") and path != "/api/projections":
            query.setdefault("minPosition", self.position)
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        if accept is not None:
            headers["Accept"] = accept
        given = {name: value for name, value in query.items() if value is not None}
        return self.client.get(path, query_string=given, headers=headers)

    def read(self, path: str, **query: Any) -> Any:
        """Ask, and give the JSON of a good answer."""
        response = self.get(path, **query)
        assert response.status_code == 200, response.text
        return response.json

    def post(self, path: str, body: Any = None, token: str = ADMIN) -> TestResponse:
        """Give an order."""
        return self.client.post(path, json=body, headers={"Authorization": f"Bearer {token}"})

    def rebuild(self, **body: Any) -> Any:
        """Rebuild the views and give the result."""
        response = self.post("/api/projections/rebuild", body)
        assert response.status_code == 202, response.text
        self.service.services.rebuilds.wait(60)
        return self.read("/api/projections")["rebuild"]


class Serve:
    """`serve` as a child process on a free port."""

    def __init__(self, env: Mapping[str, str], log: Path) -> None:
        self.log = log
        base = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        with log.open("wb") as written:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "api", "serve", "--port", "0"],
                cwd=Path(__file__).parents[1],
                env={**base, **env},
                stdout=subprocess.PIPE,
                stderr=written,
                text=True,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("Listening on http"), log.read_text()
        self.url = line.split()[-1]
        self.port = int(self.url.rpartition(":")[2])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.end()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def end(self) -> int:
        """Send SIGTERM and give the exit code."""
        self.process.terminate()
        return self.process.wait(30)


def run_command(*args: str, env: Mapping[str, str], given: bytes = b"") -> Ran:
    """Run a command of the program to its end, in this process and with these settings only."""
    cleared = {name: None for name in os.environ if name.startswith("LEDGER_")}
    done = CliRunner().invoke(cli, args, input=given, env={**cleared, **env})
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Ran(done.exit_code, done.stdout, done.stderr)


def run_process(*args: str, env: Mapping[str, str]) -> Ran:
    """Run a command of the program to its end, as a process."""
    base = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-m", "api", *args],
        cwd=Path(__file__).parents[1],
        env={**base, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


class Ran:
    """How a command ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        """What it printed, read as JSON."""
        return json.loads(self.out)
