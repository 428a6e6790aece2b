"""Errors on the wire: RFC 9457 problem details for everything, and the only HTTP numbers."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from math import ceil
from typing import Any, Final

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from api.services import services
from ledger.application import UnknownDelivery
from ledger.domain.errors import LedgerBusy, LedgerError, StoreUnavailable
from ledger.ofauth.errors import ProviderError
from projections.errors import AmbiguousConnection, RebuildRunning, UnknownConnection

log = logging.getLogger(__name__)

CONTENT_TYPE: Final = "application/problem+json"
RETRY_AFTER_S: Final = "30"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem."""

    name: str
    status: int
    title: str
    advice: str
    """What the caller can do."""

    @property
    def type(self) -> str:
        """Its identifier on the wire."""
        return f"urn:connection-ledger:problem:{self.name}"


BAD_REQUEST: Final = Kind(
    "bad-request", 400, "The request could not be read", "Send what `/openapi.json` describes."
)
BAD_SIGNATURE: Final = Kind(
    "bad-signature",
    401,
    "The signature is not accepted",
    "Sign the raw body with a current secret.",
)
UNAUTHORIZED: Final = Kind(
    "unauthorized",
    401,
    "A valid token is needed",
    "Send `Authorization: Bearer <token>` or `apikey: <token>` with a token of LEDGER_API_TOKENS.",
)
FORBIDDEN: Final = Kind(
    "forbidden", 403, "The token lacks a scope", "Use a token with the scope that `detail` names."
)
NOT_FOUND: Final = Kind(
    "not-found", 404, "There is nothing here", "Check the path, or the spelling of the reference."
)
NOT_ALLOWED: Final = Kind(
    "method-not-allowed",
    405,
    "This method is not allowed here",
    "The `Allow` header lists the methods of this path.",
)
UNKNOWN_TARGET: Final = Kind(
    "unknown-target",
    409,
    "OFAuth would not reconnect this connection",
    "Ask for a Link session without a connection, or repeat with `force` to take the risk.",
)
FOREIGN: Final = Kind(
    "foreign-connection",
    409,
    "The connection is another client's",
    "Report what the creator's own browser said, or `force` the session to give it away.",
)
LINK_OVER: Final = Kind(
    "link-over",
    410,
    "This link can no longer be used",
    "Ask whoever sent it for a new one: a link is good once, and for a limited time.",
)
NO_STATE: Final = Kind(
    "no-link-state",
    403,
    "This browser did not begin this login here",
    "Begin with the link that was sent to you, in the same browser.",
)
AMBIGUOUS: Final = Kind("ambiguous", 409, "The short form fits more than one", "Give the whole id.")
REBUILDING: Final = Kind(
    "rebuild-running",
    409,
    "The views are being rebuilt already",
    "Wait for the end of that rebuild (`/api/projections`), or cancel it.",
)
TOO_LARGE: Final = Kind("too-large", 413, "The body is too large", "At most 1 MiB is read.")
WRONG_MEDIA: Final = Kind(
    "unsupported-media-type",
    415,
    "The body's type is not accepted",
    "Send the body as `application/json`.",
)
INVALID: Final = Kind(
    "invalid",
    422,
    "The request is not valid",
    "`errors` says which parts are not valid, and why.",
)
INTERNAL: Final = Kind(
    "internal",
    500,
    "Something went wrong here",
    "The log has the place where it failed, under this `requestId`. Report it.",
)
PROVIDER_REFUSED: Final = Kind(
    "provider-refused",
    502,
    "OFAuth did not do it",
    "`detail` says why. Nothing happened there.",
)
UNKNOWN_OUTCOME: Final = Kind(
    "unknown-outcome",
    503,
    "It is not known whether OFAuth did it",
    "It is not tried again by itself. Repeat the request to try again.",
)
PROVIDER_AWAY: Final = Kind(
    "provider-away",
    503,
    "OFAuth cannot be asked now",
    "Nothing happened there. Send the request again later.",
)
NOT_CONFIGURED: Final = Kind(
    "not-configured", 503, "A setting is missing", "Set what `detail` names, and start again."
)
NOT_REACHED: Final = Kind(
    "not-reached",
    503,
    "The views have not come that far",
    "Ask again; `/api/projections` shows how far they are.",
)
NOT_READY: Final = Kind(
    "not-ready", 503, "The service is not ready", "See the log for what the store says."
)
CROWDED: Final = Kind("crowded", 503, "Too many readers at once", "Ask again after a second.")
UNAVAILABLE: Final = Kind(
    "unavailable",
    503,
    "The store does not answer in time",
    "Nothing is promised about this request. Send it again later.",
)

KINDS: Final = (
    BAD_REQUEST,
    BAD_SIGNATURE,
    UNAUTHORIZED,
    FORBIDDEN,
    NO_STATE,
    NOT_FOUND,
    NOT_ALLOWED,
    UNKNOWN_TARGET,
    FOREIGN,
    AMBIGUOUS,
    REBUILDING,
    LINK_OVER,
    TOO_LARGE,
    WRONG_MEDIA,
    INVALID,
    INTERNAL,
    PROVIDER_REFUSED,
    UNKNOWN_OUTCOME,
    PROVIDER_AWAY,
    NOT_CONFIGURED,
    NOT_REACHED,
    NOT_READY,
    CROWDED,
    UNAVAILABLE,
)
"""Every kind of problem, by status."""

_BY_STATUS: Final = {
    kind.status: kind
    for kind in (BAD_REQUEST, NOT_FOUND, NOT_ALLOWED, TOO_LARGE, WRONG_MEDIA, INVALID)
}
PROVIDERS: Final = "/v2/"
"""How the provider's own paths begin."""
_STATUS_THERE: Final = {405: 404, 413: 400, 415: 400, 422: 400}
_TYPES_THERE: Final = {
    400: "BAD_REQUEST",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "ROUTE_NOT_FOUND",
    429: "RATE_LIMIT_EXCEEDED",
    502: "BAD_GATEWAY",
    503: "SERVICE_UNAVAILABLE",
}
_ASK_THE_PROVIDER: Final = (
    "The ledger passes on the Connections and Link calls only. For this one use {}, the provider."
)
_GOING_ON: Final = "The request is on disk: the ledger goes on with it until it is proved."
_NO_ROUTE: Final = "No route has this path. `/openapi.json` lists them all."


@dataclass(frozen=True, slots=True)
class FieldError:
    """One bad part of a request."""

    location: str
    """`query`, `json` or `path`."""
    name: str
    message: str


class Problem(Exception):
    """An error with its answer."""

    def __init__(
        self,
        kind: Kind,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        """Say what happened and what to do next; `more` are further members of the answer."""
        super().__init__(kind.title)
        self.kind = kind
        self.detail = detail
        self.errors = errors
        self.headers = headers or {}
        self.more = more


def invalid(name: str, message: str, location: str = "query") -> Problem:
    """Make the problem of one bad parameter."""
    return Problem(INVALID, INVALID.advice, errors=[FieldError(location, name, message)])


def bad_request(what: str) -> Problem:
    """Make the problem of a request that does not have the provider's form."""
    return Problem(BAD_REQUEST, what)


def missing(what: str, advice: str) -> Problem:
    """Make the problem of something the ledger does not know."""
    return Problem(NOT_FOUND, f"{what} {advice}")


def body_of(problem: Problem, request_id: str | None) -> bytes:
    """Write a problem as JSON."""
    kind = problem.kind
    body: dict[str, Any] = {
        "type": kind.type,
        "title": kind.title,
        "status": kind.status,
        "detail": problem.detail,
        "requestId": request_id,
    }
    if problem.errors:
        body["errors"] = [
            {"location": one.location, "name": one.name, "message": one.message}
            for one in problem.errors
        ]
    return json.dumps(body | problem.more, separators=(",", ":")).encode()


def answer(problem: Problem) -> Response:
    """Write a problem as Flask's answer; on the provider's own paths in the provider's form."""
    if request.path.startswith(PROVIDERS):
        return _as_the_provider(problem)
    body = body_of(problem, g.get("request_id"))
    response = Response(body, problem.kind.status, content_type=CONTENT_TYPE)
    response.headers.update(problem.headers)
    return response


def _as_the_provider(problem: Problem) -> Response:
    kind = problem.kind
    status = _STATUS_THERE.get(kind.status, kind.status)
    error = problem.detail
    if kind in (NOT_FOUND, NOT_ALLOWED):
        error = _ASK_THE_PROVIDER.format(services().settings().ofauth_url)
    body = {
        "error": error,
        "type": _TYPES_THERE.get(status, "INTERNAL_ERROR"),
        "requestId": g.get("request_id"),
    }
    content = json.dumps(body, separators=(",", ":")).encode()
    response = Response(content, status, content_type="application/json")
    response.headers.update(problem.headers)
    return response


def on_problem(error: Problem) -> Response:
    """Answer a problem that a view raised."""
    return answer(error)


def on_http_exception(error: HTTPException) -> Response:
    """Answer what Flask, werkzeug or webargs refused, with its own `Allow` and `Retry-After`."""
    kind = _kind_of(error.code or 500)
    detail = _NO_ROUTE if kind is NOT_FOUND else kind.advice
    headers = {
        name: value
        for name, value in error.get_headers(None)
        if name in ("Allow", "Retry-After", "WWW-Authenticate")
    }
    data = getattr(error, "data", None) or {}
    errors = list(_field_errors(data.get("messages")))
    return answer(Problem(kind, detail, errors=errors, headers=headers))


def refusal(status: int) -> Problem:
    """Make the problem of a request that the server refuses before the application."""
    kind = _kind_of(status)
    return Problem(kind, kind.advice)


def on_ledger_error(error: LedgerError) -> Response:
    """Answer an error of the ledger."""
    if isinstance(error, LedgerBusy | StoreUnavailable):
        return answer(unavailable())
    if isinstance(error, UnknownDelivery | UnknownConnection):
        return answer(Problem(NOT_FOUND, str(error)))
    if isinstance(error, AmbiguousConnection):
        return answer(Problem(AMBIGUOUS, str(error)))
    if isinstance(error, ProviderError):
        return answer(provider_problem(error))
    if isinstance(error, RebuildRunning):
        return answer(Problem(REBUILDING, str(error)))
    return on_exception(error)


def unavailable() -> Problem:
    """Make the problem of a store or queue that could not promise anything."""
    return Problem(UNAVAILABLE, UNAVAILABLE.advice, headers={"Retry-After": RETRY_AFTER_S})


def provider_problem(error: ProviderError) -> Problem:
    """Make the problem of a call to the provider that did not give what was asked for."""
    if error.may_have_happened:
        return Problem(UNKNOWN_OUTCOME, f"{error} {UNKNOWN_OUTCOME.advice}")
    if error.passes:
        wait = ceil(error.retry_after or 1)
        return Problem(PROVIDER_AWAY, str(error), headers={"Retry-After": str(wait)})
    return Problem(PROVIDER_REFUSED, str(error))


def going_on(error: ProviderError) -> Problem:
    """Make the problem of a command that goes on although its call did not give what it is for."""
    wait = None if error.retry_after is None else {"Retry-After": str(ceil(error.retry_after))}
    kind = UNKNOWN_OUTCOME if error.may_have_happened else PROVIDER_AWAY
    return Problem(kind, f"{error} {_GOING_ON}", headers=wait)


def unforeseen(error: Exception, request_id: str | None) -> Problem:
    """Log what nobody foresaw and make its problem; its text may hold data, so it goes nowhere."""
    log.error("a request failed", exc_info=error, extra={"request": request_id})
    return Problem(INTERNAL, INTERNAL.advice)


def on_exception(error: Exception) -> Response:
    """Answer what nobody foresaw."""
    return answer(unforeseen(error, g.get("request_id")))


def register(app: Flask) -> None:
    """Make every error of the application a problem."""
    app.register_error_handler(Problem, on_problem)
    app.register_error_handler(HTTPException, on_http_exception)
    app.register_error_handler(LedgerError, on_ledger_error)
    app.register_error_handler(Exception, on_exception)


def _kind_of(code: int) -> Kind:
    status = HTTPStatus(code)
    return _BY_STATUS.get(status) or Kind(
        status.phrase.lower().replace(" ", "-"), status, status.phrase, BAD_REQUEST.advice
    )


def _field_errors(messages: Any) -> Iterator[FieldError]:
    """Flatten what marshmallow says: location to (nested) field to list of messages."""
    if isinstance(messages, Mapping):
        for location, fields in messages.items():
            yield from _flatten(str(location), "", fields)


def _flatten(location: str, name: str, found: Any) -> Iterator[FieldError]:
    if isinstance(found, Mapping):
        for key, value in found.items():
            yield from _flatten(location, f"{name}.{key}" if name else str(key), value)
    else:
        for text in found if isinstance(found, list) else [found]:
            yield FieldError(location, name, str(text))
