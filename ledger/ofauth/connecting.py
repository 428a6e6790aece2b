"""Connections to the provider: nothing from the environment, followed nowhere, and silent."""

import contextlib
import logging
import socket
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

_HEADERS: Final = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "Cache-Control": "no-cache",
    "Connection": "keep-alive",
    "User-Agent": "connection-ledger",
}


class Progress:
    """How far one call has come; when it takes too long, hangs up.

    The timeouts of a socket begin anew with each byte, so a sender of single bytes would hold us
    for ever.
    """

    def __init__(self, seconds: float) -> None:
        self.sent = False
        """Whether a first byte may have gone out."""
        self.late = False
        """Whether we hung up."""
        self._seconds = seconds
        self._timer: threading.Timer | None = None

    def __enter__(self) -> None:
        self._token = _PROGRESS.set(self)

    def __exit__(self, *_: object) -> None:
        _PROGRESS.reset(self._token)
        if self._timer is not None:
            self._timer.cancel()

    def begin(self, connection: socket.socket) -> None:
        """Note that bytes go out now."""
        if not self.sent:
            self.sent = True
            self._timer = threading.Timer(self._seconds, self._hang_up, [connection])
            self._timer.daemon = True
            self._timer.start()

    def _hang_up(self, connection: socket.socket) -> None:
        self.late = True
        with contextlib.suppress(OSError):
            # not the method of a TLS socket, which would take its state from under the reader
            socket.socket.shutdown(connection, socket.SHUT_RDWR)


_PROGRESS: Final[ContextVar[Progress | None]] = ContextVar("progress", default=None)
"""The call that this thread makes."""


class _Noting:
    """A connection that tells the call's progress when the request's first byte goes out."""

    sock: Any

    def send(self, data: Any) -> None:
        """Send bytes of a request."""
        if self.sock is None:
            self.connect()  # type: ignore[attr-defined]
        progress = _PROGRESS.get()
        if progress is not None:
            progress.begin(self.sock)
        super().send(data)  # type: ignore[misc]


class _Plain(_Noting, HTTPConnection):
    """Without TLS."""


class _Secure(_Noting, HTTPSConnection):
    """With TLS."""


class _PlainPool(HTTPConnectionPool):
    """Connections without TLS."""

    ConnectionCls = _Plain


class _SecurePool(HTTPSConnectionPool):
    """Connections with TLS."""

    ConnectionCls = _Secure


class _Adapter(HTTPAdapter):
    """Makes such connections, and never asks twice by itself."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}


class Session(requests.Session):
    """Takes nothing from the environment, keeps no cookies, looks at no redirect."""

    def __init__(self) -> None:
        super().__init__()
        # a proxy of the environment would read the key, and its netrc would replace it
        self.trust_env = False
        self.headers.clear()
        self.headers.update(_HEADERS)
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter())

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Name none: requests would read the whole answer, however long, to find the next one."""


@contextlib.contextmanager
def session_for(kept: Session, *, alone: bool) -> Iterator[Session]:
    """Give the kept session, or for a call that must be alone on its connection a new one."""
    if not alone:
        yield kept
        return
    with Session() as own:
        yield own


class _Silence(logging.Filter):
    """Lets nothing through that urllib3 says of our calls: it names paths, and paths name ids."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record may be logged."""
        return _PROGRESS.get() is None


_SILENCE: Final = _Silence()
_TALKERS: Final = (
    "urllib3.connection",
    "urllib3.connectionpool",
    "urllib3.poolmanager",
    "urllib3.response",
    "urllib3.util.retry",
)


def silence() -> None:
    """Put the filter where urllib3 logs; a filter that is there already is not doubled."""
    for name in _TALKERS:
        logging.getLogger(name).addFilter(_SILENCE)
