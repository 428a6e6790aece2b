"""Beginning a Link session, and what may be taken for the end of one: for every route that does."""

import re
from collections.abc import Callable
from typing import Final

from api.errors import FOREIGN, NOT_CONFIGURED, UNKNOWN_TARGET, Problem, invalid
from api.link_state import RETURN
from api.services import Services
from ledger.application import Outcome, Recorded
from ledger.domain.link_session import LinkSession
from ledger.domain.status import Status
from ledger.links import Begun, Report, Wish
from ledger.ofauth.client import LinkInit, OFAuthClient
from ledger.ofauth.errors import ProviderError
from projections.answers import ConnectionView

RISKS: Final = {
    "unknown_target": "The ledger does not know this connection, so OFAuth may not either.",
    "deleted_target": "This connection is deleted.",
    "other_client": "This connection belongs to another clientReferenceId.",
}
"""What speaks against a session for a connection: by the word of `link.requested`."""
_MAKES_ANOTHER: Final = " OFAuth would make another connection without a word."
_GIVES_AWAY: Final = " OFAuth would give it to this one."
_CONNECTION: Final = re.compile(r"conn_[A-Za-z0-9_.-]{1,250}")


def start_url(public_url: str, link: str) -> str:
    """Give the address with which a browser begins a session."""
    return f"{public_url}/link/start/{link}"


def connection_id_in(text: str | None) -> str | None:
    """Give what looks like a connection's id, or None."""
    return text if text is not None and _CONNECTION.fullmatch(text) else None


def begin_session(
    use: Services,
    *,
    by: str,
    client: str | None = None,
    connection: str | None = None,
    return_url: str | None = None,
    reason: str | None = None,
    force: bool = False,
) -> Begun:
    """Begin a Link session for a client, or for a connection to be reconnected, or for both.

    Without `client` it is for whoever has the connection. `connection` may be a short form. `force`
    accepts what speaks against the connection.

    Raises:
        Problem: a setting is missing, the return URL is not one of the settings', or something
            speaks against the connection.
        ProviderError: the provider opened none, or it is not known.
        LedgerBusy, StoreUnavailable: it could not be written down.
    """
    provider, public_url = _configured(use)
    target = _return_url(use, return_url)
    risk = None
    if connection is not None:
        connection = use.questions.resolve_short(connection)
        known = use.questions.latest(connection, now_ms=use.now() // 1000)
        risk = risk_of(known, client)
        if risk is not None and not force:
            consequence = _GIVES_AWAY if risk == "other_client" else _MAKES_ANOTHER
            raise Problem(
                UNKNOWN_TARGET, f"{RISKS[risk]}{consequence} {UNKNOWN_TARGET.advice}", risk=risk
            )
        if client is None and known is not None:
            client = known.client_reference_id
    wish = Wish(
        client=client,
        connection=connection,
        return_url=target,
        by=by,
        risk=risk,
        reason=reason,
    )
    request = LinkInit(
        redirect_url=public_url + RETURN, client_reference_id=client, connection_id=connection
    )
    return _counted(use, lambda: use.links.begin(wish, provider, request))


def _counted(use: Services, begin: Callable[[], Begun]) -> Begun:
    try:
        begun = begin()
    except ProviderError as error:
        use.metrics.linked("unknown" if error.may_have_happened else "failed")
        raise
    use.metrics.linked("started")
    return begun


def risk_of(known: ConnectionView | None, client: str | None) -> str | None:
    """Say what speaks against a session of a client for a connection, as far as it is known."""
    if known is None:
        return "unknown_target"
    if known.status == Status.DELETED:
        return "deleted_target"
    owner = known.client_reference_id
    return "other_client" if client is not None and owner not in (None, client) else None


def record_report(use: Services, link: str, report: Report) -> Recorded:
    """Write down what a browser says; the outcome is `UNCHANGED` when another did so before.

    Raises LedgerBusy and StoreUnavailable.
    """
    recorded = use.links.reported(link, report)
    if recorded.outcome is not Outcome.UNCHANGED:
        use.metrics.linked("reported")
    return recorded


def refuse_foreign(use: Services, session: LinkSession, connection: str | None) -> None:
    """Refuse a report that names a connection of another client.

    Raises:
        Problem: it does.
    """
    asked = session.request
    if connection is None or asked.client is None or connection == asked.connection:
        return
    known = use.questions.latest(connection, now_ms=use.now() // 1000)
    if known is not None and known.client_reference_id not in (None, asked.client):
        raise Problem(FOREIGN, f"{FOREIGN.title}. {FOREIGN.advice}")


def _configured(use: Services) -> tuple[OFAuthClient, str]:
    provider, public_url = use.provider(), use.settings().public_url
    for name, value in (("LEDGER_OFAUTH_API_KEY", provider), ("LEDGER_PUBLIC_URL", public_url)):
        if not value:
            raise Problem(NOT_CONFIGURED, f"{name} is not set, and no Link session without it.")
    assert provider is not None, "it was looked at above"
    return provider, public_url


def _return_url(use: Services, wanted: str | None) -> str | None:
    allowed = use.settings().return_urls
    if wanted is None:
        return allowed[0] if allowed else None
    if wanted not in allowed:
        raise invalid(
            "returnUrl", "is not one of LEDGER_RETURN_URLS, character by character", "json"
        )
    return wanted
