"""Forks that nobody reported: a connection that may have come of a session for another one.

The provider makes another connection without a word when it does not find the one that a session is
for. What fits is only suspected: it is said of a connection when somebody asks, and never recorded.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from ledger.domain.link_proof import AFTER_MS, is_open
from ledger.domain.link_session import LONGEST_LIFE_MS, LinkSession
from ledger.domain.status import Status

FLAG: Final = "forkSuspected"
"""The flag of a connection of which that is suspected."""
LONGEST_MS: Final = LONGEST_LIFE_MS + AFTER_MS
"""How long before its end a session may have been asked for, at most, in milliseconds."""


class Party(NamedTuple):
    """What matters of a connection."""

    id: str
    client: str | None
    account: str | None
    """Tells the upstream account that it is, or was, of, in whatever form; None when unknown."""
    status: str | None
    born_at: int | None
    """Milliseconds since the epoch, UTC."""
    forked: bool = False
    """Whether it is known of which connection it came."""


def suspected(
    parties: Iterable[Party], sessions: Sequence[LinkSession], known: Mapping[str, Party]
) -> set[str]:
    """Give the ids of those connections that are suspected to be forks.

    `sessions` are at least those for a connection that were open when one of them was born, and
    all of the clients concerned; `known` are the connections by id that sessions were for.
    """
    found = set()
    for party in parties:
        if party.born_at is None or party.forked:
            continue
        around = [session for session in sessions if is_open(session, party.born_at)]
        if not _explained(party, around) and any(
            _fits(party, one, around, known) for one in around
        ):
            found.add(party.id)
    return found


def _explained(party: Party, around: Iterable[LinkSession]) -> bool:
    """Tell whether a connection came of a session that was for it, or for none."""
    return any(
        session.completed is not None
        and session.completed.connection == party.id
        and session.request.connection in (None, party.id)
        for session in around
    )


def _fits(
    party: Party,
    session: LinkSession,
    around: Iterable[LinkSession],
    known: Mapping[str, Party],
) -> bool:
    """Tell whether a session for another connection may have ended in this one."""
    meant = session.request.connection
    if meant is None or meant == party.id:
        return False
    target = known.get(meant)
    if target is not None and target.status == Status.ACTIVE:
        return False
    if target is not None and target.account is not None and target.account == party.account:
        return True
    client = client_of(session, target)
    if client is None or client != party.client:
        return False
    return all(one.request.connection == meant for one in around if one.request.client == client)


def client_of(session: LinkSession, target: Party | None) -> str | None:
    """Give the client of a session: whom it names, else whoever has the connection it is for."""
    named = session.request.client
    return named if named is not None or target is None else target.client
