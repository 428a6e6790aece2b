"""`state`: what is true of a client or a connection."""

import os
from typing import Any

import click

from api.answers import ClientSchema, ConnectionSchema
from api.bootstrap import now_us
from api.cli.output import Moment, as_json, findings, print_facts, print_json, print_rows
from api.cli.reading import open_questions
from api.settings import Settings

COLUMNS = ("id", "status", "statusSince", "createdAt", "lastEvidenceAt", "stale", "flags")


@click.command()
@click.argument("ref", metavar="REF")
@click.option("--as-of", type=Moment(), help="As we would have answered at this time.")
@click.option("--valid-at", type=Moment(), help="What was true at this time, as known now.")
@as_json
def state(ref: str, as_of: int | None, valid_at: int | None, json_: bool) -> None:
    """Say what is true of REF, folded from the log.

    REF is a clientReferenceId, a connection id, or a connection's short form (conn~1a2b3c4d).
    """
    now = now_us()
    for moment, option in ((as_of, "--as-of"), (valid_at, "--valid-at")):
        if moment is not None and moment > now:
            raise click.UsageError(f"{option} lies in the future.")
    moments: dict[str, Any] = {
        "now_ms": now // 1000,
        "as_of_us": as_of,
        "valid_at_ms": None if valid_at is None else valid_at // 1000,
    }
    with open_questions(Settings.from_env(os.environ)) as questions:
        client = questions.client(ref, **moments)
        connection = None if client else questions.connection(ref, **moments)
    if client is not None:
        _print_client(ClientSchema().dump(client.value), json_)
    elif connection is not None:
        _print_connection(ConnectionSchema().dump(connection.value), json_)
    else:
        findings("This reference has never been heard of. Check its spelling.")


def _print_client(client: dict[str, Any], json_: bool) -> None:
    if json_:
        print_json(client)
        return
    listed = ("connections", "linkSessions")
    print_facts((name, value) for name, value in client.items() if name not in listed)
    click.echo()
    print_rows(COLUMNS, ([one[name] for name in COLUMNS] for one in client["connections"]))


def _print_connection(connection: dict[str, Any], json_: bool) -> None:
    if json_:
        print_json(connection)
    else:
        print_facts(connection.items())
