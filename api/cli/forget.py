"""`forget`: what may have to be forgotten of a client."""

import os
from typing import Any, Final

import click

from api.bootstrap import open_quarantine
from api.cli.output import as_json, findings, print_facts, print_json
from api.cli.remote import at_url, do_or_ask
from api.forget import ForgottenSchema
from api.forgetting import Forgetting
from api.settings import Settings
from ledger.application import Ledger

STILL_TOLD: Final = (
    "Not all of these connections are deleted, so OFAuth's next webhook, or the next pass over its "
    "list, tells of the person again. Delete them, then give this command again."
)


@click.command()
@click.argument("ref", metavar="REF")
@click.option("--yes", is_flag=True, help="Do not ask for the reference again.")
@at_url
@as_json
def forget(ref: str, yes: bool, url: str | None, json_: bool) -> None:
    """Erase what may have to be forgotten of the client REF, a clientReferenceId.

    Raw bodies, userData, permissions and unknown fields go, for good, and the addresses of Link
    sessions; which events there were, with their order, statuses and times, stays. Delete the
    client's connections before: of those that live OFAuth tells again. Exit 1 when the ledger has
    never heard of REF.
    """
    if not yes and click.prompt("Give the reference again to erase it", err=True) != ref:
        raise click.UsageError("This is another reference. Nothing was erased.")
    settings = Settings.from_env(os.environ)
    done = do_or_ask(
        settings,
        url,
        lambda ledger: _forget(settings, ledger, ref),
        lambda service: service.post("/api/clients/forget", {"clientReferenceId": ref}),
    )
    if json_:
        print_json(done)
        return
    print_facts((name, value) for name, value in done.items() if name != "remains")
    for sentence in done["remains"]:
        click.echo(sentence, err=True)
    if done["live"]:
        click.echo(STILL_TOLD, err=True)


def _forget(settings: Settings, ledger: Ledger, ref: str) -> dict[str, Any]:
    forgetting = Forgetting(
        ledger=ledger, quarantine=open_quarantine(settings), database_url=settings.database_url
    )
    done = forgetting(ref, by="command")
    if done is None:
        findings("This reference has never been heard of. Check its spelling.")
    dumped: dict[str, Any] = ForgottenSchema().dump(done)
    return dumped
