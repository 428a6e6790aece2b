"""What passes over a long list cost: requests, events and memory."""

import json
import tracemalloc
from collections.abc import Iterator
from random import Random

import pytest

from ledger.ofauth.results import ListPage
from ledger.reconcile import Known
from tests.builders import iso
from tests.listing import ListedProvider
from tests.passes import World, completed

SIZE = 5_000
FULL = 100_000
ALONE = 90
"""How many rows of a full page are not in the one before."""
BIOGRAPHY = "x" * 2_000
HELD = 1_000
"""How many bytes of memory a pass may take for each connection: its id and its stamp, in a
dictionary, and its id among those that live. A row is more than twice as long."""
PAGE_S = 0.1
"""How long a page takes, in seconds: the client asks no faster in the long run."""


class LongList(ListedProvider):
    """A list whose pages come as text, so that nothing of a row is shared with the next page."""

    def connections(self, *, limit: int, offset: int) -> ListPage:
        """Answer a page."""
        page = super().connections(limit=limit, offset=offset)
        rows = json.loads(json.dumps(page.rows))
        return ListPage(rows=rows, has_more=page.has_more, answered=page.answered, dated=True)


@pytest.fixture
def world(sqlite_url: str) -> Iterator[World]:
    """An empty ledger, and a provider without connections."""
    world = World(sqlite_url)
    world.provider = LongList(world.now)
    yield world
    world.ledger.log.close()


def fill(world: World, size: int) -> None:
    """Let so many connections be known, of a provider that takes its time for each page."""
    for number in range(size):
        data = {"id": f"u_{number}", "name": "somebody", "about": BIOGRAPHY}
        world.provider.add(f"conn_{number:024}", userData=data)
    lives = [Known(row["id"], missing=False) for row in world.provider.rows]
    world.known = lambda: iter(lives)  # type: ignore[method-assign,assignment,return-value]
    world.provider.before_page = lambda _: world.clock.advance(PAGE_S)
    assert world.sweep().state == "valid"


def bound(size: int) -> int:
    """How many requests a pass over a quiet list may take: also that for whose list it is."""
    return -(-size // ALONE) + 3


def quiet(world: World, size: int) -> None:
    """A pass over an unchanged list takes few requests, two events and little memory."""
    for row in world.provider.rows:
        row["lastCheckedAt"] = iso(world.now())
    before = world.head
    tracemalloc.start()
    try:
        event = completed(world.sweep())
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (event.valid, event.connections) == (True, size)
    assert event.requests + 1 <= bound(size)
    assert world.topics(before) == ["sweep.started", "sweep.completed"]
    print(f"{size} connections: {event.requests + 1} requests, {most / size:.0f} bytes for each")
    assert most <= size * HELD + 4_000_000  # the second part is for a page and its streams


def busy(world: World, size: int) -> None:
    """One change a second makes a pass at most a twentieth longer, and leaves it valid."""
    random = Random(1)
    changed = [0]

    def change(_: int) -> None:
        world.clock.advance(PAGE_S)
        while changed[0] < (world.now() - start) // 1000:
            changed[0] += 1
            row = world.provider.rows.pop(random.randrange(len(world.provider.rows)))
            if changed[0] % 3 == 0:
                continue  # it was deleted
            if changed[0] % 3 == 1:
                row = dict(row, id=f"conn_new_{changed[0]}", createdAt=iso(world.now()))
            world.provider.rows.insert(0, dict(row, updatedAt=iso(world.now())))

    start = world.now() + 300_000
    world.provider.before_page = change
    event = completed(world.sweep(after=300))
    # Who was deleted meanwhile is asked for by name.
    requests = event.requests + 1 + len(world.provider.probed)
    print(f"{size} connections, {changed[0]} changes: {requests} requests")
    assert event.valid
    assert changed[0] >= int(event.requests * PAGE_S) - 1
    assert requests <= bound(size) * 1.05


@pytest.mark.timeout(240)
def test_a_long_list_is_swept_at_the_cost_of_its_pages(world: World) -> None:
    """Neither more requests, nor a write for what is known, nor the rows in memory."""
    fill(world, SIZE)
    quiet(world, SIZE)
    busy(world, SIZE)


@pytest.mark.soak
@pytest.mark.timeout(7_200)
def test_a_hundred_thousand_connections_are_swept_at_the_cost_of_their_pages(world: World) -> None:
    """The same at the size that is promised."""
    fill(world, FULL)
    quiet(world, FULL)
    busy(world, FULL)
