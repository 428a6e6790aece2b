"""The Link page: what a creator sees in a browser, step by step."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from jinja2 import Environment, PackageLoader

from api.emulator.calls import HTML, Answer, Call
from api.emulator.errors import LinkEnded, UnknownLink
from api.emulator.faults import Dice
from api.emulator.links import OPEN, Links, LinkSession, Login, return_url
from api.emulator.manner import Manner
from api.emulator.visit import Account
from api.emulator.world import DEFAULT_PERMISSIONS, Details

FINISHED: Final = "finished"
"""The last part of the address of the page on which a session without a redirect ends."""
_TEXTS: Final[Mapping[str | None, str]] = {
    "success": "The account is connected.",
    "cancelled": "You turned back.",
    "error": "It did not work.",
}


class LinkPages:
    """Answers what browsers ask under `/link`. The caller holds a lock."""

    def __init__(self, accounts: tuple[Account, ...], dice: Dice) -> None:
        """Show the sessions of these accounts."""
        self._accounts = accounts
        self._dice = dice
        # the package is named, so that the pages are found wherever it is installed
        self._pages = Environment(loader=PackageLoader("api.emulator"), autoescape=True)

    def answer(self, call: Call, manner: Manner, base: str) -> Answer:
        """Answer a browser; `base` is the address under which it reached the emulator."""
        secret = call.segments[-1]
        if secret == FINISHED and call.method == "GET":
            return self._ended(_TEXTS.get(call.query.get("status"), "There is nothing here."))
        links = self._links(secret)
        if links is None or len(call.segments) != 2:
            return self._ended("There is no such Link session.", status=404)
        if call.method not in ("GET", "POST"):
            return self._ended("A page can only be looked at and filled in.", status=405)
        session = links.get(secret)
        if call.method == "GET":
            return self._step(session) if session.status in OPEN else self._over(session, base)
        with suppress(LinkEnded):  # a button pressed twice leads to where it led first
            self._choose(links, session, call.form(), manner)
        back = f"{base}/link/{secret}" if session.status in OPEN else return_url(session, base)
        return Answer(status=303, headers={"Location": back})

    def _links(self, secret: str) -> Links | None:
        for account in self._accounts:
            try:
                account.links.get(secret)
            except UnknownLink:
                continue
            return account.links
        return None

    def _choose(
        self, links: Links, session: LinkSession, form: Mapping[str, str], manner: Manner
    ) -> None:
        """Do what a button says; one that is not on the page does nothing."""
        secret = session.secret
        username = form.get("username", "").strip()
        login = Login(
            details=Details(user_data={"username": username} if username else None),
            elsewhere=self._dice.strikes("fork"),
        )
        acts: Mapping[str, Callable[[], LinkSession]] = {
            "continue": lambda: links.advance(secret),
            "login": lambda: links.log_in(secret, login, manner),
            "login-2fa": lambda: links.log_in(secret, login.with_code(), manner),
            "wrong-password": lambda: links.fail(secret, "invalid_credentials"),
            "code": lambda: links.enter_code(secret),
            "wrong-code": lambda: links.fail(secret, "invalid_credentials"),
            "cancel": lambda: links.cancel(secret, session.step),
        }
        if (act := acts.get(form.get("choice", ""))) is not None:
            act()

    def _step(self, session: LinkSession) -> Answer:
        page = self._pages.get_template("step.html").render(
            step=session.step,
            reference=session.client_reference_id,
            again=session.target is not None,
            permissions=DEFAULT_PERMISSIONS,
        )
        return _page(page)

    def _over(self, session: LinkSession, base: str) -> Answer:
        text = _TEXTS[(session.outcome or {}).get("status")]
        back = return_url(session, base)
        return self._ended(f"This Link session has ended. {text}", back=back)

    def _ended(self, text: str, *, status: int = 200, back: str | None = None) -> Answer:
        title = "The end" if status == 200 else "Not here"
        page = self._pages.get_template("ended.html").render(title=title, text=text, back=back)
        return _page(page, status)


def _page(text: str, status: int = 200) -> Answer:
    headers = {"Content-Type": HTML, "Cache-Control": "no-store"}
    return Answer(status=status, headers=headers, body=text.encode())
