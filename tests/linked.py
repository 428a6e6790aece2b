"""Short ways to say what happened to a Link session; times are milliseconds after noon."""

from typing import Any, Final

from ledger.domain.event import Event
from ledger.domain.link_events import (
    LinkCancelled,
    LinkCompleted,
    LinkFailed,
    LinkReported,
    LinkRequested,
    LinkStarted,
)
from ledger.domain.link_session import LinkSession, fold_link
from tests.given import CONNECTION, MINUTE, NOON

LINK: Final = "link_0123456789abcdef01234567"
CLIENT: Final = "user_1"
HOUR: Final = 60 * MINUTE


def asked(at: int = 0, client: str | None = CLIENT, **more: Any) -> LinkRequested:
    """Somebody asked for a session."""
    return LinkRequested(observed=NOON + at, client=client, by="ops", via="api", **more)


def opened(at: int = 0, life: int | None = HOUR) -> LinkStarted:
    """The provider opened it, and names its end unless `life` is None."""
    ends = None if life is None else NOON + at + life
    return LinkStarted(observed=NOON + at, expires_at=ends, digest="d")


def said(at: int = MINUTE, status: str = "success", **more: Any) -> LinkReported:
    """A browser said how it ended."""
    return LinkReported(observed=NOON + at, channel="redirect", status=status, **more)


def proved(
    at: int = MINUTE, connection: str = CONNECTION, seen: int | None = None
) -> LinkCompleted:
    """A connection proved it."""
    observed = NOON + (at if seen is None else seen)
    return LinkCompleted(observed=observed, connection=connection, proved_at=NOON + at)


def failed(at: int = MINUTE, reason: str = "unreachable") -> LinkFailed:
    """It failed."""
    return LinkFailed(observed=NOON + at, reason=reason)


def cancelled(at: int = MINUTE, step: str | None = "login") -> LinkCancelled:
    """The creator gave up."""
    return LinkCancelled(observed=NOON + at, step=step)


def session(*events: Event, id: str = LINK) -> LinkSession:
    """Give the session that these events make."""
    folded = fold_link(id, events)
    assert folded is not None
    return folded
