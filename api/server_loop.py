"""waitress's loop on epoll: a connection is asked what it waits for after something happened to it.

waitress asks every connection before every wait, and wakes its loop after every answer. While a
thread sends an answer, its connection says that it has something to send and is ready for it, so
the loop turns without end and keeps the interpreter's lock from the very thread: on two cores this
cost more than half of all requests a second. So it is not `writable` while a thread sends on it.
"""

import select
import threading
import time
from collections import deque
from typing import Any, Final

from waitress import wasyncore

READ: Final = select.EPOLLIN | select.EPOLLPRI
ALL_S: Final = 1.0
"""How often all are asked, in seconds: waitress ends idle connections by a mark on them."""


class Loop:
    """Waits for what happens to the dispatchers of a waitress server."""

    def __init__(self, server: Any) -> None:
        """Wait for what the server has in its map, itself included."""
        self._server = server
        self._map: dict[int, Any] = server._map
        self._epoll = select.epoll()
        self._waiting: dict[int, tuple[Any, int]] = {}
        """By descriptor: who waits, and for what."""
        self._asleep: set[Any] = set()
        """Connections that send more before they are answered; they wait for nothing."""
        self._pulled: deque[Any] = deque()
        """Connections whose threads have woken the loop for them."""
        self._all_asked = 0.0
        self._served = threading.local()
        self._trigger = server.trigger
        server.pull_trigger = self._pull

    def serves(self, channel: Any) -> None:
        """Note which connection the calling thread answers from now on."""
        self._served.channel = channel

    def _pull(self) -> None:
        """Wake the loop, unless a thread only says that its answer is sent."""
        channel = getattr(self._served, "channel", None)
        if channel is not None:
            if not channel.writable() and channel not in self._asleep:
                return
            self._pulled.append(channel)
        self._trigger.pull_trigger()

    def turn(self, timeout: float) -> None:
        """Wait once, at most `timeout` seconds, and let those act to whom something happened."""
        now = time.monotonic()
        if now >= self._all_asked + ALL_S:
            self._server.readable()  # looks after idle connections as well
            self._ask_all()
            self._all_asked = now
        for fd, happened in self._epoll.poll(timeout):
            one = self._map.get(fd)
            if one is None:
                continue
            if one is self._trigger:
                one.handle_read()
                while self._pulled:
                    self._ask(self._pulled.popleft()._fileno)
                continue
            if happened & READ and not self._may_read(one):
                happened &= ~READ
            if happened:
                wasyncore.readwrite(one, happened)
            self._ask(fd)
            if one is self._server:
                self._ask_all()
            elif fd not in self._map and self._server in self._asleep:
                self._ask(self._server._fileno)  # there is room for another connection

    def close(self) -> None:
        """Wait for nothing any more."""
        self._epoll.close()

    def _may_read(self, one: Any) -> bool:
        """Tell whether it reads now; what does not is put to sleep, or it would wake us at once."""
        if not one.readable():
            self._asleep.add(one)
            # A thread may have answered in between, and not seen that this one sleeps.
            if one.readable():
                self._asleep.discard(one)
        return one not in self._asleep

    def _ask_all(self) -> None:
        for fd in self._waiting.keys() - self._map.keys():
            del self._waiting[fd]
        self._asleep.intersection_update(self._map.values())
        for fd in list(self._map):
            self._ask(fd)

    def _ask(self, fd: int) -> None:
        """Wait for what it waits for now."""
        one = self._map.get(fd)
        if one is None:
            self._waiting.pop(fd, None)
            return
        if one in self._asleep and one.readable():
            self._asleep.discard(one)
        flags = 0 if one in self._asleep else READ
        if one.writable() and not one.accepting:
            flags |= select.EPOLLOUT
        known, before = self._waiting.pop(fd, (None, 0))
        if known is one and not flags:
            self._epoll.unregister(fd)
        elif known is one and flags != before:
            self._epoll.modify(fd, flags)
        elif known is not one and flags:
            self._epoll.register(fd, flags)
        if flags:
            self._waiting[fd] = one, flags
