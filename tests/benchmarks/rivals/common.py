"""What every rival shares: the settings' environment, our own signatures and parser, waitress."""

import os
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import waitress
from psycopg.conninfo import conninfo_to_dict

from ledger.observations import identity
from ledger.ofauth.payloads import Reading, read
from ledger.ofauth.signatures import Secret, verify
from ledger.recorders import sqlite_path

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication
    from werkzeug.datastructures import Headers

THREADS: Final = 32
DATABASE: Final = os.environ.get("LEDGER_DATABASE_URL", "")
SECRETS: Final = tuple(map(Secret, os.environ.get("LEDGER_WEBHOOK_SECRETS", "").split(",")))


def accept(headers: "Headers | Mapping[str, str]", body: bytes) -> tuple[str, Reading]:
    """Verify and parse a delivery with our own code; give its identity and what it says.

    Raises:
        SignatureError: the signature is not good.
    """
    verdict = verify(headers.items(), body, SECRETS, now=time.time())
    reading = read(body)
    return identity(body, reading.dated, verdict), reading


def library_environment(url: str) -> dict[str, str]:
    """Write a database's address as settings of eventsourcing."""
    path = sqlite_path(url)
    if path is not None:
        return {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(path)}
    named = conninfo_to_dict(url)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": str(named["dbname"]),
        "POSTGRES_HOST": str(named["host"]),
        "POSTGRES_PORT": str(named["port"]),
        "POSTGRES_USER": str(named["user"]),
        "POSTGRES_PASSWORD": str(named.get("password", "none")),
        "POSTGRES_POOL_SIZE": str(THREADS),
    }


def serve(app: "WSGIApplication") -> None:
    """Serve with as many threads as ours, on a free port that the first line names."""
    server = waitress.create_server(app, host="127.0.0.1", port=0, threads=THREADS, backlog=1024)
    sys.stdout.write(f"Listening on http://127.0.0.1:{server.effective_port}\n")
    sys.stdout.flush()
    server.run()
