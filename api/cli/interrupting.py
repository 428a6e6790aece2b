"""Ending a command that takes long: the first signal asks it to end, the second one ends it."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interrupts() -> Iterator[threading.Event]:
    """Lend what Ctrl-C and the signals that end a process set; the second one interrupts at once.

    An exception could fall into the starting of a process that must not be left alone.
    """
    interrupted = threading.Event()

    def interrupt(*_: object) -> None:
        if interrupted.is_set():
            raise KeyboardInterrupt
        interrupted.set()

    before = [signal.signal(one, interrupt) for one in SIGNALS]
    try:
        yield interrupted
    finally:
        for one, handler in zip(SIGNALS, before, strict=True):
            signal.signal(one, handler)
