"""The questions that the rows of Link sessions answer."""

from collections.abc import Collection
from typing import Any, Final

import msgspec

from ledger.domain.link_session import LinkSession
from projections.store import Session, among

_decode: Final = msgspec.json.Decoder(LinkSession).decode


def of_client(session: Session, reference: str) -> list[LinkSession]:
    """Give the sessions of a client, the first one asked for first."""
    return _sessions(session, "client_ref = :client", {"client": reference})


def ids_of_client(session: Session, reference: str, up_to: int) -> list[str]:
    """Give the ids of the sessions that were asked for, for a client, up to a position."""
    query = (
        "SELECT link_id FROM link_sessions{g} WHERE client_ref = :client AND position <= :up_to "
        "ORDER BY position"
    )
    rows = session.rows(query, {"client": reference, "up_to": up_to})
    return [row["link_id"] for row in rows]


def unproved(session: Session) -> list[LinkSession]:
    """Give the sessions that were not completed."""
    return _sessions(session, "completed = 0", {})


def unproved_among(
    session: Session,
    *,
    links: Collection[str],
    clients: Collection[str],
    connections: Collection[str],
) -> list[LinkSession]:
    """Give the sessions that were not completed: these, those of these clients, and those that are
    for one of these connections or of which a browser named one.
    """
    found: dict[str, LinkSession] = {}
    for column, values in (
        ("link_id", links),
        ("client_ref", clients),
        ("target_id", connections),
        ("named_id", connections),
    ):
        for where, params in among(column, values):
            some = _sessions(session, f"completed = 0 AND {where}", params)
            found |= {one.id: one for one in some}
    return list(found.values())


def _sessions(session: Session, where: str, params: dict[str, Any]) -> list[LinkSession]:
    query = f"SELECT document FROM link_sessions{{g}} WHERE {where} ORDER BY position"
    return [_decode(row["document"]) for row in session.rows(query, params)]
