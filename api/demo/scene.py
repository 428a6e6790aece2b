"""What all chapters share: the people, yesterday's clock, and telling only what is checked."""

import re
from contextlib import closing
from typing import Any, Final

from api.demo.browser import Browser
from api.demo.program import Told
from api.demo.stage import Stage
from api.demo.teller import Teller
from api.times import format_millis
from ledger.domain.errors import LedgerError
from ledger.ofauth.signatures import Secret

_MINUTE_MS: Final = 60_000
DAY_MS: Final = 24 * 60 * _MINUTE_MS
NOW: Final = "now"
"""The time of what happens while one watches."""
_ID: Final = re.compile(r"conn_\w+")
_NOTHING_NEW: Final = ("connection.confirmed", "connection.updated")


class NotTrue(LedgerError):
    """A step of the story did not come true."""

    def __init__(self, what: str, expected: object, got: object) -> None:
        found = _ID.sub("conn…", f"expected {expected}, got {got}")
        super().__init__(
            f"The demo did not come true at {what}: {found}. "
            "Run it again; if it stays so, this program has a fault: please report it."
        )


class Scene:
    """Lets things happen, shows what the service answers, and checks it.

    Its methods raise NotTrue when the service answers otherwise than it should, and StageError
    when it does not answer at all.
    """

    def __init__(self, stage: Stage, tell: Teller, *, midnight: int, stranger: Secret) -> None:
        """Prepare the day that began at `midnight` (milliseconds, UTC), which was yesterday.

        `stranger` is a secret that is not OFAuth's.
        """
        self.stage = stage
        self.tell = tell
        self.provider = stage.provider
        self.program = stage.program
        self.stranger = stranger
        self.connections: dict[str, str] = {}
        """Id of the connection that somebody has, by name."""
        self.replaced: dict[str, str] = {}
        """Id of the one that it replaced."""
        self.before_the_pass = ""
        """When the pass that repaired something began, RFC 3339."""
        self._midnight = midnight

    # what happens

    def at(self, clock: str) -> str:
        """Give a time of yesterday, such as "09:30", as RFC 3339."""
        hours, minutes = map(int, clock.split(":"))
        return format_millis(self._midnight + (hours * 60 + minutes) * _MINUTE_MS)

    def create(self, who: str, clock: str, told: str) -> None:
        """Let somebody connect at OFAuth, without a Link session of ours."""
        self.tell.happened(clock, told)
        self.connections[who] = self.provider.create(
            clientReferenceId=who,
            userData={"name": who.title(), "username": who},
            at=self.at(clock),
        )

    def act(self, who: str, action: str, clock: str, told: str, **how: Any) -> None:
        """Let something happen to somebody's connection at OFAuth."""
        self.tell.happened(clock, told)
        self.provider.act(self.connections[who], action, at=self.at(clock), **how)

    def reconnect(self, who: str) -> Told:
        """Let somebody log in again through a link to reconnect, and give the finished session."""
        begun = self.program.reconnect(self.connections[who])
        with closing(Browser()) as browser:
            browser.open(begun["url"])
            for label in ("Continue", "Allow", "Log in"):
                browser.press(label)
            self.came_back(browser)
        return self.finished(begun["linkId"])

    def came_back(self, browser: Browser) -> None:
        """Check that a browser is back at the ledger, which takes leave of it."""
        where = browser.url.partition("?")[0]
        self.check("the way back", f"{self.stage.service.url}/link/return", where)
        self.check("the last page", "Thank you. You can close this window.", browser.text)

    def finished(self, link_id: str) -> Told:
        """Wait until a connection proves a Link session, and give the session."""
        self.stage.settle()
        return self.program.until(
            "the proof of a Link session",
            lambda: self.program.link(link_id),
            lambda link: bool(link["status"] == "completed"),
        )

    # what is answered

    def show_status(self, **expected: tuple[str, str]) -> None:
        """Show what the service says of creators, and check it: status, and since when."""
        clients = {who: self.program.client(who) for who in expected}
        self.tell.answers([self.state(who, client) for who, client in clients.items()])
        found = {who: self.status(client) for who, client in clients.items()}
        self.check("the state", expected, found)

    def state(self, who: str, client: Told) -> tuple[str, str, str]:
        """Make a line of who is in which state since when."""
        status, since = self.status(client)
        return (who, status, "just now" if since == NOW else f"since {since}")

    def status(self, client: Told) -> tuple[str, str]:
        """Give status and beginning of a client's newest connection."""
        return (client["status"], self.clock(client["connections"][-1]["statusSince"]))

    def show_history(self, whose: str, entries: list[Told], *expected: str) -> None:
        """Show what happened, except what told nothing new, and check the types."""
        shown = [one for one in entries if one["type"] not in _NOTHING_NEW]
        rows = [(self.clock(one["occurredAt"]), _type(one), _remark(one)) for one in shown]
        self.tell.answers(rows, label=f"history of {whose}")
        self.check("the history", expected, tuple(map(_type, shown)))

    def clock(self, time: str) -> str:
        """Say when something was: the minute of yesterday, or that it was just now."""
        return time[11:16] if time < self.at("23:59") else NOW

    def check(self, what: str, expected: object, got: object) -> None:
        """Go on only when something is as it should be.

        Raises:
            NotTrue: it is not.
        """
        if got != expected:
            raise NotTrue(what, expected, got)


def _type(entry: Told) -> str:
    return str(entry["type"]).removeprefix("connection.")


def _remark(entry: Told) -> str:
    """Say what is remarkable about an entry: why it is there, or how it came into the history."""
    said, webhook = entry["data"], entry["source"] == "webhook"
    match _type(entry):
        case "deletion_requested":
            return f"by “{said['requestedBy']}”, because: {said['reason']}"
        case "deleted":
            return f"proved by OFAuth's {'webhook' if webhook else 'answer to our call'}"
        case "forked":
            return "in place of another" if "predecessorId" in said else "another took its place"
    if entry["source"] == "sweep" and "status" in said["changes"]:
        return "found in OFAuth's list"
    if entry["recordedAs"]:
        return f"was taken for “{entry['recordedAs'].removeprefix('connection.')}” when it came"
    return "came late" if webhook and entry["late"] else ""
