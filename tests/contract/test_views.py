"""What every view promises, whatever database holds it."""

from collections.abc import Iterator
from random import Random

import pytest

from ledger.domain.claim import Statement
from tests.histories import history
from tests.projected import Views, about, dump


@pytest.fixture
def views(database_url: str) -> Iterator[Views]:
    views = Views(database_url)
    yield views
    views.close()


def tangle(seed: int, connections: int) -> list[Statement]:
    """What is said about several connections, in any order."""
    told = [
        about(f"conn_{i}", statement)
        for i in range(connections)
        for statement in history(seed * 1000 + i)
    ]
    Random(seed).shuffle(told)
    return told


@pytest.mark.parametrize("seed", range(3))
def test_views_are_the_same_however_the_log_is_cut_into_batches(views: Views, seed: int) -> None:
    """Rows after any split of the log into batches equal those of one batch over everything."""
    for statement in tangle(seed, 40):
        views.tell(statement)
        if Random(statement.claim.id).random() < 0.3:
            views.catch_up()
    views.catch_up()
    whole = dump(views.store)
    assert whole["current_state"]
    assert whole["blocked"] == []
    for generation, limit in ((2, 10_000), (3, 1), (4, 7)):
        other = views.open(generation)
        views.catch_up(other, limit)
        assert dump(other) == whole
