"""How far the projections have come, and what blocks them."""

from typing import Any

from api.auth import requires
from api.routes import Routes
from api.schemas import NoQuery, ProjectionSchema, page_of
from api.services import services
from projections.opening import GENERATION
from projections.registry import all_projections

blueprint = Routes("projections", __name__, description="How far the views have come")


@blueprint.get("/api/projections")
@requires("read")
@blueprint.query(NoQuery)
@blueprint.answers(page_of(ProjectionSchema))
def projections(_: dict[str, Any]) -> Any:
    """Each projection's position, lag and blocked streams; `Ledger-Position` is the log's end."""
    use = services()
    end = use.log.head().position
    blocked, positions = use.questions.blocked(), use.questions.positions()
    items = [
        {
            "name": projection.name,
            "version": projection.version,
            "generation": GENERATION,
            "position": positions[projection.name],
            "lag": max(0, end - positions[projection.name]),
            "blocked": [one for one in blocked if one.projection == projection.name],
        }
        for projection in all_projections(use.log.key)
    ]
    return {"items": items, "next_cursor": None}, 200, {"Ledger-Position": str(end)}
