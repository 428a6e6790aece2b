"""Views on PostgreSQL: tables beside the log's, with the generation as their suffix."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import msgspec
import psycopg
import psycopg_pool
from eventsourcing.persistence import InterfaceError, OperationalError
from eventsourcing.postgres import PostgresTrackingRecorder
from psycopg import sql

from ledger.domain.errors import StoreUnavailable
from ledger.recorders.postgres_connections import missing, open_datastore
from projections.base import Insert, Row, Values
from projections.store import Filling, Session, Store, to_percent_style

READERS: Final = 16
"""The most connections that read at once."""
WAIT_SECONDS: Final = 5.0
"""How long a question waits for a connection, and a batch for another writer's lock."""
_UNAVAILABLE: Final = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg_pool.PoolClosed,
    psycopg_pool.PoolTimeout,
    OperationalError,
    InterfaceError,
)
_FAULTS: Final = (*_UNAVAILABLE, psycopg.ProgrammingError)
SORT_MEMORY: Final = "64MB"
"""What sorting for one index may use."""
DOWN: Final = "PostgreSQL did not answer about the views ({}); check that it runs."


class PostgresSession(Session):
    """A transaction that sends the rows of one INSERT together."""

    def __init__(self, *given: Any) -> None:
        """See `Session`."""
        super().__init__(*given)
        self._types: dict[str, list[int]] = {}
        """By table: the types of the columns that are loaded."""

    def _insert(self, into: Insert, many: Sequence[Values]) -> None:
        """See `Session`; one statement takes all rows as JSON.

        That is three times as fast as a pipeline of statements.
        """
        columns, table = ", ".join(into.columns), f"{into.table}{{g}}"
        objects = [dict(zip(into.columns, row, strict=True)) for row in many]
        self.run(
            f"INSERT INTO {table} ({columns}) SELECT {columns} "
            f"FROM json_populate_recordset(NULL::{table}, :rows) {into.conflict}",
            {"rows": msgspec.json.encode(objects).decode()},
        )

    def load(self, into: Insert, many: Sequence[Row]) -> None:
        """See `Session`."""
        columns, table = ", ".join(into.columns), self._dialect(f"{into.table}{{g}}")
        if into.table not in self._types:
            described = self.cursor.execute(f"SELECT {columns} FROM {table} LIMIT 0")
            self._types[into.table] = [column.type_code for column in described.description]
        with self.cursor.copy(f"COPY {table} ({columns}) FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(self._types[into.table])
            for row in many:
                copy.write_row(row)

    def listed(self, name: str) -> str:
        """See `Session`."""
        return f'SELECT json_array_elements_text(CAST(:{name} AS json)) COLLATE "C"'


class PostgresStore(Store):
    """The views in tables of the log's database; any number of processes may offer to write."""

    def __init__(self, url: str, *, generation: int = 1) -> None:
        """Use the database that `url` names."""
        super().__init__(generation)
        self._datastore = open_datastore(url, readers=READERS, wait_s=WAIT_SECONDS)
        self._recorder = PostgresTrackingRecorder(
            self._datastore, tracking_table_name=f"views_tracking_{generation}"
        )

    @property
    def recorder(self) -> PostgresTrackingRecorder:
        """See `Store`."""
        return self._recorder

    @property
    def words(self) -> Mapping[str, str]:
        """See `Store`."""
        return {
            "g": f"_{self.generation}",
            "text": 'TEXT COLLATE "C"',
            "tracking": f"views_tracking_{self.generation}",
        }

    def create(self, tables: Iterable[str]) -> None:
        """See `Store`."""
        with answering(), self._datastore.transaction(commit=True) as cursor:
            # Two processes may start at once, and IF NOT EXISTS alone does not serialise them.
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('connection-ledger views'))")
            self.recorder.create_table()
            for statement in missing(cursor, map(self._dialect, tables)):
                cursor.execute(statement.encode())

    def exists(self) -> bool:
        """Tell whether the views have been made."""
        with self.reading() as session:
            query = "SELECT to_regclass('made{g}') IS NOT NULL AS there"
            return bool(session.rows(query)[0]["there"])

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """See `Store`."""
        with answering(), self._datastore.transaction(commit=False) as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield PostgresSession(cursor, self._dialect, _FAULTS, self.generation)

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """See `Store`; a lock on the tracking table keeps the writers of other processes out."""
        with answering(), self._datastore.transaction(commit=True) as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = {int(WAIT_SECONDS * 1000)}".encode())
            session = PostgresSession(cursor, self._dialect, _FAULTS, self.generation)
            session.run("LOCK TABLE {tracking} IN SHARE ROW EXCLUSIVE MODE")
            yield session

    @contextmanager
    def filling(self, live: Store | None) -> Iterator[Filling]:
        """See `Store`; until the end nothing of it exists for anybody else."""
        with answering(), self._datastore.transaction(commit=True) as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute(f"SET LOCAL maintenance_work_mem = '{SORT_MEMORY}'".encode())
            self.recorder._create_table(cursor)
            session = PostgresSession(cursor, self._dialect, _FAULTS, self.generation)
            yield Filling(session, partial(_table_of, live))

    def scrub(self) -> list[str]:
        """See `Store`."""
        with answering(), self._datastore.get_connection() as connection:
            found = connection.execute(
                "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE %s "
                "AND relnamespace = current_schema()::regnamespace",
                (f"%\\_{self.generation}",),
            ).fetchall()
            for row in found:
                table = sql.Identifier(row["relname"])
                connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(table))
        return []

    def close(self) -> None:
        """See `Store`."""
        self._datastore.close()

    def _say(self, sql: str) -> str:
        return to_percent_style(sql)


def _table_of(live: Store | None, name: str) -> str:
    assert live is not None, "only what exists can be taken over"
    return live.words["tracking"] if name == "tracking" else f"{name}_{live.generation}"


@contextmanager
def answering() -> Iterator[None]:
    """Let failures of the views' tables be StoreUnavailable."""
    try:
        yield
    except _UNAVAILABLE as error:
        raise StoreUnavailable(DOWN.format(type(error).__name__)) from error
