"""The questions that the rows of the history answer."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec
from msgspec.structs import replace

from ledger.recorders.base import Log
from projections.answers import Cursor, HistoryEntry, Page
from projections.history.entries import Details, Placed
from projections.store import Session

By = Literal["position", "occurredAt"]
Order = Literal["asc", "desc"]

_decode: Final = msgspec.json.Decoder(Details).decode
_KEYS: Final[dict[By, tuple[str, ...]]] = {
    "position": ("position", "n"),
    "occurredAt": ("occurred_at", "place", "position", "n"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which entries of a history, and in which order."""

    types: Sequence[str] = ()
    """Only these; all when empty."""
    from_ms: int | None = None
    """Only what occurred at or after this time, milliseconds UTC."""
    to_ms: int | None = None
    """Only what occurred before this time, milliseconds UTC."""
    by: By = "position"
    order: Order = "asc"
    after: Cursor | None = None
    limit: int

    def page(self, entries: Iterable[Placed]) -> Page[HistoryEntry]:
        """Cut the wanted page out of all entries of a history."""
        rows: list[tuple[Cursor, Placed]] = [
            (placed.by_position if self.by == "position" else placed.by_occurrence, placed)
            for placed in entries
            if self._keeps(placed)
        ]
        rows.sort(key=lambda row: row[0], reverse=self.order == "desc")
        if self.after is not None:
            rows = [row for row in rows if self._is_beyond(row[0], self.after)]
        return self._cut(rows)

    def read(self, session: Session, column: str, value: str) -> Page[HistoryEntry]:
        """Read the wanted page where `column` (client_ref or connection_id) has a value."""
        key = _KEYS[self.by]
        where, params = [f"{column} = :value"], {"value": value, "limit": self.limit + 1}
        for i, name in enumerate(self.types):
            params[f"type_{i}"] = name
        if self.types:
            where.append(f"type IN ({', '.join(f':type_{i}' for i in range(len(self.types)))})")
        for condition, time in (
            ("occurred_at >= :from_ms", self.from_ms),
            ("occurred_at < :to_ms", self.to_ms),
        ):
            if time is not None:
                where.append(condition)
                params[condition.rpartition(":")[2]] = time
        if self.after is not None:
            sign = ">" if self.order == "asc" else "<"
            places = ", ".join(f":after_{i}" for i in range(len(key)))
            where.append(f"({', '.join(key)}) {sign} ({places})")
            params.update({f"after_{i}": part for i, part in enumerate(self.after)})
        direction = " DESC" if self.order == "desc" else ""
        rows = session.rows(
            f"SELECT * FROM history{{g}} WHERE {' AND '.join(where)} "
            f"ORDER BY {', '.join(part + direction for part in key)} LIMIT :limit",
            params,
        )
        return self._cut([(tuple(row[part] for part in key), _placed(row)) for row in rows])

    def _keeps(self, placed: Placed) -> bool:
        return (
            (not self.types or placed.type in self.types)
            and (self.from_ms is None or placed.occurred_at >= self.from_ms)
            and (self.to_ms is None or placed.occurred_at < self.to_ms)
        )

    def _is_beyond(self, key: tuple[Any, ...], after: Cursor) -> bool:
        return key > after if self.order == "asc" else key < after

    def _cut(self, rows: Sequence[tuple[Cursor, Placed]]) -> Page[HistoryEntry]:
        part = rows[: self.limit]
        return Page(
            tuple([placed.entry for _, placed in part]),
            part[-1][0] if len(rows) > self.limit else None,
        )


def _placed(row: Any) -> Placed:
    return Placed(
        client=row["client_ref"] or None,
        position=row["position"],
        n=row["n"],
        connection_id=row["connection_id"],
        type=row["type"],
        occurred_at=row["occurred_at"],
        place=row["place"],
        bound_at=row["bound_at_position"],
        details=_decode(row["document"]),
    )


def with_positions(log: Log, page: Page[HistoryEntry], up_to: int) -> Page[HistoryEntry]:
    """Say of each evidence where it lies in the log, as far as that is up to a position."""
    streams = {evidence.delivery_id for entry in page.items for evidence in entry.evidence}
    firsts = log.first_positions(streams) if streams else {}
    found = {stream: position for stream, position in firsts.items() if position <= up_to}
    items = [
        replace(
            entry,
            evidence=tuple(
                replace(evidence, position=found.get(evidence.delivery_id))
                for evidence in entry.evidence
            ),
        )
        for entry in page.items
    ]
    return Page(tuple(items), page.next)


def is_bound(session: Session, reference: str) -> bool:
    """Tell whether any claim ever bound a connection to this client."""
    query = "SELECT 1 AS one FROM history_bindings{g} WHERE client_ref = :client LIMIT 1"
    return bool(session.rows(query, {"client": reference}))


def has_entries(session: Session, column: str, value: str) -> bool:
    """Tell whether a client or a connection (by column) has a history entry now."""
    query = f"SELECT 1 AS one FROM history{{g}} WHERE {column} = :value LIMIT 1"
    return bool(session.rows(query, {"value": value}))


def bound_connections(session: Session, reference: str, up_to: int) -> list[str]:
    """Give every connection that a claim up to a position bound to this client."""
    query = (
        "SELECT connection_id FROM history_bindings{g} "
        "WHERE client_ref = :client AND bound_at_position <= :up_to ORDER BY connection_id"
    )
    params = {"client": reference, "up_to": up_to}
    return [row["connection_id"] for row in session.rows(query, params)]
