"""The quarantine: requests that no secret verified, and a second look after a correction."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from api.auth import requires
from api.moments import settle
from api.pagination import after, next_cursor
from api.routes import Routes
from api.schemas import HeldSchema, NoQuery, PageQuery, VerifiedSchema, page_of
from api.services import services
from api.settings import Settings
from ledger.application import Delivery, Recorded
from ledger.ofauth.signatures import SignatureError, verify
from ledger.quarantine import Held, Quarantine
from projections.answers import Page

blueprint = Routes("quarantine", __name__, description="Requests that no secret verified")


@dataclass(frozen=True, slots=True)
class Looked:
    """What a second look brought."""

    verified: int
    refused: int
    position: int | None
    """The last position written; None when nothing was."""


@blueprint.get("/api/quarantine")
@requires("admin")
@blueprint.query(PageQuery)
@blueprint.answers(page_of(HeldSchema))
def quarantine(query: dict[str, Any]) -> Any:
    """Requests that are held, oldest first; they are not in the log."""
    use, limit = services(), query["limit"]
    settle(query)
    use.quarantine.expire(use.now() // 1000)
    (last,) = after(query) or ("",)
    held = use.quarantine.list(after=str(last), limit=limit + 1)
    page = Page(tuple(held[:limit]), (held[limit - 1].id,) if len(held) > limit else None)
    return {"items": [held_item(one) for one in page.items], "next_cursor": next_cursor(page)}


@blueprint.post("/api/quarantine/verify")
@requires("admin")
@blueprint.query(NoQuery)
@blueprint.answers(VerifiedSchema)
def look(_: dict[str, Any]) -> Any:
    """Check held requests with the present secrets, and record those that verify."""
    use = services()
    use.quarantine.expire(use.now() // 1000)
    looked = look_again(use.quarantine, use.settings(), use.writer.submit)
    headers = {} if looked.position is None else {"Ledger-Position": str(looked.position)}
    return looked, 200, headers


def look_again(
    quarantine: Quarantine, settings: Settings, record: Callable[[Delivery], Recorded]
) -> Looked:
    """Record held requests that verify at the time at which they were received, and let them go.

    Raises what `record` raises; a request is let go only after it is durable.
    """
    verified, refused, position = 0, 0, 0
    for held in quarantine.list():
        try:
            verdict = verify(
                held.headers,
                held.body,
                settings.webhook_secrets,
                now=held.received / 1000,
                tolerance=settings.tolerance_seconds,
                strict=settings.strict_timestamps,
            )
        except SignatureError:
            refused += 1
            continue
        delivery = Delivery(body=held.body, verdict=verdict, observed=held.received)
        position = max(position, record(delivery).position)
        quarantine.remove(held.id)
        verified += 1
    return Looked(verified, refused, position or None)


def held_item(held: Held) -> dict[str, Any]:
    """Give a held request as it is answered: nothing that its sender could choose freely."""
    names = {name.lower() for name, _ in held.headers}
    dialects = {"ofauth-signature": "documented", "svix-id": "svix", "webhook-id": "standard"}
    return {
        "id": held.id,
        "received_at": held.received,
        "size": len(held.body),
        "dialect": next((dialects[name] for name in dialects if name in names), "unknown"),
    }
