"""What the projections answer: plain values, without any wire format.

Times are integer milliseconds since the epoch in UTC, `recorded_at` is in microseconds. A fact that
is absent is None.

What is made in great numbers is a `Struct`; what rests in a view as a document is written as an
array, because names would be half of its bytes.
"""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")
Cursor = tuple[str | int, ...]
"""Where a page ended: the sort key of its last item."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """A value, and how much of the log it rests on."""

    value: T
    position: int
    """The last position folded into it."""
    projection: str
    version: int
    """The version of the projection's rules; equal versions answer an old question equally."""
    generation: int
    """Which copy of the view answered."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list."""

    items: tuple[T, ...]
    next: Cursor | None
    """What to give as `after` for the next part; None at the end."""


class ConnectionView(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """What is true of one connection."""

    id: str
    client_reference_id: str | None
    status: str | None
    """None while no claim has said a status."""
    status_since: int | None
    permissions: tuple[str, ...] | None
    user_data: dict[str, Any] | None
    created_at: int | None
    updated_at: int | None
    expired_at: int | None
    deleted_at: int | None
    missing_since: int | None = None
    deletion_requested_at: int | None = None
    expiry_suspected_at: int | None = None
    asked_at: int | None = None
    """When the oldest command was asked for that is not proved to be done."""
    imported: bool | None
    last_checked_at: int | None
    last_evidence_at: int
    """When the newest evidence reached us, or a pass found it unchanged."""
    last_evidence_source: str
    """`webhook`, `sweep` or `command`."""
    stale: bool
    """Whether it lives and its newest evidence is older than the limit."""
    predecessor_id: str | None = None
    successor_id: str | None = None
    duplicate_of: str | None = None
    """The oldest other live connection of the same upstream account; imported ones do not count."""
    flags: tuple[str, ...]
    """What a reader should be warned of, sorted."""


class LinkReport(Struct, frozen=True, kw_only=True):
    """What a browser said of the end of a Link session."""

    channel: str
    status: str
    step: str | None
    error: str | None
    connection_id: str | None
    reported_at: int


class LinkView(Struct, frozen=True, kw_only=True):
    """What is true of one Link session."""

    link_id: str
    client_reference_id: str | None
    connection_id: str | None
    """Which connection it was to bring back to life."""
    status: str
    """`pending`, `completed`, `failed`, `cancelled` or `lapsed`."""
    requested_at: int
    requested_by: str
    via: str
    risk: str | None
    return_url: str | None
    started_at: int | None
    expires_at: int | None
    """When it ends, or ended; None when the provider has not opened it."""
    report: LinkReport | None
    completed_at: int | None
    """When the connection came to life that proves it, by the provider's clock."""
    completed_connection_id: str | None
    failed_at: int | None
    failure_reason: str | None
    cancelled_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientView:
    """What is true of whoever a clientReferenceId names."""

    client_reference_id: str
    status: str | None
    """That of its best live connection; with none, `pending` while a Link session is open, else
    `failed`, `cancelled` or `lapsed` when the last one came to nothing, else `deleted` when it had
    connections."""
    connections: tuple[ConnectionView, ...]
    """By creation, then id."""
    link_sessions: tuple[LinkView, ...] = ()
    """By position: the first one asked for first."""
    last_evidence_at: int | None
    last_evidence_source: str | None
    stale: bool
    """Whether any of its live connections is stale."""


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Live connections of one upstream account, each of which is billed; none of them imported."""

    count: int
    """How many there are."""
    connections: tuple[ConnectionView, ...]
    """The oldest of them first; of very many not all."""


class EvidenceView(Struct, frozen=True, gc=False):
    """One thing that a history entry rests on."""

    position: int | None
    """Where it lies in the log; None when it lies behind the end that was asked for."""
    delivery_id: str
    """Its stream."""
    dialect: str
    """The dialect of the signature, `sweep` or `command`."""
    observed_at: int


class HistoryEntry(Struct, frozen=True, kw_only=True, gc=False):
    """One transition of one connection, or one confirmation of what was known."""

    position: int
    type: str
    """What it was, by everything known now (or at the time asked for)."""
    recorded_as: str | None
    """What it was taken for when it was recorded, if that differs."""
    connection_id: str
    client_reference_id: str | None
    occurred_at: int
    """By the provider's clock."""
    observed_at: int
    """When its first evidence reached us."""
    recorded_at: int
    """When it entered the log: microseconds since the epoch, UTC."""
    source: str
    """`webhook`, `sweep` or `command`."""
    late: bool
    """Whether it was recorded after something that occurred later."""
    summary: str
    """One sentence, without ids."""
    data: dict[str, Any]
    """`changes` (name to `from` and `to`), `status` after it, and what the claim carried."""
    evidence: tuple[EvidenceView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedDelivery:
    """A delivery that was kept but could not be read."""

    stream: str
    position: int
    """Of the event that parked it."""
    reason: str
    detail: str
    type: str | None
    """The provider's type text, when it could be read."""
    size: int
    """Bytes of the body."""
    observed_at: int
    dialect: str | None


@dataclass(frozen=True, slots=True)
class Blocked:
    """A stream that a projection could not fold to its end."""

    projection: str
    stream: str
    """Holds a connection id: for those who may see one."""
    name: str
    """The stream's name as it may be printed."""
    position: int
    """Of the first event that is not in the view."""
    reason: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the views of one generation have come."""

    generation: int
    positions: dict[str, int]
    """By projection."""
    blocked: tuple[Blocked, ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is, for metrics."""

    connections: dict[str, int]
    """By status; `unknown` where none was said."""
    blocked: dict[str, int]
    """Streams by projection; 0 where all is well."""
    parked: int
    duplicates: int
    """Upstream accounts with several live connections."""
