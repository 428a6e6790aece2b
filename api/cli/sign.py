"""`sign`: the headers for a first `curl`."""

import os
import secrets
import time
from typing import BinaryIO

import click

from api.cli.output import as_json, print_json
from api.settings import Settings, SettingsError
from ledger.ofauth import signatures
from ledger.ofauth.signatures import Dialect, SignatureError

EXAMPLE = """\b
connection-ledger sign < body.json > headers
curl -H @headers --data-binary @body.json http://127.0.0.1:8080/webhooks/ofauth"""


@click.command(epilog=EXAMPLE)
@click.option(
    "--dialect",
    type=click.Choice([dialect.value for dialect in Dialect]),
    default=Dialect.DOCUMENTED.value,
    show_default=True,
    help="The way in which OFAuth would sign it.",
)
@click.option("--body", type=click.File("rb"), default="-", help="The file to sign, else stdin.")
@as_json
def sign(dialect: str, body: BinaryIO, json_: bool) -> None:
    """Print the headers that sign a body with the first of LEDGER_WEBHOOK_SECRETS, stamped now."""
    found = Settings.from_env(os.environ).webhook_secrets
    if not found:
        raise SettingsError(["LEDGER_WEBHOOK_SECRETS: it is not set. Set the secret to sign with."])
    try:
        headers = signatures.sign(
            Dialect(dialect),
            found[0],
            body.read(),
            stamp=int(time.time()),
            message_id=f"msg_{secrets.token_hex(12)}",
        )
    except SignatureError as error:
        raise SettingsError([f"LEDGER_WEBHOOK_SECRETS: {error}"]) from error
    if json_:
        print_json(headers)
        return
    for name, value in headers.items():
        click.echo(f"{name}: {value}")
