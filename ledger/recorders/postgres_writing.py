"""One write to a PostgreSQL log: its turn among the writers, its rows, and its end.

Doubt about a commit ends as AmbiguousCommit, after which the log is asked what it holds.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg import Connection
from psycopg.rows import DictRow

from ledger.domain.errors import StoreUnavailable
from ledger.recorders.base import AmbiguousCommit, NewRow
from ledger.recorders.postgres_connections import DOWN

REPLICA_WARNING: Final = "01000"
"""SQLSTATE of the warning with which a COMMIT ends whose wait for the replica was cancelled."""
# %b: psycopg writes arrays as text in Python, item by item, and in binary hundreds of times faster.
INSERT: Final = """
    WITH new AS (
        SELECT * FROM unnest(%b::text[], %b::bigint[], %b::text[], %b::bytea[], %b::bigint[],
                             %b::bytea[], %b::bytea[], %b::text[])
        WITH ORDINALITY
        AS t (stream, version, topic, state, recorded_at, salt, body, message_id, place)
    ), stored AS (
        INSERT INTO stored_events (originator_id, originator_version, topic, state, recorded_at)
        SELECT stream, version, topic, state, recorded_at FROM new ORDER BY place
        RETURNING notification_id, originator_id, originator_version
    ), kept AS (
        INSERT INTO payloads (notification_id, salt, body, message_id)
        SELECT stored.notification_id, new.salt, new.body, new.message_id
        FROM new JOIN stored ON stored.originator_id = new.stream
            AND stored.originator_version = new.version
        WHERE new.body IS NOT NULL
    )
    SELECT notification_id FROM stored ORDER BY notification_id
"""
"""Appends events and their payloads, and gives the positions in their order."""
# Writers exclude each other by a table of their own: a lock on the log that did so would also keep
# VACUUM and ANALYZE away or, once one of them has begun, the writers. The second lock is that of an
# INSERT, taken this early so that who waits for it in vain knows that nothing was written.
TURN: Final = (
    "LOCK TABLE writers IN EXCLUSIVE MODE",
    "LOCK TABLE stored_events IN ROW EXCLUSIVE MODE",
)
"""The statements by which a write waits for its turn."""


def columns(new: Sequence[NewRow], times: Sequence[int]) -> list[list[Any]]:
    """Give rows as the parameters of `INSERT`."""
    return [
        [row.stream for row in new],
        [row.version for row in new],
        [row.topic for row in new],
        [row.state for row in new],
        list(times),
        [row.salt for row in new],
        [row.payload for row in new],
        [row.message_id for row in new],
    ]


def abandon(connection: Connection[DictRow]) -> None:
    """Give up a transaction; a connection that cannot even do that is thrown away."""
    try:
        connection.rollback()
    except psycopg.Error:
        connection.close()


@contextmanager
def committing(connection: Connection[DictRow]) -> Iterator[None]:
    """Turn every doubt about a commit into AmbiguousCommit."""
    warnings: list[str] = []

    def notice(diagnostic: psycopg.errors.Diagnostic) -> None:
        if diagnostic.sqlstate == REPLICA_WARNING:
            warnings.append(diagnostic.message_primary or "")

    connection.add_notice_handler(notice)
    try:
        yield
    except psycopg.Error as error:
        connection.close()
        raise AmbiguousCommit(DOWN.format(type(error).__name__)) from error
    finally:
        connection.remove_notice_handler(notice)
    if warnings:
        # Committed here, but the synchronous replica did not confirm: not durable as promised.
        raise StoreUnavailable(DOWN.format("the synchronous replica did not confirm"))
