"""`demo`: the real service and a fake OFAuth, wired together, and a story that they play."""

import contextlib
import os
import secrets
import shutil
import signal
import sys
from collections.abc import Mapping
from io import TextIOWrapper
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from rich.console import Console

from api.cli.emulator import end_on, new_secret
from api.cli.output import unavailable
from api.demo.chapters.auditing import ASKED
from api.demo.scene import DAY_MS, Scene
from api.demo.service import StageError
from api.demo.stage import Stage
from api.demo.story import perform
from api.demo.teller import WIDTH, Teller
from api.emulator.clock import now_ms
from ledger.ofauth.signatures import Secret


@click.command()
@click.option("--once", is_flag=True, help="End after the story; else both stay up.")
def demo(once: bool) -> None:
    """Show the service at work against a fake OFAuth: three creators' connections, in seconds.

    Every step is checked. Exit 1: a step did not come true; 3: a part of it does not work.
    """
    end_on(signal.SIGTERM, signal.SIGHUP)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without arrows gets question marks
    secret, token = Secret(new_secret()), secrets.token_urlsafe(24)
    with TemporaryDirectory(prefix="connection-ledger-demo-") as name:
        folder = Path(name)
        environment = _environment(os.environ, folder, secret, token)
        try:
            with Stage(folder, environment, secret=secret, token=token, now=now_ms) as stage:
                _perform(stage, folder, token, once=once)
        except StageError as error:
            unavailable(str(error))


def _environment(
    environ: Mapping[str, str], folder: Path, secret: Secret, token: str
) -> dict[str, str]:
    """Give the service's settings; nothing of the caller's own ledger gets into them."""
    kept = {name: value for name, value in environ.items() if not name.startswith("LEDGER_")}
    return kept | {
        "LEDGER_DATABASE_URL": f"sqlite:///{folder}/ledger.db",
        "LEDGER_WEBHOOK_SECRETS": secret.value,
        "LEDGER_API_TOKENS": f"demo:read+write+admin:{token}",
        "LEDGER_OFAUTH_API_KEY": "any",
        "LEDGER_SWEEP_SECONDS": str(DAY_MS // 1000),  # the story says when to sweep
    }


def _perform(stage: Stage, folder: Path, token: str, *, once: bool) -> None:
    console = Console(highlight=False)
    console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    tell = Teller(console)
    tell.title("connection-ledger demo")
    tell.paragraph(
        "The real service and a fake OFAuth run on this machine and talk over HTTP. OFAuth has\n"
        "yesterday's webhooks to deliver, each with its clock time (UTC); what is marked “now”\n"
        "happens while you watch. → marks what the service answers when it is asked."
    )
    tell.facts(
        [("service", stage.service.url), ("OFAuth", stage.emulator_url), ("files", str(folder))]
    )
    midnight = now_ms() // DAY_MS * DAY_MS - DAY_MS
    scene = Scene(stage, tell, midnight=midnight, stranger=Secret(new_secret()))
    perform(scene)
    if once:
        tell.paragraph("   Without --once both stay up, and you can look further.")
        return
    tell.commands("Look further, in another terminal", _ways_on(stage, folder, token, scene))
    tell.paragraph("\nBoth stay up until Ctrl-C, which also removes the files.", style="bold")
    with contextlib.suppress(KeyboardInterrupt):
        raise stage.service.wait()


def _ways_on(
    stage: Stage, folder: Path, token: str, scene: Scene
) -> list[tuple[str, tuple[str, ...]]]:
    command, url = _own_command(), stage.service.url
    curl, pretty = 'curl -s -H "apikey: $LEDGER_TOKEN"', "| python3 -m json.tool"
    return [
        (
            "Ask the ledger's file:",
            (
                f"export LEDGER_DATABASE_URL=sqlite:///{folder}/ledger.db",
                f"{command} history noah --by occurredAt",
                f"{command} state noah --valid-at {scene.at(ASKED)}",
            ),
        ),
        (
            "Ask the service:",
            (
                f"export LEDGER_URL={url} LEDGER_TOKEN={token}",
                f"{curl} $LEDGER_URL/api/clients/mia {pretty}",
                f"{curl} $LEDGER_URL/api/sweeps {pretty}",
            ),
        ),
        (
            "Connect yourself: open the url that this answers in a browser, and ask for zoe then:",
            (
                f"""{curl} --json '{{"clientReferenceId": "zoe"}}' $LEDGER_URL/api/links""",
                f"{curl} $LEDGER_URL/api/clients/zoe {pretty}",
            ),
        ),
        (
            "Read and try all of it in a browser (any user name; the password is the token):",
            (f"{url}/docs",),
        ),
    ]


def _own_command() -> str:
    """Give the words that start this program, as the caller can type them."""
    if shutil.which("connection-ledger"):
        return "connection-ledger"
    if Path(sys.argv[0]).name == "connection-ledger":
        return sys.argv[0]
    return f"{sys.executable} -m api"
