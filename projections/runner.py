"""Pulls events after the tracked position, a batch at a time, and brings every view up to it.

Rows and position are written in one transaction, so a batch counts once whatever happens between
two batches. The same code serves both databases.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from ledger.domain.errors import LedgerError
from ledger.recorders.base import Log
from projections.applying import (
    Intent,
    Overtaken,
    Refused,
    intend,
    report,
    write_apart,
    write_together,
)
from projections.base import Projection
from projections.batch import Batch, read_batch, tell_streams
from projections.blocked import Blocks, read_blocks
from projections.errors import ViewsAhead
from projections.registry import all_projections
from projections.store import Session, Store

logger = logging.getLogger(__name__)

BATCH: Final = 2_000
"""How many events one batch reads at most."""
BREATH_SECONDS: Final = 0.002
"""How long the loop lets more come together at the end of the log, for each event that came."""
LONGEST_BREATH_SECONDS: Final = 0.5
"""How long it does so at most."""
POLL_SECONDS: Final = 0.2
"""How long the loop waits for a commit in its own process before it looks for others'."""
NOT_SEEN: Final = -1
"""Stands for a position before anybody looked, so that nobody takes it for the log's beginning."""

Known = tuple[dict[str, int], Blocks]
"""The tracked positions and what is blocked, as this process last saw or wrote them."""


class Runner:
    """Keeps projections up to date; one thread may step it, any thread may wait for it."""

    def __init__(
        self,
        log: Log,
        store: Store,
        projections: Sequence[Projection] | None = None,
        *,
        limit: int = BATCH,
    ) -> None:
        """Bring `projections` (all that are registered, by default) in `store` up to `log`."""
        self._log = log
        self._store = store
        self._projections = tuple(projections or all_projections(log.key))
        self.limit = limit
        """How many events one batch reads at most."""
        self._started = False
        self._known: Known | None = None
        self._moved = threading.Condition()
        self._positions = {projection.name: NOT_SEEN for projection in self._projections}

    def positions(self) -> dict[str, int]:
        """Give the tracked position of each projection, as the last step saw it.

        `NOT_SEEN` before the first one.
        """
        with self._moved:
            return dict(self._positions)

    def wait_for(self, position: int, timeout: float) -> bool:
        """Wait until every projection has read up to a position, at most `timeout` seconds."""
        with self._moved:
            return self._moved.wait_for(lambda: min(self._positions.values()) >= position, timeout)

    def step(self, up_to: int | None = None) -> int:
        """Read and write one batch; return how many events it held, 0 at the end of the log.

        No event after `up_to` is read. Raises:
            StoreUnavailable: nothing was written; the same step can be taken again.
            ViewsAhead: the views belong to another log.
        """
        known, self._known = self._known or self._look(), None
        positions, blocks = known
        self._announce(positions)
        first = min(positions.values())
        group = [p for p in self._projections if positions[p.name] == first]
        others = [position for position in positions.values() if position > first]
        if up_to is not None:
            others.append(up_to)
        batch = read_batch(
            self._log,
            after=first,
            up_to=min(others, default=None),
            limit=self.limit,
            blocked={stream for _, stream in blocks},
        )
        if batch is None:
            self._known = known
            return 0
        changed = self._take(batch, group, positions, blocks)
        positions = {**positions, **{p.name: batch.position for p in group}}
        self._announce(positions)
        self._known = None if changed else (positions, blocks)
        return batch.size

    def catch_up(self, position: int) -> None:
        """Step until every projection has read up to a position of the log, and no further.

        Raises what `step` raises.
        """
        self.step(0)
        while min(self.positions().values()) < position and self.step(position):
            pass

    def move(self, store: Store, switch: Callable[[], None]) -> None:
        """Go on in another generation of the views, for the thread that steps.

        It is brought to the end of the log, then `switch` makes it the one that is read, and only
        then are its positions announced: so nobody reads less than what was waited for.

        Raises what `step` raises; then everything is as before.
        """
        ahead = Runner(self._log, store, self._projections, limit=self.limit)
        ahead.catch_up(self._log.head().position)
        switch()
        self._store, self._known, self._started = store, None, True
        self._announce(ahead.positions())

    def run(
        self,
        stop: threading.Event,
        wake: threading.Event,
        poll: float = POLL_SECONDS,
        before: Callable[[], None] = lambda: None,
    ) -> None:
        """Step until `stop` is set; at the end of the log, until `wake` is set or `poll` seconds.

        Whoever sets `stop` should set `wake` as well. What fails is logged and tried again.
        `before` is called before each step.
        """
        trouble: str | None = None
        while not stop.is_set():
            consumed, said = self._try_step(before)
            if said is not None and said != trouble:
                logger.error("The views cannot go on: %s", said)
            trouble = said
            if consumed >= self.limit or len(set(self.positions().values())) > 1:
                continue
            if consumed:
                # One step for many commits costs the threads that record less.
                stop.wait(min(consumed * BREATH_SECONDS, LONGEST_BREATH_SECONDS))
            wake.wait(poll)
            wake.clear()

    def _try_step(self, before: Callable[[], None]) -> tuple[int, str | None]:
        try:
            before()
            return self.step(), None
        except Overtaken:
            return 0, None
        except LedgerError as error:
            return 0, str(error)
        except Exception as error:  # noqa: BLE001 - views that stop in silence would be worse
            return 0, type(error).__name__

    def _look(self) -> Known:
        known = self._read()
        if not self._started:
            self._start(*known)
            self._started = True
            known = self._read()
        return known

    def _read(self) -> Known:
        with self._store.reading() as session:
            return self._tracked(session), read_blocks(session)

    def _tracked(self, session: Session) -> dict[str, int]:
        return session.positions([p.name for p in self._projections])

    def _announce(self, positions: dict[str, int]) -> None:
        with self._moved:
            self._positions = positions
            self._moved.notify_all()

    def _start(self, positions: dict[str, int], blocks: Blocks) -> None:
        """Refuse views of another log, and try again what was blocked when they were closed."""
        head = self._log.head().position
        if max(positions.values()) > head:
            raise ViewsAhead(max(positions.values()), head)
        for projection in self._projections:
            streams = [stream for name, stream in blocks if name == projection.name]
            if streams:
                told = tell_streams(self._log, streams, positions[projection.name])
                with self._writing(positions) as session:
                    done = write_apart(session, intend(projection, told, blocks))
                report(done, self._log.key)

    def _take(
        self,
        batch: Batch,
        group: Sequence[Projection],
        positions: dict[str, int],
        blocks: Blocks,
    ) -> bool:
        """Write a batch; tell whether it changed which streams are blocked."""
        intents = [i for projection in group for i in intend(projection, batch.told, blocks)]
        try:
            with self._writing(positions) as session:
                write_together(session, intents)
                self._track(session, group, batch)
        except Refused:
            intents = self._take_apart(batch, group, positions, intents)
        report(intents, self._log.key)
        return any(intent.trouble is not None or intent.was_blocked for intent in intents)

    def _take_apart(
        self,
        batch: Batch,
        group: Sequence[Projection],
        positions: dict[str, int],
        intents: Sequence[Intent],
    ) -> list[Intent]:
        with self._writing(positions) as session:
            done = write_apart(session, intents)
            self._track(session, group, batch)
        return done

    def _track(self, session: Session, group: Sequence[Projection], batch: Batch) -> None:
        for projection in group:
            self._store.track(session, projection.name, batch.position)

    @contextmanager
    def _writing(self, positions: dict[str, int]) -> Iterator[Session]:
        """Write under the condition that nobody has moved the views since they were looked at."""
        with self._store.writing() as session:
            if self._tracked(session) != positions:
                raise Overtaken("Another process has advanced the views; nothing was written.")
            yield session
