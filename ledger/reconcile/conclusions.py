"""What follows from absence: missing, asked for by name, proved to be deleted (semantics, 7).

Absence alone never proves a deletion. A connection that the provider answers with 404
`RESOURCE_NOT_FOUND`, and that a later valid pass does not list either, is deleted. A 401 proves
nothing, because an expired connection is answered so too.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Final, Protocol

from ledger.application import Noted
from ledger.domain.claim import SECOND_MS, Claim, Evidence, Kind, Statement, not_before
from ledger.domain.connection import Connection, fold
from ledger.domain.listing import was_listed_since
from ledger.domain.status import Status
from ledger.domain.sweep_events import SweepCompleted
from ledger.ofauth.errors import ConnectionGone, NoSession, ProviderError
from ledger.ofauth.results import Confirmed
from ledger.reconcile.past import Absence, absences, completed_passes
from ledger.recorders.base import Log

PROBES: Final = 20
"""How many connections one pass asks for by name at most."""


class Probing(Protocol):
    """Where one connection is asked for by name: the provider's client."""

    def probe(self, connection_id: str) -> Confirmed:
        """Ask for a connection; when it returns, the connection exists.

        Raises:
            ConnectionGone: the provider knows no such connection.
            ProviderError: anything else, which proves nothing.
        """


class Conclusions:
    """Draws conclusions from one valid pass, as claims of the connections that it did not list."""

    def __init__(self, log: Log, completed: SweepCompleted, evidence: Evidence) -> None:
        """Conclude from the pass of `evidence`, which `log` does not hold as completed yet."""
        self._log = log
        self._completed = completed
        self._evidence = evidence
        self._answered = completed.answered_from
        self.deleted: list[Noted] = []
        """Of those that are proved to be deleted."""
        self.missing: list[Noted] = []
        """Of those that became missing."""
        self._others: dict[str, Connection] = {}

    def draw(self, unlisted: Mapping[str, Sequence[Statement]]) -> None:
        """Conclude from what is known of connections that the pass did not list.

        Raises StoreUnavailable.
        """
        known = [one for id, said in unlisted.items() if (one := fold(id, said)) is not None]
        gone = [one for one in known if self._is_proved(one)]
        self.deleted = [self._noted(one, Kind.DELETION_PROVED) for one in gone]
        self._others = others = {one.id: one for one in known if not self._is_proved(one)}
        ids = frozenset(id for id, one in others.items() if one.missing_since is None)
        before = (one.event for one in completed_passes(self._log))
        found = absences(chain((self._completed,), before), ids)
        missing = [(id, absence) for id, absence in sorted(found.items()) if absence.is_missing]
        self.missing = [self._missing(others[id], absence) for id, absence in missing]

    def _is_proved(self, connection: Connection) -> bool:
        # All that is known of it was heard before this pass began. A `Date` has whole seconds, so
        # the two answers may say the same time, and `_noted` may have dated the first one later.
        if connection.not_found_at is None:
            return False
        unknown_at = connection.not_found_at - connection.not_found_at % SECOND_MS
        # A row speaks for a time before it was shown, and may stand before the 404 that it refutes.
        return unknown_at <= self._answered and not was_listed_since(connection, unknown_at)

    def ask(self, probing: Probing, record: Callable[[Noted], None]) -> None:
        """Ask for some of the others by name, and record of which the provider does not know them.

        Which ones come first is another at each pass. Raises what `record` raises.
        """
        ids = sorted(self._others)
        start = int(self._evidence.stream[-8:], 16) % len(ids) if ids else 0
        for id in [*ids[start:], *ids[:start]][:PROBES]:
            try:
                probing.probe(id)
            except ConnectionGone as error:
                record(self._noted(self._others[id], Kind.NOT_FOUND, error.answered))
            except NoSession:
                continue
            except ProviderError:
                return

    def _missing(self, connection: Connection, absence: Absence) -> Noted:
        fields = {"missingSince": absence.since}
        was_listed = any(step.claim.kind.is_row for step in connection.steps)
        if was_listed and absence.last_listed is not None:
            fields["lastListedAt"] = absence.last_listed
        return self._noted(connection, Kind.MISSING, **fields)

    def _noted(
        self, connection: Connection, kind: Kind, answered: int | None = None, **fields: int
    ) -> Noted:
        """State what was answered at a time, or with the first page of the pass.

        All that is known of the connection was known before it was asked for, and comes first.
        """
        newest = max(step.claim.k for step in connection.steps)
        claim = Claim(
            connection_id=connection.id,
            kind=kind,
            k=not_before(newest + 1, self._answered if answered is None else answered),
            status=Status.DELETED if kind.ends else None,
            fields=fields,
        )
        return Noted(claim.identified(), self._evidence)
