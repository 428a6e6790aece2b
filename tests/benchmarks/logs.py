"""Logs of any length, as `serve` would have written them, made without going through it.

Each webhook makes two events: its receipt, and what it says about a connection. Connections grow in
proportion to the log; of every fourteen one has 60 events, and half have at most 7. What one
connection says lies far apart in the log, and ids do not sort in the order of births.
"""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import count, islice
from pathlib import Path
from typing import Any, Final

import psycopg
from msgspec import json

from ledger.domain.claim import Claim, Evidence, Kind, Statement
from ledger.domain.connection import REFERENCE
from ledger.domain.events import CONNECTION_TYPES, DeliveryReceived, Drawn, Signed
from ledger.domain.status import Status
from ledger.domain.words import DELIVERY, connection_stream
from ledger.ofauth.signatures import Dialect
from ledger.recorders import codec, open_log
from ledger.recorders.base import NewRow
from tests.benchmarks import workload

LENGTHS: Final = (5, 60, 5, 10, 6, 5, 30, 8, 5, 15, 6, 20, 7, 12)
"""How many webhooks the lives of fourteen connections in a row have."""
MOST: Final = max(LENGTHS)
SIDE_BY_SIDE: Final = 4_200
"""How many lives run at the same time, unless the log is too short for them to end."""
PERMISSIONS: Final = list(workload.PERMISSIONS[:4])
BETWEEN_MS: Final = 500
"""Milliseconds between two webhooks."""
EVENTS_PER_WEBHOOK: Final = 2
FIRST_MS: Final = 1_700_000_000_000
_AT_ONCE: Final = 10_000
_COPIED: Final = {
    "stored_events": (
        "notification_id, originator_id, originator_version, topic, state, recorded_at"
    ),
    "payloads": "notification_id, salt, body, message_id",
}
_SAID: Final = {
    "created": (Kind.CREATED, Status.ACTIVE, "connection.created"),
    "updated": (Kind.UPDATED, Status.ACTIVE, "connection.updated"),
    "expired": (Kind.EXPIRED, Status.EXPIRED, "connection.expired"),
    "active": (Kind.UPDATED, Status.ACTIVE, "connection.reconnected"),
}


def client(number: int) -> str:
    """Name whom a connection belongs to: each has one of its own."""
    return f"user_{number}"


def whole_lives(events: int) -> int:
    """Give how many lives run at the same time so that the most end in a log of so many events."""
    return min(SIDE_BY_SIDE, events // EVENTS_PER_WEBHOOK // sum(LENGTHS) * len(LENGTHS))


def longest_lived(events: int) -> list[str]:
    """Name every client that has the most events in a log of so many whose lives are whole."""
    lives = whole_lives(events)
    ended = events // EVENTS_PER_WEBHOOK // (sum(LENGTHS) * lives // len(LENGTHS)) * lives
    return [client(n) for n in range(LENGTHS.index(MOST), ended, len(LENGTHS))]


def write_sqlite(path: Path, events: int, lives: int = SIDE_BY_SIDE) -> str:
    """Write a log of so many events into a new file and give its address.

    So many `lives` run at the same time.
    """
    url = f"sqlite:///{path}"
    open_log(url, writer=True, entropy=_entropy, now=lambda: 0).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        rows = islice(_rows(lives), events)
        position = 0
        while some := list(islice(rows, _AT_ONCE)):
            numbered = list(enumerate(some, position + 1))
            connection.execute("BEGIN")
            connection.executemany(
                "INSERT INTO stored_events VALUES (?, ?, ?, ?, ?, ?)",
                [(n, r.stream, r.version, r.topic, r.state, _recorded_at(n)) for n, r in numbered],
            )
            connection.executemany(
                "INSERT INTO payloads VALUES (?, ?, ?, ?)",
                [(n, r.salt, r.payload, r.message_id) for n, r in numbered if r.payload],
            )
            connection.execute("COMMIT")
            position += len(some)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return url


def copy_to_postgres(path: Path, url: str) -> None:
    """Write the log of a SQLite file into an empty PostgreSQL database."""
    open_log(url, writer=True, entropy=_entropy, now=lambda: 0).close()
    with (
        closing(sqlite3.connect(path)) as source,
        psycopg.connect(url, autocommit=True) as target,
        target.cursor() as cursor,
    ):
        for table, columns in _COPIED.items():
            found = source.execute(f"SELECT {columns} FROM {table} ORDER BY notification_id")
            with cursor.copy(f"COPY {table} ({columns}) FROM STDIN".encode()) as copy:
                for row in found:
                    copy.write_row(row)
        target.execute(
            "SELECT setval('stored_events_notification_id_seq', MAX(notification_id)) "
            "FROM stored_events"
        )
        target.execute("VACUUM ANALYZE")


def claims() -> Iterator[tuple[str, dict[str, Any]]]:
    """Give what the webhooks say, as (type of the event, claim), without end."""
    for said in islice(_rows(SIDE_BY_SIDE), 1, None, EVENTS_PER_WEBHOOK):
        claim = json.decode(said.state)["statement"]["claim"]
        beside = json.decode(said.payload) if said.payload else {}
        fields = {**claim["fields"], **beside.pop("fields", {})}
        yield said.topic, {**claim, "fields": fields, "personal": beside}


def _entropy(count: int) -> bytes:
    return bytes(range(count))


def _recorded_at(position: int) -> int:
    return (
        FIRST_MS + position // EVENTS_PER_WEBHOOK * BETWEEN_MS
    ) * 1000 + position % EVENTS_PER_WEBHOOK


def _order(lives: int) -> Iterator[tuple[int, int]]:
    """Give (number of the connection, step of its life) in the order of delivery, without end."""
    for first in count(0, lives):
        for step in range(MOST):
            for number in range(first, first + lives):
                if step < LENGTHS[number % len(LENGTHS)]:
                    yield number, step


def _rows(lives: int) -> Iterator[NewRow]:
    for n, (number, step) in enumerate(_order(lives)):
        yield from _webhook(number, step, FIRST_MS + n * BETWEEN_MS)


def _webhook(number: int, step: int, at_ms: int) -> tuple[NewRow, NewRow]:
    """Make the two events of a webhook: its receipt, and what it says."""
    body = workload.body(number, step, at_ms, client(number), PERMISSIONS)
    digest = hashlib.sha256(body).digest()
    stream, salt = f"{DELIVERY}{digest.hex()[:32]}", digest[:16]
    kind, status, name = _SAID[workload.step_name(step)]
    fields: dict[str, Any] = {REFERENCE: client(number)}
    personal: dict[str, Any] = {}
    if kind is not Kind.EXPIRED:
        fields["permissions"] = PERMISSIONS
        personal["userData"] = workload.user_data(number, step)
    claim = Claim(
        connection_id=workload.connection_id(number),
        kind=kind,
        k=at_ms,
        status=status,
        fields=fields,
        personal=personal,
    ).identified()
    received = DeliveryReceived(
        receipt=digest.hex()[32:48],
        observed=at_ms,
        size=len(body),
        digest=codec.digest(salt, body),
        signed=(Signed(Dialect.DOCUMENTED.value, at_ms // 1000, workload.SECRET.label),),
        type=f"connection.{'updated' if kind is Kind.UPDATED else kind.value.partition('.')[2]}",
        drawn=(Drawn(claim.connection_id, claim.id),),
    )
    evidence = Evidence(stream, Dialect.DOCUMENTED.value, at_ms)
    said = CONNECTION_TYPES[name](statement=Statement(claim, evidence))
    return (
        codec.to_row(stream, 1, received, payload=body, salt=salt),
        codec.to_row(connection_stream(claim.connection_id), step + 1, said, salt=salt),
    )
