"""Where browsers come by on their way through a Link session.

A browser proves nothing: what it brings is written down as a report, once, and only when it carries
the state that this service gave it. It is sent on to the provider, or to one of the settings'
return URLs, and nowhere else.
"""

from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from flask import Response, request
from marshmallow import Schema, fields

from api.auth import open_to_all
from api.errors import LINK_OVER, NO_STATE, Problem, missing
from api.link_state import COOKIE, RETURN, make_state, read_state
from api.linking import connection_id_in, record_report, refuse_foreign
from api.routes import Routes
from api.services import Services, services
from ledger.application import Outcome
from ledger.domain.link_session import (
    ERRORS,
    STEPS,
    LinkSession,
    ReportStatus,
    provider_word,
)
from ledger.links import Report, StoredLink, address_of, read_link

blueprint = Routes("link visits", __name__, description="Browsers on their way through a login")
UNKNOWN: Final = "unknown"
"""The `status` that a browser is sent on with when it brought none that can be read."""
_WORDS: Final = frozenset(status.value for status in ReportStatus)
_THANKS: Final = "Thank you. You can close this window.\n"
_MOVED: Final = "This session's return URL is no longer one of LEDGER_RETURN_URLS."


class ReturnQuery(Schema):
    """What OFAuth sends a browser back with; what else there is is ignored."""

    status = fields.String(metadata={"description": "`success`, `cancelled` or `error`."})
    connection_id = fields.String(metadata={"description": "The connection, as the browser says."})
    client_reference_id = fields.String(metadata={"description": "Whom the session was for."})
    step = fields.String(metadata={"description": "How far the creator came."})
    error_code = fields.String(metadata={"description": "What failed."})


@blueprint.get("/link/start/<link_id>")
@open_to_all
@blueprint.redirects("303 to OFAuth's page of the session")
@blueprint.describe(security=[])
def start(link_id: str) -> Any:
    """Send a browser on to OFAuth, with the state that its return needs."""
    use = services()
    stored = read_link(use.log, link_id)
    if stored is None:
        raise missing("There is no such link.", "Ask whoever sent it for a new one.")
    now_ms = use.now() // 1000
    address = address_of(use.log, stored) if stored.session.awaits_report(now_ms) else None
    if address is None:
        raise Problem(LINK_OVER, LINK_OVER.advice)
    response = _sent_to(address)
    _set_state(use, response, stored.session, now_ms)
    return response


@blueprint.get(RETURN)
@open_to_all
@blueprint.passing(ReturnQuery)
@blueprint.redirects("303 to the session's return URL, with `status` and `linkId`")
@blueprint.describe(security=[])
def returned(query: dict[str, Any]) -> Any:
    """Write down what a browser says of the end of its login, and send it on.

    A second visit repeats the answer and writes nothing down.
    """
    use = services()
    stored = _by_state(use)
    session = stored.session
    target = session.request.return_url
    if target is not None and target not in use.settings().return_urls:
        raise Problem(LINK_OVER, f"{_MOVED} {LINK_OVER.advice}")
    _refuse_others(session, query)
    outcome = _outcome(use, session, query)
    if target is None:
        return _careful(Response(_THANKS, mimetype="text/plain"))
    return _sent_to(with_outcome(target, outcome, session.id))


def _by_state(use: Services) -> StoredLink:
    """Give the session that the browser's state is of.

    Raises:
        Problem: it has none of ours.
    """
    link = read_state(request.cookies.get(COOKIE), use.log.key)
    stored = None if link is None else read_link(use.log, link)
    if stored is None:
        raise Problem(NO_STATE, NO_STATE.advice)
    return stored


def _refuse_others(session: LinkSession, query: dict[str, Any]) -> None:
    """Refuse what OFAuth says of a session for another client.

    Raises:
        Problem: it does.
    """
    client = query.get("client_reference_id")
    if client is not None and session.request.client not in (None, client):
        raise Problem(NO_STATE, NO_STATE.advice)


def _outcome(use: Services, session: LinkSession, query: dict[str, Any]) -> str:
    """Write down what the browser says, unless it comes late or again; give the answer's word."""
    if session.report is not None:
        return session.report.status
    now_ms = use.now() // 1000
    if not session.awaits_report(now_ms):
        return session.state(now_ms)
    status = query.get("status")
    if status not in _WORDS:
        return UNKNOWN
    connection = connection_id_in(query.get("connection_id")) if status == "success" else None
    refuse_foreign(use, session, connection)
    said = Report(
        channel="redirect",
        status=ReportStatus(status),
        step=provider_word(query.get("step"), STEPS),
        error=provider_word(query.get("error_code"), ERRORS),
        connection=connection,
    )
    if record_report(use, session.id, said).outcome is Outcome.UNCHANGED:
        # Another request with the same state was faster.
        again = read_link(use.log, session.id)
        if again is not None and again.session.report is not None:
            return again.session.report.status
    return said.status


def with_outcome(url: str, outcome: str, link: str) -> str:
    """Give a return URL with what its program is to know, and nothing of what OFAuth said."""
    parts = urlsplit(url)
    query = urlencode({"status": outcome, "linkId": link})
    return parts._replace(query=f"{parts.query}&{query}" if parts.query else query).geturl()


def _sent_to(address: str) -> Response:
    response = _careful(Response(status=303, mimetype="text/plain"))
    response.autocorrect_location_header = False
    response.headers["Location"] = address
    return response


def _careful(response: Response) -> Response:
    """Let nobody keep the answer, and tell nobody where the browser came from."""
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-store"
    return response


def _set_state(use: Services, response: Response, session: LinkSession, now_ms: int) -> None:
    public = urlsplit(use.settings().public_url)
    response.set_cookie(
        COOKIE,
        make_state(session.id, use.log.key),
        max_age=max(1, (session.ends_at - now_ms) // 1000),
        path=public.path + RETURN,
        secure=public.scheme == "https",
        httponly=True,
        samesite="Lax",
    )
