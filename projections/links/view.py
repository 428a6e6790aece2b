"""The questions that the rows of Link sessions answer."""

from collections.abc import Collection, Iterable
from typing import Any, Final

import msgspec

from ledger.domain.link_session import LinkSession
from projections.links.forks import LONGEST_MS
from projections.store import Session, among

_OPEN: Final = (
    "open_until >= {at} AND open_until <= {at} + :longest AND open_from <= {at}"  # as `is_open`
)
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


def targeted(session: Session, births: Iterable[int], up_to: int) -> set[str]:
    """Give the ids of the sessions for a connection that were open at one of these times.

    Only those that were asked for up to a position; times are milliseconds UTC.
    """
    found: set[str] = set()
    for born_at in births:
        query = f"""SELECT link_id FROM link_sessions{{g}} WHERE {_OPEN.format(at=":born_at")}
            AND target_id IS NOT NULL AND position <= :up_to"""
        params = {"born_at": born_at, "up_to": up_to, "longest": LONGEST_MS}
        found.update(row["link_id"] for row in session.rows(query, params))
    return found


def targeted_around(session: Session, connections: Collection[str]) -> list[LinkSession]:
    """Give the sessions that were for another connection and open when one of these was born."""
    found: dict[str, LinkSession] = {}
    for where, params in among("id", connections):
        query = f"""SELECT s.document FROM current_state{{g}} y JOIN link_sessions{{g}} s
            ON {_OPEN.format(at="y.born_at")} AND s.target_id IS NOT NULL AND s.target_id <> y.id
            WHERE y.{where}"""
        for row in session.rows(query, params | {"longest": LONGEST_MS}):
            one = _decode(row["document"])
            found[one.id] = one
    return list(found.values())


def unproved(session: Session) -> list[LinkSession]:
    """Give the sessions that are not proved."""
    return _sessions(session, "proved = 0", {})


def unproved_among(
    session: Session,
    *,
    links: Collection[str],
    clients: Collection[str],
    connections: Collection[str],
) -> list[LinkSession]:
    """Give the sessions that are not proved: these, those of these clients, and those that are
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
            some = _sessions(session, f"proved = 0 AND {where}", params)
            found |= {one.id: one for one in some}
    return list(found.values())


def _sessions(session: Session, where: str, params: dict[str, Any]) -> list[LinkSession]:
    query = f"SELECT document FROM link_sessions{{g}} WHERE {where} ORDER BY position"
    return [_decode(row["document"]) for row in session.rows(query, params)]
