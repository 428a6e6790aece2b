"""Reading the log for a rebuild: alone, or a long one together with a helper."""

from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Final

from msgspec.structs import replace

from ledger.recorders.base import Log, names_of_kind
from projections.applying import Intent
from projections.base import Projection
from projections.rebuild.helper import Helper
from projections.rebuild.job import Job, Share
from projections.rebuild.telling import Meant, meant

HELPED_FROM: Final = 20_000
"""Of so many events on a second process is worth its start."""
OWN_SHARE: Final = 0.4
"""The part of the log that the first process tells itself: it also writes."""
AT_ONCE: Final = 2_000
"""How many events make a trip to the database worth it."""


class Reading:
    """The log up to its present end, told stream by stream."""

    def __init__(self, log: Log, projections: Sequence[Projection], job: Job) -> None:
        """Read for these projections; `job` is what they are built for.

        Raises StoreUnavailable.
        """
        self._log = log
        self._projections = projections
        self._job = job
        self.position = log.head().position
        """How far it reads."""
        kinds = sorted({kind for projection in projections for kind in projection.streams})
        self._sizes = {one: log.count(one, self.position) for one in map(names_of_kind, kinds)}
        self.total = sum(self._sizes.values())
        """How many events there are to read."""

    def meant(self) -> Generator[Meant, None, None]:
        """Give what is to be written, in pieces that are worth a trip to the database.

        Raises:
            RebuildFailed: the helper could not tell its share.
            StoreUnavailable: the log cannot be read.
        """
        return _gathered(self._alone() if self.total < HELPED_FROM else self._helped())

    def _alone(self) -> Generator[Meant, None, None]:
        return meant(self._log, self._projections, Share(tuple(self._sizes), self.position))

    def _helped(self) -> Generator[Meant, None, None]:
        own, others = self._split()
        names = tuple(projection.name for projection in self._projections)
        with Helper(replace(self._job, names=names, share=others), self._projections) as helper:
            for one in meant(self._log, self._projections, own):
                yield one
                yield from helper.meant(wait=False)
            yield from helper.meant(wait=True)

    def _split(self) -> tuple[Share, Share]:
        """Divide the streams of each kind, by their names."""
        own, others = [], []
        for (first, end), size in self._sizes.items():
            cut = self._log.stream_of((first, end), int(size * OWN_SHARE)) if size else end
            own.append((first, cut))
            others.append((cut, end))
        return Share(tuple(own), self.position), Share(tuple(others), self.position)


def _gathered(pieces: Generator[Meant, None, None]) -> Generator[Meant, None, None]:
    facts, intents = 0, list[Intent]()
    with closing(pieces):
        for piece in pieces:
            facts += piece.facts
            intents += piece.intents
            if facts >= AT_ONCE:
                yield Meant(facts, intents)
                facts, intents = 0, []
    if facts:
        yield Meant(facts, intents)
