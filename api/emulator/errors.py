"""What the emulator refuses, in the provider's words; `provider` gives them the provider's form."""

from typing import ClassVar

from ledger.domain.errors import LedgerError


class Refused(LedgerError):
    """A call that the emulator does not carry out; the message goes into the answer."""

    type: ClassVar[str]
    """The provider's type word."""
    status: ClassVar[int]
    """The HTTP status of the answer."""
    action: ClassVar[str | None] = None
    """The provider's `actionRequired`."""


class BadRequest(Refused):
    """The call's parameters or body cannot be used."""

    type = "BAD_REQUEST"
    status = 400


class Unauthorized(Refused):
    """The call has no API key, or another one than the emulator was started with."""

    type = "UNAUTHORIZED"
    status = 401

    def __init__(self) -> None:
        super().__init__("Missing or invalid API key. Send the header `apikey: <key>`.")


class SessionNotProvided(Refused):
    """The connection does not exist or has no session, by the setting `gone` or `expired`."""

    type = "SESSION_NOT_PROVIDED"
    status = 401

    def __init__(self) -> None:
        super().__init__("Session not provided. Let the creator connect again.")


class SessionExpired(Refused):
    """The connection's session has ended, by the setting `expired`."""

    type = "SESSION_EXPIRED"
    status = 401
    action = "refresh_session"

    def __init__(self) -> None:
        super().__init__("Session expired. Let the creator connect again.")


class RulesOutdated(Refused):
    """Never for a reason: the fault `http401` answers so when `refusal` says it."""

    type = "RULES_OUTDATED"
    status = 401

    def __init__(self) -> None:
        super().__init__("Rules outdated. Fetch the newest ones and try again.")


class Forbidden(Refused):
    """Never for a reason: the fault `http403` answers so."""

    type = "FORBIDDEN"
    status = 403

    def __init__(self) -> None:
        super().__init__("This key may not do that. Use one with the permission.")


class RouteNotFound(Refused):
    """The provider has no such route."""

    type = "ROUTE_NOT_FOUND"
    status = 404

    def __init__(self) -> None:
        super().__init__("Route not found. See the documentation for the routes.")


class UnknownConnection(Refused):
    """The call names a connection that does not exist, or exists no more."""

    type = "RESOURCE_NOT_FOUND"
    status = 404

    def __init__(self) -> None:
        super().__init__(
            "No connection has this id. Take one from GET /_emulator/truth; a disconnected one "
            "is gone for good."
        )


class UnknownLink(Refused):
    """The call names a Link session that does not exist."""

    type = "RESOURCE_NOT_FOUND"
    status = 404

    def __init__(self) -> None:
        super().__init__("No Link session has this secret. POST /v2/link/init starts one.")


class LinkEnded(Refused):
    """The Link session has ended or lapsed, so nothing more can happen in it."""

    type = "BAD_REQUEST"
    status = 400

    def __init__(self) -> None:
        super().__init__("This Link session has ended. POST /v2/link/init starts another.")


class RateLimited(Refused):
    """More calls in a minute than `rateLimit` allows, or the fault `http429`."""

    type = "RATE_LIMIT_EXCEEDED"
    status = 429

    def __init__(self) -> None:
        super().__init__("Too many requests. Wait, then try again.")


class ServerFailed(Refused):
    """Never for a reason: the fault `http5xx` answers so, with 500, 502 or 503."""

    type = "INTERNAL_ERROR"
    status = 500

    def __init__(self) -> None:
        super().__init__("Something went wrong. Try again.")


REFUSALS = {
    kind.type: kind for kind in (Unauthorized, SessionNotProvided, SessionExpired, RulesOutdated)
}
"""The ways to say 401."""
