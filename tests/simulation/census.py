"""Many histories: how each ended, and what all of them together must show."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import Final

from tests.simulation.oracle import differences, forks, is_settled, untold
from tests.simulation.plan import Plan, draw
from tests.simulation.story import Story

RARE: Final = ("late", "close", "young", "refused", "foreign")
"""What at least a tenth of the histories must hold, or they test too little."""
QUOTED: Final = 5
"""How many examples of what is wrong are told."""


@dataclass
class Census:
    """The sums over histories."""

    histories: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    holding: Counter[str] = field(default_factory=Counter)
    """How many histories held each thing that is rare."""
    wrong: list[str] = field(default_factory=list)
    """What may never be, with the seed of the history."""

    def add(self, seed: int, story: Story) -> None:
        """Look at a history that is over."""
        known = story.subject.connections()
        found = [
            *differences(story, known),
            *untold(story, known),
            *(f"{id} existed and was called deleted" for id in story.wrongly_deleted),
        ]
        if story.plan.orderly:
            found += [f"{id} was listed and called absent" for id in story.wrongly_absent]
        self.wrong += [f"seed {seed}: {one}" for one in found]
        self.histories += 1
        self.counts.update(forks(story, known))
        self._count_passes(story)
        gone = known.keys() - story.provider.existing().keys()
        self.counts["deletions"] += len(gone)
        self.counts["proved"] += sum(known[id].status == "deleted" for id in gone)
        self.holding.update(name for name, number in _rare(story).items() if number)

    def _count_passes(self, story: Story) -> None:
        self.counts["passes"] += story.tally.tried
        self.counts["valid"] += story.tally.valid

    def update(self, other: Census) -> None:
        """Add what other histories came to."""
        self.histories += other.histories
        self.counts.update(other.counts)
        self.holding.update(other.holding)
        self.wrong += other.wrong

    def failures(self) -> Iterator[str]:
        """Say which bars are missed."""
        yield from self.wrong
        counts = self.counts
        for name, of, least in (
            ("valid", "passes", 0.95),
            ("proved", "deletions", 0.99),
            ("suspected", "unreported", 0.95),
        ):
            if counts[name] < least * counts[of]:
                yield f"{name}: {counts[name]} of {counts[of]}, and {least:.0%} are due"
        if counts["others_suspected"] > 0.01 * counts["others"]:
            yield f"{counts['others_suspected']} of {counts['others']} suspected without reason"
        for name in ("reported_not_forked", "others_forked"):
            if counts[name]:
                yield f"{name}: {counts[name]}"

    def gaps(self) -> Iterator[str]:
        """Say what too few histories held."""
        for name in RARE:
            if self.holding[name] < 0.1 * self.histories:
                yield f"{name}: in {self.holding[name]} of {self.histories} histories"
        for name in ("deletions", "reported", "unreported", "others", "passes"):
            if not self.counts[name]:
                yield f"{name}: none"


def _rare(story: Story) -> dict[str, int]:
    late = (
        attempt
        for attempt in story.provider.attempts.values()
        if attempt.first and attempt.stamps[attempt.first] != attempt.stamps[0]
    )
    tally = story.tally
    return {
        "late": sum(1 for _ in late),
        "close": story.provider.close(),
        "young": story.provider.young,
        "refused": story.provider.refused,
        "foreign": tally.foreign,
    }


def take(seeds: Iterable[int], folder: Path, drawn: Callable[[Random], Plan] = draw) -> Census:
    """Let histories happen, each with a log of its own in `folder`; `drawn` draws their plans."""
    folder.mkdir(exist_ok=True)
    return take_at(seeds, (f"sqlite:///{folder}/{number}.db" for number in count()), drawn)


def take_at(
    seeds: Iterable[int], urls: Iterator[str], drawn: Callable[[Random], Plan] = draw
) -> Census:
    """Let histories happen, each with the next log."""
    census = Census()
    logging.disable(logging.CRITICAL)  # thousands of warnings, each of which is meant
    try:
        for seed in seeds:
            plan = drawn(Random(f"plan {seed}"))
            story = run(plan, seed, next(urls))
            census.add(seed, story)
            story.subject.close()
    finally:
        logging.disable(logging.NOTSET)
    return census


def run(plan: Plan, seed: int, url: str) -> Story:
    """Let one history happen; the caller closes its ledger."""
    story = Story(plan, seed, url)
    story.tell(is_settled)
    return story
