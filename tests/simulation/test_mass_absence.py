"""Much of the list vanishes at once, which no creator does: nothing is concluded from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, Final
from unittest.mock import patch

from api.emulator.listing import Listing
from ledger.domain.sweep_events import SweepCompleted
from tests.simulation.oracle import differences, is_settled
from tests.simulation.plan import draw
from tests.simulation.story import APART, Story

HISTORIES: Final = 12
CONNECTIONS: Final = 30
MOST_ABSENT: Final = 5
"""So many may be newly absent in one pass, of up to fifty that live."""
STILL_LISTED: Final = 8
"""A list of a few rows tells nothing of absence anyway."""
PASSES: Final = 4
"""One more than it takes to call missing who is absent."""


@contextmanager
def hidden(ids: set[str]) -> Iterator[None]:
    """Leave connections out of the list, as an index that broke would."""
    everything = Listing._everything

    def without(listing: Listing, manner: Any) -> Any:
        return [one for one in everything(listing, manner) if one.id not in ids]

    with patch.object(Listing, "_everything", without):
        yield


def passes(story: Story) -> Iterator[SweepCompleted]:
    """Make passes that nobody confirms, far enough apart to count."""
    for _ in range(PASSES):
        story.provider.ms += APART * 1_000
        result = story.subject.sweep(confirm=False)
        assert result is not None
        assert isinstance(result.event, SweepCompleted)
        yield result.event


def test_what_vanishes_at_once_is_neither_missing_nor_deleted(memory_path: Path) -> None:
    """The brake holds for as long as it lasts, and lets go when the list is whole again."""
    for seed in range(HISTORIES):
        plan = replace(draw(Random(f"plan {seed}")), connections=CONNECTIONS)
        story = Story(plan, seed, f"sqlite:///{memory_path}/{seed}.db")
        story.tell(is_settled)
        there = sorted(story.provider.existing())
        size = story.random.randint(MOST_ABSENT + 1, len(there) - STILL_LISTED)
        gone = set(story.random.sample(there, size))
        with hidden(gone):
            for event in passes(story):
                assert event.valid, f"seed {seed}"
                assert event.braked, f"seed {seed}"
                assert gone <= {*event.absent}, f"seed {seed}"
            assert [*differences(story, story.subject.connections())] == [], f"seed {seed}"
        for event in passes(story):
            assert event.valid, f"seed {seed}"
            assert not event.braked, f"seed {seed}"
        assert [*differences(story, story.subject.connections())] == [], f"seed {seed}"
        story.subject.close()
