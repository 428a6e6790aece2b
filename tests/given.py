"""Given some claims, when another comes, then these events: the rules of the fold as sentences.

`at` and `answered` are milliseconds after noon, an arbitrary instant. A claim that is not wrapped
in a statement rests on a delivery of its own, so the same claim twice is the same delivery twice.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

from ledger.domain.claim import Claim, Evidence, Kind, Statement
from ledger.domain.connection import Connection, fold, names_of
from ledger.domain.status import Status

CONNECTION: Final = "conn_abc123"
NOON: Final = 1_705_320_000_000
"""2024-01-15T12:00:00Z in milliseconds since the epoch."""
SECOND: Final = 1_000
MINUTE: Final = 60 * SECOND

Said = Claim | Statement


@dataclass(frozen=True, slots=True)
class Given:
    """What was known."""

    known: tuple[Statement, ...]

    def when(self, said: Said) -> "When":
        """Let one more claim come."""
        return When(self.known, as_statement(said))


@dataclass(frozen=True, slots=True)
class When:
    """A claim that came, after what was known."""

    known: tuple[Statement, ...]
    new: Statement

    def then(self, *events: str) -> None:
        """Assert the names of the events it makes, in their order."""
        assert names_of(self.known, self.new) == events

    def then_nothing(self) -> None:
        """Assert that it makes no event."""
        self.then()


def given(*said: Said) -> Given:
    """Start from claims that are known; their order here does not matter."""
    return Given(tuple(as_statement(one) for one in said))


def view(*said: Said) -> Connection:
    """Give what is true by these claims."""
    connection = fold(CONNECTION, [as_statement(one) for one in said])
    assert connection is not None
    return connection


def as_statement(said: Said) -> Statement:
    """Let a claim rest on a delivery of its own."""
    return said if isinstance(said, Statement) else delivered(said, said.id)


def delivered(claim: Claim, delivery: str) -> Statement:
    """Let a claim rest on the delivery of this name."""
    return Statement(claim, Evidence(f"delivery:{delivery}", "documented", claim.k))


def swept(claim: Claim, sweep: str = "1") -> Statement:
    """Let a claim rest on a pass over the provider's list."""
    return Statement(claim, Evidence(f"sweep:{sweep}", "sweep", claim.k))


def created(*, at: int = 0, status: Status | None = Status.ACTIVE, **fields: Any) -> Claim:
    """`connection.created`."""
    return said(Kind.CREATED, at, status, fields)


def updated(*, at: int = 0, status: Status | None = None, **fields: Any) -> Claim:
    """`connection.updated`, which may carry no status."""
    return said(Kind.UPDATED, at, status, fields)


def active(*, at: int = 0, **fields: Any) -> Claim:
    """`connection.updated` that says active."""
    return updated(at=at, status=Status.ACTIVE, **fields)


def awaiting_2fa(*, at: int = 0, **fields: Any) -> Claim:
    """`connection.updated` that says awaiting_2fa."""
    return updated(at=at, status=Status.AWAITING_2FA, **fields)


def expired(*, at: int = 0, **fields: Any) -> Claim:
    """`connection.expired`."""
    return said(Kind.EXPIRED, at, Status.EXPIRED, fields)


def disconnected(*, at: int = 0, **fields: Any) -> Claim:
    """`connection.disconnected`."""
    return said(Kind.DISCONNECTED, at, Status.DELETED, fields)


def delete_confirmed(*, at: int = 0) -> Claim:
    """The provider's 2xx to our own DELETE."""
    return said(Kind.DELETE_CONFIRMED, at, Status.DELETED, {})


def deletion_proved(*, at: int = 0) -> Claim:
    """Not found by the provider, and not listed after that."""
    return said(Kind.DELETION_PROVED, at, Status.DELETED, {})


def invalidated(*, at: int = 0) -> Claim:
    """The provider's 2xx to our own invalidate."""
    return said(Kind.INVALIDATED, at, Status.EXPIRED, {})


def missing(*, at: int = 0, since: int = 0) -> Claim:
    """A note: passes have not listed it `since`, and did a minute before."""
    fields = {"missingSince": NOON + since, "lastListedAt": NOON + since - MINUTE}
    return said(Kind.MISSING, at, None, fields)


def not_found(*, at: int = 0, **closing: str) -> Claim:
    """A note: the provider does not know it."""
    return said(Kind.NOT_FOUND, at, None, closing)


def refused(*, at: int = 0, closes: str) -> Claim:
    """A note: the provider refused the command of this name."""
    return said(Kind.REFUSED, at, None, {"closes": closes})


def delete_requested(
    *, at: int = 0, by: str = "ops", reason: str | None = None, **named: str
) -> Claim:
    """A note: we were asked to delete it."""
    return requested(Kind.DELETE_REQUESTED, at, by, reason, **named)


def invalidate_requested(
    *, at: int = 0, by: str = "ops", reason: str | None = None, **named: str
) -> Claim:
    """A note: we were asked to end its session."""
    return requested(Kind.INVALIDATE_REQUESTED, at, by, reason, **named)


def requested(kind: Kind, at: int, by: str, reason: str | None, **named: str) -> Claim:
    """A note of a request of our own; with the name of its `command` a refusal may close it."""
    note = said(kind, at, None, {"requestedBy": by, **named})
    return replace(note, personal={} if reason is None else {"reason": reason}).identified()


def expiry_suspected(*, at: int = 0, **closing: str) -> Claim:
    """A note: a call was refused for want of a session."""
    return said(Kind.EXPIRY_SUSPECTED, at, None, closing)


def forked(*, at: int = 0, **side: str) -> Claim:
    """A note: a session for another ended in it (`predecessorId`), or its own in `successorId`."""
    return said(Kind.FORKED, at, None, {"linkId": "link_1", **side})


def birth(*, at: int = 0, **fields: Any) -> Claim:
    """The `createdAt` of a row seen for the first time."""
    return said(Kind.BIRTH, at, None, fields)


def row(
    *, at: int | None = None, answered: int, status: Status | None = Status.ACTIVE, **fields: Any
) -> Claim:
    """A list row; without `at` it did not change in the two minutes before the answer."""
    k = answered - 2 * MINUTE if at is None else at
    return replace(said(Kind.ROW, k, status, fields), answered=NOON + answered).identified()


def first_seen(kind: Kind, *, at: int, status: Status) -> Claim:
    """What a row seen for the first time says of its `updatedAt` or `expiredAt`."""
    return said(kind, at, status, {})


def stamped(claim: Claim, *, delivery: str = "unstamped body") -> Statement:
    """Let a claim be dated by the signature of a delivery whose body carries no time."""
    return delivered(replace(claim, stamped=True), delivery)


def flagged(claim: Claim, *flags: str) -> Claim:
    """Mark what was odd about a claim."""
    return replace(claim, flags=flags)


def said(kind: Kind, at: int, status: Status | None, fields: dict[str, Any]) -> Claim:
    """Build a claim: `client` is its reference, `user` its userData, the rest its fields."""
    renamed = {("clientReferenceId" if k == "client" else k): v for k, v in fields.items()}
    user = renamed.pop("user", None)
    return Claim(
        connection_id=CONNECTION,
        kind=kind,
        k=NOON + at,
        status=status,
        fields=renamed,
        personal={} if user is None else {"userData": user},
    ).identified()


def names(connection: Connection) -> list[tuple[str, ...]]:
    """Give the names in a folded history, in the order of the claims."""
    return [step.names for step in connection.steps]
