"""What happens in one history: at the provider, in browsers, to the ledger and between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Final

from api.emulator.links import Login
from api.emulator.world import Action, Details
from ledger.domain.link_session import ReportStatus
from ledger.domain.orders import Order
from ledger.domain.sweep_events import SweepCompleted
from ledger.links import Report
from ledger.ofauth.client import Paths
from ledger.reconcile import PassResult
from tests.simulation.plan import FOREIGN_KEY, Plan
from tests.simulation.provider import Provider
from tests.simulation.subject import KEY, Killed, Subject

CLIENTS: Final = ("ada", "bea", "cleo", "dora", "eve", "flo")
PERMISSIONS: Final = (("profile:read",), ("profile:read", "messages:read"), ())
MINUTE, HOUR = 60, 3_600
LAST_PASSES: Final = 5
"""How many passes there are at most after the faults have stopped."""
APART: Final = 601
"""Between two of these, in seconds: each of them counts against who is absent."""


@dataclass(frozen=True, slots=True)
class Fork:
    """A session for one connection that ended in another one."""

    meant: str
    made: str
    reported: bool
    """Whether the browser came back and said so."""


@dataclass(frozen=True, slots=True)
class Session:
    """A Link session on its way."""

    link: str
    secret: str
    """What names it at the provider."""
    meant: str | None


@dataclass
class Tally:
    """What came about in one history, by the provider's truth."""

    forks: list[Fork]
    tried: int = 0
    """Passes that came to an end of any kind after the faults had stopped."""
    valid: int = 0
    """Those of them that were valid."""
    foreign: int = 0
    """Passes that were abandoned for a foreign key."""
    killed: int = 0
    """Passes in which the process was killed."""


class Story:
    """One history, from its first connection to its last pass."""

    def __init__(self, plan: Plan, seed: int, url: str) -> None:
        self.plan = plan
        self.random = Random(f"story {seed}")
        self.provider = Provider(seed)
        self.provider.emulator.set_style(plan.style)
        self.provider.emulator.set_manner(plan.manner)
        with self.provider.silence():
            for _ in range(plan.connections):
                self.create(at=self.provider.ms - self.random.randrange(100 * HOUR) * 1_000)
        paths = Paths.ACCOUNT if plan.manner["paths"] == "account" else Paths.PLAIN
        self.subject = Subject(url, self.provider, Random(f"ledger {seed}"), paths)
        self.provider.receive = self.receive
        self.provider.before_request = self.before_request
        self.faulty = False
        self.sessions: list[Session] = []
        self.tally = Tally([])
        self.wrongly_absent: set[str] = set()
        """Who was not listed in a valid pass although they existed all the while."""
        self.wrongly_deleted: set[str] = set()
        """Who was called deleted and existed."""
        self.has_read = False
        """Whether a pass has come to the end of the list: then it is known whose that is."""
        self._sweeping = False
        self._next_pass = self.provider.ms
        self._confirm = False

    # between the two

    def receive(self, body: bytes, headers: dict[str, str]) -> tuple[str | None, bool]:
        """Let the ledger take a webhook, unless it is down or dies while it does."""
        down = self.faulty and self.chance(self.plan.refuse)
        if down and not self.chance(self.plan.forget):
            return None, False
        return self.subject.receive(body, headers).stream, not down

    def before_request(self, _path: str) -> None:
        """Let something happen before the provider answers."""
        if not self.faulty or not self._sweeping:
            return
        if self.chance(self.plan.kill):
            raise Killed
        if self.chance(self.plan.disturb):
            self.happen()

    def pass_time(self, seconds: float) -> None:
        """Let time pass; deliveries and passes come when they are due."""
        end = self.provider.ms + round(seconds * 1_000)
        while True:
            due = self.provider.emulator.next_due()
            times = [end, self._next_pass if self.faulty else end]
            times += [] if due is None else [int(due * 1_000) + 1]
            now = max(self.provider.ms, min(times))
            self.provider.ms = now
            self.provider.emulator.pump()
            if self.faulty and now >= self._next_pass:
                self.sweep()
                self._next_pass = self.provider.ms + self.plan.interval * 1_000
            elif now >= end:
                break
        self.subject.work()
        self.look_for_deleted()

    def sweep(self) -> PassResult | None:
        """Let the ledger make a pass, and compare whom it calls absent with the truth."""
        there: set[str] = set()
        self.subject.work()
        started = self.subject.started
        self._sweeping = True
        result = self.subject.sweep(
            confirm=self._confirm, begun=lambda: there.update(self.provider.existing())
        )
        self._sweeping = False
        self.tally.killed += self.subject.started - started
        if result is not None:
            self.judge(result, there & self.provider.existing().keys())
        self.look_for_deleted()
        self.subject.work()
        return result

    def look_for_deleted(self) -> None:
        """Take down who is called deleted and exists: nobody ever may be."""
        known = self.subject.connections()
        self.wrongly_deleted |= {
            one
            for one in self.provider.existing()
            if one in known and known[one].status == "deleted"
        }

    def judge(self, result: PassResult, there: set[str]) -> None:
        """Take down how a pass ended; those that are `there` existed all the while."""
        self.tally.foreign += getattr(result.event, "reason", "") == "foreign_key"
        event = result.event
        self.has_read = self.has_read or isinstance(event, SweepCompleted)
        if not isinstance(event, SweepCompleted) or not event.valid:
            return
        self._confirm = event.braked  # an operator looks, and says that it is so
        self.wrongly_absent |= there & set(event.absent)

    # its course

    def tell(self, settled: Callable[[Story], bool]) -> None:
        """Let everything happen, then let the faults stop, and passes repair what they can.

        `settled` tells whether nothing is left to be repaired.
        """
        self.faulty = True
        self.provider.emulator.set_faults(self.plan.faults)
        to_be_switched = self.plan.foreign
        for step in range(self.plan.steps):
            self.pass_time(self.random.choice((0.3, 1, 1, 1, 20, 20, 100, 100, 400, 1_200)))
            self.happen()
            if to_be_switched and self.has_read and 2 * step > self.plan.steps:
                to_be_switched = False
                with self.foreign_key():
                    self.pass_time(self.plan.interval + 1)
            if self.chance(0.04):
                self.subject.restart()
        self.calm_down()
        for _ in range(LAST_PASSES):
            self.pass_time(APART)
            result = self.sweep()
            self.tally.tried += 1
            self.tally.valid += result is not None and result.state == "valid"
            if settled(self):
                break

    def calm_down(self) -> None:
        """Let the faults stop, and everything arrive that is on its way."""
        self.faulty = False
        self.provider.emulator.set_faults({})
        self.provider.emulator.release()
        while self.provider.emulator.deliveries()["pending"]:
            due = self.provider.emulator.next_due()
            assert due is not None
            self.pass_time(max(0.0, due + 0.002 - self.provider.ms / 1_000))

    @contextmanager
    def foreign_key(self) -> Iterator[None]:
        """Give the ledger the key of another organisation for a while."""
        self.subject.key = FOREIGN_KEY
        self.subject.restart()
        self._next_pass = self.provider.ms
        yield
        self.subject.key = KEY
        self.subject.restart()

    # what may happen

    def happen(self) -> None:
        """Let one thing happen."""
        acts: dict[Callable[[], None], float] = {
            self.create: 2,
            self.import_one: 0.3,
            self.expire: 3,
            self.reconnect: 2,
            self.two_factor: 1,
            self.twice_in_a_second: 2,
            self.update: 2,
            self.give_away: 0.4,
            self.change_password: 0.4,
            self.disconnect: 1,
            self.delete_expired: 0.8,
            self.delete: 0.6,
            self.invalidate: 0.6,
            self.begin_link: 3,
            self.finish_link: 5,
            self.sweep_at_once: 1,
        }
        (act,) = self.random.choices(list(acts), list(acts.values()))
        act()

    def create(self, *, at: int | None = None) -> None:
        """A creator connects, without a session of ours."""
        client = self.random.choice((*CLIENTS, None))
        status = self.random.choices(("active", "awaiting_2fa", "expired"), (8, 1, 1))[0]
        details = Details(client_reference_id=client, permissions=self.permissions())
        self.provider.emulator.create(details, status=status, at=at)

    def import_one(self) -> None:
        """A session of somebody else's is imported."""
        details = Details(client_reference_id=self.random.choice(CLIENTS))
        self.provider.emulator.create(details, imported=True)

    def expire(self) -> None:
        """A session ends."""
        self.act(Action.EXPIRE)

    def reconnect(self) -> None:
        """A creator logs in again, without a session of ours."""
        self.act(Action.RECONNECT)

    def two_factor(self) -> None:
        """The platform asks a creator for a code, and most times gets it."""
        one = self.act(Action.AWAIT_2FA)
        if one is not None and self.chance(0.7):
            self.provider.ms += self.random.choice((900, 20_000))
            self.provider.act(one, Action.ACTIVATE)

    def twice_in_a_second(self) -> None:
        """A session ends and is renewed at once, or the other way round."""
        turns = (Action.RECONNECT, Action.EXPIRE)
        one = self.act(turns[0])
        if one is None:
            return
        for turn in self.random.choice((turns[1:], turns[::-1])):
            self.provider.ms += self.random.choice((0, 150, 480))
            self.provider.act(one, turn)

    def update(self) -> None:
        """Something that says nothing of the status changes."""
        # where rows leave out what is not there, nobody can know that an avatar was taken away
        none = None if self.plan.manner["nothing"] == "null" else "none.jpg"
        names = {
            "name": self.random.choice(("Ann", "Bea")),
            "avatar": self.random.choice((none, "some.jpg")),
        }
        self.act(Action.UPDATE, Details(permissions=self.permissions(), user_data=names))

    def give_away(self) -> None:
        """A connection gets another client."""
        self.act(Action.UPDATE, Details(client_reference_id=self.random.choice(CLIENTS)))

    def change_password(self) -> None:
        """All connections of an account expire."""
        if (one := self.anyone()) is not None:
            self.provider.emulator.change_password(one)

    def disconnect(self) -> None:
        """Somebody deletes a connection in the dashboard."""
        self.act(Action.DISCONNECT)

    def delete(self) -> None:
        """The ledger is told to delete a connection that it knows."""
        if (one := self.anyone(known=True)) is not None:
            self.subject.order(Order.DELETE, one)

    def delete_expired(self) -> None:
        """It is told to delete one that has expired, which the provider may refuse."""
        if (one := self.anyone(known=True, status="expired")) is not None:
            self.subject.order(Order.DELETE, one)

    def invalidate(self) -> None:
        """It is told to end the session of one."""
        if (one := self.anyone(known=True)) is not None:
            self.subject.order(Order.INVALIDATE, one)

    def sweep_at_once(self) -> None:
        """Somebody asks for a pass; it can be right after a change."""
        if not self._sweeping:
            self._next_pass = self.provider.ms
            self.pass_time(0)

    # Link sessions

    def begin_link(self) -> None:
        """A session is begun: for a client, or for a connection that is not active."""
        if self._sweeping:
            return
        meant = self.anyone(known=True, status="expired")
        if meant is not None and self.chance(0.7):
            begun = self.subject.link(self.subject.connections()[meant].client_reference_id, meant)
        else:
            meant, begun = None, self.subject.link(self.random.choice(CLIENTS), None)
        if begun is not None:
            self.sessions.append(Session(*begun, meant))

    def finish_link(self) -> None:
        """A creator finishes a session, in the connection it was for or in another, or gives up."""
        if not self.sessions or self._sweeping:
            return
        session = self.sessions.pop(self.random.randrange(len(self.sessions)))
        emulator = self.provider.emulator
        if emulator._own.links.get(session.secret).outcome is not None:
            return  # its time is over
        if self.chance(0.1):
            emulator.cancel(session.secret, "login")
            said = Report(channel="redirect", status=ReportStatus.CANCELLED, step="login")
            self.subject.report(session.link, said)
            return
        login = Login(details=Details(), code_asked=self.chance(0.3), elsewhere=self.chance(0.5))
        told = emulator.log_in(session.secret, login)
        if login.code_asked:
            self.provider.ms += 30_000
            if emulator._own.links.get(session.secret).outcome is not None:
                return
            told = emulator.log_in(session.secret, login)
        made = told["connectionId"]
        reported = self.chance(0.6)
        if reported:
            channel = self.random.choice(("redirect", "embed"))
            said = Report(channel=channel, status=ReportStatus.SUCCESS, connection=made)
            self.subject.report(session.link, said)
        if session.meant is not None and made != session.meant:
            self.tally.forks.append(Fork(session.meant, made, reported))

    # helpers

    def act(self, action: Action, details: Details | None = None) -> str | None:
        """Let something happen to somebody; gives to whom."""
        one = self.anyone()
        if one is not None:
            self.provider.emulator.act(one, action, details)
        return one

    def anyone(self, *, known: bool = False, status: str | None = None) -> str | None:
        """Choose a connection that exists; one that the ledger knows, one with a status."""
        existing = self.provider.existing()
        ids = [id for id, one in existing.items() if status in (None, one.status)]
        if known:
            ids = sorted(self.subject.connections().keys() & set(ids))
        return self.random.choice(ids) if ids else None

    def permissions(self) -> tuple[str, ...]:
        """Choose permissions."""
        return self.random.choice(PERMISSIONS)

    def chance(self, probability: float) -> bool:
        """Throw the dice."""
        return self.random.random() < probability
