"""The live views of a serving process: one thread feeds them, a rebuild replaces them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

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
        self._shared = _Shared(open_whole(generations, generations.live()))
        self._runner = Runner(log, self._shared.store)
        self._switched = threading.Condition()

    @property
    def store(self) -> Store:
        """The generation that is live now."""
        return self._shared.store

    @contextmanager
    def lent(self) -> Iterator[Store]:
        """Lend the generation that is live now; it stays open until it is given back."""
        with self._switched:
            shared = self._shared
            shared.users += 1
        try:
            yield shared.store
        finally:
            self._give_back(shared)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Read in one transaction of the generation that is live when it begins."""
        with self.lent() as store, store.reading() as session:
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
            return self._switched.wait_for(lambda: self.store.generation >= generation, timeout)

    def run(self, stop: threading.Event, wake: threading.Event, poll: float = POLL_SECONDS) -> None:
        """Feed the live views until `stop` is set; see `Runner.run`."""
        self._runner.run(stop, wake, poll, before=self.follow)

    def follow(self) -> None:
        """Go over to the generation that was published last, if it is not the one in use.

        For the thread that runs. Raises StoreUnavailable; then everything is as before.
        """
        generation = self._generations.live()
        if generation == self.store.generation:
            return
        store = open_whole(self._generations, generation)
        try:
            self._runner.move(store, lambda: self._switch(store))
        except BaseException:
            if store is not self.store:
                store.close()
            raise

    def close(self) -> None:
        """Release everything."""
        self.store.close()
        self._generations.close()

    def _switch(self, store: Store) -> None:
        with self._switched:
            previous, self._shared = self._shared, _Shared(store)
            self._switched.notify_all()
        self._give_back(previous)

    def _give_back(self, shared: "_Shared") -> None:
        with self._switched:
            shared.users -= 1
            unused = not shared.users
        if unused:
            shared.store.close()


@dataclass(slots=True)
class _Shared:
    """A store, which is closed when nobody uses it any more."""

    store: Store
    users: int = 1
    """Who uses it now; being the live one counts as a user."""
