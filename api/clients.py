"""Clients: whoever a clientReferenceId names, and the connections that are theirs."""

from typing import Any

from api.answers import ClientSchema
from api.auth import requires
from api.errors import missing
from api.history import HistoryPage, client_history, known_text
from api.moments import settle
from api.pagination import position_headers
from api.routes import Routes
from api.schemas import ClientQuery, HistoryQuery, MomentQuery
from api.services import services

blueprint = Routes("clients", __name__, description="What is true of a client")


@blueprint.get("/api/clients")
@requires("read")
@blueprint.query(ClientQuery)
@blueprint.answers(ClientSchema)
def client_by_query(query: dict[str, Any]) -> Any:
    """A client, whatever characters its reference holds."""
    return _client(query["client_reference_id"], query)


@blueprint.get("/api/clients/<reference:reference>")
@requires("read")
@blueprint.query(MomentQuery)
@blueprint.answers(ClientSchema)
def client(query: dict[str, Any], reference: str) -> Any:
    """A client; its reference may hold slashes."""
    return _client(reference, query)


@blueprint.get("/api/clients/<reference:reference>/history")
@requires("read")
@blueprint.query(HistoryQuery)
@blueprint.answers(HistoryPage)
def history(query: dict[str, Any], reference: str) -> Any:
    """The history of a client.

    A reference that itself ends in `/history` is asked for with `/api/clients?clientReferenceId=`.
    """
    return client_history(reference, query)


def _client(reference: str, query: dict[str, Any]) -> Any:
    moment = settle(query)
    answer = services().questions.client(
        known_text(reference),
        now_ms=moment.now_ms,
        as_of_us=moment.as_of_us,
        valid_at_ms=moment.valid_at_ms,
    )
    if answer is None:
        raise missing("This clientReferenceId has never been heard of.", "Check its spelling.")
    return answer.value, 200, position_headers(answer)
