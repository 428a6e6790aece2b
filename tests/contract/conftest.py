"""What several files of contract tests ask: a swept list, and logs with views."""

from collections.abc import Iterator

import pytest

from ledger.application import LinkStep
from tests.builders import delivery, open_ledger
from tests.given import as_statement, created
from tests.linked import lives
from tests.passes import World
from tests.projected import Views, about, tangle


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    """An empty ledger, and a provider without connections."""
    world = World(database_url)
    yield world
    world.ledger.log.close()


@pytest.fixture
def views(database_url: str) -> Iterator[Views]:
    """An empty log with views."""
    views = Views(database_url)
    yield views
    views.close()


@pytest.fixture
def filled(database_url: str) -> Iterator[Views]:
    """A log about many connections, with views that have read it."""
    ledger = open_ledger(database_url)
    ledger.record([delivery(b"not json %d" % i) for i in range(3)])
    ledger.record([LinkStep(link=link, events=(event,)) for link, event in lives(1, 20)])
    ledger.log.close()
    filled = Views(database_url)
    filled.tell(*tangle(1, 40))
    filled.catch_up()
    yield filled
    filled.close()


@pytest.fixture
def many(database_url: str) -> Iterator[Views]:
    """A log that is read in several portions, so that reading it can be interrupted."""
    views = Views(database_url)
    for first in range(0, 9_000, 3_000):
        some = range(first, first + 3_000)
        views.tell(*(about(f"conn_{i}", as_statement(created(client="a"))) for i in some))
    views.catch_up()
    yield views
    views.close()
