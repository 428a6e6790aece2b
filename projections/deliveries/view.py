"""The questions about parked deliveries and silent dialects."""

from projections.answers import Cursor, Page, ParkedDelivery
from projections.store import Session


def parked_page(session: Session, after: Cursor | None, limit: int) -> Page[ParkedDelivery]:
    """List the parked deliveries in the order in which they were parked."""
    rows = session.rows(
        "SELECT * FROM parked{g} WHERE position > :after ORDER BY position LIMIT :limit",
        {"after": 0 if after is None else after[0], "limit": limit + 1},
    )
    names = ParkedDelivery.__slots__
    items = tuple(ParkedDelivery(**{name: row[name] for name in names}) for row in rows[:limit])
    return Page(items, (items[-1].position,) if len(rows) > limit else None)


def count_parked(session: Session) -> int:
    """Count the parked deliveries."""
    number: int = session.rows("SELECT COUNT(*) AS number FROM parked{g}")[0]["number"]
    return number


def last_heard(session: Session) -> dict[str, int]:
    """Give when each dialect was last heard, in milliseconds UTC."""
    rows = session.rows("SELECT dialect, last_observed_at FROM dialects{g} ORDER BY dialect")
    return {row["dialect"]: row["last_observed_at"] for row in rows}
