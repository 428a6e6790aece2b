"""Everything that can be written into the log: the audit contract.

Deliveries, clients and connections are here, Link sessions in `link_events`, passes over the
provider's list in `sweep_events`.
Each class is one immutable event type. `TYPES` maps the short name that is stored to its class; a
name in it is never changed or reused. A change of an event's form raises its `VERSION` and adds an
upcast, so that events of every past version replay for ever; an event of a later version than the
code's is refused, never guessed at.

Times are integer milliseconds since the epoch in UTC. What may have to be forgotten (raw bodies,
`userData`, any text of others' choosing but the names of types and the two ids) is not in an event:
it rests in the payload beside it, of which the event keeps a salted digest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ledger.domain.claim import Statement
from ledger.domain.event import Event as Event
from ledger.domain.link_events import LINK_TYPES
from ledger.domain.sweep_events import SWEEP_TYPES


@dataclass(frozen=True, slots=True)
class Signed:
    """One signature that verified."""

    dialect: str
    """`documented`, `svix` or `standard`."""
    stamp: int
    """The signature's own time: seconds since the epoch, UTC."""
    secret: str
    """The label of the secret that verified it, never the secret."""
    message: str | None = None
    """The label of the provider's message id, when this dialect signs one; the id itself rests
    with the payload."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A claim that was drawn from a delivery."""

    connection: str
    """Id of the connection."""
    claim: str
    """Id of the claim."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryReceived(Event):
    """A signed delivery came for the first time; the raw body rests in its payload.

    Stream `delivery:<identity>`.
    """

    NAME = "delivery.received"
    receipt: str
    """Random name of this receipt: tells our own unacknowledged write from a repeat."""
    observed: int
    """When it reached us."""
    size: int
    """Bytes of the body."""
    digest: str
    """SHA-256 of salt and body, in hex; the salt rests with the body."""
    signed: tuple[Signed, ...]
    """The signatures that verified."""
    type: str | None = None
    """The provider's own type text, when it could be read."""
    kept: bool = True
    """Whether the body is kept: not for `rules.*`, `realtime.*` and `of.*`."""
    flags: tuple[str, ...] = ()
    """`delayed` (older than the tolerance), `test` (`live: false`), `id_reuse` (another body
    came before under this message id)."""
    drawn: tuple[Drawn, ...] = ()
    """The claims drawn from it; their events are in the same transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRepeated(Event):
    """The same delivery came again.

    At most 16 per delivery, more only when its stamp is earlier than all others.
    """

    NAME = "delivery.repeated"
    receipt: str
    """Random name of this receipt."""
    observed: int
    """When it reached us."""
    signed: tuple[Signed, ...]
    """The signatures that verified."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryParked(Event):
    """A delivery was kept, but could not be read."""

    NAME = "delivery.parked"
    reason: str
    """A fixed word: one of the reasons for parking."""
    detail: str
    """Which part could not be read, without any of its text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryResolved(Event):
    """A parked delivery was read after all; its claims are in the same transaction.

    With the flag `erased` it never will be: its body was erased.
    """

    NAME = "delivery.resolved"
    observed: int
    """When the delivery first reached us."""
    type: str | None = None
    """The provider's own type text."""
    flags: tuple[str, ...] = ()
    """`test`, or `erased`."""
    drawn: tuple[Drawn, ...] = ()
    """The claims drawn from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientErased(Event):
    """What may have to be forgotten of a client was deleted, in the same transaction.

    Stream `client:<hash>`, a keyed hash of the `clientReferenceId`: who has the reference and the
    store finds it, nobody else does.
    """

    NAME = "client.erased"
    observed: int
    """When it was asked for."""
    by: str
    """Who asked: a token's name, or `command`."""
    connections: tuple[str, ...]
    """Every connection that was ever the client's: their views must be made again."""
    deliveries: int
    """How many raw bodies were deleted."""
    claims: int
    """Of how many connection events the personal part was deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionEvent(Event):
    """A claim about a connection; the type says which transition it made, as known then.

    Stream `connection:<id>`. Views fold the claims and never read the types.
    """

    statement: Statement
    """The claim, whole, together with one piece of evidence."""
    digest: str = ""
    """Salted SHA-256 of the payload, in hex, which holds all that can be erased; empty when there
    is none."""


class ConnectionCreated(ConnectionEvent):
    """The first claim, and it states the beginning."""

    __slots__ = ()
    NAME = "connection.created"


class ConnectionDiscovered(ConnectionEvent):
    """The first claim, and it is not about the beginning."""

    __slots__ = ()
    NAME = "connection.discovered"


class ConnectionAwaiting2FA(ConnectionEvent):
    """The creator must pass a second factor."""

    __slots__ = ()
    NAME = "connection.awaiting_2fa"


class ConnectionActivated(ConnectionEvent):
    """The second factor was passed for the first time."""

    __slots__ = ()
    NAME = "connection.activated"


class ConnectionExpired(ConnectionEvent):
    """The session ended; the creator must authenticate again."""

    __slots__ = ()
    NAME = "connection.expired"


class ConnectionReconnected(ConnectionEvent):
    """The session is good again."""

    __slots__ = ()
    NAME = "connection.reconnected"


class ConnectionUpdated(ConnectionEvent):
    """Fields changed and the status did not."""

    __slots__ = ()
    NAME = "connection.updated"


class ConnectionConfirmed(ConnectionEvent):
    """A claim, or another piece of evidence for a known one, that changes nothing known."""

    __slots__ = ()
    NAME = "connection.confirmed"


class ConnectionReassigned(ConnectionEvent):
    """The connection now belongs to another clientReferenceId."""

    __slots__ = ()
    NAME = "connection.reassigned"


class ConnectionDeleted(ConnectionEvent):
    """The provider removed the connection for good."""

    __slots__ = ()
    NAME = "connection.deleted"


class ConnectionReappeared(ConnectionEvent):
    """A list row shows a connection that was missing, or that was deleted: it is still billed."""

    __slots__ = ()
    NAME = "connection.reappeared"


class ConnectionMissing(ConnectionEvent):
    """The provider's list does not show it any more, which proves nothing."""

    __slots__ = ()
    NAME = "connection.missing"


class ConnectionDeletionRequested(ConnectionEvent):
    """We were asked to delete it; written down before the provider is."""

    __slots__ = ()
    NAME = "connection.deletion_requested"


class ConnectionInvalidationRequested(ConnectionEvent):
    """We were asked to end its session; written down before the provider is."""

    __slots__ = ()
    NAME = "connection.invalidation_requested"


class ConnectionForked(ConnectionEvent):
    """A Link session for one connection ended in another."""

    __slots__ = ()
    NAME = "connection.forked"


class ConnectionExpirySuspected(ConnectionEvent):
    """The provider refused a call for want of a session, and nothing else has said so yet."""

    __slots__ = ()
    NAME = "connection.expiry_suspected"


CONNECTION_TYPES: Final[Mapping[str, type[ConnectionEvent]]] = {
    cls.NAME: cls
    for cls in (
        ConnectionCreated,
        ConnectionDiscovered,
        ConnectionAwaiting2FA,
        ConnectionActivated,
        ConnectionExpired,
        ConnectionReconnected,
        ConnectionUpdated,
        ConnectionConfirmed,
        ConnectionReassigned,
        ConnectionDeleted,
        ConnectionReappeared,
        ConnectionMissing,
        ConnectionDeletionRequested,
        ConnectionInvalidationRequested,
        ConnectionForked,
        ConnectionExpirySuspected,
    )
}

_DELIVERY_TYPES: Final[tuple[type[Event], ...]] = (
    DeliveryReceived,
    DeliveryRepeated,
    DeliveryParked,
    DeliveryResolved,
)

TYPES: Final[Mapping[str, type[Event]]] = {
    **{cls.NAME: cls for cls in _DELIVERY_TYPES},
    ClientErased.NAME: ClientErased,
    **LINK_TYPES,
    **SWEEP_TYPES,
    **CONNECTION_TYPES,
}
"""Every event type by its stored name: the only way from a stored name to code."""
