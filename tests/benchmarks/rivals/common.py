"""What every rival shares: the settings' environment, our own signatures and parser, waitress."""

import os
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import waitress

from ledger.observations import identity
from ledger.ofauth.payloads import Reading, read
from ledger.ofauth.signatures import Secret, verify

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication
    from werkzeug.datastructures import Headers

THREADS: Final = 32
DATABASE: Final = os.environ["LEDGER_DATABASE_URL"]
SECRETS: Final = (Secret(os.environ["LEDGER_WEBHOOK_SECRETS"]),)


def accept(headers: "Headers | Mapping[str, str]", body: bytes) -> tuple[str, Reading]:
    """Verify and parse a delivery with our own code; give its identity and what it says.

    Raises:
        SignatureError: the signature is not good.
    """
    verdict = verify(headers.items(), body, SECRETS, now=time.time())
    reading = read(body)
    return identity(body, reading.dated, verdict), reading


def serve(app: "WSGIApplication") -> None:
    """Serve with as many threads as ours, on a free port that the first line names."""
    server = waitress.create_server(app, host="127.0.0.1", port=0, threads=THREADS, backlog=1024)
    sys.stdout.write(f"Listening on http://127.0.0.1:{server.effective_port}\n")
    sys.stdout.flush()
    server.run()
