"""Link sessions: a creator logs in, enters a code, turns back or fails."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from string import ascii_letters, digits
from typing import Any, Final
from urllib.parse import urlencode, urlsplit, urlunsplit

from api.emulator.errors import BadRequest, LinkEnded, UnknownLink
from api.emulator.manner import Manner, Match, TwoFactor
from api.emulator.organisation import Organisation
from api.emulator.world import Action, Connection, Details
from api.times import format_millis

STEPS: Final = ("pre-login", "authorization", "login", "2fa")
"""Where a creator may turn back."""
ERROR_CODES: Final = ("invalid_credentials", "session_expired")
"""The published error codes; others may come."""
_ALPHABET: Final = ascii_letters + digits


class LinkStatus(StrEnum):
    """The provider's words for the state of a login."""

    INITIALIZED = "initialized"
    PENDING = "pending"
    AWAITING_2FA = "awaiting_2fa"
    COMPLETED = "completed"
    DENIED = "denied"
    INVALID_CREDENTIALS = "invalid_credentials"
    FAILED = "failed"


OPEN: Final = (LinkStatus.INITIALIZED, LinkStatus.PENDING, LinkStatus.AWAITING_2FA)


@dataclass(slots=True, kw_only=True)
class LinkSession:
    """One Link session; times are milliseconds since the epoch, UTC."""

    secret: str
    """The last part of its address."""
    redirect_url: str | None
    """Where it ends; None for the emulator's own page."""
    client_reference_id: str | None
    target: str | None
    """The connection to reconnect, as it was asked for."""
    created_at: int
    expires_at: int
    status: LinkStatus = LinkStatus.INITIALIZED
    step: str = STEPS[0]
    """What the creator sees, one of STEPS."""
    connection_id: str | None = None
    """The connection in which it ended, or that waits for its code."""
    login: "Login | None" = None
    """Who logged in, while a code is asked for."""
    outcome: Mapping[str, str] | None = None
    """The query parameters with which the browser was sent back."""

    def as_json(self) -> dict[str, Any]:
        """Give what really is."""
        return {
            "clientSecret": self.secret,
            "clientReferenceId": self.client_reference_id,
            "target": self.target,
            "status": self.status,
            "connectionId": self.connection_id,
            "createdAt": format_millis(self.created_at),
            "expiresAt": format_millis(self.expires_at),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Who logs in, and how."""

    details: Details
    code_asked: bool = False
    """Whether a 2FA code is asked for."""
    elsewhere: bool = False
    """Whether the target is left alone and another connection comes to be."""
    at: int | None = None
    """When it happens: milliseconds since the epoch, UTC; None for now."""
    hold: bool = False
    """Whether its webhooks are held back."""

    def with_code(self) -> "Login":
        """Give the same login, with a code asked for."""
        return replace(self, code_asked=True)


class Links:
    """The Link sessions of one organisation. The caller holds a lock."""

    def __init__(
        self, organisation: Organisation, rng: random.Random, now: Callable[[], int]
    ) -> None:
        """Start without sessions; `now` gives milliseconds since the epoch, UTC."""
        self._organisation = organisation
        self._rng = rng
        self._now = now
        self._sessions: dict[str, LinkSession] = {}

    def begin(
        self,
        manner: Manner,
        *,
        redirect_url: str | None,
        client_reference_id: str | None,
        target: str | None,
    ) -> LinkSession:
        """Make a session; an unknown or deleted target is taken without a word.

        Raises:
            BadRequest: the redirect URL is not a registered one.
        """
        moment = self._now()
        session = LinkSession(
            secret="".join(self._rng.choices(_ALPHABET, k=32)),
            redirect_url=_registered(redirect_url, manner),
            client_reference_id=client_reference_id,
            target=target,
            created_at=moment,
            expires_at=moment + manner.linkSeconds * 1000,
        )
        self._sessions[session.secret] = session
        self._organisation.effects.linked += 1
        return session

    def get(self, secret: str) -> LinkSession:
        """Give a session; one whose time is over has failed.

        Raises:
            UnknownLink: there is none.
        """
        session = self._sessions.get(secret)
        if session is None:
            raise UnknownLink
        if session.status in OPEN and self._now() > session.expires_at:
            self._end(session, LinkStatus.FAILED, status="error", error_code="session_expired")
        return session

    def drop(self, secret: str) -> None:
        """Forget a session.

        Raises:
            UnknownLink: there is none.
        """
        if self._sessions.pop(secret, None) is None:
            raise UnknownLink

    def everyone(self) -> list[LinkSession]:
        """Give all sessions, first to last."""
        return [self.get(secret) for secret in self._sessions]

    def advance(self, secret: str) -> LinkSession:
        """Let the creator go on to the next step, at most to the login.

        Raises:
            UnknownLink: there is no such session.
            LinkEnded: it is over.
        """
        session = self._open(secret)
        if session.step != "2fa":
            session.step = STEPS[min(STEPS.index(session.step) + 1, STEPS.index("login"))]
            session.status = LinkStatus.PENDING
        return session

    def log_in(self, secret: str, login: Login, manner: Manner) -> LinkSession:
        """Let the creator log in; a session without a code to ask for is complete.

        Raises:
            UnknownLink: there is no such session.
            LinkEnded: it is over.
        """
        session = self._open(secret)
        if not login.code_asked:
            self._connect(session, login, Action.RECONNECT)
            self._complete(session)
            return session
        session.status, session.step, session.login = LinkStatus.AWAITING_2FA, "2fa", login
        if manner.twoFactor is TwoFactor.LISTED:
            self._connect(session, login, Action.AWAIT_2FA)
        return session

    def enter_code(self, secret: str, *, at: int | None = None, hold: bool = False) -> LinkSession:
        """Let the creator enter the 2FA code: the session is complete.

        Raises:
            UnknownLink: there is no such session.
            LinkEnded: it is over, or it asks for no code.
        """
        session = self._open(secret)
        if session.login is None:
            raise LinkEnded
        self._connect(session, replace(session.login, at=at, hold=hold), Action.RECONNECT)
        self._complete(session)
        return session

    def cancel(self, secret: str, step: str) -> LinkSession:
        """Let the creator turn back at a step.

        Raises:
            UnknownLink: there is no such session.
            LinkEnded: it is over.
            BadRequest: there is no such step.
        """
        if step not in STEPS:
            raise BadRequest(f"Unknown step, expected one of {', '.join(STEPS)}.")
        session = self._open(secret)
        self._end(session, LinkStatus.DENIED, status="cancelled", step=step)
        return session

    def fail(self, secret: str, error_code: str) -> LinkSession:
        """Let the login fail.

        Raises:
            UnknownLink: there is no such session.
            LinkEnded: it is over.
        """
        session = self._open(secret)
        known = error_code == "invalid_credentials"
        status = LinkStatus.INVALID_CREDENTIALS if known else LinkStatus.FAILED
        self._end(session, status, status="error", error_code=error_code)
        return session

    def connection(self, session: LinkSession) -> Connection | None:
        """Give the connection in which a session ended, as it is or was."""
        if session.connection_id is None:
            return None
        return self._organisation.world.remembered(session.connection_id)

    def _open(self, secret: str) -> LinkSession:
        session = self.get(secret)
        if session.status not in OPEN:
            raise LinkEnded
        return session

    def _connect(self, session: LinkSession, login: Login, action: Action) -> None:
        """Bring the session's connection on, or let one come to be.

        A target that is gone makes another connection, as the provider does without a word.
        """
        organisation = self._organisation
        chosen = session.connection_id or (None if login.elsewhere else session.target)
        details = login.details
        if details.client_reference_id is None and session.client_reference_id is not None:
            details = replace(details, client_reference_id=session.client_reference_id)
        if chosen is not None and organisation.world.exists(chosen):
            organisation.act(chosen, action, details, at=login.at, hold=login.hold)
            session.connection_id = chosen
            return
        known = None if session.target is None else organisation.world.remembered(session.target)
        if known is not None:
            details = _like(known, details)
        status = "awaiting_2fa" if action is Action.AWAIT_2FA else "active"
        made = organisation.create(details, status=status, at=login.at, hold=login.hold)
        session.connection_id = made.id

    def _complete(self, session: LinkSession) -> None:
        assert session.connection_id is not None
        self._end(
            session, LinkStatus.COMPLETED, status="success", connection_id=session.connection_id
        )

    def _end(self, session: LinkSession, ending: LinkStatus, **outcome: str) -> None:
        session.status = ending
        if session.client_reference_id is not None:
            outcome["client_reference_id"] = session.client_reference_id
        session.outcome = outcome


def return_url(session: LinkSession, base: str) -> str:
    """Give the address to which an ended session sends the browser.

    `base` is the emulator's own address, whose page is the end of a session without a redirect.
    """
    parts = urlsplit(session.redirect_url or f"{base}/link/finished")
    added = urlencode(session.outcome or {})
    return urlunsplit(parts._replace(query=f"{parts.query}&{added}".lstrip("&")))


def _registered(url: str | None, manner: Manner) -> str | None:
    registered = manner.redirectUris
    if url is None:
        return registered[0] if registered else None
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise BadRequest("redirectUrl is not an http or https URL.")
    by_prefix = manner.redirectMatch is Match.PREFIX
    matching = [one for one in registered if url == one or (by_prefix and url.startswith(one))]
    if registered and not matching:
        raise BadRequest("redirectUrl is not registered. Register it in the dashboard.")
    return url


def _like(known: Connection, details: Details) -> Details:
    """Give the details of a new connection of the account that a lost one had."""
    return replace(details, user_data={**known.user_data, **(details.user_data or {})})
