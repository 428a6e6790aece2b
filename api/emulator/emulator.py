"""The emulator as one object: organisations, HTTP API, faults and outbox behind one lock.

It needs neither network nor threads: `call` answers a request, and `pump` delivers what is due.
"""

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from email.utils import formatdate
from typing import Any

from api.emulator.bodies import Notice
from api.emulator.calls import Answer, Call
from api.emulator.clock import Clock
from api.emulator.delivery import Delivery, Style, check_signable
from api.emulator.errors import Refused, RouteNotFound
from api.emulator.faults import Dice, draw_plan, read_faults
from api.emulator.link_pages import LinkPages
from api.emulator.links import Links, LinkSession, Login, return_url
from api.emulator.listing import Listing
from api.emulator.organisation import Organisation, Tell
from api.emulator.outbox import Outbox
from api.emulator.provider import Provider
from api.emulator.sender import Send
from api.emulator.visit import Account
from api.emulator.world import Action, Details, Fact
from api.times import format_millis
from ledger.ofauth.signatures import Secret

LOCAL_URL = "http://ofauth.test"
"""The address of an emulator that nobody listens for."""


class Emulator:
    """A pretended OFAuth organisation. Every method may be called from any thread."""

    def __init__(
        self,
        *,
        seed: int,
        now: Callable[[], int],
        monotonic: Callable[[], float],
        secret: Secret,
        send: Send | None,
        api_key: str | None = None,
    ) -> None:
        """Prepare; `now` is in milliseconds since the epoch, UTC, `monotonic` in seconds.

        Without `send` no webhooks go out; without `api_key` any key is taken.
        """
        self._lock = threading.RLock()
        self._secret = secret
        self.webhook_secret = secret.value
        """What receivers of its webhooks verify them with."""
        self._send = send
        self.clock = Clock(now, monotonic)
        """Its time."""
        answers = random.Random(f"answers {seed}")
        self.organisation = f"org_{answers.getrandbits(64):016x}"
        """The id of its organisation."""
        self._deliveries = random.Random(f"deliveries {seed}")
        self._dice = Dice(answers)
        self._style = Style()
        self._outbox = Outbox(self._attempt, monotonic=self.clock.monotonic)
        self._own = self._account(str(seed), self.organisation, self._tell)
        foreign = self._account(f"foreign {seed}", f"{self.organisation}f", _keep_silent)
        self._foreign = foreign
        self.provider = Provider(
            self._own,
            foreign,
            dice=self._dice,
            now=self.clock.now,
            api_key=api_key,
            url=LOCAL_URL,
        )
        """Its HTTP API."""
        self._pages = LinkPages((self._own, foreign), self._dice)

    def start(self) -> None:
        """Start delivering from threads of its own."""
        self._outbox.start()

    def stop(self) -> None:
        """Stop delivering; what is still queued is lost."""
        self._outbox.stop()

    def call(self, call: Call) -> Answer:
        """Answer a call of the HTTP API, or of a browser on a Link page, as it would go out."""
        with self._lock:
            first, provider = call.segments[0], self.provider
            if first == "v2":
                answer = provider.answer(call)
            elif first == "link":
                answer = self._pages.answer(call, provider.manner, provider.base(call))
            else:
                answer = provider.refusal(RouteNotFound())
            return self._dated(answer)

    def refusal(self, error: Refused, status: int | None = None) -> Answer:
        """Make an answer of an error, in the provider's form."""
        with self._lock:
            return self._dated(self.provider.refusal(error, status))

    def pump(self) -> int:
        """Deliver on this thread what is due, and give how many attempts that were.

        For an emulator that was not started.
        """
        return self._outbox.pump()

    def next_due(self) -> float | None:
        """Tell when the next attempt is due, in seconds of `clock.monotonic`; None for never."""
        return self._outbox.next_due()

    def release(self) -> None:
        """Let deliveries that were held back or reordered follow now."""
        self._outbox.release()

    def create(
        self,
        details: Details,
        *,
        status: str = "active",
        imported: bool = False,
        at: int | None = None,
        hold: bool = False,
        foreign: bool = False,
    ) -> dict[str, Any]:
        """Let a creator finish Link, and give the list row; `foreign` at another organisation.

        Raises:
            BadRequest: the provider has no such status.
        """
        with self._lock:
            organisation = (self._foreign if foreign else self._own).organisation
            made = organisation.create(details, status=status, imported=imported, at=at, hold=hold)
            return made.row()

    def act(
        self,
        connection_id: str,
        action: Action,
        details: Details | None = None,
        *,
        at: int | None = None,
        hold: bool = False,
    ) -> dict[str, Any]:
        """Let something happen to a connection, and give its row after it.

        Raises:
            UnknownConnection: there is no such connection.
        """
        with self._lock:
            organisation = self._own.organisation
            return organisation.act(connection_id, action, details, at=at, hold=hold).row()

    def change_password(
        self, connection_id: str, *, at: int | None = None, hold: bool = False
    ) -> dict[str, Any]:
        """Let all connections of the same upstream account expire, and give the row of this one.

        Raises:
            UnknownConnection: there is no such connection.
        """
        with self._lock:
            changed = self._own.organisation.change_password(connection_id, at=at, hold=hold)
            return changed.row()

    def log_in(self, secret: str, login: Login) -> dict[str, Any]:
        """Let a creator log in on a Link page, and tell how its session is then.

        In a session that asks for the 2FA code it is entered.

        Raises:
            UnknownLink: there is no such session.
            LinkEnded: it is over.
        """
        with self._lock:
            links = self._own.links
            if links.get(secret).login is not None:
                return self._told(links.enter_code(secret, at=login.at, hold=login.hold))
            return self._told(links.log_in(secret, login, self.provider.manner))

    def cancel(self, secret: str, step: str) -> dict[str, Any]:
        """Let a creator turn back at a step, and tell how the session is then.

        Raises:
            UnknownLink: there is no such session.
            LinkEnded: it is over.
            BadRequest: there is no such step.
        """
        with self._lock:
            return self._told(self._own.links.cancel(secret, step))

    def fail(self, secret: str, error_code: str) -> dict[str, Any]:
        """Let a login fail, and tell how the session is then.

        Raises:
            UnknownLink: there is no such session.
            LinkEnded: it is over.
        """
        with self._lock:
            return self._told(self._own.links.fail(secret, error_code))

    def notify(
        self, kind: str, data: Mapping[str, Any], *, at: int | None = None, hold: bool = False
    ) -> None:
        """Send a webhook of any type, with any data."""
        with self._lock:
            self._tell(Notice(kind, self.clock.now() if at is None else at, data), hold)

    def redeliver(self) -> int:
        """Send again the webhooks that were given up, and tell how many they are."""
        return self._outbox.redeliver()

    def set_faults(self, given: Mapping[str, Any]) -> dict[str, float]:
        """Replace the faults, and give them; deliveries already queued keep theirs.

        Raises:
            BadRequest: a name is unknown or a value is out of its range.
        """
        faults = read_faults(given)
        with self._lock:
            self._dice.faults = faults
        return dict(faults)

    def set_style(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Change how later deliveries are made, and give all settings.

        Raises:
            BadRequest: a name or value is unknown, or the secret cannot sign that way.
        """
        with self._lock:
            style = self._style.changed(given)
            check_signable(style, self._secret)
            self._style = style
            return style.as_json()

    def set_manner(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Change how the HTTP API answers, and give all settings.

        Raises:
            BadRequest: a name or value is unknown.
        """
        with self._lock:
            self.provider.manner = self.provider.manner.changed(given)
            return self.provider.manner.as_json()

    def forward(self, milliseconds: int) -> str:
        """Move the clock on, and tell the time (RFC 3339, UTC)."""
        with self._lock:
            self.clock.forward(milliseconds)
        self._outbox.look_again()
        return format_millis(self.clock.now())

    def truth(self) -> dict[str, Any]:
        """Give what really is: all rows, newest first, what calls did, what became of webhooks."""
        with self._lock:
            world = self._own.organisation.world
            known: dict[str, Any] = {
                "list": [one.row() for one in world.connections()],
                "gone": list(world.gone()),
                "links": [one.as_json() for one in self._own.links.everyone()],
                "effects": self._own.organisation.effects.as_json(),
                "requests": dict(self.provider.requests),
            }
        return {**known, "deliveries": self.deliveries()}

    def facts(self) -> list[dict[str, Any]]:
        """Give what happened to the connections, first to last."""
        with self._lock:
            return [fact.as_json() for fact in self._own.organisation.world.facts]

    def deliveries(self) -> dict[str, int]:
        """Give the counters of the outbox, and how many deliveries are pending."""
        return {**asdict(self._outbox.counters), "pending": self._outbox.pending}

    def quiesce(self, *, keep_held: bool = False) -> dict[str, int]:
        """Wait until no delivery is pending (or only held ones, when kept), and give counters."""
        self._outbox.quiesce(keep_held=keep_held)
        return self.deliveries()

    def _dated(self, answer: Answer) -> Answer:
        if self.provider.manner.date:
            seconds = self.clock.now() // 1000
            answer.headers.setdefault("Date", formatdate(seconds, usegmt=True))
        return answer

    def _account(self, seed: str, identity: str, tell: Tell) -> Account:
        now = self.clock.now
        name = "Emulated organisation"
        organisation = Organisation(name, seed=seed, identity=identity, now=now, tell=tell)
        links = Links(organisation, random.Random(f"links {seed}"), now)
        return Account(organisation, links, Listing(organisation, self._dice))

    def _told(self, session: LinkSession) -> dict[str, Any]:
        connection = self._own.links.connection(session)
        return {
            **session.as_json(),
            "redirectUrl": return_url(session, self.provider.url) if session.outcome else None,
            "connection": None if connection is None else connection.row(),
        }

    def _tell(self, fact: Fact | Notice, hold: bool) -> None:
        """Queue the webhook of a fact. The lock is held, so that order and dice follow facts."""
        message_id = f"msg_{self._deliveries.getrandbits(120):030x}"
        plan = draw_plan(self._deliveries, self._dice.faults)
        if self._send is not None:
            self._outbox.put(Delivery(fact, message_id, plan, self._style), hold=hold)

    def _attempt(self, delivery: Delivery) -> bool:
        assert self._send is not None
        body, headers = delivery.request(self._secret, now=self.clock.now())
        return self._send(body, headers)


def _keep_silent(_fact: Fact, _hold: bool) -> None:
    """Tell nobody: webhooks of another organisation go elsewhere."""
