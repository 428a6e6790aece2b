"""Which moment a question means, and waiting until the views can answer it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from api.errors import NOT_REACHED, Problem, invalid
from api.services import services

WAIT_S: Final = 5.0
"""How long a question waits for the views, in seconds."""
YOUNG_US: Final = 5_000_000
"""An `asOf` younger than this may still be overtaken by a write under way; microseconds."""


@dataclass(frozen=True, slots=True)
class Moment:
    """The moment that a question means, which the views have reached."""

    now_ms: int
    as_of_us: int | None
    valid_at_ms: int | None


def settle(query: Mapping[str, Any]) -> Moment:
    """Wait until the question can be answered, and say which moment it means.

    Raises:
        Problem: a time lies in the future, a position beyond the log's end, or the views are too
            far behind.
    """
    use = services()
    now = use.now()
    as_of, valid_at = query.get("as_of"), query.get("valid_at")
    if as_of is not None and as_of > now:
        raise invalid("asOf", "lies in the future")
    if valid_at is not None and valid_at > now // 1000:
        raise invalid("validAt", "lies in the future")
    wanted = query.get("min_position") or 0
    if wanted and not use.views.wait_for(wanted, 0):
        if wanted > use.log.head().position:
            raise invalid("minPosition", "lies beyond the end of the log")
        _reach(wanted)
    if as_of is not None:
        if now - as_of < YOUNG_US:
            use.writer.fence()
        _reach(use.log.position_at(as_of))
    return Moment(now // 1000, as_of, valid_at)


def _reach(position: int) -> None:
    if not services().views.wait_for(position, WAIT_S):
        raise Problem(
            NOT_REACHED,
            f"The views have not reached position {position} within {WAIT_S:g} s. Ask again; "
            "`/api/projections` shows how far they are.",
            headers={"Retry-After": "1"},
        )
