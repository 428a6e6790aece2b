"""Erasing a person everywhere: the log, every copy of the views, the quarantine, the files."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from ledger.application import Ledger
from ledger.domain.connection import fold
from ledger.domain.errors import LedgerError
from ledger.erasure import Erased, Mentions
from ledger.quarantine import Quarantine
from ledger.reconcile.rows import statements_of
from ledger.recorders.base import Log
from projections.erasing import erase_views
from projections.store import Store

BEHIND = (
    "The views have not read that far yet, and what they were about to write may be in their "
    "files; give the same command again when `projections list` shows no lag."
)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was erased of a client; nothing is counted that was gone before."""

    client_reference_id: str
    position: int
    """Of `client.erased`, or the end of the log when only the quarantine knew the client."""
    connections: int
    """How many were ever the client's."""
    deliveries: int
    claims: int
    links: int
    """Link sessions of which the provider's address or the reason was kept."""
    quarantined: int
    live: int
    """How many connections are not deleted: the provider goes on telling of the person."""
    remains: tuple[str, ...]
    """Where copies may remain, a sentence each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgetting:
    """Where to erase."""

    ledger: Ledger
    quarantine: Quarantine
    database_url: str
    live: Callable[[], AbstractContextManager[Store | None]] = nullcontext
    """Lends the views that this process has open; others are opened for the time it takes."""
    reached: Callable[[int], bool] = lambda _: True
    """Waits until those views have read up to a position; False when it takes too long."""

    def __call__(self, reference: str, *, by: str) -> Forgotten | None:
        """Erase a client; None when it has never been heard of.

        It can be done again, and does what an interrupted one left undone. Raises
        StoreUnavailable when that is so.
        """
        log = self.ledger.log
        erased = self.ledger.forget(reference, by=by)
        held = self.quarantine.erase(erased.mentions if erased else Mentions([reference]))
        if erased is None:
            return _nothing_but(reference, held, log) if held else None
        remains = [] if self.reached(erased.position) else [BEHIND]
        with self.live() as live:
            remains += erase_views(log, self.database_url, erased.connections, live)
        remains += log.scrub()
        living = sum(_lives(log, connection) for connection in erased.connections)
        return _forgotten(reference, erased, held, living, remains)


def _nothing_but(reference: str, held: int, log: Log) -> Forgotten:
    position = log.head().position
    return Forgotten(reference, position, 0, 0, 0, 0, quarantined=held, live=0, remains=())


def _lives(log: Log, connection: str) -> bool:
    """Whether the provider may tell of a connection again, by everything in the log."""
    try:
        known = fold(connection, statements_of(log, [connection]).get(connection, ()))
    except LedgerError:
        return True  # this program cannot read all of it, so it cannot rule it out
    return known is not None and known.live


def _forgotten(
    reference: str, erased: Erased, held: int, living: int, remains: list[str]
) -> Forgotten:
    return Forgotten(
        reference,
        erased.position,
        len(erased.connections),
        erased.deliveries,
        erased.claims,
        erased.links,
        quarantined=held,
        live=living,
        remains=tuple(remains),
    )
