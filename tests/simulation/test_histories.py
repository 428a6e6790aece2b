"""Two thousand histories of connections, told by everything that can go wrong on the way.

Every history is another one: how the provider answers, what fails and when is drawn from its seed.
While faults strike the ledger may be behind; after they have stopped it must tell the truth. The
truth is the emulator's, and never what the ledger wrote down.
"""

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.postgres import PostgresServer
from tests.simulation.census import take, take_at

AT_ONCE = 500
HISTORIES = 2_000
ON_POSTGRES = range(1_000_000, 1_000_025)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(0, HISTORIES, AT_ONCE))
def test_the_truth_comes_out_whatever_went_wrong(first: int, memory_path: Path) -> None:
    """Views equal it, nothing is called deleted that exists, each transition is told once."""
    census = take(range(first, first + AT_ONCE), memory_path)
    assert list(census.failures()) == []
    assert list(census.gaps()) == []


@pytest.mark.timeout(600)
def test_the_truth_comes_out_on_postgresql(postgres_server: PostgresServer) -> None:
    """The same rules rest on another store."""
    with ExitStack() as databases:
        urls = (databases.enter_context(postgres_server.database()) for _ in ON_POSTGRES)
        census = take_at(ON_POSTGRES, urls)
    assert census.wrong == []
