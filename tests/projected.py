"""A log and its views for tests: statements go in as the ledger records them, views come out.

`Told` is what a log would hold, as plain facts; `Views` is a real log with real views on either
database.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from ledger.domain.claim import Statement
from ledger.domain.connection import names_of
from ledger.domain.events import CONNECTION_TYPES, DeliveryReceived, Event, Signed
from ledger.domain.words import DELIVERY, connection_stream
from ledger.recorders import codec, open_log, sqlite_path
from ledger.recorders.base import NewRow, Seen
from projections.base import Projection
from projections.batch import Fact
from projections.log_questions import LogQuestions
from projections.questions import Questions
from projections.registry import tables
from projections.runner import Runner
from projections.store import Store
from tests.builders import Clock, counting_entropy
from tests.histories import history

DAY_MS = 86_400_000
TABLES = (
    "current_state",
    "accounts",
    "history",
    "history_bindings",
    "parked",
    "dialects",
    "link_sessions",
    "blocked",
)


def facts_of(statements: Iterable[Statement]) -> list[Fact]:
    """The facts that a log holds after these statements about one connection came in this order.

    Positions count from 1, and `recorded_at` is a thousand times the position.
    """
    facts: list[Fact] = []
    known: list[Statement] = []
    for statement in statements:
        for name in names_of(known, statement):
            event = CONNECTION_TYPES[name](statement=statement)
            facts.append(Fact(len(facts) + 1, 1_000 * (len(facts) + 1), event))
        known.append(statement)
    return facts


def about(connection_id: str, statement: Statement) -> Statement:
    """The same statement about another connection, by another delivery; times as milliseconds."""
    fields = dict(statement.claim.fields)
    if fields.get("expiredAt") is not None:
        fields["expiredAt"] = statement.claim.k
    claim = replace(statement.claim, connection_id=connection_id, fields=fields).identified()
    kind, _, name = statement.evidence.stream.partition(":")
    evidence = replace(statement.evidence, stream=f"{kind}:{connection_id}-{name}")
    return Statement(claim, evidence)


class Views:
    """A log with views; stores of several generations can read the same log."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.clock = Clock()
        self.log = open_log(url, writer=True, entropy=counting_entropy(), now=self.clock)
        self.store = self.open(1)
        self.runner = Runner(self.log, self.store)
        self.questions = Questions(self.log, self.store, stale_after_ms=DAY_MS)
        self.from_log = LogQuestions(self.log, self.store, stale_after_ms=DAY_MS)
        self._others: list[Store] = []

    def open(self, generation: int) -> Store:
        """A store of another generation, for another way to read the same log."""
        store = open_generation(self.url, generation)
        if generation > 1:
            self._others.append(store)
        return store

    def close(self) -> None:
        """Release the log and all stores."""
        for store in (self.store, *self._others):
            store.close()
        self.log.close()

    def tell(self, *statements: Statement) -> list[int]:
        """Record statements in one transaction, as the ledger does."""
        streams = {connection_stream(s.claim.connection_id) for s in statements}
        streams |= {s.evidence.stream for s in statements}
        return self.log.transact(streams, (), lambda seen: _decide(seen, statements), self.clock)[0]

    def append(self, *rows: NewRow) -> list[int]:
        """Append rows as they are."""
        return self.log.transact((), (), lambda _: rows, self.clock)[0]

    def catch_up(self, store: Store | None = None, limit: int = 2_000) -> None:
        """Bring the views to the end of the log."""
        runner = self.runner if store is None else Runner(self.log, store, limit=limit)
        while runner.step():
            pass


def open_generation(url: str, generation: int) -> Store:
    """The views of a generation, made if missing."""
    path = sqlite_path(url)
    store: Store
    if path is None:
        from projections.postgres_store import PostgresStore

        store = PostgresStore(url, generation=generation)
    else:
        from projections.sqlite_store import SQLiteStore, views_path

        store = SQLiteStore(views_path(path, generation), writer=True, generation=generation)
    store.create(tables())
    return store


def dump(store: Store, projections: Sequence[Projection] = ()) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that the views hold, row by row, in one order."""
    found = {}
    with store.reading() as session:
        for table in TABLES:
            rows = session.rows(f"SELECT * FROM {table}{{g}}")
            found[table] = sorted((tuple(dict(row).values()) for row in rows), key=repr)
    return found


def _decide(seen: Seen, statements: Sequence[Statement]) -> list[NewRow]:
    rows: list[NewRow] = []
    known: dict[str, list[Statement]] = {}
    versions: dict[str, int] = {}
    for row in seen.rows:
        versions[row.stream] = row.version
        statement = codec.statement_of(row)
        if statement is not None:
            known.setdefault(row.stream, []).append(statement)

    def add(stream: str, event: Event) -> None:
        versions[stream] = versions.get(stream, 0) + 1
        rows.append(codec.to_row(stream, versions[stream], event, salt=b"salt"))

    for statement in statements:
        evidence = statement.evidence
        if evidence.stream.startswith(DELIVERY) and evidence.stream not in versions:
            add(evidence.stream, received(evidence.observed, evidence.channel))
        stream = connection_stream(statement.claim.connection_id)
        told = known.setdefault(stream, [])
        for name in names_of(told, statement):
            add(stream, CONNECTION_TYPES[name](statement=statement))
        told.append(statement)
    return rows


def received(observed: int, dialect: str = "documented", **more: Any) -> DeliveryReceived:
    """A delivery of no particular content."""
    signed = (Signed(dialect, observed // 1000, "secret 1"),)
    return DeliveryReceived(
        receipt="r", observed=observed, size=700, digest="d", signed=signed, **more
    )


def tangle(seed: int, connections: int) -> list[Statement]:
    """What is said about several connections, in any order."""
    told = [
        about(f"conn_{i}", statement)
        for i in range(connections)
        for statement in history(seed * 1000 + i)
    ]
    Random(seed).shuffle(told)
    return told
