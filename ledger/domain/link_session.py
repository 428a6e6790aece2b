"""LinkSession: one hosted login, from the moment it is asked for to the connection that proves it.

The fold of a session's events is plain bookkeeping in the order of its stream. Whether a session is
still open is a question of time: nothing is written when it lapses.
"""

import re
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, TypeVar

from ledger.domain.event import Event
from ledger.domain.link_events import (
    LinkCancelled,
    LinkCompleted,
    LinkEvent,
    LinkFailed,
    LinkReported,
    LinkRequested,
    LinkStarted,
)

UNANSWERED_MS: Final = 15 * 60_000
"""A session that has not been started by then never will be: whoever asked died while asking."""
ASSUMED_LIFE_MS: Final = 60 * 60_000
"""How long a session is taken to live when the provider does not say; it names 30 to 60 minutes."""
LONGEST_LIFE_MS: Final = 24 * 60 * 60_000
"""No session counts as open for longer, whatever end the provider names."""
UNKNOWN_OUTCOME: Final = "unknown_outcome"
"""Why a session failed of which it is not known whether the provider has opened it."""
REPORTED: Final = "reported"
"""Why a session failed of which a browser reported an error."""
STEPS: Final = frozenset({"pre-login", "authorization", "login", "2fa", "success", "error"})
"""How far a creator can have come, in the provider's words (`step` of its redirect and embed)."""
ERRORS: Final = frozenset({"invalid_credentials", "session_expired"})
"""What can fail, in the words that the provider documents (`error_code`, `error_type`)."""
OTHER: Final = "other"
"""Stands for every other word of a browser: it could be anything about anybody."""
E = TypeVar("E", bound=LinkEvent)
_ID: Final = re.compile(r"link_[0-9a-f]{24}")


class LinkState(StrEnum):
    """Where a Link session stands."""

    PENDING = "pending"
    """It is open: the creator may still finish."""
    COMPLETED = "completed"
    """A connection proved that the creator finished."""
    FAILED = "failed"
    """It was never opened, or a browser reported an error."""
    CANCELLED = "cancelled"
    """A browser reported that the creator gave up."""
    LAPSED = "lapsed"
    """Its time is over, and nothing proved that the creator finished."""


class ReportStatus(StrEnum):
    """How a login ended, as a browser says."""

    SUCCESS = "success"
    CANCELLED = "cancelled"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSession:
    """What is known of one Link session; times are milliseconds since the epoch, UTC."""

    id: str
    request: LinkRequested
    """What was asked for."""
    started: LinkStarted | None = None
    report: LinkReported | None = None
    """What a browser said; only the first counts."""
    completed: LinkCompleted | None = None
    failed: LinkFailed | None = None
    cancelled: LinkCancelled | None = None

    @property
    def ends_at(self) -> int:
        """When it can no longer be pending."""
        if self.started is None:
            return self.request.observed + UNANSWERED_MS
        named = self.started.expires_at
        end = self.started.observed + ASSUMED_LIFE_MS if named is None else named
        return min(end, self.request.observed + LONGEST_LIFE_MS)

    @property
    def named(self) -> str | None:
        """Id of the connection that a browser named as the outcome; None when none did."""
        report = self.report
        return report.connection if report and report.status == ReportStatus.SUCCESS else None

    @property
    def is_proved(self) -> bool:
        """Whether a connection proved it, and no browser names another one.

        The connection that it was for may come to life by itself before the browser comes back.
        """
        return self.completed is not None and self.named in (None, self.completed.connection)

    def state(self, at: int) -> LinkState:
        """Say where it stands at a time; a proof wins over whatever a browser said."""
        if self.completed is not None:
            return LinkState.COMPLETED
        if self.failed is not None:
            return LinkState.FAILED
        if self.cancelled is not None:
            return LinkState.CANCELLED
        if at < self.ends_at:
            return LinkState.PENDING
        return LinkState.LAPSED if self.started is not None else LinkState.FAILED

    def failure(self, at: int) -> str | None:
        """Say why it has failed, in a fixed word; None when it has not."""
        if self.state(at) is not LinkState.FAILED:
            return None
        return UNKNOWN_OUTCOME if self.failed is None else self.failed.reason

    def awaits_report(self, at: int) -> bool:
        """Whether a browser may still say how the login ended."""
        return self.started is not None and self.report is None and at < self.ends_at


def is_link_id(text: str) -> bool:
    """Tell whether a text has the form of a session's id: `link_` and 24 hex digits."""
    return _ID.fullmatch(text) is not None


def provider_word(text: str | None, known: Container[str]) -> str | None:
    """Give a word that a browser passed on, if it is one of the known ones, else `other`.

    It rests in the event, which is never erased.
    """
    return text if text is None or text in known else OTHER


def fold_link(link_id: str, events: Iterable[Event]) -> LinkSession | None:
    """Fold the events of a session, in the order of its stream; None before it was asked for."""
    session: LinkSession | None = None
    for event in events:
        if isinstance(event, LinkEvent):
            session = _after(session, link_id, event)
    return session


def _after(session: LinkSession | None, link_id: str, event: LinkEvent) -> LinkSession | None:
    if session is None:
        return LinkSession(id=link_id, request=event) if isinstance(event, LinkRequested) else None
    match event:
        case LinkStarted():
            return replace(session, started=event)
        case LinkReported():
            return replace(session, report=event)
        case LinkCompleted():
            return replace(session, completed=event)
        case LinkFailed():
            return replace(session, failed=event)
        case LinkCancelled():
            return replace(session, cancelled=event)
    return session


def admitted(
    link_id: str, known: Sequence[Event], wanted: Iterable[LinkEvent]
) -> tuple[LinkEvent, ...]:
    """Give those of the wanted events that may follow the known ones, in their order.

    What happened already does not happen again, and nothing follows a first one that may not come.
    """
    session, taken = fold_link(link_id, known), list[LinkEvent]()
    for event in wanted:
        if _may_follow(session, event):
            session = _after(session, link_id, event)
            taken.append(event)
        elif not taken:
            return ()
    return tuple(taken)


def _may_follow(session: LinkSession | None, event: LinkEvent) -> bool:
    if session is None:
        return isinstance(event, LinkRequested)
    unproved = session.completed is None
    match event:
        case LinkStarted():
            return session.started is None and session.failed is None
        case LinkReported():
            return session.awaits_report(event.observed)
        case LinkCompleted():
            again = not session.is_proved and event.connection == session.named
            return session.started is not None and (unproved or again)
        case LinkFailed() | LinkCancelled():
            return unproved and session.failed is None and session.cancelled is None
    return False


def valid_at(session: LinkSession, at: int) -> LinkSession | None:
    """Give what was true of a session at a time; None before it was asked for.

    A completion counts from when the connection came to life, the rest from when we saw it.
    """
    if session.request.observed > at:
        return None
    completed = session.completed
    return replace(
        session,
        started=_seen(session.started, at),
        report=_seen(session.report, at),
        completed=completed if completed is not None and completed.proved_at <= at else None,
        failed=_seen(session.failed, at),
        cancelled=_seen(session.cancelled, at),
    )


def _seen(event: E | None, at: int) -> E | None:
    return event if event is not None and event.observed <= at else None
