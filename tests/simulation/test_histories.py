"""Two thousand histories of connections, told by everything that can go wrong on the way.

Every history is another one: how the provider answers, what fails and when is drawn from its seed.
While faults strike the ledger may be behind; after they have stopped it must tell the truth. The
truth is the emulator's, and never what the ledger wrote down.
"""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from tests.postgres import PostgresServer
from tests.simulation.census import Census, take, take_at

HISTORIES, AT_ONCE, PROCESSES = 2_000, 100, 2
ON_POSTGRES = range(1_000_000, 1_000_025)


@pytest.mark.timeout(900)
def test_the_truth_comes_out_whatever_went_wrong(memory_path: Path) -> None:
    """Views equal it, nothing is called deleted that exists, each transition is told once."""
    census = Census()
    for some in _taken(memory_path):
        census.update(some)
    assert census.histories == HISTORIES
    assert list(census.failures()) == []
    assert list(census.gaps()) == []


def _taken(folder: Path) -> Iterator[Census]:
    firsts = range(0, HISTORIES, AT_ONCE)
    parts = [range(first, first + AT_ONCE) for first in firsts]
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        yield from pool.map(take, parts, [folder / str(first) for first in firsts])


@pytest.mark.timeout(600)
def test_the_truth_comes_out_on_postgresql(postgres_server: PostgresServer) -> None:
    """The same rules rest on another store."""
    for seed in ON_POSTGRES:
        with postgres_server.database() as url:
            assert take_at([seed], iter([url])).wrong == []
