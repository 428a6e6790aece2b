"""What can happen to a Link session. Stream `link:<id>`, one for each session.

A browser only reports: what it says changes no connection and binds no client, and a success counts
only when a connection proves it. The provider's URL of a session and the reason that somebody gave
are no part of the events: they rest in payloads, and `forget` deletes them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ledger.domain.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkEvent(Event):
    """Something that happened to a Link session."""

    observed: int
    """When we saw it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRequested(LinkEvent):
    """A Link session was asked for; this is durable before the provider is called.

    Stream `link:<id>`. The reason that was given, if any, rests in its payload.
    """

    NAME = "link.requested"
    client: str | None = None
    """The `clientReferenceId` that it is for."""
    connection: str | None = None
    """Id of the connection that it shall bring back to life."""
    return_url: str | None = None
    """Where the browser is sent at the end; one of the settings'."""
    by: str
    """Who asked: a token's name."""
    via: str
    """`api`, or `drop_in` for the provider's own route."""
    risk: str | None = None
    """What may go wrong and was accepted: `unknown_target`, `deleted_target` (the provider would
    make another connection), `other_client` (the connection would be given away)."""
    digest: str = ""
    """SHA-256 of salt and payload, in hex; empty without a payload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkStarted(LinkEvent):
    """The provider has opened the session; its URL rests in the payload."""

    NAME = "link.started"
    expires_at: int | None = None
    """When the provider ends it, if it said so."""
    digest: str = ""
    """SHA-256 of salt and payload, in hex."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkReported(LinkEvent):
    """A browser said how the login ended; it may lie. At most one of a session is kept."""

    NAME = "link.reported"
    channel: str
    """`redirect`, or `embed`."""
    status: str
    """`success`, `cancelled` or `error`."""
    step: str | None = None
    """How far the creator came, in a word that the provider documents, or `other`."""
    error: str | None = None
    """What failed, in a word that the provider documents, or `other`."""
    connection: str | None = None
    """Id of the connection that the login is said to have ended in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkCompleted(LinkEvent):
    """A webhook or a row of the list proved that the login ended in a connection."""

    NAME = "link.completed"
    connection: str
    """Id of the connection."""
    proved_at: int
    """When it came to life, by the provider's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFailed(LinkEvent):
    """There is no session, or a browser reported an error."""

    NAME = "link.failed"
    reason: str
    """A fixed word: `unknown_outcome` when the provider may have opened a session that nobody got,
    `reported`, or why the provider did not open one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkCancelled(LinkEvent):
    """A browser reported that the creator gave up."""

    NAME = "link.cancelled"
    step: str | None = None
    """How far the creator came, in a word that the provider documents, or `other`."""


LINK_TYPES: Final[Mapping[str, type[LinkEvent]]] = {
    cls.NAME: cls
    for cls in (
        LinkRequested,
        LinkStarted,
        LinkReported,
        LinkCompleted,
        LinkFailed,
        LinkCancelled,
    )
}
"""Every event of a Link session by its stored name."""
