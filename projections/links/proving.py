"""Which Link sessions the log proves, as far as the views have read it.

Asked again and again with what is new in the log, this finds every proof: a session is looked at
whenever something happens to it, to a connection of its client, or to one that it names.
"""

from collections.abc import Collection, Iterable
from typing import Final

from ledger.domain.connection import Connection
from ledger.domain.link_proof import Proof, proofs
from ledger.domain.link_session import LinkSession
from ledger.domain.words import CONNECTION, LINK, connection_of, connection_stream, link_of
from ledger.recorders.base import Log
from projections.batch import tell_streams
from projections.current_state.view import clients_of
from projections.history.view import bound_connections
from projections.links import view
from projections.store import Reads, Session

CONCERNED: Final = ("connection.", "link.")
"""The events by which a proof may come: beginnings of their types."""


class Proving:
    """Finds proofs. Every method may raise StoreUnavailable."""

    def __init__(self, log: Log, store: Reads) -> None:
        """Look into a log and its views."""
        self._log = log
        self._store = store

    def all(self) -> list[Proof]:
        """Give the proofs of all sessions that are not proved yet."""
        with self._store.reading() as session:
            unproved = view.unproved(session)
        return self._prove(unproved)

    def concerning(self, streams: Collection[str]) -> list[Proof]:
        """Give the proofs of the sessions that something new in these streams may prove."""
        connections = {connection_of(one) for one in streams if one.startswith(CONNECTION)}
        links = {link_of(one) for one in streams if one.startswith(LINK)}
        with self._store.reading() as session:
            clients = clients_of(session, connections)
            unproved = view.unproved_among(
                session, links=links, clients=clients, connections=connections
            )
        return self._prove(unproved)

    def _prove(self, unproved: Iterable[LinkSession]) -> list[Proof]:
        found: dict[str, Proof] = {}
        alone = [one for one in unproved if one.request.client is None]
        for client in sorted({one.request.client for one in unproved if one.request.client}):
            with self._store.reading() as session:
                sessions = view.of_client(session, client)
                ids = _concerned(session, client, sessions)
            found |= {one.session.id: one for one in proofs(sessions, self._folded(ids))}
        for one in alone:
            ids = {id_ for id_ in (one.named, one.request.connection) if id_ is not None}
            found |= {proof.session.id: proof for proof in proofs([one], self._folded(ids))}
        return list(found.values())

    def _folded(self, ids: Collection[str]) -> dict[str, Connection]:
        """Fold connections up to the end of the log."""
        streams = sorted(connection_stream(id_) for id_ in ids)
        told = tell_streams(self._log, streams, self._log.head().position)
        return {one.connection.id: one.connection for one in told if one.connection is not None}


def _concerned(session: Session, client: str, sessions: Iterable[LinkSession]) -> set[str]:
    ids = set(bound_connections(session, client, _EVER))
    for one in sessions:
        ids |= {id_ for id_ in (one.named, one.request.connection) if id_ is not None}
    return ids


_EVER: Final = 2**62
