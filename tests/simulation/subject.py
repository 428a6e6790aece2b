"""The ledger under test: wired as a service wires it, without threads, on the provider's clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from api.commanding import Commanding, commanded
from api.following import Following
from api.sweeping import living
from ledger.application import Delivery, Ledger, LinkStep, Noted, Recorded
from ledger.commands import Commands
from ledger.domain.errors import LedgerError
from ledger.domain.orders import Order
from ledger.links import Links, Report, Wish, address_of, read_link
from ledger.ofauth.client import LinkInit, OFAuthClient, Paths
from ledger.ofauth.errors import ProviderError
from ledger.ofauth.signatures import verify
from ledger.reconcile import PassResult, Sweep, new_pass
from ledger.reconcile.sweep import LEASE, LEASE_MS
from ledger.recorders import open_log
from projections.answers import ConnectionView, HistoryEntry
from projections.links.proving import Proving
from projections.opening import open_store
from projections.questions import Questions
from projections.runner import Runner
from projections.store import Session
from tests.emulated import SECRET
from tests.simulation.provider import Provider

KEY = "key-of-ours"
MOST = 500
"""How many connections and history entries one question asks for: more than there are."""


class Killed(BaseException):
    """The process was killed."""


class Subject:
    """One process after the other with one log."""

    def __init__(self, url: str, provider: Provider, random: Random, paths: Paths) -> None:
        self.url = url
        self.provider = provider
        self.random = random
        self.paths = paths
        self.key = KEY
        """The API key that it uses from its next start on."""
        self.started = 0
        """How often it was started."""
        self._last_us = 0
        self._open()

    # its life

    def _open(self) -> None:
        self.started += 1
        self.holder = f"process {self.started}"
        self.log = open_log(self.url, writer=True, entropy=self.random.randbytes, now=self.now_us)
        self.store = open_store(self.url)
        self.runner = Runner(self.log, self.store)
        self.ledger = Ledger(self.log, now=self.now_us, entropy=self.random.randbytes)
        self.client: OFAuthClient = self.provider.client(self.key, self.paths)
        self.questions = Questions(self.log, self, stale_after_ms=86_400_000)
        self.links = Links(self._write, now=self.now_us, entropy=self.random.randbytes)
        self.following = Following(self.log, self, Proving(self.log, self), self.links)
        self.commanding = Commanding(
            Commands(self._write, now_ms=self.now_ms, entropy=self.random.randbytes),
            self.log,
            lambda: self.client,
            commanded=lambda: commanded(self),
            now_ms=self.now_ms,
            monotonic=lambda: self.provider.ms / 1000,
        )

    def close(self) -> None:
        """End."""
        self.store.close()
        self.log.close()

    def restart(self) -> None:
        """End, and begin anew with what is on disk."""
        self.close()
        self._open()

    def now_us(self) -> int:
        """Microseconds UTC, one more at each look."""
        self._last_us = max(self._last_us + 1, self.provider.ms * 1000)
        return self._last_us

    def now_ms(self) -> int:
        """Milliseconds UTC."""
        return self.provider.ms

    # what comes in, and what it does

    def receive(self, body: bytes, headers: dict[str, str]) -> Recorded:
        """Take a webhook."""
        now = self.now_ms()
        verdict = verify(list(headers.items()), body, [SECRET], now=now / 1000)
        return self._write(Delivery(body=body, verdict=verdict, observed=now))

    def _write(self, observation: Delivery | LinkStep | Noted) -> Recorded:
        return self.ledger.record([observation])[0]

    def work(self) -> None:
        """Do what threads do at leisure: bring views up to date, find proofs, carry out orders."""
        self.catch_up()
        while self.following.step():
            self.catch_up()
        self.commanding.work()
        self.catch_up()

    def sweep(
        self, *, confirm: bool, begun: Callable[[], None] = lambda: None
    ) -> PassResult | None:
        """Make a pass; None when it was killed, or when one that was killed holds the lease.

        `begun` is called when it is known what lives.
        """

        def known() -> Any:
            begun()
            return living(self.log, self)

        sweep = Sweep(
            self.ledger,
            self.client,
            stream=new_pass(self.random.randbytes),
            holder=self.holder,
            known=known,
            now_ms=self.now_ms,
        )
        try:
            return sweep.run(confirm_absences=confirm)
        except LedgerError:
            return None
        except Killed:
            # a process that is killed gives nothing back
            self.log.take_lease(LEASE, self.holder, self.now_ms(), LEASE_MS)
            self.restart()
            return None

    def order(self, order: Order, connection: str) -> None:
        """Command something."""
        self.commanding.command(order, connection, by="simulation")

    def link(self, client: str | None, connection: str | None) -> tuple[str, str] | None:
        """Begin a Link session; gives its id and what names it at the provider, if it came so."""
        try:
            begun = self.links.begin(
                Wish(client=client, connection=connection, by="simulation"),
                self.client,
                LinkInit(client_reference_id=client, connection_id=connection),
            )
        except ProviderError:
            return None
        stored = read_link(self.log, begun.link)
        assert stored is not None
        address = address_of(self.log, stored)
        assert address is not None
        return begun.link, address.rpartition("/")[2]

    def report(self, link: str, report: Report) -> None:
        """Take what a browser says."""
        self.links.reported(link, report)

    # its views

    def catch_up(self) -> None:
        """Bring the views to the end of the log."""
        self.runner.catch_up(self.log.head().position)

    def wait_for(self, position: int, _timeout: float) -> bool:
        """Bring the views to a position."""
        self.runner.catch_up(max(position, self.log.head().position))
        return True

    def positions(self) -> dict[str, int]:
        """How far the views have come."""
        return self.runner.positions()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Read the views in one transaction."""
        with self.store.reading() as session:
            yield session

    def connections(self) -> dict[str, ConnectionView]:
        """What it says of every connection, by id."""
        self.catch_up()
        page = self.questions.connections(now_ms=self.now_ms(), limit=MOST).value
        assert page.next is None
        return {one.id: one for one in page.items}

    def history(self, connection: str) -> list[HistoryEntry]:
        """What it says happened to a connection, in the order in which it did."""
        answer = self.questions.connection_history(connection, limit=MOST, by="occurredAt")
        assert answer is not None
        assert answer.value.next is None
        return list(answer.value.items)
