"""`quarantine list` and `quarantine verify`."""

import os

import click

from api.bootstrap import QUARANTINE_FOLDER, open_quarantine
from api.cli.output import as_json, print_facts, print_json, print_rows, unavailable
from api.cli.remote import at_url, do_or_ask
from api.quarantine import Looked, held_item, look_again
from api.schemas import HeldSchema, VerifiedSchema
from api.settings import Settings, SettingsError
from ledger.application import Ledger
from ledger.quarantine import Quarantine

COLUMNS = ("id", "receivedAt", "size", "dialect")


@click.group()
def quarantine() -> None:
    """Requests that no secret verified."""


@quarantine.command("list")
@as_json
def list_(json_: bool) -> None:
    """List the requests that are held, oldest first."""
    settings = Settings.from_env(os.environ)
    items = [HeldSchema().dump(held_item(held)) for held in _reachable(settings).list()]
    if json_:
        print_json({"items": items, "nextCursor": None})
        return
    rows = ([item[name] for name in COLUMNS] for item in items)
    print_rows(COLUMNS, rows, empty="Nothing is held.")


@quarantine.command()
@at_url
@as_json
def verify(url: str | None, json_: bool) -> None:
    """Check held requests with the present secrets, and record those that verify.

    Exit 1 when some still do not verify.
    """
    settings = Settings.from_env(os.environ)
    looked = do_or_ask(
        settings,
        url,
        lambda ledger: VerifiedSchema().dump(_look(settings, ledger)),
        lambda service: service.post("/api/quarantine/verify"),
    )
    if json_:
        print_json(looked)
    else:
        print_facts(looked.items())
    if looked["refused"]:
        raise SystemExit(1)


def _look(settings: Settings, ledger: Ledger) -> Looked:
    if not settings.webhook_secrets:
        raise SettingsError(
            ["LEDGER_WEBHOOK_SECRETS: it is not set. Set the corrected secret to verify with."]
        )
    return look_again(_reachable(settings), settings, lambda one: ledger.record([one])[0])


def _reachable(settings: Settings) -> Quarantine:
    """The quarantine; ends the command when this user may not look into its folder."""
    try:
        os.listdir(settings.data_dir / QUARANTINE_FOLDER)
    except FileNotFoundError:
        pass
    except OSError:
        unavailable(
            f"{settings.data_dir} is closed to this user. Check LEDGER_DATA_DIR, or run this as "
            "the service's user."
        )
    return open_quarantine(settings)
