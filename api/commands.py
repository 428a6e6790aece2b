"""Commands about one connection: deleting it, ending its session, reconnecting it."""

from typing import Any

from flask import g
from marshmallow import fields, validate

from api.answers import ConnectionSchema
from api.auth import requires
from api.errors import NOT_CONFIGURED, Problem, missing
from api.linking import begin_session
from api.links import MOST_REASON, BegunSchema, begun_answer
from api.pagination import log_end
from api.routes import Routes
from api.schemas import CamelSchema, NoQuery, Text
from api.services import services
from ledger.domain.orders import Order

blueprint = Routes("commands", __name__, description="Commands about connections")


class OrderBody(CamelSchema):
    """Why it is wanted."""

    reason = Text(
        validate=validate.Length(max=MOST_REASON),
        metadata={"description": "Why, in words; kept until the client is erased."},
    )


class ReconnectBody(OrderBody):
    """How to reconnect."""

    force = fields.Boolean(
        load_default=False,
        metadata={
            "description": "Take the risk when the connection is unknown or deleted: OFAuth would "
            "make another one without a word."
        },
    )
    return_url = Text(
        metadata={"description": "Where the browser is sent at the end: one of LEDGER_RETURN_URLS."}
    )


@blueprint.delete("/api/connections/<connection_id>")
@requires("admin")
@blueprint.query(NoQuery)
@blueprint.body(OrderBody)
@blueprint.accepts(ConnectionSchema)
def delete(_: dict[str, Any], body: dict[str, Any], connection_id: str) -> Any:
    """Delete a connection at the provider, which ends its billing; again and again until proved."""
    return _command(Order.DELETE, connection_id, body.get("reason"))


@blueprint.post("/api/connections/<connection_id>/invalidate")
@requires("admin")
@blueprint.query(NoQuery)
@blueprint.body(OrderBody)
@blueprint.accepts(ConnectionSchema)
def invalidate(_: dict[str, Any], body: dict[str, Any], connection_id: str) -> Any:
    """End the session of a connection; the creator can log in again."""
    return _command(Order.INVALIDATE, connection_id, body.get("reason"))


@blueprint.post("/api/connections/<connection_id>/reconnect")
@requires("write")
@blueprint.query(NoQuery)
@blueprint.body(ReconnectBody)
@blueprint.creates(BegunSchema)
def reconnect(_: dict[str, Any], body: dict[str, Any], connection_id: str) -> Any:
    """Begin a Link session that brings a connection back to life."""
    use = services()
    begun = begin_session(
        use,
        by=g.token_name,
        connection=connection_id,
        return_url=body.get("return_url"),
        reason=body.get("reason"),
        force=body["force"],
    )
    return begun_answer(use, begun)


def _command(order: Order, text: str, reason: str | None) -> Any:
    use = services()
    if use.provider() is None:
        raise Problem(NOT_CONFIGURED, "LEDGER_OFAUTH_API_KEY is not set; nothing can be commanded.")
    connection_id = use.questions.resolve_short(text)
    known = use.questions.latest(connection_id, now_ms=use.now() // 1000)
    if known is None:
        raise missing(
            "This connection has never been heard of.",
            "The provider's own routes (`/v2/…`) pass a call about it on.",
        )
    headers = log_end(use)
    if known.status != "deleted":
        request = use.commanding.command(order, connection_id, by=g.token_name, reason=reason)
        headers = {"Ledger-Position": str(request.position)}
    return use.questions.latest(connection_id, now_ms=use.now() // 1000), 202, headers
