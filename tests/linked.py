"""Short ways to say what happened to a Link session; times are milliseconds after noon."""

from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any, Final

from ledger.domain.event import Event
from ledger.domain.link_events import (
    LinkCancelled,
    LinkCompleted,
    LinkEvent,
    LinkFailed,
    LinkReported,
    LinkRequested,
    LinkStarted,
)
from ledger.domain.link_session import LinkSession, fold_link
from tests.given import CONNECTION, MINUTE, NOON

LINK: Final = "link_0123456789abcdef01234567"
CLIENT: Final = "user_1"
HOUR: Final = 60 * MINUTE
Told = tuple[str, LinkEvent]
"""A session's id, and what happened to it."""


def asked(at: int = 0, client: str | None = CLIENT, **more: Any) -> LinkRequested:
    """Somebody asked for a session."""
    return LinkRequested(observed=NOON + at, client=client, by="ops", via="api", **more)


def opened(at: int = 0, life: int | None = HOUR) -> LinkStarted:
    """The provider opened it, and names its end unless `life` is None."""
    ends = None if life is None else NOON + at + life
    return LinkStarted(observed=NOON + at, expires_at=ends, digest="d")


def said(at: int = MINUTE, status: str = "success", **more: Any) -> LinkReported:
    """A browser said how it ended."""
    return LinkReported(observed=NOON + at, channel="redirect", status=status, **more)


def proved(
    at: int = MINUTE, connection: str = CONNECTION, seen: int | None = None
) -> LinkCompleted:
    """A connection proved it."""
    observed = NOON + (at if seen is None else seen)
    return LinkCompleted(observed=observed, connection=connection, proved_at=NOON + at)


def failed(at: int = MINUTE, reason: str = "unreachable") -> LinkFailed:
    """It failed."""
    return LinkFailed(observed=NOON + at, reason=reason)


def cancelled(at: int = MINUTE, step: str | None = "login") -> LinkCancelled:
    """The creator gave up."""
    return LinkCancelled(observed=NOON + at, step=step)


def shifted(event: LinkEvent, by: int) -> LinkEvent:
    """The same event at another time: so many milliseconds later."""
    moved: dict[str, Any] = {
        name: getattr(event, name) + by
        for name in ("observed", "expires_at", "proved_at")
        if getattr(event, name, None) is not None
    }
    return replace(event, **moved)


def session(*events: Event, id: str = LINK) -> LinkSession:
    """Give the session that these events make."""
    folded = fold_link(id, events)
    assert folded is not None
    return folded


def lives(seed: int, sessions: int, clients: tuple[str, ...] = ("user_1", "user_2")) -> list[Told]:
    """What happens to many sessions of a few clients, in the order of time."""
    random = Random(seed)
    told: list[tuple[int, Told]] = []
    for number in range(sessions):
        link = f"link_{seed:08x}{number:016x}"
        at = random.randrange(12 * HOUR)
        for event in _life(random, at, random.choice(clients)):
            told.append((event.observed, (link, event)))
    return [one for _, one in sorted(told, key=lambda pair: pair[0])]


def _life(random: Random, at: int, client: str) -> Iterator[LinkEvent]:
    target = random.choice((None, None, "conn_1", "conn_2"))
    yield asked(at, client, connection=target)
    if random.random() < 0.2:
        if random.random() < 0.5:
            yield failed(at + 500, "rate_limited")
        return
    yield opened(at + 1_000, random.choice((None, HOUR, HOUR // 2)))
    at += random.randrange(2_000, 50 * MINUTE)
    status = random.choice(("success", "cancelled", "error", "nothing"))
    if status != "nothing":
        yield said(at, status, connection=random.choice((None, "conn_1", "conn_3")))
    if status == "cancelled":
        yield cancelled(at)
    if status == "error":
        yield failed(at, "reported")
    if random.random() < 0.4:
        yield proved(at + random.randrange(10 * MINUTE), random.choice(("conn_1", "conn_3")))
