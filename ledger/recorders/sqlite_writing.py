"""One write to a SQLite log: what it sees under the lock, and what it appends.

Each step of a statement lets go of the interpreter's lock, and in a busy service getting it back
takes longer than the step itself. So what is seen comes as one row, and what is appended goes as
one statement for each table.
"""

import json
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from eventsourcing.sqlite import SQLiteCursor

from ledger.recorders import sweeping
from ledger.recorders.base import BESIDE_CLAIMS, Head, NewRow, Seen, StoredRow

ROWS_AT_ONCE: Final = 1_000
"""How many rows one INSERT has; SQLite takes 32,766 parameters."""
FROM_BOTH: Final = f"FROM stored_events e LEFT JOIN payloads p ON {BESIDE_CLAIMS}"
PASSES: Final = sweeping.PASSES.format(none="NULL")
"""Selects the events of passes."""
OF_STREAMS: Final = "WHERE e.originator_id IN (SELECT value FROM json_each(?))"
# All of it as one row, and blobs as hex, which fits into JSON whatever they hold.
_SEE: Final = f"""
    SELECT
    COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'stored_events'), 0),
    COALESCE((SELECT recorded_at FROM stored_events ORDER BY notification_id DESC LIMIT 1), 0),
    (SELECT json_group_array(json_array(
        e.notification_id, e.originator_id, e.originator_version, e.topic, hex(e.state),
        e.recorded_at, iif(p.body IS NULL, NULL, hex(p.body)))) {FROM_BOTH} {OF_STREAMS}),
    (SELECT json_group_array(json_array(p.message_id, e.originator_id))
     FROM payloads p JOIN stored_events e USING (notification_id)
     WHERE p.message_id IN (SELECT value FROM json_each(?)) AND p.message_id IS NOT NULL)
"""


def as_json(values: Collection[str]) -> str:
    """Write texts as the parameter of `json_each`."""
    return json.dumps(list(values))


def head_of(cursor: SQLiteCursor) -> Head:
    """Give the end of the log."""
    cursor.execute(
        "SELECT COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'stored_events'), 0), "
        "COALESCE((SELECT recorded_at FROM stored_events ORDER BY notification_id DESC LIMIT 1), 0)"
    )
    return Head._make(cursor.fetchone())


def see(cursor: SQLiteCursor, streams: Collection[str], message_ids: Collection[str]) -> Seen:
    """Give what a write decides on; see `ledger.recorders.base.Seen`."""
    cursor.execute(_SEE, (as_json(streams), as_json(message_ids)))
    position, recorded_at, events, messages = cursor.fetchone()
    rows = [
        StoredRow(at, stream, version, topic, bytes.fromhex(state), recorded, _bytes(body))
        for at, stream, version, topic, state, recorded, body in json.loads(events)
    ]
    rows.sort(key=lambda row: (row.stream, row.version))
    message_streams = [(message, stream) for message, stream in json.loads(messages)]

    def passes(limit: int) -> list[StoredRow]:
        cursor.execute(f"{PASSES} ORDER BY e.notification_id DESC LIMIT ?", (limit,))
        return [StoredRow._make(row) for row in cursor.fetchall()]

    return Seen(Head(position, recorded_at), rows, message_streams, passes)


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)


def append(
    cursor: SQLiteCursor, head: Head, new: Sequence[NewRow], now: Callable[[], int]
) -> tuple[list[int], Head]:
    """Append events; gives their positions and the end of the log, as `Log.transact` does."""
    if not new:
        return [], head
    recorded_at = max(now(), head.recorded_at + 1)
    positions = [head.position + 1 + index for index in range(len(new))]
    _insert(
        cursor,
        "stored_events",
        [
            (position, row.stream, row.version, row.topic, row.state, recorded_at + index)
            for index, (position, row) in enumerate(zip(positions, new, strict=True))
        ],
    )
    _insert(
        cursor,
        "payloads",
        [
            (position, row.salt, row.payload, row.message_id)
            for position, row in zip(positions, new, strict=True)
            if row.payload is not None
        ],
    )
    return positions, Head(positions[-1], recorded_at + len(new) - 1)


def _insert(cursor: SQLiteCursor, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows, hundreds by one statement: `executemany` would make a step for each."""
    for first in range(0, len(rows), ROWS_AT_ONCE):
        some = rows[first : first + ROWS_AT_ONCE]
        places = f"({', '.join('?' * len(some[0]))})"
        cursor.execute(
            f"INSERT INTO {table} VALUES {', '.join([places] * len(some))}",
            [value for row in some for value in row],
        )
