"""PostgreSQL in the middle of a write: locked by another, or gone at the very commit."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import Connection

from ledger.application import Ledger
from ledger.domain.errors import StoreUnavailable
from ledger.recorders.postgres import PostgresLog
from projections.opening import open_store
from tests.builders import delivery, open_ledger, webhook

COMMIT = "COMMIT"
PATIENCE_S = 30
"""How long the test waits for what takes 2.5 seconds."""
CUT = "SELECT pg_terminate_backend(pg_backend_pid())"


@pytest.fixture
def ledger(postgres_url: str) -> Iterator[Ledger]:
    """An empty ledger on PostgreSQL."""
    ledger = open_ledger(postgres_url)
    yield ledger
    ledger.log.close()


@pytest.mark.parametrize("order", [(COMMIT, CUT), (CUT, COMMIT)], ids=["after", "before"])
def test_a_connection_that_is_cut_at_the_commit_costs_and_doubles_nothing(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, order: tuple[str, str]
) -> None:
    """What was committed is found again, what was not is written, and the sender need not know."""

    def commit(_log: PostgresLog, connection: Connection) -> None:
        monkeypatch.undo()
        for statement in order:
            connection.execute(statement)

    monkeypatch.setattr(PostgresLog, "_commit", commit)
    results = ledger.record([delivery(webhook()), delivery(webhook(connection="conn_2"))])
    rows = ledger.log.read_log(0, 10)
    assert [row.topic for row in rows] == ["delivery.received", "connection.created"] * 2
    assert [result.outcome for result in results] == ["new", "new"]
    assert [result.position for result in results] == [rows[1].position, rows[3].position]


@pytest.mark.parametrize(("set_to", "taken"), [("off", "local"), ("on", "on"), ("local", "local")])
def test_a_server_that_answers_before_the_disk_has_it_is_not_asked_to(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, set_to: str, taken: str
) -> None:
    """204 means durable on disk, whatever the server's default for everybody else is."""
    name = postgres_url.rpartition("/")[2]
    with psycopg.connect(postgres_url, autocommit=True) as owner:
        owner.execute(f"ALTER DATABASE {name} SET synchronous_commit = {set_to}")
    seen = []
    commit = PostgresLog._commit

    def look_and_commit(log: PostgresLog, connection: Connection) -> None:
        found = connection.execute("SELECT current_setting('synchronous_commit') AS it").fetchone()
        seen.append(found)
        commit(log, connection)

    monkeypatch.setattr(PostgresLog, "_commit", look_and_commit)
    try:
        ledger = open_ledger(postgres_url)
        ledger.record([delivery(webhook())])
        ledger.log.close()
    finally:
        with psycopg.connect(postgres_url, autocommit=True) as owner:
            owner.execute(f"ALTER DATABASE {name} RESET synchronous_commit")
    assert seen == [{"it": taken}]


@pytest.mark.parametrize("table", ["writers", "stored_events"])
def test_a_lock_that_another_holds_is_not_waited_for_endlessly(
    ledger: Ledger, postgres_url: str, table: str
) -> None:
    """The sender is told that nothing was written; later the same delivery is new."""
    with ThreadPoolExecutor(1) as threads, psycopg.connect(postgres_url) as other:
        other.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE".encode())
        told = threads.submit(ledger.record, [delivery(webhook())])
        assert type(told.exception(PATIENCE_S)) is StoreUnavailable
    [result] = ledger.record([delivery(webhook())])
    assert result.outcome == "new"


@pytest.mark.parametrize("table", ["stored_events", "payloads"])
def test_the_care_of_the_log_holds_no_delivery_up(
    ledger: Ledger, postgres_url: str, table: str
) -> None:
    """VACUUM and ANALYZE of a long log take minutes; this is their lock."""
    with psycopg.connect(postgres_url) as other:
        other.execute(f"LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE".encode())
        [result] = ledger.record([delivery(webhook())])
    assert result.outcome == "new"


@pytest.mark.parametrize("table", ["stored_events", "payloads", "history_1"])
def test_a_process_starts_while_the_log_is_cared_for(
    ledger: Ledger, postgres_url: str, table: str
) -> None:
    """It neither waits for that to end, nor lets the deliveries to others wait behind it."""
    open_store(postgres_url).close()
    with psycopg.connect(postgres_url) as other, ThreadPoolExecutor(1) as threads:
        other.execute(f"LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE".encode())
        starting = threads.submit(start, postgres_url)
        try:
            starting.result(PATIENCE_S)
        finally:
            other.rollback()
    [result] = ledger.record([delivery(webhook())])
    assert result.outcome == "new"


def start(url: str) -> None:
    """Open a log and its views as a service does."""
    open_ledger(url).log.close()
    open_store(url).close()


def test_deliveries_do_not_keep_the_care_of_the_log_away(
    ledger: Ledger, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Autovacuum does without when the lock is not free, and a busy log is written all the time."""
    ledger.record([delivery(webhook())])
    commit, cared = PostgresLog._commit, []

    def care_and_commit(log: PostgresLog, connection: Connection) -> None:
        with psycopg.connect(postgres_url, autocommit=True) as other:
            other.execute("VACUUM (SKIP_LOCKED, ANALYZE) stored_events")
            row = other.execute("SELECT reltuples FROM pg_class WHERE relname = 'stored_events'")
            cared.append(row.fetchone())
        commit(log, connection)

    monkeypatch.setattr(PostgresLog, "_commit", care_and_commit)
    ledger.record([delivery(webhook(connection="conn_2"))])
    assert cared == [(2.0,)]
