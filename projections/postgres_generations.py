"""Generations on PostgreSQL: tables with its number as suffix; a row says which one is live."""

from collections.abc import Iterable
from typing import Any, Final

import psycopg
from psycopg import sql

from ledger.domain.errors import StoreUnavailable
from ledger.recorders.postgres_connections import begin_session
from projections.errors import RebuildRunning
from projections.generations import Generations
from projections.postgres_store import PostgresStore, answering
from projections.registry import all_tables

POINTER: Final = """CREATE TABLE IF NOT EXISTS views_pointer (
    one boolean PRIMARY KEY DEFAULT TRUE CHECK (one),
    generation bigint NOT NULL)"""
_LOCK: Final = "hashtext('connection-ledger rebuild')"
_LOCKED: Final = f"""SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory'
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND objsubid = 1 AND ((classid::bigint << 32) | objid::bigint) = {_LOCK}::bigint)"""
_DROP_WAIT: Final = "20s"
"""How long a table's last reader is waited for, and the server's end of a process that died."""
READ: Final = (
    "Somebody still reads views that a rebuild has replaced (perhaps a long export); try again "
    "when that has ended."
)
LOST: Final = (
    "The connection to PostgreSQL was lost that keeps other rebuilds away, so what was built is "
    "not used; rebuild again."
)


class PostgresGenerations(Generations):
    """The tables of views in a log's database; of all processes one at a time may make some."""

    def __init__(self, url: str) -> None:
        """Use the database that `url` names."""
        self._url = url
        self._connection: psycopg.Connection[Any] | None = None
        self._locked: psycopg.Connection[Any] | None = None
        """The connection that holds the lock: when it is lost, so is the lock."""

    def live(self) -> int:
        """See `Generations`."""
        with answering():
            cursor = self._connected().cursor()
            cursor.execute("SELECT to_regclass('views_pointer') IS NOT NULL")
            if not _value(cursor):
                return 1
            cursor.execute("SELECT COALESCE(MAX(generation), 1) FROM views_pointer")
            return int(_value(cursor))

    def all(self) -> list[int]:
        """See `Generations`."""
        live = self.live()
        return [generation for generation in self._found() if generation <= live]

    def open(self, generation: int, *, writer: bool) -> PostgresStore:
        """See `Generations`; who may only read, the database knows."""
        return PostgresStore(self._url, generation=generation)

    def remove(self, generation: int) -> None:
        """See `Generations`."""
        self._drop([generation])

    def begin(self) -> int:
        """See `Generations`; the lock lasts as long as this process, at most until `end`."""
        if not self._lock():
            raise RebuildRunning
        live = self.live()
        self._drop(generation for generation in self._found() if generation != live)
        return live + 1

    def draft(self, generation: int) -> PostgresStore:
        """See `Generations`."""
        return PostgresStore(self._url, generation=generation)

    def publish(self, generation: int) -> None:
        """See `Generations`."""
        if not self._holds_lock():
            raise StoreUnavailable(LOST)
        with answering(), self._connected().transaction():
            self._connected().execute(POINTER)
            self._connected().execute(
                "INSERT INTO views_pointer (generation) VALUES (%s) "
                "ON CONFLICT (one) DO UPDATE SET generation = excluded.generation",
                (generation,),
            )

    def end(self) -> None:
        """See `Generations`."""
        if not self._lock():
            return  # what there is belongs to another process now
        try:
            live = self.live()
            self._drop(generation for generation in self._found() if generation > live)
        finally:
            self._unlock()

    def drafting(self) -> bool:
        """See `Generations`."""
        with answering():
            cursor = self._connected().cursor()
            cursor.execute(_LOCKED.encode())
            locked = bool(_value(cursor))
        live = self.live()
        return locked or any(generation > live for generation in self._found())

    def clean(self) -> None:
        """See `Generations`; what a living process is making stays."""
        self.end()

    def close(self) -> None:
        """See `Generations`."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _lock(self) -> bool:
        if self._holds_lock():
            return True
        with answering():
            connection = self._connected()
            cursor = connection.cursor()
            cursor.execute(f"SELECT pg_try_advisory_lock({_LOCK})".encode())
            self._locked = connection if _value(cursor) else None
            return self._locked is not None

    def _unlock(self) -> None:
        self._locked = None
        with answering():
            self._connected().execute(f"SELECT pg_advisory_unlock({_LOCK})".encode())

    def _holds_lock(self) -> bool:
        return self._locked is not None and not self._locked.closed

    def _found(self) -> list[int]:
        with answering():
            rows = self._connected().execute(
                "SELECT substring(relname FROM '[0-9]+$')::bigint FROM pg_class "
                "WHERE relkind = 'r' AND relname ~ '^views_tracking_[0-9]+$' "
                "AND relnamespace = current_schema()::regnamespace ORDER BY 1"
            )
            return [int(row[0]) for row in rows.fetchall()]

    def _drop(self, generations: Iterable[int]) -> None:
        for generation in generations:
            names = [f"{table.name}_{generation}" for table in all_tables()]
            names.append(f"views_tracking_{generation}")
            tables = sql.SQL(", ").join(map(sql.Identifier, names))
            with answering(), self._connected().transaction():
                self._connected().execute(f"SET LOCAL lock_timeout = '{_DROP_WAIT}'".encode())
                try:
                    self._connected().execute(sql.SQL("DROP TABLE IF EXISTS {}").format(tables))
                except psycopg.errors.LockNotAvailable:
                    raise StoreUnavailable(READ) from None

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(self._url, autocommit=True, connect_timeout=5)
            begin_session(self._connection)
        return self._connection


def _value(cursor: psycopg.Cursor[Any]) -> Any:
    row = cursor.fetchone()
    assert row is not None, "these queries always give a row"
    return row[0]
