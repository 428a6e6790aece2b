"""The live views of a serving process: one thread feeds them, a rebuild replaces them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ledger.recorders.base import Log
from projections.generations import Generations
from projections.opening import open_whole
from projections.runner import POLL_SECONDS, Runner
from projections.store import Session, Store


class Live:
    """Whichever generation is live. One thread runs it, any thread may read and wait."""

    def __init__(self, log: Log, generations: Generations) -> None:
        """Open the live generation of this log's views, and remove what a crash left of others.

        Raises StoreUnavailable when it cannot be opened.
        """
        self._generations = generations
        generations.clean()
        self._store = open_whole(generations, generations.live())
        self._previous: Store | None = None
        self._runner = Runner(log, self._store)
        self._switched = threading.Condition()

    @property
    def store(self) -> Store:
        """The generation that is live now."""
        return self._store

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Read in one transaction of the generation that is live when it begins."""
        with self._store.reading() as session:
            yield session

    def positions(self) -> dict[str, int]:
        """Give the tracked position of each projection."""
        return self._runner.positions()

    def wait_for(self, position: int, timeout: float) -> bool:
        """Wait until every projection has read up to a position, at most `timeout` seconds."""
        return self._runner.wait_for(position, timeout)

    def wait_switched(self, generation: int, timeout: float) -> bool:
        """Wait until a generation, or a later one, is live here, at most `timeout` seconds."""
        with self._switched:
            return self._switched.wait_for(lambda: self._store.generation >= generation, timeout)

    def run(self, stop: threading.Event, wake: threading.Event, poll: float = POLL_SECONDS) -> None:
        """Feed the live views until `stop` is set; see `Runner.run`."""
        self._runner.run(stop, wake, poll, before=self.follow)

    def follow(self) -> None:
        """Go over to the generation that was published last, if it is not the one in use.

        For the thread that runs. Raises StoreUnavailable; then everything is as before.
        """
        generation = self._generations.live()
        if generation == self._store.generation:
            return
        store = open_whole(self._generations, generation)
        try:
            self._runner.move(store, lambda: self._switch(store))
        except BaseException:
            if store is not self._store:
                store.close()
            raise

    def release(self) -> None:
        """Let go of the generation before, which is kept for those who were still reading it."""
        previous, self._previous = self._previous, None
        if previous is not None:
            previous.close()

    def close(self) -> None:
        """Release everything."""
        self.release()
        self._store.close()
        self._generations.close()

    def _switch(self, store: Store) -> None:
        self.release()
        self._previous, self._store = self._store, store
        with self._switched:
            self._switched.notify_all()
