"""`token`: a new token for a caller of the API."""

import secrets

import click

from api.cli.output import as_json, print_json
from api.tokens import BadToken, hashed_entry, parse_scopes


@click.command()
@click.argument("name")
@click.argument("scopes", metavar="SCOPES")
@as_json
def token(name: str, scopes: str, json_: bool) -> None:
    """Make a token called NAME with SCOPES, such as `read` or `read+write+admin`.

    Prints the token, which is not kept anywhere, and the entry for LEDGER_API_TOKENS that accepts
    it without holding it.
    """
    made = secrets.token_urlsafe(32)
    try:
        entry = hashed_entry(name, parse_scopes(scopes.replace(",", "+")), made)
    except BadToken as error:
        raise click.UsageError(f"{error}.") from error
    if json_:
        print_json({"token": made, "entry": entry})
        return
    click.echo(f"token: {made}")
    click.echo(f"entry: {entry}")
