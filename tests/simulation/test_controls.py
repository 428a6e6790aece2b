"""What the simulation would find: each rule taken away in turn, and what goes wrong then."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from random import Random
from unittest.mock import patch

import pytest

from tests.simulation.census import take
from tests.simulation.plan import Plan, draw

HISTORIES, AT_ONCE = 300, 20
"""In how many histories it must show, and after how many it is looked for."""
DISORDER = ("listShift", "listMove")
"""Faults with which nobody can know that he was shown everything."""


def one_miss_is_a_deletion() -> AbstractContextManager[object]:
    """Call deleted whatever a pass does not list."""
    return patch("ledger.reconcile.conclusions.Conclusions._is_proved", lambda *_: True)


def pages_do_not_overlap() -> AbstractContextManager[object]:
    """Read page after page, as if nothing moved."""
    return patch("ledger.reconcile.paging._overlap", lambda _: 0)


def rows_are_as_old_as_their_change() -> AbstractContextManager[object]:
    """Date a row by `updatedAt` alone, so that it never outweighs what is dated later."""
    return patch("ledger.ofauth.rows.LAG_MS", 10**15)


def crowded(random: Random) -> Plan:
    """Draw a plan with a list of many pages, of which rows vanish while it is read."""
    plan = draw(random)
    orderly = {name: value for name, value in plan.faults.items() if name not in DISORDER}
    return replace(
        plan,
        connections=13,
        disturb=0.2,
        manner={**plan.manner, "mostLimit": 4, "cacheSeconds": 0},
        faults={**orderly, "listRemove": 0.2},
    )


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("fault", "drawn", "said"),
    [
        (one_miss_is_a_deletion, draw, "existed and was called deleted"),
        (pages_do_not_overlap, crowded, "was listed and called absent"),
        (rows_are_as_old_as_their_change, draw, "status is"),
    ],
)
def test_a_rule_that_is_taken_away_is_missed(
    fault: Callable[[], AbstractContextManager[object]],
    drawn: Callable[[Random], Plan],
    said: str,
    memory_path: Path,
) -> None:
    """The simulation fails, and says why."""
    with fault():
        assert any(said in wrong for wrong in _found(memory_path, drawn))


def test_nothing_is_wrong_where_the_list_moves_most(memory_path: Path) -> None:
    """The histories that show a missing overlap are good ones with it."""
    assert take(range(AT_ONCE), memory_path / "crowded", crowded).wrong == []


def _found(folder: Path, drawn: Callable[[Random], Plan]) -> Iterator[str]:
    """Give what goes wrong, some histories at a time."""
    for first in range(0, HISTORIES, AT_ONCE):
        yield from take(range(first, first + AT_ONCE), folder / str(first), drawn).wrong
