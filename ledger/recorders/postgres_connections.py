"""Connections to PostgreSQL, for the log and for views: a pool that is back when the server is."""

import re
from collections.abc import Callable, Iterable
from typing import Any, Final, cast

import psycopg
from eventsourcing.postgres import PostgresDatastore
from psycopg import Cursor
from psycopg.conninfo import conninfo_to_dict

from ledger.domain.errors import StoreUnavailable
from ledger.recorders.base import LOCK_TIMEOUT_MS

DOWN: Final = "PostgreSQL did not take the request ({}); check that it runs and is reachable."
CONNECT_S: Final = 3
"""How long one try to connect may take, in seconds, unless the address names another time."""
LOST: Final = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""When a server that says nothing any more is given up: in seconds, and the last in milliseconds.

Left to itself the system takes a quarter of an hour, in which the one thread that writes waits.
"""
RECONNECT_S: Final = 1.0
"""How long the pool goes on trying by itself, in seconds; then whoever needs a connection does.

Its pauses double: two minutes after the server went, it would not try for another two.
"""

# A server, database or role may have synchronous_commit off, but a 204 means: durable on disk.
WRITING: Final = (
    f"SELECT set_config('lock_timeout', '{LOCK_TIMEOUT_MS}', true), "
    f"set_config('statement_timeout', '{LOCK_TIMEOUT_MS}', true), "
    "set_config('synchronous_commit', coalesce(nullif(current_setting('synchronous_commit'), "
    "'off'), 'local'), true)"
)
"""The statement that bounds what follows in its transaction, and has it on disk at its commit."""
_MADE: Final = re.compile(r"IF NOT EXISTS (\S+)")
# What another schema has of such a name is not ours.
_ABSENT: Final = (
    "SELECT name FROM unnest(%s::text[]) AS name "
    "WHERE to_regclass(quote_ident(current_schema()) || '.' || name) IS NULL"
)
_SETTINGS: Final = {
    "jit": "off",
    "tcp_keepalives_idle": LOST["keepalives_idle"],
    "tcp_keepalives_interval": LOST["keepalives_interval"],
    "tcp_keepalives_count": LOST["keepalives_count"],
    "tcp_user_timeout": LOST["tcp_user_timeout"],
}
_SESSION: Final = "SELECT " + ", ".join(
    f"set_config('{name}', '{value}', false)" for name, value in _SETTINGS.items()
)


def begin_session(connection: psycopg.Connection[Any]) -> None:
    """Tell the server what holds for a new connection of ours.

    Nothing is compiled: that pays for what runs for seconds only, and without statistics the server
    takes anything for that; a look into an index took a hundred times as long. And the server gives
    a client up that says nothing any more: left to itself it takes two hours, in which the locks of
    a machine that is lost keep all others out.
    """
    connection.execute(_SESSION.encode())


def missing(cursor: Cursor[Any], statements: Iterable[str]) -> list[str]:
    """Give those statements that make what is not there yet, or make no table or index at all.

    One that makes an index waits for who vacuums the table, also where the index is there already,
    and whoever writes the table waits for it in turn.
    """
    named = [(_MADE.search(statement), statement) for statement in statements]
    cursor.execute(_ABSENT, ([name[1] for name, _ in named if name is not None],))
    absent = {row["name"] for row in cursor.fetchall()}
    return [statement for name, statement in named if name is None or name[1] in absent]


class _Datastore(PostgresDatastore):
    """The library's, with sessions as ours are."""

    def after_connect_func(self) -> Callable[[psycopg.Connection[Any]], None]:
        """See `PostgresDatastore`."""
        library = super().after_connect_func()

        def after_connect(connection: psycopg.Connection[Any]) -> None:
            library(connection)
            begin_session(connection)

        return after_connect


def open_datastore(url: str, *, readers: int, wait_s: float) -> PostgresDatastore:
    """Open a pool of at most `readers` + 2 connections, lent within `wait_s` seconds.

    Raises:
        StoreUnavailable: `url` is no address of PostgreSQL.
    """
    try:
        named = conninfo_to_dict(url)
    except psycopg.Error as error:
        raise StoreUnavailable(
            "LEDGER_DATABASE_URL is not a PostgreSQL address; write it as "
            "postgresql://user:password@host:5432/database."
        ) from error
    datastore = _Datastore(
        dbname=str(named.pop("dbname", "") or ""),
        host=str(named.pop("host", "") or ""),
        port=str(named.pop("port", "") or "5432"),
        user=str(named.pop("user", "") or ""),
        password=str(named.pop("password", "") or ""),
        pool_size=2,
        max_overflow=readers,
        connect_timeout=wait_s,
        originator_id_type="text",
        pre_ping=False,
    )
    # The library names five settings only; sslmode and the like belong to the address too.
    more = {"connect_timeout": CONNECT_S, **LOST, **named}
    cast(dict[str, Any], datastore.pool.kwargs).update(more)
    datastore.pool.reconnect_timeout = RECONNECT_S
    return datastore
