"""The HTTP server: waitress, embedded so that its end lets requests in flight finish."""

import contextlib
import resource
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import waitress
from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.task import ErrorTask, WSGITask

from api import errors
from api.logs import log_request
from api.server_loop import Loop
from api.slots import THREADS
from api.webhooks import MAX_BODY

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

MAX_CONNECTIONS: Final = 1_000
FILES: Final = 2 * MAX_CONNECTIONS
"""How many files a serving process may have open: its connections, and what the stores open."""
MAX_HEADERS: Final = 64 * 1024
"""Bytes; a larger head of a request is refused by waitress."""
LINGER_BYTES: Final = 32 * 1024 * 1024
"""How much of a refused request is thrown away before its connection is reset."""
DRAIN_S: Final = 10.0
"""How long requests in flight may take after the signal, in seconds."""


class _Task(WSGITask):  # type: ignore[misc]
    """A request whose 204 leaves the connection open, unless the server is ending.

    waitress closes the connection after any answer without Content-Length, which a 204 must not
    have: each delivery would cost its sender a new connection.
    """

    def start(self) -> None:
        """Begin to answer."""
        super().start()
        if not self.channel.server.accepting:
            super().set_close_on_finish()

    def set_close_on_finish(self) -> None:
        """Close after this answer, unless its end is known because it has no body."""
        asked = self.request.headers.get("CONNECTION", "").lower()
        if self.has_body or self.version != "1.1" or asked == "close":
            super().set_close_on_finish()


class _Refusal(ErrorTask):  # type: ignore[misc]
    """The answer to what waitress refuses before the application: a problem, and a line."""

    def execute(self) -> None:
        """Answer."""
        refused = self.request.error
        request_id = self.channel.server.new_request_id()
        body = errors.body_of(errors.refusal(refused.code), request_id)
        self.status = f"{refused.code} {refused.reason}"
        self.response_headers += [
            ("Content-Type", errors.CONTENT_TYPE),
            ("X-Request-Id", request_id),
        ]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)
        log_request(method="-", route="-", status=refused.code, seconds=0, request=request_id)


class _Channel(HTTPChannel):  # type: ignore[misc]
    """A connection on which a sender whose body is too large can read its 413.

    A socket closed with unread bytes resets the connection, and the answer may be lost with it.
    """

    task_class = _Task
    error_task_class = _Refusal
    refused = False
    sending = False
    """Whether a thread sends; it says itself when something is left to be sent."""
    left: int | None = None
    """How many bytes are still thrown away; None before the answer is sent."""

    def service(self) -> None:
        """Answer one request, on a thread of the application."""
        self.refused = self.requests[0].error is not None
        self.server.loop.serves(self)
        super().service()

    def handle_close(self) -> None:
        """Close; after a refusal only for writing, at first."""
        if not self.refused or self.left is not None or not self.connected:
            super().handle_close()
            return
        self.left, self.will_close = LINGER_BYTES, False
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def send(self, data: Any, do_close: bool = True) -> int:
        """Send some of an answer; gives how many bytes it was."""
        self.sending = True
        try:
            return int(super().send(data, do_close))
        finally:
            self.sending = False

    def writable(self) -> bool:
        """Tell whether the loop has anything to send, or to close."""
        return not self.sending and bool(super().writable())

    def readable(self) -> bool:
        """Tell whether anything may be read now."""
        return self.left is not None or bool(super().readable())

    def handle_read(self) -> None:
        """Read, or throw away what comes after a refusal."""
        if self.left is None:
            super().handle_read()
            return
        data = self.recv(self.adj.recv_bytes)  # closes at the sender's end
        self.left -= len(data)
        if self.left < 0:
            super().handle_close()


def allow_files() -> None:
    """Let this process open as many files as it may need: most systems give 1,024 unless asked."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unbounded = resource.RLIM_INFINITY
    enough = FILES if hard == unbounded else min(FILES, hard)
    if soft != unbounded and soft < enough:
        resource.setrlimit(resource.RLIMIT_NOFILE, (enough, hard))


class Server:
    """A bound address, served by `run` on the caller's thread."""

    def __init__(
        self, app: "WSGIApplication", host: str, port: int, *, new_request_id: Callable[[], str]
    ) -> None:
        """Bind; port 0 takes a free one. `new_request_id` names what never reaches `app`.

        Raises:
            OSError: the address cannot be bound.
        """
        self._server = waitress.create_server(
            app,
            host=_address(host),
            port=port,
            threads=THREADS,
            connection_limit=MAX_CONNECTIONS,
            backlog=MAX_CONNECTIONS,
            # waitress refuses at this size, the application above it
            max_request_body_size=MAX_BODY + 1,
            max_request_header_size=MAX_HEADERS,
            ident=None,
        )
        self._server.channel_class = _Channel
        self._server.new_request_id = new_request_id
        self._server.loop = self._loop = Loop(self._server)
        self._stopping = False
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._server.effective_port}"
        """Where it listens."""

    def run(self) -> None:
        """Serve until `stop`, then finish the requests in flight."""
        while not self._stopping:
            self._loop.turn(1.0)
        self._drain()
        self._server.task_dispatcher.shutdown()
        wasyncore.close_all(self._server._map, ignore_all=True)
        self._loop.close()

    def stop(self) -> None:
        """End `run`, from another thread or a signal's handler."""
        self._stopping = True
        self._server.pull_trigger()

    def _drain(self) -> None:
        """Take no more connections; answer what is read, each with the connection's end."""
        wasyncore.dispatcher.close(self._server)
        end, idle = time.monotonic() + DRAIN_S, 0
        while idle < 3 and time.monotonic() < end:
            self._loop.turn(0.02)
            idle = 0 if self._busy() else idle + 1

    def _busy(self) -> bool:
        dispatcher: Any = self._server.task_dispatcher
        channels = list(self._server.active_channels.values())
        return bool(
            dispatcher.queue
            or dispatcher.active_count > 0
            or any(channel.requests or channel.total_outbufs_len for channel in channels)
        )


def _address(host: str) -> str:
    """One address of a name, IPv4 if it has one: waitress would take a port for each."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    found.sort(key=lambda one: one[0] != socket.AF_INET)
    return str(found[0][4][0])
