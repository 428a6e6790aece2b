"""`serve`: the service."""

import os
import signal
import sys

import click

from api.bootstrap import open_service, spare_collector
from api.cli.output import unavailable
from api.logs import configure
from api.server import Server, allow_files
from api.settings import LiveSettings


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=8080,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0 takes a free one.",
)
def serve(host: str, port: int) -> None:
    """Take webhooks, keep the views, answer questions.

    SIGTERM and Ctrl-C let requests in flight finish. Exit 2: a setting is missing or bad; 3: the
    address is taken, the store does not answer, or another process writes this SQLite ledger.
    """
    settings = LiveSettings(os.environ, serving=True)
    configure(settings().log_format, sys.stderr)
    allow_files()
    for doubt in settings().doubts:
        click.echo(f"Warning: {doubt}", err=True)
    service = open_service(settings(), present=settings)
    try:
        server = Server(service.app, host, port, new_request_id=service.new_request_id)
    except (OSError, ValueError) as error:
        service.stop()
        unavailable(f"Cannot listen on {host}:{port} ({error}). Give another --host or --port.")

    def end(*_: object) -> None:
        # flags, not an exception: that could fall into the reading of a request
        service.hang_up()
        server.stop()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    service.start()
    spare_collector()
    click.echo(f"Listening on {server.url}")
    sys.stdout.flush()
    try:
        server.run()
    finally:
        service.stop()
