"""Commands about one connection: deleting it, and ending its session.

What is asked for is durable before the provider is called. What the provider answered is recorded
as a claim; what it did not answer stays open, and whoever looks later decides from the log alone
whether to call again (`Intent`). Deleting may be called again at any time, because it cannot happen
twice. Ending a session may not: the creator could have logged in again meanwhile.

A refusal is no outcome: what is commanded goes on until it is proved. Only of a request that is
`closable` it is the end, because who asked is told of the refusal, and must not find it done later.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from ledger.application import Noted, Recorded
from ledger.domain.claim import Claim, Evidence, Kind, Statement, not_before
from ledger.domain.connection import Connection, fold
from ledger.domain.orders import Order, open_orders
from ledger.domain.status import Status
from ledger.domain.sweep_events import SweepCompleted
from ledger.ofauth.errors import ConnectionGone, NoSession, ProviderError
from ledger.ofauth.results import Confirmed

STEPS: Final = ("requested", "called", "settled", "refused")
"""The steps of a command, each a method of `Commands`: wherever the program dies between two of
them, the log tells the truth and nothing is done twice."""
COMMAND: Final = "command"
_ID_BYTES: Final = 8


_REQUESTED: Final = {
    Order.DELETE: Kind.DELETE_REQUESTED,
    Order.INVALIDATE: Kind.INVALIDATE_REQUESTED,
}
_DONE: Final = {
    Order.DELETE: (Kind.DELETE_CONFIRMED, Status.DELETED),
    Order.INVALIDATE: (Kind.INVALIDATED, Status.EXPIRED),
}


class Executor(Protocol):
    """What carries commands out: the client of the provider's API; raises ProviderError."""

    def delete(self, connection_id: str) -> Confirmed:
        """Delete a connection."""

    def invalidate(self, connection_id: str) -> Confirmed:
        """End the session of a connection."""


@dataclass(frozen=True, slots=True)
class Request:
    """A command that is durable, as who calls the provider for it has it."""

    order: Order
    connection: str = field(repr=False)
    evidence: str
    """The name of the command, on which its claims rest."""
    requested_at: int
    """Milliseconds since the epoch, UTC."""
    position: int | None
    """Of the request in the log; None when it was not written just now."""
    closable: bool = False
    """Whether a refusal of this call ends it."""


class Known(Protocol):
    """What is known of a connection before a call about it."""

    @property
    def status(self) -> str | None:
        """Its status."""

    @property
    def expiry_suspected_at(self) -> int | None:
        """Since when its session is suspected to have ended; None when nothing suspects it."""


class Commands:
    """Records what is commanded and what became of it; durable when a method returns.

    Every method may raise LedgerBusy and StoreUnavailable.
    """

    def __init__(
        self,
        write: Callable[[Noted], Recorded],
        *,
        now_ms: Callable[[], int],
        entropy: Callable[[int], bytes],
    ) -> None:
        """Write through `write`; `now_ms` gives milliseconds UTC, `entropy(n)` n random bytes."""
        self._write = write
        self._now_ms = now_ms
        self._entropy = entropy

    def requested(
        self,
        order: Order,
        connection: str,
        *,
        by: str,
        reason: str | None = None,
        closable: bool = False,
    ) -> Request:
        """Write down what is wanted, before anybody is asked."""
        evidence, now = self.new_evidence(), self._now_ms()
        fields = {"requestedBy": by}
        if closable:
            fields["command"] = evidence
        claim = Claim(
            connection_id=connection,
            kind=_REQUESTED[order],
            k=now,
            fields=fields,
            personal={} if reason is None else {"reason": reason},
        )
        position = self._noted(claim, evidence).position
        return Request(order, connection, evidence, now, position, closable)

    def called(self, executor: Executor, request: Request) -> Confirmed:
        """Call the provider, once; raises what the executor raises."""
        if request.order is Order.DELETE:
            return executor.delete(request.connection)
        return executor.invalidate(request.connection)

    def settled(self, request: Request, answered: int) -> Recorded:
        """Write down that the provider has done it; `answered` by its clock, milliseconds UTC."""
        kind, status = _DONE[request.order]
        k = not_before(request.requested_at, answered)
        claim = Claim(connection_id=request.connection, kind=kind, k=k, status=status)
        return self._noted(claim, request.evidence)

    def refused(
        self, request: Request, error: ProviderError, known: Known | None
    ) -> Recorded | None:
        """Write down what a refusal says of the connection, and that it closes a closable request.

        None when there is nothing to say: it says nothing of the connection, or a suspicion that
        holds already.
        """
        kind, closes = refusal(error, known), request.closable and not error.may_have_happened
        if kind is Kind.EXPIRY_SUSPECTED and known and known.expiry_suspected_at is not None:
            kind = None
        if kind is None and not closes:
            return None
        fields: dict[str, str | int] = {"closes": request.evidence} if closes else {}
        if closes and error.status is not None:
            fields["httpStatus"] = error.status
        answered = self._now_ms() if error.answered is None else error.answered
        claim = Claim(
            connection_id=request.connection,
            kind=kind or Kind.REFUSED,
            k=not_before(request.requested_at, answered),
            fields=fields,
        )
        return self._noted(claim, request.evidence)

    def new_evidence(self) -> str:
        """Make a name for a command."""
        return f"{COMMAND}:{self._entropy(_ID_BYTES).hex()}"

    def _noted(self, claim: Claim, evidence: str) -> Recorded:
        noted = Noted(claim.identified(), Evidence(evidence, COMMAND, self._now_ms()))
        return self._write(noted)


def refusal(error: ProviderError, known: Known | None) -> Kind | None:
    """Name what a refusal tells of a connection; None for nothing.

    A 404 about it does, and a 401 about the session of one that is taken to be active.
    """
    if isinstance(error, ConnectionGone):
        return Kind.NOT_FOUND
    active = known is not None and known.status == Status.ACTIVE
    return Kind.EXPIRY_SUSPECTED if isinstance(error, NoSession) and active else None


@dataclass(frozen=True, slots=True)
class Intent:
    """A command that is not proved to be done, as the log has it."""

    request: Request
    waits_for_sweep: bool
    """Whether a valid pass must tell something before the provider may be called again."""
    may_close: bool
    """Whether a refusal may end it: somebody else may be calling the provider for it."""


def intents(
    connection_id: str, known: Sequence[Statement], newest_pass: SweepCompleted | None
) -> list[Intent]:
    """Give the commands about a connection that are still open, by all that is known of it.

    `newest_pass` is the newest valid pass over the list.
    """
    connection = fold(connection_id, known)
    if connection is None:
        return []
    found = []
    for order, asked_at in open_orders(connection).items():
        asked = _asked(known, _REQUESTED[order], asked_at)
        request = Request(order, connection_id, asked.evidence.stream, asked_at, None)
        waits = _waits(connection, order, asked_at, newest_pass)
        found.append(Intent(request, waits, "command" in asked.claim.fields))
    return found


def _asked(known: Sequence[Statement], kind: Kind, at: int) -> Statement:
    """Give a request of this time; of several, one that goes on whatever is answered."""
    found = [s for s in known if s.claim.kind is kind and s.claim.k == at]
    return min(found, key=lambda s: ("command" in s.claim.fields, s.claim.order))


def _waits(
    connection: Connection, order: Order, requested_at: int, newest: SweepCompleted | None
) -> bool:
    """Tell whether calling again could do something twice, or could not help."""
    if connection.not_found_at is not None:
        return True
    if order is Order.DELETE:
        return False
    return not _unchanged_since(connection, requested_at, newest)


def _unchanged_since(
    connection: Connection, requested_at: int, newest: SweepCompleted | None
) -> bool:
    """Tell whether a pass after the request listed the connection as it was before it."""
    if newest is None or newest.answered_from <= requested_at:
        return False
    if connection.id in (*newest.absent, *newest.unseen):
        return False
    changed = connection.fields.get("updatedAt")
    return changed is not None and changed < requested_at
