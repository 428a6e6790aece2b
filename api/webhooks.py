"""`POST /webhooks/ofauth`: signed deliveries in, 204 when they are durable.

A plain Flask view: the schemas and descriptions that the other routes go through would only cost
time here, where what comes in is bytes and what goes out is empty.
"""

import logging
from typing import TYPE_CHECKING, Final

from flask import Blueprint, Response, g, request

from api import auth
from api.errors import BAD_SIGNATURE, Problem, unavailable
from api.services import Services, behind, services
from ledger.application import Delivery
from ledger.domain.errors import LedgerBusy, StoreUnavailable
from ledger.ofauth.signatures import SignatureError, Verdict, complete_dialect, verify

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

log = logging.getLogger(__name__)

PATH: Final = "/webhooks/ofauth"
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

blueprint = Blueprint("webhooks", __name__)


class _Durable(Response):
    """The answer without a body, and so without a type of it."""

    default_mimetype = None


@blueprint.post(PATH)
@auth.open_to_all
def webhook() -> Response:
    """Make one delivery durable, and answer 204 with its position."""
    use, asked = services(), behind(request)
    body = asked.get_data(cache=False)
    observed = use.now() // 1000
    verdict = _verify(use, asked.environ, body, observed)
    delivery = Delivery(body=body, verdict=verdict, observed=observed)
    try:
        recorded = use.writer.submit(delivery)
    except (LedgerBusy, StoreUnavailable):
        use.metrics.unavailable.inc()
        raise unavailable() from None
    use.metrics.delivered(recorded, verdict.dialect, use.monotonic() - g.began)
    return _Durable(status=204, headers={"Ledger-Position": str(recorded.position)})


def _verify(use: Services, environ: "WSGIEnvironment", body: bytes, observed: int) -> Verdict:
    settings = use.settings()
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
        use.metrics.refuse(error.reason)
        if complete_dialect(headers, now=observed / 1000):
            _put_aside(use, headers, body, observed)
        raise Problem(BAD_SIGNATURE, _REFUSED) from None


def _put_aside(use: Services, headers: list[tuple[str, str]], body: bytes, observed: int) -> None:
    """Quarantine what a corrected secret may verify; a failure of that changes no answer."""
    try:
        if use.quarantine.keep(headers, body, observed):
            use.metrics.quarantined.inc()
    except OSError as error:
        log.warning("a request could not be put aside: %s", type(error).__name__)
