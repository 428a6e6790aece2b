"""Parked deliveries: kept, but not understood, until the code can read them."""

from collections.abc import Iterable, Iterator
from typing import Any

from api.auth import requires
from api.moments import settle
from api.pagination import after, next_cursor, position_headers, through
from api.routes import Routes
from api.schemas import (
    MAX_LIMIT,
    NoQuery,
    PageQuery,
    ParkedSchema,
    RetriedSchema,
    RetryBody,
    page_of,
)
from api.services import services
from ledger.application import Recorded, Retry
from ledger.domain.words import DELIVERY
from projections.answers import ParkedDelivery

blueprint = Routes("parked", __name__, description="Deliveries that could not be read")


@blueprint.get("/api/parked")
@requires("admin")
@blueprint.query(PageQuery)
@blueprint.answers(page_of(ParkedSchema))
def parked(query: dict[str, Any]) -> Any:
    """Deliveries that could not be read, with the reason, oldest first."""
    settle(query)
    answer = services().questions.parked(after=after(query), limit=query["limit"])
    page = answer.value
    items = [parked_item(one) for one in page.items]
    return {"items": items, "next_cursor": next_cursor(page)}, 200, position_headers(answer)


@blueprint.post("/api/parked/retry")
@requires("admin")
@blueprint.query(NoQuery)
@blueprint.body(RetryBody)
@blueprint.answers(page_of(RetriedSchema))
def retry(_: dict[str, Any], body: dict[str, Any]) -> Any:
    """Read parked deliveries again: those of `ids`, or all."""
    use = services()
    wanted = body.get("ids")
    if wanted is None:
        # all means also what was parked a moment ago
        settle({"min_position": use.log.head().position})
        streams = list(_all_parked())
    else:
        streams = [delivery_stream(one) for one in wanted]
    done = [use.writer.submit(Retry(stream)) for stream in dict.fromkeys(streams)]
    return retried_page(done), 200, _last(done)


def parked_item(one: ParkedDelivery) -> dict[str, Any]:
    """Give a parked delivery as it is answered."""
    return {
        "id": one.stream,
        "position": one.position,
        "reason": one.reason,
        "detail": one.detail,
        "type": one.type,
        "size": one.size,
        "observed_at": one.observed_at,
        "dialect": one.dialect,
    }


def retried_page(done: Iterable[Recorded]) -> dict[str, Any]:
    """Give the outcome of retries as it is answered."""
    items = [{"id": r.stream, "outcome": r.outcome.value, "position": r.position} for r in done]
    return {"items": items, "next_cursor": None}


def delivery_stream(text: str) -> str:
    """Give the stream that a delivery's id names, with or without its prefix."""
    return DELIVERY + text.removeprefix(DELIVERY)


def _all_parked() -> Iterator[str]:
    ask = services().questions.parked
    first = ask(after=None, limit=MAX_LIMIT).value
    everything = through(first, lambda end: ask(after=end, limit=MAX_LIMIT).value)
    return (one.stream for one in everything)


def _last(done: list[Recorded]) -> dict[str, str]:
    return {"Ledger-Position": str(max(r.position for r in done))} if done else {}
