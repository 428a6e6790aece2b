"""Writing commands: through the service that holds the ledger, or on the ledger itself."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import click
import requests
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from api.bootstrap import entropy, now_us
from api.cli.output import findings, unavailable
from api.errors import FORBIDDEN, NOT_FOUND, UNAUTHORIZED
from api.settings import Settings, SettingsError, is_address
from ledger.application import Ledger
from ledger.domain.errors import WriterLocked
from ledger.recorders import open_log

T = TypeVar("T")

CONNECT_S = 5
READ_S = 300
OURS: Final = NOT_FOUND.type.removesuffix(NOT_FOUND.name)
"""How the types of a ledger's problems begin."""
ADMIN: Final = "the scope admin"
"""What the token of a command needs that only gives an order."""
READ: Final = "the scope read"
"""What that of a command needs that only asks."""
READ_AND_ADMIN: Final = "the scopes read and admin"
"""What that of a command needs that follows what it has started."""
WENT_AWAY = (
    "The service at --url went away before it had answered. See whether it runs, and give the "
    "command again."
)


def _address(_: click.Context, __: click.Parameter, url: str | None) -> str | None:
    given = (url or "").strip()
    if given and not is_address(given):
        raise click.BadParameter("it must be an address such as https://ledger.example.com.")
    return given or None


at_url = click.option(
    "--url",
    callback=_address,
    envvar="LEDGER_URL",
    show_envvar=True,
    help="Ask the service at this address, with the token in LEDGER_TOKEN.",
)
"""The option of every command that writes."""


class Unreachable(Exception):
    """Nobody listens at the service's address."""


class Remote:
    """The service that holds the ledger, over HTTP."""

    def __init__(self, url: str, token: str, needs: str) -> None:
        """Ask the service at `url` with a token, which needs these scopes."""
        self._url = url.rstrip("/")
        self._token = token
        self._needs = needs
        self._answered = False

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """Ask a question; ends the command when the service refuses."""
        return self._ask("GET", path, params=query)

    def post(self, path: str, body: Any = None) -> dict[str, Any]:
        """Give an order; ends the command when the service refuses."""
        return self._ask("POST", path, json={} if body is None else body)

    def delete(self, path: str) -> dict[str, Any]:
        """Take an order back; ends the command when the service refuses."""
        return self._ask("DELETE", path)

    def _authorize(self, asked: requests.PreparedRequest) -> requests.PreparedRequest:
        """Put the token in, by requests' own way: a header alone gives way to a `.netrc`."""
        # the service compares the environment's bytes, and latin-1 is how headers are sent
        token = os.fsencode(self._token).decode("latin-1")
        asked.headers["Authorization"] = f"Bearer {token}"
        return asked

    def _ask(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        try:
            answer = requests.request(
                method,
                self._url + path,
                auth=self._authorize,
                timeout=(CONNECT_S, READ_S),
                allow_redirects=False,
                **content,
            )
        except requests.ConnectionError as error:
            if self._answered or not _refused(error):
                unavailable(WENT_AWAY)
            raise Unreachable from None
        except requests.RequestException as error:
            unavailable(f"The service at --url did not answer ({type(error).__name__}).")
        self._answered = True
        body = _body(answer)
        if answer.status_code == NOT_FOUND.status:
            findings(str(body.get("detail", "")))
        if answer.status_code in (UNAUTHORIZED.status, FORBIDDEN.status):
            unavailable(
                f"The service refused the command ({answer.status_code}). Set LEDGER_TOKEN to one "
                f"of its tokens that has {self._needs}."
            )
        if not answer.ok:
            unavailable(f"The service refused ({answer.status_code}): {body.get('detail', '')}")
        return body


def _body(answer: requests.Response) -> dict[str, Any]:
    """Read what a ledger answered; ends the command when it was not one."""
    try:
        body = answer.json()
    except ValueError:
        body = None
    done = answer.status_code in range(200, 300)
    if not isinstance(body, dict) or not (done or str(body.get("type", "")).startswith(OURS)):
        unavailable(
            f"What answers at --url is not a ledger (status {answer.status_code}); check the "
            "address, and any proxy on the way."
        )
    return body


def _refused(error: requests.ConnectionError) -> bool:
    """Whether there was no connection, so that nothing was asked."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(reason, NewConnectionError | ConnectTimeoutError)


def do_or_ask(
    settings: Settings,
    url: str | None,
    do: Callable[[Ledger], T],
    ask: Callable[[Remote], T],
    *,
    needs: str = ADMIN,
) -> T:
    """Do it through the service when its address and token are given, else on the ledger itself.

    `needs` are the scopes without which the service refuses what `ask` asks.

    Raises:
        SettingsError: the token cannot be one.
        WriterLocked: another process holds the ledger; it says both ways out.
        StoreUnavailable: the ledger cannot be opened.
    """
    answer = asked(url, ask, needs=needs)
    if answer is not None:
        return answer
    with _writing(settings, needs, token_missing=bool(url and not _token())) as ledger:
        return do(ledger)


def asked(url: str | None, ask: Callable[[Remote], T], *, needs: str) -> T | None:
    """Ask the service; None when its address or its token is not given, or nobody listens.

    Raises:
        SettingsError: the token cannot be one.
    """
    token = _token()
    if not url or not token:
        return None
    if re.search(r"[\x00-\x1f\x7f]", token):
        raise SettingsError(["LEDGER_TOKEN: it must be the token alone, on one line."])
    try:
        return ask(Remote(url, token, needs))
    except Unreachable:
        click.echo("Nobody listens at --url; opening the ledger instead.", err=True)
        return None


def _token() -> str:
    return os.environ.get("LEDGER_TOKEN", "").strip()


@contextmanager
def _writing(settings: Settings, needs: str, *, token_missing: bool) -> Iterator[Ledger]:
    file = settings.database_file
    if file is not None and not file.exists():
        unavailable(f"There is no ledger at {file}. Check LEDGER_DATABASE_URL, or give --url.")
    try:
        log = open_log(settings.database_url, writer=True, entropy=entropy, now=now_us)
    except WriterLocked:
        raise WriterLocked(_both_ways_out(needs, token_missing)) from None
    try:
        yield Ledger(log, now=now_us, entropy=entropy)
    finally:
        log.close()


def _both_ways_out(needs: str, token_missing: bool) -> str:
    missing = " LEDGER_TOKEN is not set." if token_missing else ""
    return (
        f"Another process (`serve`) holds this SQLite ledger.{missing} Either give --url (or "
        f"LEDGER_URL) with the service's address and LEDGER_TOKEN with a token that has {needs}, "
        "or stop that process and try again."
    )
