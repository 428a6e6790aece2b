"""A provider whose truth is known: an emulator, and what of its facts reached the ledger."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from api.emulator.delivery import Delivery
from api.emulator.emulator import Emulator
from api.emulator.world import Connection, Fact, World
from api.times import format_millis
from ledger.ofauth import answers, transport
from ledger.ofauth.client import OFAuthClient, Paths
from tests.emulated import NOON, SECRET, Carrier, Office, client_of
from tests.simulation.plan import FOREIGN_KEY

Receive = Callable[[bytes, dict[str, str]], tuple[str | None, bool]]
"""Takes a webhook; gives the stream in which it was recorded, if it was, and whether that was
acknowledged."""


@dataclass
class Attempt:
    """What the attempts to deliver one fact came to."""

    stamps: list[str] = field(default_factory=list)
    """The signature's time at each attempt."""
    first: int | None = None
    """Which attempt was recorded first, counted from 0."""
    streams: set[str] = field(default_factory=set)
    """In which streams of the ledger it was recorded."""


class _Emulator(Emulator):
    """An emulator that says which fact it tells of just now."""

    telling: Delivery | None = None

    def _attempt(self, delivery: Delivery) -> bool:
        self.telling = delivery
        return super()._attempt(delivery)


class Provider(Office):
    """The provider of one history, on a clock that the history moves."""

    def __init__(self, seed: int) -> None:
        self.receive: Receive = lambda _body, _headers: (None, False)
        self.before_request: Callable[[str], None] = lambda _path: None
        """Called with the path of each call of the ledger before it is answered."""
        self.attempts: dict[tuple[str, str, str], Attempt] = {}
        """What became of each fact of which a webhook told, by `name_of`."""
        self.shown: set[tuple[str, str | None]] = set()
        """Ids and `updatedAt` of the rows that the ledger got to see."""
        self.young = 0
        """How many rows it saw within two seconds after their status changed."""
        self.refused = 0
        """How often a delete call for an expired connection was answered SESSION_NOT_PROVIDED."""
        self.commanded: list[tuple[str, int]] = []
        """Ids of connections whose session was ended by a call that was answered, and when."""
        self._read = 0
        self._statuses: dict[str, str] = {}
        self._turned: dict[str, int] = {}
        super().__init__(seed=seed)

    def __post_init__(self) -> None:
        self.ms = NOON
        self.emulator: _Emulator = _Emulator(
            seed=self.seed,
            now=lambda: self.ms,
            monotonic=lambda: self.ms / 1000,
            secret=SECRET,
            send=self._receive,
        )

    def _receive(self, body: bytes, headers: Any) -> bool:
        delivery = self.emulator.telling
        assert delivery is not None
        assert isinstance(delivery.fact, Fact)
        attempt = self.attempts.setdefault(name_of(delivery.fact), Attempt())
        attempt.stamps.append(_stamp(headers))
        stream, acknowledged = self.receive(body, dict(headers))
        if stream is not None:
            if attempt.first is None:
                attempt.first = len(attempt.stamps) - 1
            attempt.streams.add(stream)
        return acknowledged

    def client(self, key: str, paths: Paths) -> OFAuthClient:
        """Give the ledger's own client on this provider, with a key."""
        client = client_of(self, key=key, paths=paths)
        client._transport = _Watched(self, key)
        return client

    def show(self, rows: list[dict[str, Any]]) -> None:
        """Take down which rows the ledger got to see."""
        for row in rows:
            if self._world.remembered(row["id"]) is None:
                continue
            self.shown.add((row["id"], row.get("updatedAt")))
            self.young += self.ms - self._turned_at(row["id"]) <= 2_000

    def _turned_at(self, connection: str) -> float:
        """Give when the status of a connection changed last; its birth is no change."""
        for fact in islice(self._world.facts, self._read, None):
            one = fact.connection
            before = self._statuses.get(one.id)
            self._statuses[one.id] = one.status
            if before not in (None, one.status):
                self._turned[one.id] = fact.at
        self._read = len(self._world.facts)
        return self._turned.get(connection, float("-inf"))

    def refuse(self, connection: str, body: bytes) -> None:
        """Take down that a delete call was answered 401."""
        known = self.existing().get(connection)
        expired = known is not None and known.status == "expired"
        self.refused += expired and b"SESSION_NOT_PROVIDED" in body

    def confirm(self, connection: str) -> None:
        """Take down that the ledger was told what a connection is like now."""
        known = self._world.get(connection)
        self.shown.add((connection, format_millis(known.updated_at)))
        self.commanded.append((connection, self.ms))

    # the truth

    def facts(self) -> Iterator[Fact]:
        """Give what happened, first to last."""
        yield from self._world.facts

    def existing(self) -> dict[str, Connection]:
        """Give the connections that exist, by id."""
        return {one.id: one for one in self._world.connections()}

    @property
    def _world(self) -> World:
        return self.emulator._own.organisation.world

    def close(self) -> int:
        """Count how often two changes of status of one connection came within a second."""
        known: dict[str, Fact] = {}
        found, turned = 0, dict[str, int]()
        for fact in self.facts():
            before = known.get(fact.connection.id)
            known[fact.connection.id] = fact
            if before is None or before.connection.status == fact.connection.status:
                continue
            found += fact.at - turned.get(fact.connection.id, 0) < 1_000
            turned[fact.connection.id] = fact.at
        return found

    @contextmanager
    def silence(self) -> Iterator[None]:
        """Let what happens be told to nobody."""
        before = self.emulator._dice.faults
        self.emulator.set_faults({"drop": 1.0})
        yield
        self.emulator._dice.faults = before


class _Watched(Carrier):
    """Carries calls, and takes down what the ledger gets to see."""

    office: Provider

    def send(self, call: transport.Call) -> answers.Answer:
        self.office.before_request(call.path)
        answer = super().send(call)
        if answer.status == 401 and call.method == "DELETE":
            self.office.refuse(call.path.split("/")[-1], answer.body)
        if 200 <= answer.status < 300 and self.key != FOREIGN_KEY:
            self._take_down(call, answer.body)
        return answer

    def _take_down(self, call: transport.Call, body: bytes) -> None:
        if call.path.endswith("/invalidate"):
            self.office.confirm(call.path.split("/")[-2])
        if call.method == "GET" and call.path.endswith("/connections"):
            try:
                page = json.loads(body)
            except ValueError:
                return
            if isinstance(page, dict) and isinstance(page.get("list"), list):
                self.office.show(page["list"])


def name_of(fact: Fact) -> tuple[str, str, str]:
    """Name a fact: id, type, and the connection's `updatedAt` after it."""
    return (fact.connection.id, fact.type, format_millis(fact.connection.updated_at))


def _stamp(headers: dict[str, str]) -> str:
    return headers.get("svix-timestamp") or headers.get("webhook-timestamp") or _documented(headers)


def _documented(headers: dict[str, str]) -> str:
    return headers["OFAuth-Signature"].split(",")[0]
