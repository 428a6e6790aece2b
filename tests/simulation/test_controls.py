"""What the simulation would find: each rule taken away in turn, and what goes wrong then."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from unittest.mock import patch

import pytest

from tests.simulation.census import take

HISTORIES, AT_ONCE = 300, 20
"""In how many histories it must show, and after how many it is looked for."""


def one_miss_is_a_deletion() -> AbstractContextManager[object]:
    """Call deleted whatever a pass does not list."""
    return patch("ledger.reconcile.conclusions.Conclusions._is_proved", lambda *_: True)


def pages_do_not_overlap() -> AbstractContextManager[object]:
    """Read page after page, as if nothing moved."""
    return patch("ledger.reconcile.paging._overlap", lambda _: 0)


def rows_are_as_old_as_their_change() -> AbstractContextManager[object]:
    """Date a row by `updatedAt` alone, so that it never outweighs what is dated later."""
    return patch("ledger.ofauth.rows.LAG_MS", 10**15)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (one_miss_is_a_deletion, "existed and was called deleted"),
        (pages_do_not_overlap, "was listed and called absent"),
        (rows_are_as_old_as_their_change, "status is"),
    ],
)
def test_a_rule_that_is_taken_away_is_missed(
    fault: Callable[[], AbstractContextManager[object]], said: str, memory_path: Path
) -> None:
    """The simulation fails, and says why."""
    with fault():
        assert any(said in wrong for wrong in _found(memory_path))


def _found(folder: Path) -> Iterator[str]:
    """Give what goes wrong, some histories at a time."""
    for first in range(0, HISTORIES, AT_ONCE):
        yield from take(range(first, first + AT_ONCE), folder / str(first)).wrong
