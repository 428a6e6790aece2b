"""Erasing a client over HTTP."""

from typing import Any

from flask import g
from marshmallow import fields

from api.auth import requires
from api.errors import missing
from api.routes import Routes
from api.schemas import CamelSchema, NoQuery, Text
from api.services import services

blueprint = Routes("forget", __name__, description="Erasing a client")


class ForgetBody(CamelSchema):
    """Who is to be forgotten; in the body, so that no access log keeps it."""

    client_reference_id = Text(required=True, metadata={"description": "The client."})


class ForgottenSchema(CamelSchema):
    """What was erased; nothing is counted that was gone before."""

    client_reference_id = fields.String(metadata={"description": "Who."})
    position = fields.Integer(metadata={"description": "Of `client.erased`."})
    connections = fields.Integer(metadata={"description": "How many were ever the client's."})
    deliveries = fields.Integer(metadata={"description": "Raw bodies."})
    claims = fields.Integer(metadata={"description": "Personal parts of claims."})
    links = fields.Integer(
        metadata={
            "description": "Link sessions of which the provider's address or a reason was kept."
        }
    )
    quarantined = fields.Integer(metadata={"description": "Requests that were held."})
    live = fields.Integer(
        metadata={
            "description": "How many connections are not deleted: OFAuth's next webhook, or "
            "the next pass over its list, tells of the person again."
        }
    )
    remains = fields.List(
        fields.String(), metadata={"description": "Where copies may remain, a sentence each."}
    )


@blueprint.post("/api/clients/forget")
@requires("admin")
@blueprint.query(NoQuery)
@blueprint.body(ForgetBody)
@blueprint.answers(ForgottenSchema)
def forget(_: dict[str, Any], body: dict[str, Any]) -> Any:
    """Erase what may have to be forgotten of a client; order, statuses and times stay."""
    done = services().forget(body["client_reference_id"], by=g.token_name)
    if done is None:
        raise missing("This clientReferenceId has never been heard of.", "Check its spelling.")
    return done, 200, {"Ledger-Position": str(done.position)}
