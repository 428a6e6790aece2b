"""Our own service with only the store taken out: `serve`, deciding on a log that keeps nothing."""

import os
import signal
import sys
import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from api.bootstrap import Service, spare_collector
from api.logs import configure
from api.server import Server
from api.settings import LiveSettings
from ledger.recorders.base import Decide, Guard, Head, Seen, StoredRow


class NothingKept:
    """A log that is always empty; positions go on as if it were not."""

    key = bytes(32)

    def __init__(self) -> None:
        self._head = Head(0, 0)

    def transact(
        self,
        streams: Collection[str],
        message_ids: Collection[str],
        decide: Decide,
        now: Callable[[], int],
        _guard: Guard | None = None,
    ) -> tuple[list[int], Head]:
        """Decide on an empty log, and forget what was decided."""
        new = decide(Seen(self._head, (), ()))
        first = self._head.position + 1
        self._head = Head(self._head.position + len(new), now())
        return list(range(first, first + len(new))), self._head

    def read_log(self, after: int, limit: int, **_: object) -> list[StoredRow]:
        """Give nothing."""
        return []

    def read_streams(self, streams: Collection[str], **_: object) -> list[StoredRow]:
        """Give nothing."""
        return []

    def first_positions(self, streams: Collection[str]) -> dict[str, int]:
        """Give nothing."""
        return {}

    def body(self, position: int) -> bytes | None:
        """Give nothing."""
        return None

    def head(self) -> Head:
        """Give the end of the log."""
        return self._head

    def position_at(self, recorded_at: int) -> int:
        """Give the end of the log."""
        return self._head.position

    def close(self) -> None:
        """Release nothing."""


def main(arguments: Sequence[str]) -> None:
    """Do what `serve` does, on that log; the views, which stay empty, rest in a folder."""
    with tempfile.TemporaryDirectory(dir=arguments[0]) as folder:
        own = {"LEDGER_DATABASE_URL": f"sqlite:///{Path(folder) / 'none.db'}"}
        settings = LiveSettings(dict(os.environ) | own, serving=True)
        configure(settings().log_format, sys.stderr)
        service = Service(settings, NothingKept())
        server = Server(service.app, "127.0.0.1", 0, new_request_id=service.new_request_id)
        signal.signal(signal.SIGTERM, lambda *_: server.stop())
        service.start()
        spare_collector()
        sys.stdout.write(f"Listening on {server.url}\n")
        sys.stdout.flush()
        try:
            server.run()
        finally:
            service.stop()


if __name__ == "__main__":
    main(sys.argv[1:])
