"""Link sessions over HTTP: beginning one, looking at it, and reporting what an embed said."""

from typing import Any

from flask import g
from marshmallow import Schema, fields, validate

from api.answers import LinkSessionSchema
from api.auth import requires
from api.errors import LINK_OVER, Problem, invalid, missing
from api.linking import begin_session, connection_id_in, record_report, refuse_foreign, start_url
from api.moments import settle
from api.routes import Routes
from api.schemas import CamelSchema, FreshQuery, Millis, NoQuery, Text
from api.services import Services, services
from ledger.domain.link_session import ERRORS, STEPS, ReportStatus, provider_word
from ledger.links import Begun, Report, StoredLink, given_reason, read_link
from projections.links.document import link_view

blueprint = Routes("links", __name__, description="Link sessions: hosted logins")
MOST_REASON = 1_000
"""The longest reason, in characters."""


class LinkBody(CamelSchema):
    """Which session is wanted."""

    client_reference_id = Text(required=True, metadata={"description": "Whom it is for."})
    return_url = Text(
        metadata={
            "description": "Where the browser is sent at the end: one of LEDGER_RETURN_URLS, "
            "character by character; without it the first one."
        }
    )
    connection_id = Text(
        validate=validate.Regexp("conn[_~]", error="expected an id that begins with conn_"),
        metadata={"description": "The connection to bring back to life; also its short form."},
    )
    force = fields.Boolean(
        load_default=False,
        metadata={
            "description": "Take the risk when the connection is unknown, deleted or another's."
        },
    )
    reason = Text(
        validate=validate.Length(max=MOST_REASON),
        metadata={"description": "Why, in words; kept until the client is erased."},
    )


class BegunSchema(CamelSchema):
    """A session that can be begun in a browser."""

    link_id = fields.String(metadata={"description": "`link_` and 24 hex digits."})
    url = fields.String(metadata={"description": "Give this to the creator."})
    expires_at = Millis(metadata={"description": "When it lapses."})


class LinkSchema(LinkSessionSchema):
    """A Link session, with what only those who may ask for it see."""

    url = fields.String(
        allow_none=True,
        metadata={"description": "Give this to the creator. Null without LEDGER_PUBLIC_URL."},
    )
    reason = fields.String(
        allow_none=True, metadata={"description": "Why it was asked for; null once erased."}
    )


class NamedSchema(CamelSchema):
    """The connection of the embed's `onSuccess`."""

    id = Text(required=True, metadata={"description": "Its id."})


class EmbedErrorSchema(Schema):
    """The error of the embed's `onClose`."""

    error_type = fields.String(metadata={"description": "The provider's word."})


class ReportBody(CamelSchema):
    """What the embed gave to `onSuccess` or `onClose`, as it is; the rest of it is not kept."""

    connection = fields.Nested(
        NamedSchema,
        unknown="exclude",
        metadata={"description": "Of `onSuccess`: `id` is kept."},
    )
    type = fields.String(
        validate=validate.OneOf(["user_exit", "error", "forced_exit"]),
        metadata={"description": "Of `onClose`."},
    )
    step = fields.String(allow_none=True, metadata={"description": "How far the creator came."})
    error = fields.Nested(
        EmbedErrorSchema,
        unknown="exclude",
        allow_none=True,
        metadata={"description": "What failed: `error_type` is kept."},
    )


@blueprint.post("/api/links")
@requires("write")
@blueprint.query(NoQuery)
@blueprint.body(LinkBody)
@blueprint.creates(BegunSchema)
def begin(_: dict[str, Any], body: dict[str, Any]) -> Any:
    """Begin a Link session."""
    use = services()
    begun = begin_session(
        use,
        by=g.token_name,
        client=body["client_reference_id"],
        connection=body.get("connection_id"),
        return_url=body.get("return_url"),
        reason=body.get("reason"),
        force=body["force"],
    )
    return begun_answer(use, begun)


def begun_answer(use: Services, begun: Begun) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Answer a session that has begun."""
    body = {
        "link_id": begun.link,
        "url": start_url(use.settings().public_url, begun.link),
        "expires_at": begun.expires_at,
    }
    return body, 201, {"Ledger-Position": str(begun.position)}


@blueprint.get("/api/links/<link_id>")
@requires("read")
@blueprint.query(FreshQuery)
@blueprint.answers(LinkSchema)
def link(query: dict[str, Any], link_id: str) -> Any:
    """A Link session, as the log has it at this moment."""
    settle(query)
    use = services()
    position = use.log.head().position
    return _shown(use, _stored(use, link_id)), 200, {"Ledger-Position": str(position)}


@blueprint.post("/api/links/<link_id>/reports")
@requires("write")
@blueprint.query(NoQuery)
@blueprint.passed_on(ReportBody)
@blueprint.accepts(LinkSchema)
def report(_: dict[str, Any], body: dict[str, Any], link_id: str) -> Any:
    """Record what the embed said; only the first report of a session is kept."""
    use = services()
    said = _report(body)
    before = _stored(use, link_id)
    if before.session.report is None:
        if not before.session.awaits_report(use.now() // 1000):
            raise Problem(LINK_OVER, "This session takes no report: it is over, or never began.")
        refuse_foreign(use, before.session, said.connection)
    recorded = record_report(use, link_id, said)
    return _shown(use, _stored(use, link_id)), 202, {"Ledger-Position": str(recorded.position)}


def _report(body: dict[str, Any]) -> Report:
    """Read what the embed said.

    Raises:
        Problem: it is neither an `onSuccess` nor an `onClose`.
    """
    if "connection" in body:
        connection = connection_id_in(body["connection"]["id"])
        if connection is None:
            raise invalid("connection.id", "is not the id of a connection", "json")
        return Report(channel="embed", status=ReportStatus.SUCCESS, connection=connection)
    if "type" not in body:
        raise invalid("type", "neither `connection` nor `type` is there", "json")
    error = (body.get("error") or {}).get("error_type")
    failed = body["type"] == "error" or body.get("error") is not None
    return Report(
        channel="embed",
        status=ReportStatus.ERROR if failed else ReportStatus.CANCELLED,
        step=provider_word(body.get("step"), STEPS),
        error=provider_word(error, ERRORS),
    )


def _stored(use: Services, link_id: str) -> StoredLink:
    stored = read_link(use.log, link_id)
    if stored is None:
        raise missing("There is no such Link session.", "`POST /api/links` gives the id of one.")
    return stored


def _shown(use: Services, stored: StoredLink) -> dict[str, Any]:
    view = link_view(stored.session, moment_ms=use.now() // 1000)
    public_url = use.settings().public_url
    return {name: getattr(view, name) for name in view.__struct_fields__} | {
        "url": start_url(public_url, stored.session.id) if public_url else None,
        "reason": given_reason(use.log, stored),
    }
