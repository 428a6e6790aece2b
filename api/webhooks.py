"""`POST /webhooks/ofauth`: signed deliveries in, 204 when they are durable.

Answered as WSGI, in front of Flask: the framework would take twice the time of all the rest.
"""

import logging
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from api.errors import (
    BAD_SIGNATURE,
    CONTENT_TYPE,
    TOO_LARGE,
    Problem,
    body_of,
    unavailable,
    unforeseen,
)
from api.logs import log_request
from api.services import Services, new_request_id
from ledger.application import Delivery
from ledger.domain.errors import LedgerBusy, StoreUnavailable
from ledger.ofauth.signatures import SignatureError, Verdict, complete_dialect, verify

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)

PATH: Final = "/webhooks/ofauth"
_PATHS: Final = frozenset({PATH, PATH + "/"})
MAX_BODY: Final = 1024 * 1024
"""Bytes; a larger body is refused before it is read."""

_SIGNATURES: Final = {
    f"HTTP_{name.upper().replace('-', '_')}": name
    for name in (
        "OFAuth-Signature",
        "svix-id",
        "svix-timestamp",
        "svix-signature",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
    )
}
_REFUSED: Final = "Sign the raw body with a current secret, as OFAuth documents it."
_ALWAYS: Final = [("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")]


class Webhooks:
    """WSGI middleware that answers deliveries and passes everything else on."""

    def __init__(self, app: "WSGIApplication", use: Services) -> None:
        """Pass on to `app`."""
        self._app = app
        self._use = use

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer one request."""
        if environ["PATH_INFO"] not in _PATHS or environ["REQUEST_METHOD"] != "POST":
            return self._app(environ, start_response)
        began = self._use.monotonic()
        request_id = new_request_id(self._use)
        headers = [("X-Request-Id", request_id), *_ALWAYS]
        try:
            position = self._take(environ, began)
        except Exception as error:  # noqa: BLE001 - the last line of defence, as Flask has one
            problem = error if isinstance(error, Problem) else unforeseen(error, request_id)
            content, status = body_of(problem, request_id), problem.kind.status
            headers += [*problem.headers.items(), ("Content-Type", CONTENT_TYPE)]
            headers.append(("Content-Length", str(len(content))))
            start_response(f"{status} {HTTPStatus(status).phrase}", headers)
        else:
            content, status = b"", 204
            start_response("204 No Content", [("Ledger-Position", str(position)), *headers])
        seconds = self._use.monotonic() - began
        log_request(method="POST", route=PATH, status=status, seconds=seconds, request=request_id)
        return [content]

    def _take(self, environ: "WSGIEnvironment", began: float) -> int:
        """Make one delivery durable and give its position.

        Raises:
            Problem: what is answered instead of 204.
        """
        body = read_body(environ)
        observed = self._use.now() // 1000
        verdict = self._verify(environ, body, observed)
        delivery = Delivery(
            body=body,
            verdict=verdict,
            observed=observed,
            content_type=_plain(environ.get("CONTENT_TYPE")),
            user_agent=_plain(environ.get("HTTP_USER_AGENT")),
        )
        try:
            recorded = self._use.writer.submit(delivery)
        except (LedgerBusy, StoreUnavailable):
            self._use.metrics.unavailable.inc()
            raise unavailable() from None
        self._use.metrics.delivered(recorded, verdict.dialect, self._use.monotonic() - began)
        return recorded.position

    def _verify(self, environ: "WSGIEnvironment", body: bytes, observed: int) -> Verdict:
        settings = self._use.settings()
        headers = [(name, environ[key]) for key, name in _SIGNATURES.items() if key in environ]
        try:
            return verify(
                headers,
                body,
                settings.webhook_secrets,
                now=observed / 1000,
                tolerance=settings.tolerance_seconds,
                strict=settings.strict_timestamps,
            )
        except SignatureError as error:
            self._use.metrics.refuse(error.reason)
            if complete_dialect(headers, now=observed / 1000):
                self._put_aside(environ, headers, body, observed)
            raise Problem(BAD_SIGNATURE, _REFUSED) from None

    def _put_aside(
        self,
        environ: "WSGIEnvironment",
        headers: list[tuple[str, str]],
        body: bytes,
        observed: int,
    ) -> None:
        """Quarantine what a corrected secret may verify; a failure of that changes no answer."""
        for key, name in (("CONTENT_TYPE", "Content-Type"), ("HTTP_USER_AGENT", "User-Agent")):
            if value := _plain(environ.get(key)):
                headers = [*headers, (name, value)]
        try:
            if self._use.quarantine.keep(headers, body, observed):
                self._use.metrics.quarantined.inc()
        except OSError as error:
            log.warning("a request could not be put aside: %s", type(error).__name__)


def read_body(environ: "WSGIEnvironment") -> bytes:
    """Read a request's raw body.

    Raises:
        Problem: it is over `MAX_BODY`; then it is not read.
    """
    length = environ.get("CONTENT_LENGTH") or ""
    if length.isdecimal():
        if int(length) > MAX_BODY:
            raise Problem(TOO_LARGE, "At most 1 MiB is read.")
        return bytes(environ["wsgi.input"].read(int(length)))
    if not environ.get("wsgi.input_terminated"):
        return b""
    body = bytes(environ["wsgi.input"].read(MAX_BODY + 1))
    if len(body) > MAX_BODY:
        raise Problem(TOO_LARGE, "At most 1 MiB is read.")
    return body


def _plain(value: str | None) -> str | None:
    """A header as it may be kept: short and printable, since anybody can write anything in it."""
    if not value:
        return None
    return "".join(c if " " <= c <= "~" else "?" for c in value[:256])
