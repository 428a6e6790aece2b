"""A rebuild written for speed alone, `… bare <log> <views>`: scan, decode, fold, write, index.

It trusts the order of the log, so a late delivery makes it wrong; it keeps every row in memory; it
cannot go on where it stopped.
"""

import gc
import sqlite3
import sys
from collections.abc import Iterable
from contextlib import closing
from typing import Any

import psycopg
from msgspec import defstruct, json

from ledger.recorders import sqlite_path

SCAN = (
    "SELECT e.notification_id, e.topic, e.recorded_at, e.state, p.body "
    "FROM stored_events e LEFT JOIN payloads p ON p.notification_id = e.notification_id "
    "WHERE e.topic >= 'connection.' AND e.topic < 'connection/' ORDER BY e.notification_id"
)
TABLES = {
    "bare_now": "id TEXT, client TEXT, status TEXT, observed BIGINT, document TEXT",
    "bare_history": "client TEXT, position BIGINT, connection TEXT, type TEXT, occurred BIGINT, "
    "document TEXT",
}
INDEXES = (
    *("bare_now (id)", "bare_now (client)", "bare_now (status)"),
    *("bare_history (client, position)", "bare_history (connection, position)"),
    "bare_history (client, occurred, position)",
)
Rows = dict[str, list[tuple[Any, ...]]]
Claim: Any = defstruct(
    "Claim", [("connection_id", str), ("k", int), ("status", str | None), ("fields", dict)]
)
Evidence: Any = defstruct("Evidence", [("stream", str), ("channel", str), ("observed", int)])
Statement: Any = defstruct("Statement", [("claim", Claim), ("evidence", Evidence)])
Said: Any = defstruct("Said", [("statement", Statement)])
Payload: Any = defstruct("Payload", [("userData", dict, {}), ("fields", dict, {})])


def fold(events: Iterable[tuple[Any, ...]]) -> Rows:
    """Give the rows of both views."""
    said, beside, encode = json.Decoder(Said).decode, json.Decoder(Payload).decode, json.encode
    known: dict[str, dict[str, Any]] = {}
    history = []
    for position, topic, recorded_at, state, body in events:
        statement = said(state).statement
        claim, evidence = statement.claim, statement.evidence
        payload = Payload() if body is None else beside(body)
        stated = {"status": claim.status, **claim.fields, **payload.fields, **payload.userData}
        now = known.setdefault(claim.connection_id, {})
        changes = {name: (now.get(name), v) for name, v in stated.items() if now.get(name) != v}
        now.update(stated, observed=evidence.observed, updated=claim.k)
        document = encode((recorded_at, changes, stated, evidence)).decode()
        client = now.get("clientReferenceId")
        history.append((client, position, claim.connection_id, topic, claim.k, document))
    current = [
        (id_, now.get("clientReferenceId"), now["status"], now["observed"], encode(now).decode())
        for id_, now in known.items()
    ]
    return {"bare_now": current, "bare_history": history}


def on_sqlite(log: str, views: str) -> None:
    """Make the views in a new file."""
    with closing(sqlite3.connect(f"file:{log}?mode=ro", uri=True)) as source:
        made = fold(source.execute(SCAN))
    with closing(sqlite3.connect(views)) as target, target:
        target.execute("PRAGMA synchronous=OFF")
        for table, rows in made.items():
            target.execute(f"CREATE TABLE {table} ({TABLES[table]})")
            places = ", ".join("?" * len(rows[0]))
            target.executemany(f"INSERT INTO {table} VALUES ({places})", rows)
        for number, index in enumerate(INDEXES):
            target.execute(f"CREATE INDEX bare_{number} ON {index}")


def on_postgres(url: str) -> None:
    """Make the views in new tables of the same database."""
    with psycopg.connect(url) as connection, connection.cursor("scan") as scan:
        scan.itersize = 10_000
        made = fold(scan.execute(SCAN.encode(), binary=True))
    with psycopg.connect(url) as connection, connection.cursor() as target:
        for table, rows in made.items():
            target.execute(f"CREATE TABLE {table} ({TABLES[table]})".encode())
            with target.copy(f"COPY {table} FROM STDIN".encode()) as copy:
                for row in rows:
                    copy.write_row(row)
        for index in INDEXES:
            target.execute(f"CREATE INDEX ON {index}".encode())


if __name__ == "__main__":
    gc.disable()  # it would look through all those rows again and again
    database, file = sys.argv[1:]
    path = sqlite_path(database)
    on_postgres(database) if path is None else on_sqlite(str(path), file)
