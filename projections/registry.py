"""The projections by name: the one list to extend."""

from collections.abc import Callable, Iterator
from typing import Final

from projections.base import Projection, Table
from projections.current_state.projection import CurrentState
from projections.deliveries.projection import Deliveries
from projections.history.projection import History
from projections.links.projection import Links
from projections.store import BLOCKED, MADE, Store

PROJECTIONS: Final[dict[str, Callable[[bytes], Projection]]] = {
    CurrentState.name: CurrentState,
    History.name: lambda _: History(),
    Deliveries.name: lambda _: Deliveries(),
    Links.name: lambda _: Links(),
}
"""By name: what makes the projection from the store's key (for the short forms of ids)."""


def all_projections(key: bytes) -> tuple[Projection, ...]:
    """Make every projection; `key` is that of the log whose events they read."""
    return tuple(make(key) for make in PROJECTIONS.values())


def all_tables() -> tuple[Table, ...]:
    """Give every table of the views but the one of tracked positions."""
    return (BLOCKED, MADE, *(table for one in all_projections(b"") for table in one.tables))


def tables() -> Iterator[str]:
    """Give every statement that makes a table or an index of the views, and says who made them."""
    for table in all_tables():
        yield table.create
        yield from table.create_indexes
    yield from makers()


def makers() -> Iterator[str]:
    """Give the statements that write down by which version rows are made, where none made any."""
    for one in all_projections(b""):
        yield (
            "INSERT INTO made{g} (projection, version) "
            f"VALUES ('{one.name}', {one.version}) ON CONFLICT DO NOTHING"
        )


def outdated(store: Store) -> list[str]:
    """Name the projections whose rows another version of their rules made.

    What reads these rows now may misread them, or not find its columns.
    """
    made = store.made_by()
    return [
        one.name for one in all_projections(b"") if made.get(one.name, one.version) != one.version
    ]


def unmade(store: Store) -> list[str]:
    """Name the projections that no version made rows of: an earlier program did not have them.

    Who may write makes their tables; for who only reads they are not there.
    """
    made = store.made_by()
    return [one.name for one in all_projections(b"") if one.name not in made]
