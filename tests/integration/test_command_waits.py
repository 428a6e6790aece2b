"""What is commanded is tried again: when, by whom, and what is written down at each refusal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from typing import Any

import pytest

from api.bootstrap import entropy
from api.commanding import MOST_REFUSED_S, MOST_WAIT_S, OTHERS_MS, Commanding
from ledger.application import Recorded
from ledger.commands import Commands, Request
from ledger.domain.connection import Connection, fold
from ledger.domain.orders import Order, open_orders
from ledger.ofauth.errors import (
    Forbidden,
    NoSession,
    ProviderError,
    ProviderFailed,
    RateLimited,
    RefusedKey,
    Unreachable,
)
from ledger.ofauth.results import Confirmed
from ledger.reconcile.rows import statements_of
from tests.builders import delivery, open_ledger, webhook

ID = "conn_1"
START_MS = 1_700_000_000_000
HOUR_S = 3_600


class World:
    """A ledger that knows one connection, its worker, a clock, and a provider that refuses."""

    def __init__(self, url: str) -> None:
        self.seconds = 0.0
        self.error: ProviderError | None = None
        self.called_at: list[float] = []
        """When its deletion was called for, in seconds."""
        self.ended_at: list[float] = []
        """When the end of its session was."""
        self.ledger = open_ledger(url)
        self.ledger._now = lambda: self.now_ms() * 1000
        self.record = Commands(self.write, now_ms=self.now_ms, entropy=entropy)
        self.worker = Commanding(
            self.record,
            self.ledger.log,
            lambda: self,
            commanded=lambda: [ID] if open_orders(self.known()) else [],
            now_ms=self.now_ms,
            monotonic=lambda: self.seconds,
        )
        self.say("created", status="active")

    def write(self, noted: Any) -> Recorded:
        """Record something."""
        return self.ledger.record([noted])[0]

    def now_ms(self) -> int:
        """The time, milliseconds UTC."""
        return START_MS + int(self.seconds * 1000)

    def say(self, kind: str, **said: Any) -> None:
        """Let a webhook tell something now."""
        body = webhook(kind, ID, at=self.now_ms(), **said)
        self.ledger.record([delivery(body, observed=self.now_ms())])

    def known(self) -> Connection:
        """What is true of the connection."""
        found = fold(ID, statements_of(self.ledger.log, [ID])[ID])
        assert found is not None
        return found

    def names(self) -> list[str]:
        """What happened to it."""
        return [name.removeprefix("connection.") for s in self.known().steps for name in s.names]

    def delete(self, connection_id: str) -> Confirmed:
        """Be the provider."""
        self.called_at.append(self.seconds)
        if self.error is not None:
            raise self.error
        return Confirmed(answered=self.now_ms())

    def invalidate(self, connection_id: str) -> Confirmed:
        """Be the provider."""
        self.ended_at.append(self.seconds)
        raise NoSession(status=401)

    def order(self) -> Request:
        """Command the deletion, as `/api` does."""
        return self.worker.command(Order.DELETE, ID, by="ops")

    def pass_on(self) -> Request:
        """Write down the deletion, as the drop-in does."""
        return self.record.requested(Order.DELETE, ID, by="old", closable=True)

    def wait(self, seconds: float) -> list[float]:
        """Let time go by second for second, and give when the provider was called meanwhile."""
        before = len(self.called_at)
        for _ in range(int(seconds)):
            self.seconds += 1
            self.worker.work()
        return self.called_at[before:]

    def close(self) -> None:
        """End it."""
        self.ledger.log.close()


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    """The world, at its beginning."""
    with closing(World(database_url)) as world:
        yield world


@pytest.fixture
def one_world(sqlite_url: str) -> Iterator[World]:
    """The same on SQLite, for what is not about the database."""
    with closing(World(sqlite_url)) as world:
        yield world


@pytest.mark.parametrize(
    ("error", "longest"),
    [
        (Forbidden(status=403), MOST_REFUSED_S),
        (RefusedKey(status=401), MOST_REFUSED_S),
        (NoSession(status=401), MOST_REFUSED_S),
        (RateLimited(status=429), MOST_WAIT_S),
        (Unreachable(), MOST_WAIT_S),
        (ProviderFailed(status=500, may_have_happened=True), MOST_WAIT_S),
    ],
)
def test_each_wait_is_twice_the_one_before(
    one_world: World, error: ProviderError, longest: float
) -> None:
    """Up to a longest one: an hour after a refusal, which does not pass by itself."""
    one_world.error = error
    one_world.order()
    one_world.worker.work()
    one_world.wait(4 * HOUR_S)
    waits = [later - before for before, later in pairwise(one_world.called_at)]
    expected = [min(5.0 * 2**attempt, longest) for attempt in range(len(waits))]
    assert waits == expected
    assert waits[-1] == longest
    assert open_orders(one_world.known()) == {Order.DELETE: START_MS}


def test_the_provider_is_left_alone_as_long_as_it_wants(one_world: World) -> None:
    """Also when the order is given again; otherwise that is carried out at once."""
    one_world.error = RateLimited(status=429, retry_after=1_000)
    one_world.order()
    one_world.worker.work()
    one_world.order()
    assert one_world.wait(1_100) == [1_000]
    one_world.error = Forbidden(status=403)
    one_world.wait(3 * HOUR_S)
    assert one_world.called_at[:3] == [0, 1_000, 2_000]
    one_world.error = None
    one_world.order()
    assert one_world.wait(1) == [one_world.seconds]
    assert one_world.names() == ["created", "deletion_requested", "deleted"]


def test_a_suspicion_is_noted_once_until_something_newer_is_known(world: World) -> None:
    """The retries go on, and say nothing new."""
    world.error = NoSession("", status=401)
    world.order()
    assert len(world.wait(HOUR_S)) > 8
    assert world.names() == ["created", "deletion_requested", "expiry_suspected"]
    world.say("updated")
    assert len(world.wait(2 * HOUR_S)) > 1
    assert world.names()[3:] == ["confirmed"]
    world.say("updated", status="active")
    assert len(world.wait(4 * HOUR_S)) > 2
    assert world.names()[4:] == ["confirmed", "expiry_suspected"]


def test_a_suspicion_that_holds_already_keeps_a_session_from_being_ended(world: World) -> None:
    """Whether it was ended in spite of the refusal, a pass must tell first."""
    world.error = NoSession(status=401)
    world.order()
    world.wait(1)
    world.worker.command(Order.INVALIDATE, ID, by="ops")
    world.wait(HOUR_S)
    assert world.ended_at == [2]
    assert world.names().count("expiry_suspected") == 1
    assert open_orders(world.known()).keys() == {Order.DELETE, Order.INVALIDATE}


def test_who_calls_for_a_request_of_his_own_is_the_only_one(world: World) -> None:
    """Whatever the worker has to do about the connection meanwhile."""
    world.error = Forbidden(status=403)
    world.order()
    world.wait(60)
    with world.worker.passing(ID), world.worker.passing("conn_2"):
        asked = world.pass_on()
        with world.worker.passing(ID):
            assert world.wait(600) == []
        assert world.wait(600) == []
        world.record.refused(asked, Forbidden(status=403), world.known())
    assert open_orders(world.known()) == {Order.DELETE: START_MS}
    assert len(world.wait(600)) > 0


def test_what_is_accepted_meanwhile_goes_on_after_a_refusal(world: World) -> None:
    """It is another request, which nothing closes; given once more it is the same."""
    with world.worker.passing(ID):
        asked = world.pass_on()
        world.wait(1)
        first = world.order()
        assert first.position != asked.position
        assert world.order() == first
        world.wait(1)
        world.record.refused(asked, Forbidden(status=403), world.known())
    assert len(world.wait(30)) == 1
    assert world.names() == [
        *("created", "deletion_requested", "deletion_requested", "confirmed", "deleted")
    ]


def test_what_was_passed_on_and_not_answered_is_carried_out(world: World) -> None:
    """As if it had been commanded; the refusal of a later attempt is no end of it."""
    with world.worker.passing(ID):
        world.pass_on()
    world.error = Forbidden(status=403)
    assert len(world.wait(OTHERS_MS // 1000 + 60)) > 0
    assert open_orders(world.known()).keys() == {Order.DELETE}
    world.error = None
    world.wait(HOUR_S)
    assert world.names() == ["created", "deletion_requested", "deleted"]
