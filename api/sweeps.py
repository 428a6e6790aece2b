"""Passes over the provider's list: those that were, and having one made now."""

from typing import Any

from marshmallow import fields

from api.auth import requires
from api.errors import NOT_CONFIGURED, Problem, missing
from api.moments import settle
from api.pagination import after, log_end, next_cursor
from api.routes import Routes
from api.schemas import CamelSchema, FreshQuery, Millis, NoQuery, PageQuery
from api.services import Services, services
from api.sweeping import NoProvider
from ledger.reconcile.telling import PassTold, one_pass, passes
from projections.answers import Page

blueprint = Routes("sweeps", __name__, description="Passes over the provider's list")


class SweepBody(CamelSchema):
    """How to sweep."""

    confirm_absences = fields.Boolean(
        load_default=False,
        metadata={
            "description": "Believe that as many connections are gone as this pass will not find. "
            "For when `readyz` says `braked` and you have seen in OFAuth's dashboard that it is so."
        },
    )


class SweepSchema(CamelSchema):
    """A pass. What is known only at its end is null before."""

    id = fields.String(metadata={"description": "Its name."})
    state = fields.String(metadata={"description": "`running`, `valid`, `invalid` or `abandoned`."})
    position = fields.Integer(
        allow_none=True,
        metadata={
            "description": "Of its last event in the log: with `minPosition` one waits for all "
            "that it recorded and concluded of connections."
        },
    )
    started_at = Millis(allow_none=True, metadata={"description": "When it began."})
    ended_at = Millis(allow_none=True, metadata={"description": "When it ended."})
    backfill = fields.Boolean(
        allow_none=True,
        metadata={"description": "Whether it is the first one: its differences are no repairs."},
    )
    reasons = fields.List(
        fields.String(),
        metadata={"description": "Why nothing is inferred from it, or why it was abandoned."},
    )
    requests = fields.Integer(allow_none=True, metadata={"description": "Pages that were read."})
    connections = fields.Integer(
        allow_none=True, metadata={"description": "Different connections that were listed."}
    )
    live = fields.Integer(
        allow_none=True, metadata={"description": "Connections known to live when it began."}
    )
    absent = fields.Integer(
        allow_none=True, metadata={"description": "How many of those were not listed."}
    )
    braked = fields.Boolean(
        allow_none=True,
        metadata={"description": "Whether too many are newly absent to infer anything."},
    )
    repairs = fields.Integer(
        allow_none=True, metadata={"description": "Differences that no webhook had told."}
    )
    appended = fields.Integer(
        allow_none=True, metadata={"description": "Rows that told something and were recorded."}
    )
    transitions = fields.Integer(
        allow_none=True,
        metadata={"description": "Changes of status recorded since the pass before, by whatever."},
    )
    gap_since = Millis(
        allow_none=True,
        metadata={"description": "Since when there was no valid pass, if that was long."},
    )


class SweepPageSchema(CamelSchema):
    """Some passes, the newest first."""

    items = fields.List(fields.Nested(SweepSchema), metadata={"description": "The passes."})
    next_cursor = fields.String(
        allow_none=True, metadata={"description": "For the passes before these; null at the end."}
    )


@blueprint.get("/api/sweeps")
@requires("read")
@blueprint.query(PageQuery)
@blueprint.answers(SweepPageSchema)
def sweeps(query: dict[str, Any]) -> Any:
    """List the passes, the newest first; `Ledger-Position` is the log's end."""
    use = services()
    settle(query)
    end, start = log_end(use), after(query)
    before = None if start is None else int(start[0])
    told, following = passes(use.log, before=before, limit=query["limit"])
    page = Page(tuple(told), None if following is None else (following,))
    return {"items": [_item(use, one) for one in told], "next_cursor": next_cursor(page)}, 200, end


@blueprint.post("/api/sweeps")
@requires("admin")
@blueprint.query(NoQuery)
@blueprint.body(SweepBody)
@blueprint.accepts(SweepSchema)
def sweep(_: dict[str, Any], body: dict[str, Any]) -> Any:
    """Make a pass now, or join the one that runs."""
    use = services()
    try:
        asked = use.sweeping.ask(confirm_absences=body["confirm_absences"])
    except NoProvider as error:
        raise Problem(NOT_CONFIGURED, str(error)) from None
    return _found(use, asked.id)


@blueprint.get("/api/sweeps/<id>")
@requires("read")
@blueprint.query(FreshQuery)
@blueprint.answers(SweepSchema)
def one_sweep(query: dict[str, Any], id: str) -> Any:
    """Give one pass; `Ledger-Position` is the log's end."""
    use = services()
    settle(query)
    end, found = log_end(use), _found(use, id)
    if found is None:
        raise missing("No pass has this id.", "`/api/sweeps` lists them.")
    return found, 200, end


def _found(use: Services, id: str) -> dict[str, Any] | None:
    told = one_pass(use.log, id)
    if told is not None:
        return _item(use, told)
    state = use.sweeping.state(id)
    return None if state is None else {"id": id, "state": state, "reasons": []} | _NOTHING


def _item(use: Services, told: PassTold) -> dict[str, Any]:
    return told_as_item(told, use.now() // 1000, running=use.sweeping.state(told.id) == "running")


def told_as_item(told: PassTold, now_ms: int, *, running: bool) -> dict[str, Any]:
    """Give a pass as it is answered."""
    started, done, abandoned, gap = told.started, told.completed, told.abandoned, told.gap
    item = {
        **_NOTHING,
        "id": told.id,
        "state": told.state(now_ms, running=running),
        "position": told.position,
        "started_at": None if started is None else started.observed,
        "backfill": None if started is None else started.backfill,
        "reasons": [] if abandoned is None else [abandoned.reason],
        "gap_since": None if gap is None else gap.since,
    }
    if abandoned is not None:
        item["ended_at"] = abandoned.observed
    if done is not None:
        item |= {name: getattr(done, name) for name in _COUNTED}
        item |= {"ended_at": done.observed, "reasons": list(done.reasons)}
        item["absent"] = len(done.absent)
    return item


_COUNTED = (
    "requests", "connections", "live", "braked", "repairs", "appended", "transitions",
)  # fmt: skip
_NOTHING = dict.fromkeys(
    ("position", "started_at", "ended_at", "backfill", "absent", "gap_since", *_COUNTED)
)
