"""How far the projections have come, what blocks them, and making their views anew."""

from collections.abc import Iterable
from typing import Any

from marshmallow import fields

from api.auth import requires
from api.errors import invalid, missing
from api.moments import settle
from api.routes import Routes
from api.schemas import CamelSchema, FreshQuery, NoQuery, ProjectionSchema
from api.services import services
from projections.answers import Progress
from projections.errors import UnknownProjection
from projections.registry import PROJECTIONS, all_projections

blueprint = Routes("projections", __name__, description="How far the views have come")


class RebuildBody(CamelSchema):
    """What to rebuild."""

    names = fields.List(
        fields.String(), metadata={"description": "Projections; all when absent or empty."}
    )
    verify = fields.Boolean(
        load_default=False,
        metadata={"description": "Compare with the live views; they stay live when they differ."},
    )


class DifferenceSchema(CamelSchema):
    """A row that the live and the rebuilt view do not have in common."""

    projection = fields.String(metadata={"description": "Whose row it is."})
    table = fields.String(metadata={"description": "Which of its tables."})
    key = fields.Dict(metadata={"description": "What tells the row apart."})
    what = fields.String(
        metadata={"description": "`missing` in the rebuilt view, `extra` there, or `differs`."}
    )
    columns = fields.List(fields.String(), metadata={"description": "Which columns differ."})


class RebuildSchema(CamelSchema):
    """How far a rebuild has come, or how it ended."""

    state = fields.String(
        metadata={"description": "`running`, `done`, `different`, `failed` or `cancelled`."}
    )
    names = fields.List(fields.String(), metadata={"description": "What is rebuilt."})
    generation = fields.Integer(metadata={"description": "The number of its views."})
    verify = fields.Boolean(metadata={"description": "Whether it compares."})
    phase = fields.String(
        metadata={
            "description": "`starting`, `reading`, `indexing`, `comparing`, `catching up` or "
            "`switching`."
        }
    )
    done = fields.Integer(metadata={"description": "Events that are in the new views."})
    total = fields.Integer(
        allow_none=True, metadata={"description": "Events to be read; null before it is known."}
    )
    rate = fields.Float(allow_none=True, metadata={"description": "Events per second."})
    seconds_left = fields.Float(
        allow_none=True, metadata={"description": "How long reading may still take."}
    )
    seconds = fields.Float(metadata={"description": "How long it has taken."})
    position = fields.Integer(
        allow_none=True, metadata={"description": "How far it had read when it was complete."}
    )
    differences = fields.List(
        fields.Nested(DifferenceSchema), metadata={"description": "The first ten."}
    )
    detail = fields.String(
        allow_none=True, metadata={"description": "What went wrong, and what to do next."}
    )


class ProjectionsSchema(CamelSchema):
    """How far all projections have come."""

    items = fields.List(
        fields.Nested(ProjectionSchema), metadata={"description": "All projections."}
    )
    next_cursor = fields.String(
        allow_none=True, metadata={"description": "Always null: there is one page."}
    )
    rebuild = fields.Nested(
        RebuildSchema,
        allow_none=True,
        metadata={"description": "The rebuild that runs, or the one that ended last."},
    )


@blueprint.get("/api/projections")
@requires("read")
@blueprint.query(FreshQuery)
@blueprint.answers(ProjectionsSchema)
def projections(query: dict[str, Any]) -> Any:
    """Each projection's position, lag and blocked streams; `Ledger-Position` is the log's end."""
    use = services()
    settle(query)
    progress = use.questions.progress()
    end = use.log.head().position
    answer = {
        "items": list(projection_items(progress, end)),
        "next_cursor": None,
        "rebuild": use.rebuilds.last,
    }
    return answer, 200, {"Ledger-Position": str(end)}


@blueprint.post("/api/projections/rebuild")
@requires("admin")
@blueprint.query(NoQuery)
@blueprint.body(RebuildBody)
@blueprint.accepts(RebuildSchema)
def rebuild(_: dict[str, Any], body: dict[str, Any]) -> Any:
    """Make new views from the log beside the live ones, then answer from them; one at a time."""
    try:
        return services().rebuilds.start(body.get("names") or (), verify=body["verify"])
    except UnknownProjection:
        known = f"holds a name that is not one of {', '.join(PROJECTIONS)}"
        raise invalid("names", known, "json") from None


@blueprint.delete("/api/projections/rebuild")
@requires("admin")
@blueprint.query(NoQuery)
@blueprint.answers(RebuildSchema)
def cancel(_: dict[str, Any]) -> Any:
    """Cancel the running rebuild; when this is answered, nothing of it is left."""
    ended = services().rebuilds.cancel()
    if ended is None:
        raise missing("No rebuild is running.", "`/api/projections` has the last one's result.")
    return ended


def projection_items(progress: Progress, end: int) -> Iterable[dict[str, Any]]:
    """Give the projections of a log that ends at a position as they are answered."""
    for projection in all_projections(b""):
        position = progress.positions[projection.name]
        yield {
            "name": projection.name,
            "version": projection.version,
            "generation": progress.generation,
            "position": position,
            "lag": max(0, end - position),
            "blocked": [one for one in progress.blocked if one.projection == projection.name],
        }
