"""A provider on a raw socket that answers what it is told, byte for byte, or does not."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.client import parse_headers
from types import TracebackType
from typing import Any, Self

Reaction = bytes | Callable[[socket.socket], None]
"""The bytes of an answer, or what to do with the connection instead."""


@dataclass(frozen=True)
class Asked:
    """One request that came."""

    method: str
    target: str
    """Path and query as sent."""
    headers: dict[str, str]
    """By names in lower case."""
    body: bytes


def answer(
    status: int, body: Any = b"", *, kind: str | None = "application/json", **headers: str
) -> bytes:
    """Write an answer; what is not bytes becomes JSON, `_` in the names of headers becomes `-`."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(content)}"]
    if kind is not None:
        lines.append(f"Content-Type: {kind}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + content


def hang_up(connection: socket.socket) -> None:
    """Close the connection without a word."""


def cut(content: bytes) -> Callable[[socket.socket], None]:
    """Send so much and close the connection."""

    def react(connection: socket.socket) -> None:
        connection.sendall(content)

    return react


class FaultServer:
    """Reacts to the requests in their order; the last reaction repeats."""

    def __init__(self, *reactions: Reaction) -> None:
        self._reactions = list(reactions)
        self._greeting: Callable[[socket.socket], None] | None = None
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._ended = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.asked: list[Asked] = []
        self.connections = 0

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(30)

    def close(self) -> None:
        """Listen no more; connections that there are go on."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def react(self, *reactions: Reaction) -> None:
        """React so from now on."""
        self._reactions = list(reactions)

    def greet(self, greeting: Callable[[socket.socket], None]) -> None:
        """Treat each connection so instead of reading what comes."""
        self._greeting = greeting

    def stall(self, connection: socket.socket) -> None:
        """Say nothing until the test is over."""
        self._ended.wait(60)

    def drip(self, content: bytes, every: float) -> Callable[[socket.socket], None]:
        """Send one byte every so many seconds until the test is over or nobody listens."""

        def react(connection: socket.socket) -> None:
            for place in range(len(content)):
                connection.sendall(content[place : place + 1])
                if self._ended.wait(every):
                    return

        return react

    def _start(self, run: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=run, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with self._lock:
                self._open.append(connection)
                self.connections += 1
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream, contextlib.suppress(OSError):
            if self._greeting is not None:
                self._greeting(connection)
                return
            while (line := stream.readline()) != b"":
                method, target, _ = line.decode("latin-1").split(" ")
                headers = {name.lower(): value for name, value in parse_headers(stream).items()}
                body = stream.read(int(headers.get("content-length", "0")))
                with self._lock:
                    self.asked.append(Asked(method, target, headers, body))
                    reaction = self._reactions[0]
                    if len(self._reactions) > 1:
                        del self._reactions[0]
                if not isinstance(reaction, bytes):
                    reaction(connection)
                    return
                connection.sendall(reaction)
