"""The provider's own Connections and Link calls, so that a program written for OFAuth works here.

The list is answered from the view. Everything else is passed to the provider every time, with the
ledger's own key, and its status and body are returned; what it did is recorded as for our own
routes. Errors have the provider's form. A command whose answer is no confirmation and no refusal is
answered 503, and goes on as those of our own routes do.
"""

import re
from typing import Any, Final

from flask import Response, g, request
from marshmallow import Schema, fields

from api.auth import requires
from api.errors import NOT_CONFIGURED, Problem, bad_request, going_on
from api.linking import risk_of
from api.pagination import position_headers
from api.routes import Routes
from api.schemas import is_storable
from api.services import Services, services
from api.times import format_millis
from ledger.commands import Request
from ledger.domain.orders import Order
from ledger.links import Wish, reason_for
from ledger.ofauth.client import OFAuthClient
from ledger.ofauth.errors import ProviderError
from ledger.ofauth.results import Forwarded
from ledger.ofauth.schemas import MAX_ID, MAX_TEXT
from projections.answers import ConnectionView
from projections.current_state.view import LISTED

blueprint = Routes("provider", __name__, description="The provider's own calls (drop-in)")

DEFAULT_LIMIT: Final = 10
MOST_LIMIT: Final = 500
VIEWS_S: Final = 1.0
"""How long the list waits for the views to come as far as the log, in seconds."""
USER_DATA: Final = ("id", "name", "username", "avatar")
_WHOLE: Final = re.compile(r"[0-9]{1,9}", re.ASCII)


class RowSchema(Schema):
    """A row of the list, with the provider's ten keys."""

    id = fields.String(metadata={"description": "Its id."})
    status = fields.String(metadata={"description": "`active`, `awaiting_2fa` or `expired`."})
    userData = fields.Dict(metadata={"description": "The creator's account."})
    permissions = fields.List(fields.String(), metadata={"description": "What was granted."})
    createdAt = fields.String(allow_none=True, metadata={"description": "When it began."})
    updatedAt = fields.String(allow_none=True, metadata={"description": "When it last changed."})
    expiredAt = fields.String(allow_none=True, metadata={"description": "When it expired."})
    clientReferenceId = fields.String(allow_none=True, metadata={"description": "Whose it is."})
    imported = fields.Boolean(metadata={"description": "Whether it was imported."})
    lastCheckedAt = fields.String(allow_none=True, metadata={"description": "Last health check."})


class ListSchema(Schema):
    """A page of the list."""

    list = fields.List(fields.Nested(RowSchema), metadata={"description": "The rows."})
    hasMore = fields.Boolean(metadata={"description": "Whether further rows follow."})


class ListQuery(Schema):
    """Which part of the list; unknown parameters are ignored, as the provider does."""

    status = fields.String(metadata={"description": f"One of {', '.join(LISTED)}."})
    imported = fields.String(metadata={"description": "`true` or `false`."})
    limit = fields.String(metadata={"description": f"How many rows; {DEFAULT_LIMIT} if absent."})
    offset = fields.String(metadata={"description": "How many rows to pass over."})


@blueprint.get("/v2/connections")
@requires("read")
@blueprint.passing(ListQuery)
@blueprint.answers(ListSchema)
def older_list(query: dict[str, Any]) -> Any:
    """The connections that live and are not missing, the newest first."""
    return _list(query)


@blueprint.get("/v2/account/connections")
@requires("read")
@blueprint.passing(ListQuery)
@blueprint.answers(ListSchema)
def account_list(query: dict[str, Any]) -> Any:
    """The same, on the newer path."""
    return _list(query)


@blueprint.delete("/v2/connections/<connection_id>")
@requires("admin")
def older_delete(connection_id: str) -> Response:
    """Delete a connection at the provider."""
    return _command(Order.DELETE, connection_id)


@blueprint.delete("/v2/account/connections/<connection_id>")
@requires("admin")
def account_delete(connection_id: str) -> Response:
    """Delete a connection at the provider, on the newer path."""
    return _command(Order.DELETE, connection_id)


@blueprint.post("/v2/account/connections/<connection_id>/invalidate")
@requires("admin")
def invalidate(connection_id: str) -> Response:
    """End the session of a connection at the provider."""
    return _command(Order.INVALIDATE, connection_id)


@blueprint.post("/v2/link/init")
@requires("write")
def link_init() -> Response:
    """Begin a Link session at the provider; the creator goes to the provider's own address."""
    use = services()
    client, body = _client(use), request.get_json(force=True, silent=True)
    if not isinstance(body, dict):
        raise bad_request("The body is not a JSON object.")
    connection = _text(body, "connectionId", MAX_ID)
    reference = _text(body, "clientReferenceId", MAX_TEXT)
    risk = None
    if connection is not None:
        known = use.questions.latest(connection, now_ms=use.now() // 1000)
        risk = risk_of(known, reference)
    wish = Wish(client=reference, connection=connection, by=g.token_name, via="drop_in", risk=risk)
    link = use.links.requested(wish)
    try:
        forwarded = _forward(client)
        failed = forwarded.failure(names_connection=False)
        if failed is None:
            opened = forwarded.link()
            use.links.started(link, opened.url, opened.expires_at)
        else:
            use.links.failed(link, reason_for(failed))
    except ProviderError as error:
        use.links.failed(link, reason_for(error))
        raise
    return _returned(forwarded, use.log.head().position)


@blueprint.get("/v2/account/whoami")
@requires("read")
def whoami() -> Response:
    """Say whose key it is that the ledger uses."""
    return _returned(_forward(_client(services())))


def _command(order: Order, connection_id: str) -> Response:
    """Have the provider do something; the request is on disk before, the outcome afterwards."""
    use = services()
    client = _client(use)
    if not is_storable(connection_id) or len(connection_id) > MAX_ID:
        raise bad_request("The connection's id is too long, or holds what no id can hold.")
    record, by = use.commanding.record, g.token_name
    with use.commanding.passing(connection_id):
        asked = record.requested(order, connection_id, by=by, closable=True)
        forwarded = None
        try:
            forwarded = _forward(client)
            confirmed = forwarded.confirmation()
        except ProviderError as error:
            return _unconfirmed(use, asked, forwarded, error)
        return _returned(forwarded, record.settled(asked, confirmed.answered).position)


def _unconfirmed(
    use: Services, asked: Request, forwarded: Forwarded | None, error: ProviderError
) -> Response:
    """Answer that it goes on, or hand on a refusal, which is the end of it."""
    unasked = forwarded is None and error.passes
    if unasked or error.may_have_happened:
        raise going_on(error)
    known = use.questions.latest(asked.connection, now_ms=use.now() // 1000)
    written = use.commanding.record.refused(asked, error, known)
    if forwarded is None:
        raise error
    return _returned(forwarded, asked.position if written is None else written.position)


def _client(use: Services) -> OFAuthClient:
    client = use.provider()
    if client is None:
        raise Problem(NOT_CONFIGURED, "LEDGER_OFAUTH_API_KEY is not set, so nothing is passed on.")
    return client


def _forward(client: OFAuthClient) -> Forwarded:
    """Pass the present request on."""
    return client.forward(
        request.method, request.path, query=request.args.to_dict(), body=request.get_data() or None
    )


def _returned(forwarded: Forwarded, position: int | None = None) -> Response:
    response = Response(forwarded.body, forwarded.status)
    response.headers.update(forwarded.headers)
    if position is not None:
        response.headers["Ledger-Position"] = str(position)
    return response


def _text(body: dict[str, Any], name: str, most: int) -> str | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not is_storable(value) or len(value) > most:
        raise bad_request(f"{name} is not a text of at most {most} characters.")
    return value


def _list(query: dict[str, Any]) -> Any:
    use = services()
    # who has just deleted one does not want to see it
    use.views.wait_for(use.log.head().position, VIEWS_S)
    status, imported = query.get("status"), query.get("imported")
    if status is not None and status not in LISTED:
        raise bad_request(f"status is none of {', '.join(LISTED)}.")
    if imported not in (None, "true", "false"):
        raise bad_request("imported is neither true nor false.")
    answer = use.questions.listed(
        now_ms=use.now() // 1000,
        status=status,
        imported=None if imported is None else imported == "true",
        limit=min(max(_whole(query, "limit", DEFAULT_LIMIT), 1), MOST_LIMIT),
        offset=_whole(query, "offset", 0),
    )
    views, more = answer.value
    return {"list": [_row(view) for view in views], "hasMore": more}, 200, position_headers(answer)


def _whole(query: dict[str, Any], name: str, default: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not _WHOLE.fullmatch(text):
        raise bad_request(f"{name} is not a whole number.")
    return int(text)


def _row(view: ConnectionView) -> dict[str, Any]:
    said = view.user_data or {}
    return {
        "id": view.id,
        "status": view.status,
        "userData": {**dict.fromkeys(USER_DATA), **said},
        "permissions": list(view.permissions or ()),
        "createdAt": _time(view.created_at),
        "updatedAt": _time(view.updated_at),
        "expiredAt": _time(view.expired_at),
        "clientReferenceId": view.client_reference_id,
        "imported": bool(view.imported),
        "lastCheckedAt": _time(view.last_checked_at),
    }


def _time(ms: int | None) -> str | None:
    return None if ms is None else format_millis(ms)
