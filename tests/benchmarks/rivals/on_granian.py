"""Our own service behind granian instead of waitress: one worker, 32 blocking threads."""

import os
import socket
import sys
from typing import TYPE_CHECKING, Any

from granian import Granian
from granian.constants import Interfaces

from api.bootstrap import open_service, spare_collector
from api.logs import configure
from api.settings import LiveSettings
from tests.benchmarks.rivals.common import THREADS

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def make() -> "WSGIApplication":
    """Open the service in granian's worker."""
    settings = LiveSettings(os.environ, serving=True)
    configure(settings().log_format, sys.stderr)
    service = open_service(settings(), present=settings)
    service.start()
    spare_collector()
    return service.app


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    """Serve on a free port that the first line names."""
    port = _free_port()
    server: Any = Granian(
        "tests.benchmarks.rivals.on_granian:make",
        factory=True,
        address="127.0.0.1",
        port=port,
        interface=Interfaces.WSGI,
        workers=1,
        blocking_threads=THREADS,
        backpressure=1024,
        log_enabled=False,
    )

    @server.on_startup
    def _say() -> None:
        sys.stdout.write(f"Listening on http://127.0.0.1:{port}\n")
        sys.stdout.flush()

    server.serve()


if __name__ == "__main__":
    main()
