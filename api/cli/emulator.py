"""`emulator`: a fake OFAuth on an address of this machine."""

import base64
import secrets
import signal
import time
from types import FrameType
from typing import NoReturn

import click

from api.cli.output import unavailable
from api.emulator.clock import now_ms
from api.emulator.controls import CHANGE_PASSWORD
from api.emulator.emulator import Emulator
from api.emulator.faults import FAULTS
from api.emulator.sender import WebhookSender
from api.emulator.server import EmulatorServer
from api.emulator.world import Action
from ledger.ofauth.signatures import Dialect, Secret


def new_secret() -> str:
    """Make a signing secret that every dialect can use."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()


def end_on(*signals: signal.Signals) -> None:
    """Let these signals end the program in order, with exit code 0."""

    def end(_number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(0)

    for one in signals:
        signal.signal(one, end)


def _faults_help() -> str:
    width = max(map(len, FAULTS))
    lines = "\n".join(f"{name:{width}}  {meaning}" for name, meaning in FAULTS.items())
    return f"\b\nFaults for PUT /_emulator/faults:\n{lines}"


def _check_url(_context: click.Context, _option: click.Parameter, url: str | None) -> str | None:
    if url is None or url.startswith(("http://", "https://")):
        return url
    raise click.BadParameter("it must begin with http:// or https://.")


def _check_secret(
    _context: click.Context, _option: click.Parameter, text: str | None
) -> str | None:
    if text is None or Secret(text).macs(Dialect.DOCUMENTED):
        return text
    raise click.BadParameter(
        "nothing can be signed with it; without one the emulator makes its own."
    )


@click.command(epilog=_faults_help())
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=9090,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0 takes a free one.",
)
@click.option("--seed", default=0, show_default=True, help="Decides ids and faults.")
@click.option("--webhook-url", callback=_check_url, help="Where webhooks go; without it nowhere.")
@click.option(
    "--webhook-secret",
    callback=_check_secret,
    help="Signs the webhooks; without it one is made and printed.",
)
@click.option("--api-key", help="The only key that its HTTP API takes; without it any key.")
def emulator(
    host: str,
    port: int,
    seed: int,
    webhook_url: str | None,
    webhook_secret: str | None,
    api_key: str | None,
) -> None:
    """Run a fake OFAuth: it signs, delivers and retries webhooks, and goes wrong on request.

    Its controls under /_emulator ask for no key: keep it on a local address.
    """
    made = None if webhook_secret else new_secret()
    office = Emulator(
        seed=seed,
        now=now_ms,
        monotonic=time.monotonic,
        secret=Secret(webhook_secret or made or ""),
        send=WebhookSender(webhook_url) if webhook_url else None,
        api_key=api_key,
    )
    try:
        server = EmulatorServer(office, host=host, port=port)
    except OSError as error:
        unavailable(f"Cannot listen on {host}:{port} ({error}). Give another --host or --port.")
    end_on(signal.SIGTERM)
    _say_hello(server.url, seed, webhook_url, made, "KEY" if api_key else "any")
    server.run()


def _say_hello(url: str, seed: int, webhook_url: str | None, made: str | None, key: str) -> None:
    click.echo(f"A fake OFAuth is listening on {url} (seed {seed}).")
    if webhook_url is None:
        click.echo("It sends no webhooks: --webhook-url names where they should go.")
    else:
        click.echo(f"Its webhooks go to {webhook_url}.")
        if made is not None:
            click.echo("They are signed with a secret made for this run. For the service:")
            click.echo(f"  export LEDGER_WEBHOOK_SECRETS={made}")
    connections = f"{url}/_emulator/connections"
    click.echo(
        f"""
A creator connects:
  curl --json '{{"clientReferenceId": "mia"}}' {connections}
A creator logs in with a browser, on the page whose url this answers:
  curl -H 'apikey: {key}' --json '{{"clientReferenceId": "mia"}}' {url}/v2/link/init
Something happens to the connection ({", ".join([*Action, CHANGE_PASSWORD])}):
  curl -X POST {connections}/ID/expire
Webhooks are signed otherwise, have another shape, or go wrong:
  curl -X PUT --json '{{"dialect": "svix", "shape": "sdk"}}' {url}/_emulator/deliveries
  curl -X PUT --json '{{"duplicate": 0.5}}' {url}/_emulator/faults
What really is, and what OFAuth lists:
  curl {url}/_emulator/truth
  curl -H 'apikey: {key}' {url}/v2/account/connections"""
    )
