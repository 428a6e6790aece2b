"""Connections: what is true of each, and what happened to it."""

from functools import partial
from typing import Any

from api.answers import ConnectionSchema
from api.auth import requires
from api.errors import Problem, missing
from api.history import HistoryPage, answer_history, known_text
from api.moments import settle
from api.pagination import after, body_of, position_headers
from api.routes import Routes
from api.schemas import ConnectionsQuery, HistoryQuery, MomentQuery, page_of
from api.services import services

blueprint = Routes("connections", __name__, description="What is true of connections")


@blueprint.get("/api/connections")
@requires("read")
@blueprint.query(ConnectionsQuery)
@blueprint.answers(page_of(ConnectionSchema))
def connections(query: dict[str, Any]) -> Any:
    """Connections, in the order of their ids."""
    moment = settle(query)
    answer = services().questions.connections(
        now_ms=moment.now_ms,
        status=query.get("status"),
        client=query.get("client_reference_id"),
        stale=query.get("stale"),
        after=after(query),
        limit=query["limit"],
    )
    return body_of(answer.value), 200, position_headers(answer)


@blueprint.get("/api/connections/<connection_id>")
@requires("read")
@blueprint.query(MomentQuery)
@blueprint.answers(ConnectionSchema)
def connection(query: dict[str, Any], connection_id: str) -> Any:
    """A connection, by its id or by the short form that logs print."""
    moment = settle(query)
    answer = services().questions.connection(
        known_text(connection_id),
        now_ms=moment.now_ms,
        as_of_us=moment.as_of_us,
        valid_at_ms=moment.valid_at_ms,
    )
    if answer is None:
        raise _unknown()
    return answer.value, 200, position_headers(answer)


@blueprint.get("/api/connections/<connection_id>/history")
@requires("read")
@blueprint.query(HistoryQuery)
@blueprint.answers(HistoryPage)
def history(query: dict[str, Any], connection_id: str) -> Any:
    """The history of a connection, whichever client had it."""
    known = known_text(connection_id)
    return answer_history(
        lambda questions: partial(questions.connection_history, known), query, _unknown()
    )


def _unknown() -> Problem:
    return missing("This connection has never been heard of.", "`/api/connections` lists all.")
