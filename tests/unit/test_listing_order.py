"""Rows that tell nothing are left out, and nobody can tell: the view is that of all rows written.

The oracle is a list of every claim with every row of every pass, asked by the independent model; it
shares nothing with what decides.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from ledger import decisions, streams
from ledger.application import Ledger
from ledger.domain.claim import Claim, Kind
from ledger.domain.connection import Connection
from ledger.recorders.base import Log, StoredRow
from ledger.streams import Streams
from tests.builders import Clock, counting_entropy
from tests.memory_log import MemoryLog
from tests.sweeping import Story, compared

STORIES = 1_500
CHUNK = 100
STEPS = 24


def story(seed: int) -> Story:
    """A story that has not begun, on a ledger of its own."""
    clock, log = Clock(), MemoryLog()
    told: Log = log  # type: ignore[assignment]  # all that the write path asks for
    return Story(Ledger(told, now=clock, entropy=counting_entropy()), clock, seed)


def is_caught(seed: int) -> bool:
    """Whether somewhere in a story the ledger says something else than all rows do."""
    told = story(seed)
    for _ in range(STEPS):
        told.step()
        if not told.agrees():
            return True
    return False


@pytest.mark.parametrize("start", range(0, STORIES, CHUNK))
def test_the_view_is_that_of_every_row_of_every_pass(start: int) -> None:
    """After every step, whatever came late."""
    for seed in range(start, start + CHUNK):
        told = story(seed)
        for step in range(STEPS):
            told.step()
            if told.told:
                assert compared(told.view()) == compared(told.truth()), f"story {seed}, {step}"


def test_the_stories_reach_what_they_are_about() -> None:
    """Most rows are left out, and often a pass has to stand up against what comes late."""
    seen: Counter[str] = Counter()
    for seed in range(150):
        told = story(seed)
        for _ in range(STEPS):
            told.step()
        held = told.statements()
        passes = [s for s in held if s.evidence.channel == "sweep" and s.claim.kind is Kind.ROW]
        seen["rows"] += sum(s.claim.kind is Kind.ROW for s in told.told)
        seen["left out"] += told.left_out
        seen["written"] += len(passes)
    assert seen["left out"] > seen["rows"] * 0.3
    assert seen["written"] > seen["rows"] - seen["left out"] + 100


def never_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake: what a pass stands for is forgotten."""
    monkeypatch.setattr(Streams, "_standing", lambda *_: [])


def absent_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake: a pass stands for what it did not list, too."""
    careful = streams._pass

    def careless(row: StoredRow, began: int) -> Any:
        one = careful(row, began)
        return None if one is None else one._replace(unlisted=frozenset())

    monkeypatch.setattr(streams, "_pass", careless)


def by_status_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake: a row is left out when its status is known, whatever its fields say."""

    def careless(connection: Connection, row: Claim) -> bool:
        return row.status is connection.status

    monkeypatch.setattr(decisions, "tells_nothing", careless)


@pytest.mark.parametrize("plant", [never_written, absent_too, by_status_alone])
def test_the_check_catches_a_mistake(
    plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each shows in what is said to be true."""
    plant(monkeypatch)
    assert sum(map(is_caught, range(150))) >= 10
