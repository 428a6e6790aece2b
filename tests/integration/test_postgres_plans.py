"""What is asked for every delivery is looked up, also in a log without statistics.

One that grows fast has none that fit.
"""

import psycopg
import pytest

from ledger.recorders import open_log
from ledger.recorders.postgres import MESSAGES, STREAMS
from ledger.recorders.postgres_connections import open_datastore

EVENTS = 20_000
FILLED = f"""
    ALTER TABLE stored_events SET (autovacuum_enabled = off);
    ALTER TABLE payloads SET (autovacuum_enabled = off);
    INSERT INTO stored_events (originator_id, originator_version, topic, state)
        SELECT 'connection:conn_' || n, 1, 'connection.created', repeat('x', 400)::bytea
        FROM generate_series(1, {EVENTS}) AS n;
    INSERT INTO payloads (notification_id, salt, body, message_id)
        SELECT notification_id, '', repeat('x', 200)::bytea, 'msg_' || notification_id
        FROM stored_events
"""
NAMES = [f"connection:conn_{number}" for number in range(0, EVENTS, 400)]


@pytest.fixture
def filled_url(postgres_url: str) -> str:
    """A log of which the server knows nothing."""
    open_log(postgres_url, writer=True, entropy=bytes, now=lambda: 0).close()
    with psycopg.connect(postgres_url) as connection:
        connection.execute(FILLED.encode())
    return postgres_url


@pytest.mark.parametrize("statement", [STREAMS, MESSAGES])
@pytest.mark.parametrize("planned", ["force_custom_plan", "force_generic_plan"])
def test_no_table_is_read_whole(filled_url: str, statement: str, planned: str) -> None:
    """Neither for the arrays that are given, nor for any others."""
    with psycopg.connect(filled_url) as connection:
        connection.execute(f"SET plan_cache_mode = {planned}".encode())
        asked = statement.replace("%b", "$1")
        connection.execute(f"PREPARE asked (text[]) AS {asked}".encode())
        rows = connection.execute(f"EXPLAIN EXECUTE asked (ARRAY{NAMES})".encode()).fetchall()
    plan = "\n".join(row[0] for row in rows)
    assert "Index" in plan
    assert "Seq Scan" not in plan, plan
    assert "Hash" not in plan.replace("HashAggregate", ""), plan


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("jit", "off"),
        ("tcp_keepalives_idle", "5"),
        ("tcp_keepalives_interval", "2"),
        ("tcp_keepalives_count", "3"),
        ("tcp_user_timeout", "10000"),
    ],
)
def test_what_holds_for_every_session(postgres_url: str, name: str, value: str) -> None:
    """Nothing is compiled, and the locks of a lost client do not stay for hours."""
    datastore = open_datastore(postgres_url, readers=1, wait_s=5)
    with datastore.get_connection() as connection:
        row = connection.execute(f"SHOW {name}".encode()).fetchone()
    datastore.close()
    assert row == {name: value}


def test_tables_of_another_schema_are_not_taken_for_ours(postgres_url: str) -> None:
    """The role's path may name one behind the schema in which the ledger makes its tables."""
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE public.store (shop text)")
        connection.execute("CREATE SCHEMA ours")
    url = f"{postgres_url}?options=-csearch_path%3Dours,public"
    log = open_log(url, writer=True, entropy=bytes, now=lambda: 0)
    log.close()
    with psycopg.connect(postgres_url) as connection:
        row = connection.execute("SELECT COUNT(*) FROM ours.store").fetchone()
    assert row == (1,)
