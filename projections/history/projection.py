"""One row per history entry, so that a page of one client's history is one indexed range read."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from ledger.domain.notes import REQUESTS
from ledger.domain.words import CONNECTION, connection_of
from projections.base import Insert, Row, Statement, Table, Values, Write
from projections.batch import Told, statements
from projections.history.entries import Placed, bindings, entries_of

NO_CLIENT: Final = ""
"""Stands in the key for entries of connections that belong to no client."""

ENTRIES: Final = Table(
    "history",
    """client_ref {text} NOT NULL,
    position BIGINT NOT NULL,
    n SMALLINT NOT NULL,
    connection_id {text} NOT NULL,
    type {text} NOT NULL,
    occurred_at BIGINT NOT NULL,
    place SMALLINT NOT NULL,
    bound_at_position BIGINT NOT NULL,
    document TEXT NOT NULL""",
    key=("client_ref", "position", "n"),
    indexes={
        "connection": ("connection_id", "position", "n"),
        "timeline": ("client_ref", "occurred_at", "place", "position", "n"),
    },
)
BINDINGS: Final = Table(
    "history_bindings",
    """client_ref {text} NOT NULL,
    connection_id {text} NOT NULL,
    bound_at_position BIGINT NOT NULL""",
    key=("client_ref", "connection_id"),
)
FORGET: Final = "DELETE FROM history{g} WHERE connection_id = :connection_id"
DELETE: Final = (
    "DELETE FROM history{g} WHERE client_ref = :client_ref AND position = :position AND n = :n"
)
UPSERT: Final = Insert(
    ENTRIES.name,
    (
        *("client_ref", "position", "n", "connection_id", "type", "occurred_at", "place"),
        *("bound_at_position", "document"),
    ),
    """ON CONFLICT (client_ref, position, n) DO UPDATE SET type = excluded.type,
    occurred_at = excluded.occurred_at, place = excluded.place,
    bound_at_position = excluded.bound_at_position, document = excluded.document""",
)
BIND: Final = Insert(
    BINDINGS.name,
    ("client_ref", "connection_id", "bound_at_position"),
    "ON CONFLICT DO NOTHING",
)

Key = tuple[str, int, int]
_encode: Final = msgspec.json.Encoder().encode


class History:
    """What happened to each client's connections."""

    name = "history"
    version = 2
    streams: tuple[str, ...] = (CONNECTION,)
    tables: Sequence[Table] = (ENTRIES, BINDINGS)
    statements: Sequence[Statement] = (FORGET, DELETE, UPSERT, BIND)
    plain: Sequence[Insert] = (UPSERT, BIND)

    def writes(self, told: Told) -> Iterable[Write]:
        """See `Projection`; rows that stay as they are are not written again."""
        connection_id, bound = connection_of(told.stream), bindings(told.stated)
        start, held = _first_changed(told), dict[Key, Placed]()
        if told.fresh:
            yield Write(FORGET, {"connection_id": connection_id})
        elif start is None:
            before = statements(told.old)
            held = _keyed(entries_of(told.before, before, bindings(before)))
        wanted = entries_of(told.connection, told.stated, bound, start or 0)
        if held:
            kept = _keyed(wanted)
            gone = held.keys() - kept.keys()
            yield Write(DELETE, *({"client_ref": c, "position": p, "n": n} for c, p, n in gone))
            wanted = [placed for key, placed in kept.items() if held.get(key) != placed]
        yield Write(UPSERT, *map(_row, wanted))
        for client, position in bound.items():
            if told.fresh or position > told.since:
                yield Write(BIND, (client, connection_id, position))

    def condense(self, statement: Statement, many: Sequence[Row]) -> Sequence[Row]:
        """See `Projection`."""
        return many


def _first_changed(told: Told) -> int | None:
    """Give the number of steps that the new facts leave as they were; None if not at once clear.

    They do when everything new comes after everything old and tells nothing more about it, as a
    request of our own may. This spares most batches the second fold.
    """
    if told.connection is None or told.fresh:
        return None
    if not told.old:
        return 0
    before = statements(told.old)
    old = {statement.claim.id for _, statement in before}
    new = {statement.claim.id for _, statement in statements(told.new)}
    steps = told.connection.steps
    same = len(old)
    in_order = all(step.claim.id in old for step in steps[:same]) and all(
        step.claim.id in new for step in steps[same:]
    )
    if not in_order or not old.isdisjoint(new):
        return None
    if any(step.claim.kind in REQUESTS for step in steps[same:]):
        return None
    owned = bool(bindings(before)) or steps[0].client is None
    return same if owned else None


def _keyed(entries: Iterable[Placed]) -> dict[Key, Placed]:
    return {(placed.client or NO_CLIENT, placed.position, placed.n): placed for placed in entries}


def _row(placed: Placed) -> Values:
    client, position, n, connection_id, name, occurred_at, place, bound_at, details = placed
    document, client = _encode(details).decode(), client or NO_CLIENT
    return (client, position, n, connection_id, name, occurred_at, place, bound_at, document)
