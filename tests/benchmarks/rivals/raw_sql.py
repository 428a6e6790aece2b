"""A client's history without a ledger: bare Flask, and one indexed query for a page.

Its rows are what is answered, ready made, and those of a client lie side by side. It asks for no
token, knows no moment but now, and does not say how new its answers are.
"""

import json
import sqlite3
import threading
from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any, Final

import psycopg
from flask import Flask, request
from flask.typing import ResponseReturnValue

from ledger.recorders import sqlite_path
from tests.benchmarks.rivals.common import DATABASE, serve

COLUMNS: Final = {
    "clientReferenceId": "TEXT",
    "position": "BIGINT",
    "type": "TEXT",
    "recordedAs": "TEXT",
    "connectionId": "TEXT",
    "occurredAt": "TEXT",
    "observedAt": "TEXT",
    "recordedAt": "TEXT",
    "source": "TEXT",
    "late": "SMALLINT",
    "summary": "TEXT",
    "data": "TEXT",
    "evidence": "TEXT",
}
NAMES: Final = ", ".join(f'"{name}"' for name in COLUMNS)
TABLE: Final = ", ".join(f'"{name}" {kind}' for name, kind in COLUMNS.items())
INDEX: Final = 'CREATE INDEX audit_client ON audit ("clientReferenceId", "position")'
PAGE: Final = (
    f'SELECT {NAMES} FROM audit WHERE "clientReferenceId" = ? AND "position" > ? '
    'ORDER BY "position" LIMIT ?'
)

app = Flask(__name__)
of_thread = threading.local()


@app.get("/api/clients/<client>/history")
def history(client: str) -> ResponseReturnValue:
    """Give a page of what happened to a client's connections."""
    limit, after = request.args.get("limit", 50, int), request.args.get("after", 0, int)
    rows = connection().execute(page_of(DATABASE), (client, after, limit + 1)).fetchall()
    items = [dict(zip(COLUMNS, row, strict=True)) for row in rows[:limit]]
    for item in items:
        item["late"] = bool(item["late"])
        item["data"], item["evidence"] = json.loads(item["data"]), json.loads(item["evidence"])
    return {"items": items, "next": items[-1]["position"] if len(rows) > limit else None}


def connection() -> Any:
    """Give this thread's connection."""
    if not hasattr(of_thread, "connection"):
        path = sqlite_path(DATABASE)
        of_thread.connection = (
            psycopg.connect(DATABASE, autocommit=True) if path is None else sqlite3.connect(path)
        )
    return of_thread.connection


def page_of(url: str) -> str:
    """Write the query in the words of the database."""
    return PAGE if sqlite_path(url) else PAGE.replace("?", "%s")


def write(url: str, entries: Iterable[Mapping[str, Any]]) -> None:
    """Make the table in an empty database, from what ours answers."""
    rows = (tuple(map(_stored, map(entry.__getitem__, COLUMNS))) for entry in entries)
    path = sqlite_path(url)
    if path is not None:
        with closing(sqlite3.connect(path)) as target, target:
            target.execute(f"CREATE TABLE audit ({TABLE})")
            target.executemany(f"INSERT INTO audit VALUES ({', '.join('?' * len(COLUMNS))})", rows)
            target.execute(INDEX)
        return
    with psycopg.connect(url, autocommit=True) as target, target.cursor() as cursor:
        cursor.execute(f"CREATE TABLE audit ({TABLE})".encode())
        with cursor.copy(b"COPY audit FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        cursor.execute(INDEX.encode())
        cursor.execute("VACUUM ANALYZE audit")


def _stored(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    return json.dumps(value) if isinstance(value, dict | list) else value


if __name__ == "__main__":
    serve(app)
