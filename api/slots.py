"""Slots: readers and long waits never take the threads that ingest needs.

Of the server's 32 threads at most 16 answer anything but `/webhooks/ofauth`. A request that finds
no slot waits up to a second, at most 8 of them at once, so that 8 threads always remain for
webhooks. `/livez` and `/readyz` need no slot: a probe must be answered when readers crowd.
"""

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from werkzeug.wsgi import ClosingIterator

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

THREADS: Final = 32
"""Threads of the server."""
SLOTS: Final = 16
"""How many of them may answer anything but webhooks and probes."""
WAITERS: Final = 8
"""How many more may wait for a slot."""
WAIT_S: Final = 1.0
"""How long they wait, in seconds."""
REFUSED: Final = "ledger.no_slot"
"""Set in the WSGI environment of a request that found no slot."""
WITHOUT: Final = frozenset({"/webhooks/ofauth", "/webhooks/ofauth/", "/livez", "/readyz"})
"""Paths that need no slot."""


class Slots:
    """WSGI middleware that lends a slot for the length of a request, its streamed body included."""

    def __init__(
        self,
        app: "WSGIApplication",
        *,
        slots: int = SLOTS,
        waiters: int = WAITERS,
        wait: float = WAIT_S,
    ) -> None:
        """Guard `app`; `wait` is in seconds."""
        self._app = app
        self._slots = threading.BoundedSemaphore(slots)
        self._waiters = threading.BoundedSemaphore(waiters)
        self._wait = wait

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer one request."""
        if environ["PATH_INFO"] in WITHOUT:
            return self._app(environ, start_response)
        if not self._acquire():
            environ[REFUSED] = True
            return self._app(environ, start_response)
        try:
            body = self._app(environ, start_response)
        except BaseException:
            self._slots.release()
            raise
        return ClosingIterator(body, [_once(self._slots.release)])

    def _acquire(self) -> bool:
        if self._slots.acquire(blocking=False):
            return True
        if not self._waiters.acquire(blocking=False):
            return False
        try:
            return self._slots.acquire(timeout=self._wait)
        finally:
            self._waiters.release()


def _once(action: Callable[[], None]) -> Callable[[], None]:
    """A callable that acts the first time only: a server may close a body twice."""
    left = [action]
    return lambda: left.pop()() if left else None
