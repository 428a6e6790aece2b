"""Building a generation: stream by stream up to a moment, then on in the order of the log.

The database sorts the log, because a stream that is told in one go is folded once and forgotten:
nothing is looked up, and memory stays the same however long the log is. What came in meanwhile is
caught up by the runner that feeds the live views too.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import islice
from typing import Final

from ledger.recorders.base import Log
from projections.applying import write_new
from projections.base import Projection, Table
from projections.errors import RebuildFailed, ViewsDamaged
from projections.generations import generations_of
from projections.opening import readable
from projections.rebuild.compare import differences
from projections.rebuild.job import Built, Difference, Job, Message, Progress
from projections.rebuild.reading import Reading
from projections.rebuild.telling import open_as_reader
from projections.registry import all_projections, makers
from projections.runner import Runner
from projections.store import BLOCKED, MADE, Filling, Store

NAMED_DIFFERENCES: Final = 10
"""How many differences a comparison names."""
MEETING_SECONDS: Final = 60.0
"""How long a comparison waits for the live views to come as far as the draft, if they stand."""
_LOOK_SECONDS: Final = 0.05

Tell = Callable[[Message], None]


def build(job: Job, tell: Tell) -> None:
    """Build a draft as the job says, and tell how it goes.

    Raises:
        RebuildFailed: the views cannot be compared.
        StoreUnavailable: the log or the draft could not be used.
    """
    with ExitStack() as stack:
        log = open_as_reader(job.database_url)
        stack.callback(log.close)
        generations = stack.enter_context(closing(generations_of(job.database_url)))
        try:
            live = readable(generations)
        except ViewsDamaged:
            live = None
        if live is not None:
            stack.callback(live.close)
        draft = stack.enter_context(closing(generations.draft(job.generation)))
        _Building(log, live, draft, job, tell).run()


class _Building:
    def __init__(self, log: Log, live: Store | None, draft: Store, job: Job, tell: Tell) -> None:
        self._log = log
        self._live = live
        self._draft = draft
        self._job = job
        self._tell = tell
        self._all = all_projections(log.key)
        read = _read_before(live, self._all)
        self._named = [p for p in self._all if p.name in job.names or p.name not in read]
        self._total = 0

    def run(self) -> None:
        with self._draft.filling(self._live) as filling:
            position = self._fill(filling)
        runner = Runner(self._log, self._draft, self._all)
        found: tuple[Difference, ...] = ()
        if self._job.verify and self._live is not None:
            found = self._compare(self._live, runner, position)
        self._report("catching up")
        while runner.step() == runner.limit or len(set(runner.positions().values())) > 1:
            self._report("catching up")
        self._tell(Built(min(runner.positions().values()), found))

    def _fill(self, filling: Filling) -> int:
        """Fill the draft up to a position, which is returned."""
        last = self._make_tables(filling)
        position = self._read(filling)
        self._report("indexing")
        for projection in self._all:
            if projection not in self._named:
                _take_over(filling, self._draft, projection)
        for table in last:
            self._index(filling, table)
        return position

    def _make_tables(self, filling: Filling) -> list[Table]:
        """Make every table; give those whose indexes are made when all rows are there."""
        tables = [table for projection in self._all for table in projection.tables]
        loaded = set(_loaded(self._named))
        written = {t.name for p in self._named for t in p.tables} - loaded
        last = [table for table in tables if table.name not in written]
        for table in (BLOCKED, MADE, *tables):
            filling.session.run(table.create)
            if table not in last:
                self._index(filling, table)
        for statement in makers():
            filling.session.run(statement)
        return last

    def _read(self, filling: Filling) -> int:
        reading = Reading(self._log, self._named, self._job)
        self._total, done = reading.total, 0
        self._report("reading", done)
        with closing(reading.meant()) as pieces:
            for facts, intents in pieces:
                write_new(filling.session, intents)
                done += facts
                self._report("reading", done)
        if reading.position:
            for projection in self._named:
                self._draft.track(filling.session, projection.name, reading.position)
        return reading.position

    def _index(self, filling: Filling, table: Table) -> None:
        for statement in table.create_indexes:
            filling.session.run(statement)

    def _compare(self, live: Store, runner: Runner, position: int) -> tuple[Difference, ...]:
        """Compare with the live views at one position, where the draft stops for it."""
        self._report("comparing")
        self._meet(live, position)
        names = [projection.name for projection in self._all]
        with live.reading() as old:
            # The live views go on; what this transaction sees of them does not.
            runner.catch_up(max(old.positions(names).values()))
            with self._draft.reading() as new:
                found = differences(old, new, self._named)
                return tuple(islice(found, NAMED_DIFFERENCES))

    def _meet(self, live: Store, position: int) -> None:
        """Wait until all live projections are at one position, and not before the draft."""
        names = [projection.name for projection in self._all]
        seen: list[set[int]] = []
        while len(seen) < MEETING_SECONDS / _LOOK_SECONDS:
            with live.reading() as session:
                positions = set(session.positions(names).values())
            if len(positions) == 1 and min(positions) >= position:
                return
            seen = [*seen, positions] if positions in seen[-1:] else [positions]
            time.sleep(_LOOK_SECONDS)
        raise RebuildFailed(
            f"The live views do not come to position {position}, so nothing can be compared. See "
            "why with `projections list`, or rebuild without --verify."
        )

    def _report(self, phase: str, done: int | None = None) -> None:
        self._tell(Progress(phase, self._total if done is None else done, self._total))


def _read_before(live: Store | None, projections: Sequence[Projection]) -> set[str]:
    """Name the projections that the live generation has: an upgrade may have brought others."""
    if live is None:
        return set()
    with live.reading() as session:
        positions = session.positions([projection.name for projection in projections])
    return {name for name, position in positions.items() if position}


def _loaded(projections: Sequence[Projection]) -> Iterator[str]:
    """Name the tables whose rows are loaded in bulk, so that their indexes can be made last."""
    for projection in projections:
        for insert in projection.plain:
            yield insert.table


def _take_over(filling: Filling, draft: Store, projection: Projection) -> None:
    """Copy the rows of a projection that is not rebuilt, with its position and its blocks."""
    session, name = filling.session, {"name": projection.name}
    for table in projection.tables:
        session.run(f"INSERT INTO {table.name}{{g}} SELECT * FROM {filling.live(table.name)}")
    session.run(
        f"INSERT INTO blocked{{g}} SELECT * FROM {filling.live('blocked')} "
        "WHERE projection = :name",
        name,
    )
    for row in session.rows(
        f"SELECT notification_id AS position FROM {filling.live('tracking')} "
        "WHERE application_name = :name",
        name,
    ):
        draft.track(session, projection.name, row["position"])
