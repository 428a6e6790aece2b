"""The emulator as one object: the world, the faults and the outbox behind one lock."""

import hmac
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from api.emulator.delivery import Delivery, Style, check_signable
from api.emulator.errors import BadRequest, Unauthorized
from api.emulator.faults import Faults, draw_plan, read_faults
from api.emulator.outbox import Outbox
from api.emulator.sender import Send
from api.emulator.world import Action, Connection, Details, Fact, World
from ledger.ofauth.signatures import Secret


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
        self._lock = threading.Lock()
        self._now = now
        self._secret = secret
        self._send = send
        self._api_key = api_key
        self._world = World(random.Random(f"world {seed}"), now)
        self._dice = random.Random(f"deliveries {seed}")
        self._answers = random.Random(f"answers {seed}")
        self._faults: Faults = {}
        self._style = Style()
        self._outbox = Outbox(self._attempt, monotonic=monotonic)
        self.organisation = f"org_{self._answers.getrandbits(64):016x}"

    def start(self) -> None:
        """Start delivering."""
        self._outbox.start()

    def stop(self) -> None:
        """Stop delivering; what is still queued is lost."""
        self._outbox.stop()

    def create(
        self,
        details: Details,
        *,
        status: str = "active",
        imported: bool = False,
        at: int | None = None,
        hold: bool = False,
    ) -> dict[str, Any]:
        """Let a creator finish Link, and give the list row.

        Raises:
            BadRequest: the provider has no such status.
        """
        with self._lock:
            fact = self._world.create(details, status=status, imported=imported, at=at)
            self._tell(fact, hold=hold)
            return fact.connection.row()

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
            connection, fact = self._world.act(connection_id, action, details or Details(), at=at)
            if fact is not None:
                self._tell(fact, hold=hold)
            return connection.row()

    def set_faults(self, given: Mapping[str, Any]) -> dict[str, float]:
        """Replace the faults, and give them; deliveries already queued keep theirs.

        Raises:
            BadRequest: a name is unknown or a value is out of its range.
        """
        faults = read_faults(given)
        with self._lock:
            self._faults = faults
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

    def truth(self) -> dict[str, Any]:
        """Give what really is: all rows, newest first, and what became of the webhooks."""
        with self._lock:
            rows = [one.row() for one in self._world.connections()]
        return {"list": rows, "deliveries": self.deliveries()}

    def deliveries(self) -> dict[str, int]:
        """Give the counters of the outbox, and how many deliveries are pending."""
        return {**asdict(self._outbox.counters), "pending": self._outbox.pending}

    def quiesce(self, *, keep_held: bool = False) -> dict[str, int]:
        """Wait until no delivery is pending (or only held ones, when kept), and give counters."""
        self._outbox.quiesce(keep_held=keep_held)
        return self.deliveries()

    def page(
        self, *, status: str | None, imported: bool | None, limit: int, offset: int
    ) -> tuple[list[Connection], bool]:
        """Give a page of the connections, newest first, and whether more follow."""
        with self._lock:
            everything = [
                one
                for one in self._world.connections()
                if status in (None, one.status) and imported in (None, one.imported)
            ]
        if self.strikes("listShift"):
            offset = max(0, offset + self.choose(-1, 1))
        return everything[offset : offset + limit], len(everything) > offset + limit

    def strikes(self, fault: str) -> bool:
        """Throw the dice for a fault of the HTTP API."""
        with self._lock:
            chance = self._faults.get(fault, 0.0)
            return chance > 0 and self._answers.random() < chance

    def choose(self, *values: int) -> int:
        """Throw the dice for how a fault shows itself."""
        with self._lock:
            return self._answers.choice(values)

    def request_id(self) -> str:
        """Make an id for an answer."""
        with self._lock:
            return f"req_{self._answers.getrandbits(80):020x}"

    def authorise(self, key: str | None) -> None:
        """Check an API key.

        Raises:
            Unauthorized: there is none, or not the one that is asked for.
        """
        if not key:
            raise Unauthorized
        asked = self._api_key
        if asked is not None and not hmac.compare_digest(key.encode(), asked.encode()):
            raise Unauthorized

    def _tell(self, fact: Fact, *, hold: bool) -> None:
        """Queue the webhook of a fact. The lock is held, so that order and dice follow facts."""
        message_id = f"msg_{self._dice.getrandbits(120):030x}"
        plan = draw_plan(self._dice, self._faults)
        if self._send is not None:
            self._outbox.put(Delivery(fact, message_id, plan, self._style), hold=hold)

    def _attempt(self, delivery: Delivery) -> bool:
        assert self._send is not None
        body, headers = delivery.request(self._secret, now=self._now())
        return self._send(body, headers)


def read_flag(text: str | None, name: str) -> bool | None:
    """Read "true" or "false" of a query parameter; None when it is absent.

    Raises:
        BadRequest: it is something else.
    """
    if text is None:
        return None
    if text not in ("true", "false"):
        raise BadRequest(f"{name} is neither true nor false.")
    return text == "true"
