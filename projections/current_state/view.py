"""The questions that the rows of current connections answer."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from ledger.domain.words import CONNECTION
from projections.answers import ConnectionView, Cursor, Page
from projections.current_state.document import at_moment
from projections.errors import AmbiguousConnection, UnknownConnection
from projections.store import Session

SHORT: Final = "conn~"
_decode: Final = msgspec.json.Decoder(ConnectionView).decode
_SELECT: Final = f"""SELECT c.document, b.stream IS NOT NULL AS blocked FROM current_state{{g}} c
    LEFT JOIN blocked{{g}} b
    ON b.projection = 'current_state' AND b.stream = '{CONNECTION}' || c.id"""


class CurrentConnections:
    """Reads current connections in one transaction, as of a moment (milliseconds UTC)."""

    def __init__(self, session: Session, *, moment_ms: int, stale_after_ms: int) -> None:
        """Call a live connection stale when its evidence is older than `stale_after_ms`."""
        self._session = session
        self._moment_ms = moment_ms
        self._stale_after_ms = stale_after_ms

    def one(self, connection_id: str) -> ConnectionView | None:
        """Give one connection."""
        return next(iter(self._views("c.id = :id", {"id": connection_id})), None)

    def of_client(self, reference: str) -> list[ConnectionView]:
        """Give the connections that belong to a client now."""
        return self._views("c.client_ref = :client", {"client": reference})

    def page(
        self,
        *,
        status: str | None = None,
        client: str | None = None,
        stale: bool | None = None,
        after: Cursor | None = None,
        limit: int,
    ) -> Page[ConnectionView]:
        """List connections by id, those only that fit every condition given."""
        where, params = ["TRUE"], {"limit": limit + 1}
        conditions: dict[str, Any] = {
            "c.status = :status": status,
            "c.client_ref = :client": client,
            "c.id > :after": None if after is None else after[0],
        }
        for condition, value in conditions.items():
            if value is not None:
                where.append(condition)
                params[condition.rpartition(":")[2]] = value
        if stale is not None:
            where.append(f"({_STALE})" if stale else f"NOT ({_STALE})")
            params["cutoff"] = self._moment_ms - self._stale_after_ms
        views = self._views(" AND ".join(where), params, "ORDER BY c.id LIMIT :limit")
        more = len(views) > limit
        items = tuple(views[:limit])
        return Page(items, (items[-1].id,) if more else None)

    def _views(self, where: str, params: dict[str, Any], tail: str = "") -> list[ConnectionView]:
        return [
            at_moment(
                _decode(row["document"]),
                moment_ms=self._moment_ms,
                stale_after_ms=self._stale_after_ms,
                blocked=bool(row["blocked"]),
            )
            for row in self._session.rows(f"{_SELECT} WHERE {where} {tail}", params)
        ]


_STALE: Final = (
    "c.last_evidence_at < :cutoff AND COALESCE(c.status, '') <> 'deleted'"  # like `at_moment`
)


def ids_by_short_form(session: Session, short: str) -> list[str]:
    """Give the ids of the connections that have this short form."""
    rows = session.rows("SELECT id FROM current_state{g} WHERE short_id = :short", {"short": short})
    return [row["id"] for row in rows]


def only_one(short: str, ids: Sequence[str]) -> str:
    """Give the one id that a short form stands for.

    Raises:
        UnknownConnection: it stands for none.
        AmbiguousConnection: it stands for several.
    """
    if not ids:
        raise UnknownConnection(short)
    if len(ids) > 1:
        raise AmbiguousConnection(short, len(ids))
    return ids[0]


def count_by_status(session: Session) -> dict[str, int]:
    """Count the connections by status; `unknown` where none was said."""
    query = "SELECT status, COUNT(*) AS number FROM current_state{g} GROUP BY status"
    return {row["status"] or "unknown": row["number"] for row in session.rows(query)}
