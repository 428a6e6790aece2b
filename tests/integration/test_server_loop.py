"""The server's loop: whatever happens to a connection, it is noticed, and nothing else is asked."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from waitress import wasyncore
from waitress.server import BaseWSGIServer

from api.server import Server
from api.server_loop import Loop
from api.slots import THREADS

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

LARGE = 3_000_000
"""Bytes: more than the buffers of a socket hold."""
OWN = 2
"""How many of the sockets that waitress counts are its own."""


def echo(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with the path, or with very much."""
    path = environ["PATH_INFO"]
    body = b"x" * LARGE if path == "/large" else path.encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


@contextmanager
def listening(app: WSGIApplication) -> Iterator[tuple[str, int]]:
    """Serve on a free port for the length of a `with` block."""
    server = Server(app, "127.0.0.1", 0, new_request_id=lambda: "req_1")
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        parts = urlsplit(server.url)
        yield str(parts.hostname), int(parts.port or 0)
    finally:
        server.stop()
        thread.join(30)
        assert not thread.is_alive()


def ask(connection: socket.socket, *paths: str) -> None:
    """Send requests, one right behind the other."""
    connection.sendall(b"".join(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % p.encode() for p in paths))


def answers(connection: socket.socket, count: int) -> list[bytes]:
    """Read the bodies of so many answers."""
    stream = connection.makefile("rb")
    bodies = []
    for _ in range(count):
        head = dict(
            line.split(b": ", 1) for line in iter(stream.readline, b"\r\n") if b": " in line
        )
        bodies.append(stream.read(int(head[b"Content-Length"])))
    return bodies


def test_requests_sent_before_the_answer_are_answered_in_their_order() -> None:
    """A sender need not wait for one answer before it sends the next request."""
    with listening(echo) as address, socket.create_connection(address, 10) as connection:
        ask(connection, *(f"/{number}" for number in range(50)))
        assert answers(connection, 50) == [b"/%d" % number for number in range(50)]


def test_requests_sent_while_one_is_being_answered_are_answered_later() -> None:
    """What a busy connection sends is left where it is, and read when the answer is sent."""
    entered, leave = threading.Event(), threading.Event()

    def slow(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        entered.set()
        assert leave.wait(10)
        return echo(environ, start_response)

    with listening(slow) as address, socket.create_connection(address, 10) as connection:
        ask(connection, "/first")
        assert entered.wait(10)
        ask(connection, "/second")
        with socket.create_connection(address, 10) as other:
            ask(other, "/other")
            leave.set()
            assert answers(other, 1) == [b"/other"]
        assert answers(connection, 2) == [b"/first", b"/second"]


def test_an_answer_larger_than_the_buffers_arrives_whole_and_the_connection_stays() -> None:
    """What a thread could not send, the loop sends as the reader reads."""
    with listening(echo) as address, socket.create_connection(address, 10) as connection:
        ask(connection, "/large", "/small")
        large, small = answers(connection, 2)
        assert (len(large), small) == (LARGE, b"/small")


@pytest.mark.parametrize("connections", [THREADS * 4])
def test_more_connections_than_threads_are_all_answered_again_and_again(connections: int) -> None:
    """A connection costs a thread only while it is answered."""
    with listening(echo) as address:
        opened = [socket.create_connection(address, 10) for _ in range(connections)]
        for turn in range(3):
            for connection in opened:
                ask(connection, f"/{turn}")
            for connection in opened:
                assert answers(connection, 1) == [b"/%d" % turn]
        for connection in opened:
            connection.close()


def test_a_sender_that_goes_away_harms_nobody() -> None:
    """Its connection is closed, whether it was being answered or not."""
    entered, leave = threading.Event(), threading.Event()

    def slow(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/gone":
            entered.set()
            assert leave.wait(10)
        return echo(environ, start_response)

    with listening(slow) as address:
        gone = socket.create_connection(address, 10)
        ask(gone, "/gone")
        assert entered.wait(10)
        gone.close()
        with socket.create_connection(address, 10) as connection:
            ask(connection, "/here")
            assert answers(connection, 1) == [b"/here"]
            leave.set()
            ask(connection, "/still")
            assert answers(connection, 1) == [b"/still"]


@pytest.mark.parametrize("path", [None, "/last"])
def test_who_waits_for_room_is_let_in_as_soon_as_there_is_some(
    monkeypatch: pytest.MonkeyPatch, path: str | None
) -> None:
    """Whoever goes makes room, by himself or after an answer; nobody has to look round for it."""
    monkeypatch.setattr("api.server.MAX_CONNECTIONS", THREADS)
    refused, readable = threading.Event(), BaseWSGIServer.readable

    def watched(server: BaseWSGIServer) -> Any:
        ready = readable(server)
        if server.in_connection_overflow:
            refused.set()
        return ready

    monkeypatch.setattr(BaseWSGIServer, "readable", watched)
    with listening(echo) as address, ExitStack() as opened:
        *taken, waiting = (
            opened.enter_context(socket.create_connection(address, 10))
            for _ in range(THREADS - OWN + 1)
        )
        for one in taken:
            ask(one, "/taken")
            assert answers(one, 1) == [b"/taken"]
        assert refused.wait(10)
        monkeypatch.setattr("api.server_loop.ALL_S", 1_000_000)
        if path is None:
            taken[0].close()
        else:
            taken[0].sendall(b"GET %s HTTP/1.1\r\nConnection: close\r\n\r\n" % path.encode())
        ask(waiting, "/let-in")
        assert answers(waiting, 1) == [b"/let-in"]


def test_the_loop_rests_while_a_thread_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection on which an answer is being sent is ready for more, and must not wake it."""
    entered, leave, turns = threading.Event(), threading.Event(), list[float]()
    send, turn = wasyncore.dispatcher.send, Loop.turn

    def slowly(channel: Any, data: bytes, do_close: bool = True) -> Any:
        if not entered.is_set():
            entered.set()
            assert leave.wait(10)
        return send(channel, data, do_close)

    def counted(loop: Loop, timeout: float) -> None:
        turns.append(timeout)
        turn(loop, timeout)

    monkeypatch.setattr(wasyncore.dispatcher, "send", slowly)
    monkeypatch.setattr(Loop, "turn", counted)
    with listening(echo) as address, socket.create_connection(address, 10) as connection:
        ask(connection, "/first")
        assert entered.wait(10)
        ask(connection, "/second")
        with socket.create_connection(address, 10) as other:
            for _ in range(20):
                ask(other, "/other")
                assert answers(other, 1) == [b"/other"]
        assert len(turns) < 200
        leave.set()
        assert answers(connection, 2) == [b"/first", b"/second"]
