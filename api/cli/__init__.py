"""The commands: `connection-ledger …`, one file for each group."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

import click

from api.settings import SettingsError
from api.sweeping import NoProvider
from ledger.domain.errors import LedgerBusy, LedgerError, StoreUnavailable
from ledger.ofauth.errors import ProviderError
from ledger.reconcile import SweepRunning
from projections.errors import RebuildRunning

COMMANDS: Final = {
    "serve": "api.cli.serve:serve",
    "emulator": "api.cli.emulator:emulator",
    "demo": "api.cli.demo:demo",
    "state": "api.cli.state:state",
    "history": "api.cli.history:history",
    "projections": "api.cli.projections:projections",
    "parked": "api.cli.parked:parked",
    "quarantine": "api.cli.quarantine:quarantine",
    "sweep": "api.cli.sweep:sweep",
    "forget": "api.cli.forget:forget",
    "backup": "api.cli.backup:backup",
    "doctor": "api.cli.doctor:doctor",
    "sign": "api.cli.sign:sign",
    "token": "api.cli.token:token",
}
"""Every command and where it lives; only the one that is asked for is imported."""

FINDINGS: Final = 1
USAGE: Final = 2
UNAVAILABLE: Final = 3


class Commands(click.Group):
    """A group that imports its commands when they are asked for, and gives errors their code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name all commands, in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an error of ours ends it with a sentence and the right exit code."""
        return reporting(lambda: super(Commands, self).invoke(ctx))


def reporting(action: Callable[[], Any]) -> Any:
    """Run an action; an error of ours becomes sentences on stderr and an exit code."""
    try:
        return action()
    except SettingsError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        raise SystemExit(USAGE) from None
    except NoProvider as error:
        click.echo(str(error), err=True)
        raise SystemExit(USAGE) from None
    except (StoreUnavailable, LedgerBusy, RebuildRunning, SweepRunning, ProviderError) as error:
        click.echo(str(error), err=True)
        raise SystemExit(UNAVAILABLE) from None
    except LedgerError as error:
        click.echo(str(error), err=True)
        raise SystemExit(FINDINGS) from None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="connection-ledger", message="%(version)s")
def cli() -> None:
    """Remember every OFAuth connection event; answer what is true now, what was, and why.

    Settings come from the environment (LEDGER_…), each also from the file that NAME_FILE names.
    Exit codes: 0 done, 1 findings, 2 usage or settings, 3 something needed is unavailable.
    """


def main() -> None:
    """Run the command line."""
    cli(prog_name="connection-ledger")
