"""The frame of what works in the background of a service: a thread that can be stopped."""

import threading
from abc import ABC, abstractmethod


class Worker(ABC):
    """Works in a thread of its own, from `start` until `stop`.

    What the thread waits for is looked at and changed while `_changed` is held.
    """

    def __init__(self, name: str) -> None:
        """Prepare the thread `name`; its class works in `_run`."""
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, as soon as what is under way has come to its end."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def _pause(self, seconds: float) -> None:
        """Wait so long, or until something changes."""
        with self._changed:
            if not self._stopping:
                self._changed.wait(seconds)

    @abstractmethod
    def _run(self) -> None:
        """Work until `_stopping` is set."""
