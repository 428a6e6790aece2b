"""Duplicates: live connections of one upstream account, each of which is billed."""

from typing import Any

from api.answers import DuplicateGroupSchema
from api.auth import requires
from api.moments import settle
from api.pagination import after, body_of, position_headers
from api.routes import Routes
from api.schemas import PageQuery, page_of
from api.services import services

blueprint = Routes("duplicates", __name__, description="Accounts that are connected twice")


@blueprint.get("/api/duplicates")
@requires("read")
@blueprint.query(PageQuery)
@blueprint.answers(page_of(DuplicateGroupSchema))
def duplicates(query: dict[str, Any]) -> Any:
    """Groups of live connections that share an upstream account, in a fixed order.

    Imported ones are not billed, and do not count.
    """
    moment = settle(query)
    answer = services().questions.duplicates(
        now_ms=moment.now_ms, after=after(query), limit=query["limit"]
    )
    return body_of(answer.value), 200, position_headers(answer)
