"""Which connection proves that a Link session was finished.

A browser's word is no proof. A signed webhook or a row of the provider's list is, when it shows
that a connection came to life while the session was open: the one that the browser named, or the
one that the session was for, or, when neither is named, the only one of the client that did.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from ledger.domain.connection import Connection, Step
from ledger.domain.link_session import LinkSession
from ledger.domain.status import Status

AFTER_MS: Final = 5 * 60_000
"""How long after a session's end a connection may still come to life by it."""
BEFORE_MS: Final = 2_000
"""How long before it, because the provider may write its times in whole seconds."""
_ASLEEP: Final = frozenset({Status.EXPIRED, Status.AWAITING_2FA})
"""What a connection comes to life from, unless it is born."""


class Proof(NamedTuple):
    """A session, and the connection that it ended in."""

    session: LinkSession
    connection: str
    """Its id."""
    proved_at: int
    """When it came to life: milliseconds since the epoch, UTC."""
    meant: str | None = None
    """Id of the connection that the session was for, when it ended in another: a fork."""
    meant_known: bool = False
    """Whether anything is known of that one."""


def is_open(session: LinkSession, at: int) -> bool:
    """Tell whether a connection that comes to life at a time may do so by this session."""
    began = session.request.observed - BEFORE_MS
    return session.started is not None and began <= at <= session.ends_at + AFTER_MS


def proofs(sessions: Sequence[LinkSession], connections: Mapping[str, Connection]) -> list[Proof]:
    """Give what proves those of these sessions that are not proved yet.

    They must be all sessions of a client; `connections` by id are all of the client's, and those
    that the sessions name. A time at which a connection came to life proves one session only,
    unless browsers name it for several: that which was asked for last.
    """
    taken = {(s.completed.connection, s.completed.proved_at) for s in sessions if s.completed}
    found: list[Proof] = []
    for session in sorted(sessions, key=_certain_first):
        candidates = [
            proof
            for connection in _candidates(session, connections)
            if (proof := _prove(session, connection)) is not None
            and (session.named or (proof.connection, proof.proved_at) not in taken)
        ]
        if not session.is_proved and len(candidates) == 1:
            proof = _with_fork(candidates[0], connections)
            taken.add((proof.connection, proof.proved_at))
            found.append(proof)
    return found


def _with_fork(proof: Proof, known: Mapping[str, Connection]) -> Proof:
    meant = proof.session.request.connection
    if meant is None or meant == proof.connection:
        return proof
    return proof._replace(meant=meant, meant_known=meant in known)


def _certain_first(session: LinkSession) -> tuple[int, int, str]:
    certain = 0 if session.named else 1 if session.request.connection else 2
    return certain, -session.request.observed, session.id


def _candidates(
    session: LinkSession, connections: Mapping[str, Connection]
) -> Iterable[Connection]:
    only = session.named or session.request.connection
    if only is not None:
        one = connections.get(only)
        return [one] if one is not None and _may_be_of(session, one) else []
    client = session.request.client
    return [one for one in connections.values() if client is not None and one.client == client]


def _may_be_of(session: LinkSession, connection: Connection) -> bool:
    """Tell whether a connection that is named for a session can be of it, by whose it is."""
    asked = session.request
    return asked.client in (None, connection.client) or connection.id == asked.connection


def _prove(session: LinkSession, connection: Connection) -> Proof | None:
    certain = connection.id == session.named
    for step in connection.steps:
        at = _when(step)
        if not is_open(session, at):
            continue
        # Of the one that is named a word is enough; the webhook of its expiry may be lost.
        if (certain and step.claim.status is Status.ACTIVE) or _awakes(session, connection, step):
            return Proof(session, connection.id, at)
    born = connection.created_at
    if certain and born is not None and is_open(session, born) and _was_logged_in(connection):
        return Proof(session, connection.id, born)  # so the webhooks of that time were lost
    return None


def _was_logged_in(connection: Connection) -> bool:
    # What has expired was active before.
    return any(step.claim.status in (Status.ACTIVE, Status.EXPIRED) for step in connection.steps)


def _awakes(session: LinkSession, connection: Connection, step: Step) -> bool:
    """Tell whether a connection becomes active that was not, or that is born by the session."""
    before, after = step.changes.get("status", (None, None))
    if after is not Status.ACTIVE:
        return False
    born = connection.created_at
    return before in _ASLEEP or (before is None and born is not None and is_open(session, born))


def _when(step: Step) -> int:
    """Give when it was so: a row may be read long after what it tells happened."""
    claim = step.claim
    updated = claim.fields.get("updatedAt")
    return updated if claim.kind.is_row and isinstance(updated, int) else claim.k
