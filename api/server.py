"""The HTTP server: waitress, embedded so that a signal lets requests in flight finish."""

import socket
from typing import TYPE_CHECKING, Any, Final

import waitress
from waitress.channel import HTTPChannel
from waitress.task import WSGITask

from api.slots import THREADS
from api.webhooks import MAX_BODY

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

MAX_CONNECTIONS: Final = 1_000
MAX_HEADERS: Final = 64 * 1024
"""Bytes; a larger head of a request is refused by waitress."""


class _Task(WSGITask):  # type: ignore[misc]
    """A request whose 204 leaves the connection open.

    waitress closes the connection after any answer without Content-Length, which a 204 must not
    have: each delivery would cost its sender a new connection.
    """

    def set_close_on_finish(self) -> None:
        """Close after this answer, unless its end is known because it has no body."""
        asked = self.request.headers.get("CONNECTION", "").lower()
        if self.has_body or self.version != "1.1" or asked == "close":
            super().set_close_on_finish()


class _Channel(HTTPChannel):  # type: ignore[misc]
    task_class = _Task


def make_server(app: "WSGIApplication", host: str, port: int) -> Any:
    """Bind to an address; port 0 takes a free one, and `effective_port` of the result says which.

    Raises:
        OSError: the address cannot be bound.
    """
    server = waitress.create_server(
        app,
        host=_address(host),
        port=port,
        threads=THREADS,
        connection_limit=MAX_CONNECTIONS,
        backlog=MAX_CONNECTIONS,
        # waitress refuses at this size, the application above it
        max_request_body_size=MAX_BODY + 1,
        max_request_header_size=MAX_HEADERS,
        # select() cannot watch descriptors over 1023
        asyncore_use_poll=True,
        ident=None,
    )
    server.channel_class = _Channel
    return server


def _address(host: str) -> str:
    """One address of a name, IPv4 if it has one: waitress would take a port for each."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    found.sort(key=lambda one: one[0] != socket.AF_INET)
    return str(found[0][4][0])
