"""What follows from absence: missing, asked for by name, proved to be deleted (semantics, 7).

Absence alone never proves a deletion. A connection that the provider answers with 404
`RESOURCE_NOT_FOUND`, and that a later valid pass does not list either, is deleted. A 401 proves
nothing, because an expired connection is answered so too.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

from ledger.application import Ledger, Noted
from ledger.domain.claim import Claim, Evidence, Kind, Statement
from ledger.domain.connection import Connection, fold
from ledger.domain.status import Status
from ledger.ofauth.errors import ConnectionGone, NoSession, ProviderError
from ledger.ofauth.results import Confirmed
from ledger.reconcile.past import Absence, absences
from ledger.recorders.base import Guard

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
    """Draws conclusions from one valid pass, and records them as claims of the connections."""

    def __init__(
        self, ledger: Ledger, probing: Probing, *, evidence: Evidence, answered: int, guard: Guard
    ) -> None:
        """Conclude from the pass of `evidence`, whose first page was answered at `answered`."""
        self._ledger = ledger
        self._probing = probing
        self._evidence = evidence
        self._answered = answered
        self._guard = guard
        self.missing = 0
        """How many connections became missing."""
        self.deleted = 0
        """How many were proved to be deleted."""

    def draw(self, unlisted: Mapping[str, Sequence[Statement]]) -> None:
        """Conclude from what is known of connections that the pass did not list.

        Raises:
            LeaseLost: another process sweeps now.
            StoreUnavailable: the store failed.
        """
        known = {id: fold(id, statements) for id, statements in unlisted.items()}
        gone = [one for one in known.values() if one is not None and self._is_proved(one)]
        self._record([self._noted(one.id, Kind.DELETION_PROVED) for one in gone])
        self.deleted = len(gone)
        others = {
            one.id: one for one in known.values() if one is not None and not self._is_proved(one)
        }
        self._miss(others)
        self._probe(sorted(others))

    def _is_proved(self, connection: Connection) -> bool:
        # All that is known of it was heard before this pass began. A `Date` has whole seconds, so
        # the two answers may say the same time.
        return connection.not_found_at is not None and connection.not_found_at <= self._answered

    def _miss(self, connections: Mapping[str, Connection]) -> None:
        ids = frozenset(id for id, one in connections.items() if one.missing_since is None)
        found = absences(self._ledger.log, ids)
        missing = [(id, absence) for id, absence in sorted(found.items()) if absence.is_missing]
        self._record([self._missing(connections[id], absence) for id, absence in missing])
        self.missing = len(missing)

    def _probe(self, ids: Sequence[str]) -> None:
        """Ask for some of them by name; which ones first is another at each pass."""
        start = int(self._evidence.stream[-8:], 16) % len(ids) if ids else 0
        for id in [*ids[start:], *ids[:start]][:PROBES]:
            try:
                self._probing.probe(id)
            except ConnectionGone as error:
                answered = self._answered if error.answered is None else error.answered
                self._record([self._noted(id, Kind.NOT_FOUND, k=answered)])
            except NoSession:
                continue
            except ProviderError:
                return

    def _missing(self, connection: Connection, absence: Absence) -> Noted:
        fields = {"missingSince": absence.since}
        was_listed = any(step.claim.kind.is_row for step in connection.steps)
        if was_listed and absence.last_listed is not None:
            fields["lastListedAt"] = absence.last_listed
        return self._noted(connection.id, Kind.MISSING, fields=fields)

    def _noted(
        self, id: str, kind: Kind, *, k: int | None = None, fields: Mapping[str, int] | None = None
    ) -> Noted:
        claim = Claim(
            connection_id=id,
            kind=kind,
            k=self._answered if k is None else k,
            status=Status.DELETED if kind.ends else None,
            fields=fields or {},
        )
        return Noted(claim.identified(), self._evidence)

    def _record(self, noted: Iterable[Noted]) -> None:
        batch = list(noted)
        if batch:
            self._ledger.record(batch, guard=self._guard)
