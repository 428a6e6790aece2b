"""The emulator on an address: HTTP in front of it, threads behind it."""

import contextlib
import logging
import socket
import threading
from types import TracebackType
from typing import Any, Final

from waitress import wasyncore
from waitress.server import create_server

from api.emulator.app import create_emulator_app
from api.emulator.emulator import Emulator
from api.emulator.wire import Channel

_MOST_BODY: Final = 1 << 20
_THREADS: Final = 8


class EmulatorServer:
    """An emulator that listens from its making on, and answers from `start` or `run` on."""

    def __init__(self, emulator: Emulator, *, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes a free one.

        Raises:
            OSError: the address cannot be listened on.
        """
        # its warnings of a queue are about threads that wait in quiesce, as they should
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        # and those of answers that are shorter than they said about answers that are cut
        logging.getLogger(Channel.task_class.logger.name).setLevel(logging.ERROR)
        self.emulator = emulator
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family)
        self._channels: dict[int, Any] = {}
        self._stopping = threading.Event()
        self._server = create_server(
            create_emulator_app(emulator, sleep=self._stopping.wait),
            map=self._channels,
            sockets=[self._socket],
            threads=_THREADS,
            max_request_body_size=_MOST_BODY,
            ident="ofauth-emulator",
            log_socket_errors=False,
        )
        self._server.channel_class = Channel
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._socket.getsockname()[1]}"
        """Where it listens."""
        emulator.provider.url = self.url
        self._thread = threading.Thread(target=self._server.run, name="emulator", daemon=True)

    def run(self) -> None:
        """Serve on this thread until SystemExit or KeyboardInterrupt."""
        self.emulator.start()
        self._server.run()
        self.emulator.stop()

    def start(self) -> None:
        """Serve on a thread of its own."""
        self.emulator.start()
        self._thread.start()

    def stop(self) -> None:
        """End deliveries and slow answers, and stop listening."""
        self._stopping.set()
        self.emulator.stop()
        self._server.task_dispatcher.shutdown()
        # sockets are closed on the thread that selects them, else it selects closed ones
        with contextlib.suppress(OSError):  # when the loop has ended by itself, it is closed
            self._server.trigger.pull_trigger(self._close_all)
        self._thread.join()

    def _close_all(self) -> None:
        wasyncore.close_all(self._channels, ignore_all=True)

    def __enter__(self) -> "EmulatorServer":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
