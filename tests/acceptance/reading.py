"""Readers and paced senders beside a rebuild, and the check of every answer against the model.

The oracle is the log as it lies afterwards, folded by `tests/model.py`: an answer that names a
position must be what the statements up to there say. Nothing of the views is asked.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests

from api.times import format_millis
from ledger.domain.claim import Statement
from ledger.domain.words import CONNECTION
from ledger.recorders import codec, open_log
from tests.acceptance.crash import Signed, signed
from tests.acceptance.service import TOKEN, Service
from tests.builders import iso
from tests.model import model

SENDERS = 16
READERS = 3
STEPS = (
    ("created", "active"), ("updated", "active"), ("expired", "expired"), ("updated", "active"),
    ("updated", "awaiting_2fa"), ("disconnected", "active"),
)  # fmt: skip
PAUSE_S = 0.005
"""How long a reader rests between two questions: the machine may have two cores."""


@dataclass(frozen=True)
class Told:
    """A delivery, and whom and what it is about."""

    client: str
    connection: str
    delivery: Signed


def stories(clients: Sequence[str], count: int, now: int) -> list[Told]:
    """So many deliveries about a few clients, each the next one in turn; `now` in seconds UTC.

    A connection has few steps, because the model is slow; then its client gets another one.
    """
    made = []
    for index in range(count):
        turn, place = divmod(index, len(clients))
        life, step = divmod(turn, len(STEPS))
        kind, status = STEPS[step]
        connection = f"conn_told{place}x{life}"
        said = {"id": connection, "status": status, "userData": {"name": f"Name {index}"}}
        data = {"clientReferenceId": clients[place], "connection": said}
        at = iso((now - 3_600) * 1000 + index)
        body = json.dumps({"type": f"connection.{kind}", "timestamp": at, "data": data}).encode()
        delivery = signed(body, f"msg_told{index}", now - index % 60, index)
        made.append(Told(clients[place], connection, delivery))
    return made


@dataclass(frozen=True)
class Answered:
    """One answer: to what, when it was asked and answered, and from which views."""

    kind: str
    """`client`, `connection`, `client history` or `connection history`."""
    about: str
    asked: float
    answered: float
    status: int
    generation: int
    position: int
    body: Any

    @property
    def place(self) -> tuple[int, int]:
        """How new the views were."""
        return self.generation, self.position


class Asking:
    """Threads that send at a steady rate, and threads that ask without end."""

    def __init__(self, service: Service, known: Mapping[str, str], work: Sequence[Told], rate: int):
        """Ask about these clients, each with a connection that it has; send `work`, so many a
        second in all.
        """
        self._url = f"http://127.0.0.1:{service.port}"
        self._about = {client: (connection, 0) for client, connection in known.items()}
        """By client: what was last acknowledged about it, and at which position."""
        self._work = iter(work)
        self._rate = rate
        self._lock = threading.Lock()
        self._done = threading.Event()
        self.seconds: list[float] = []
        """How long each acknowledgement took."""
        self.statuses: set[int] = set()
        """What deliveries were answered."""
        self.answers: list[Answered] = []
        self.read_back = 0
        """How many questions asked for what had just been acknowledged."""
        self.lasted = 0.0
        """For how many seconds was sent and asked."""
        self.failures: list[str] = []
        """Threads that died."""

    @contextmanager
    def running(self) -> Iterator[None]:
        """Send and ask meanwhile."""
        began = time.monotonic()
        tasks = [(self._send, began + number / self._rate) for number in range(SENDERS)]
        tasks += [(self._ask, seed) for seed in range(READERS)]
        threads = [threading.Thread(target=self._guard, args=task) for task in tasks]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._done.set()
            for thread in threads:
                thread.join()
            self.lasted = time.monotonic() - began

    def count(self, generation: int) -> int:
        """How many answers came from a generation so far."""
        with self._lock:
            return sum(answer.generation == generation for answer in self.answers)

    def p99(self) -> float:
        """The slowest acknowledgement but one in a hundred, in seconds."""
        return sorted(self.seconds)[len(self.seconds) * 99 // 100]

    def _guard(self, work: Callable[..., None], *args: Any) -> None:
        try:
            with requests.Session() as session:
                work(session, *args)
        except Exception as error:  # noqa: BLE001 - the test looks at it when all have ended
            self.failures.append(repr(error))

    def _send(self, session: requests.Session, due: float) -> None:
        """Send the next delivery whenever it is time; a slow answer does not put off the others."""
        while not self._done.wait(max(0.0, due - time.monotonic())):
            due += SENDERS / self._rate
            with self._lock:
                told = next(self._work, None)
            if told is None:
                return
            began, sent = time.monotonic(), told.delivery
            answer = session.post(
                f"{self._url}/webhooks/ofauth", sent.body, headers=sent.headers, timeout=30
            )
            with self._lock:
                self.seconds.append(time.monotonic() - began)
                self.statuses.add(answer.status_code)
                position = int(answer.headers["Ledger-Position"])
                self._about[told.client] = (told.connection, position)

    def _ask(self, session: requests.Session, seed: int) -> None:
        rng = random.Random(seed)
        session.headers["Authorization"] = f"Bearer {TOKEN}"
        clients = sorted(self._about)
        for number in itertools.count():
            if self._done.wait(PAUSE_S):
                return
            client = rng.choice(clients)
            with self._lock:
                connection, acknowledged = self._about[client]
            kind, about, path = (
                ("client", client, f"/api/clients/{client}"),
                ("connection", connection, f"/api/connections/{connection}"),
                ("client history", client, f"/api/clients/{client}/history"),
                ("connection history", connection, f"/api/connections/{connection}/history"),
            )[number % 4]
            query: dict[str, Any] = {}
            if kind.endswith("history"):
                query = {"by": "occurredAt", "limit": 500}
            if kind.startswith("connection") or number % 5 == 0:
                # What was acknowledged can be read back. The others may lag, and must say so.
                query["minPosition"] = acknowledged
                self.read_back += 1
            self._note(session, kind, about, path, query)

    def _note(
        self, session: requests.Session, kind: str, about: str, path: str, query: dict[str, Any]
    ) -> None:
        asked = time.monotonic()
        answer = session.get(self._url + path, params=query, timeout=30)
        answered = time.monotonic()
        named = answer.headers.get("Ledger-Projection", "generation=0")
        position = int(answer.headers.get("Ledger-Position", 0))
        assert position >= query.get("minPosition", 0)
        generation = int(named.rpartition("generation=")[2])
        found = Answered(
            kind, about, asked, answered, answer.status_code, generation, position, answer.json()
        )
        with self._lock:
            self.answers.append(found)


class Oracle:
    """What the log says, by the model."""

    def __init__(self, url: str) -> None:
        log = open_log(url, writer=False, entropy=os.urandom, now=lambda: 0)
        self._said: dict[str, list[tuple[int, Statement]]] = defaultdict(list)
        self._of_client: dict[str, set[str]] = defaultdict(set)
        self._known: dict[tuple[str, int], dict[str, Any]] = {}
        position = 0
        while rows := log.read_log(position, 5_000, topics=("connection.",), payloads=True):
            for row in rows:
                statement = codec.statement_of(row)
                assert statement is not None
                self._said[row.stream.removeprefix(CONNECTION)].append((row.position, statement))
                if reference := statement.claim.fields.get("clientReferenceId"):
                    self._of_client[reference].add(statement.claim.connection_id)
            position = rows[-1].position
        log.close()

    def check(self, answer: Answered) -> None:
        """See that an answer is what was known at the position that it names."""
        found = answer.body
        if answer.kind == "client":
            known = self._models(self._of_client[answer.about], answer.position)
            assert {one["id"] for one in found["connections"]} == set(known), answer
            for one in found["connections"]:
                _check_connection(one, known[one["id"]], answer)
        elif answer.kind == "connection":
            known = self._models([answer.about], answer.position)
            _check_connection(found, known[answer.about], answer)
        else:
            ids = self._of_client[answer.about] if "client" in answer.kind else {answer.about}
            known = self._models(ids, answer.position)
            assert found["nextCursor"] is None
            for connection, expected in known.items():
                types = [e["type"] for e in found["items"] if e["connectionId"] == connection]
                assert types == [name for e in expected["history"] for name in e["names"]], answer
            assert {e["connectionId"] for e in found["items"]} == set(known)

    def _models(self, ids: Any, position: int) -> dict[str, dict[str, Any]]:
        known = {}
        for connection in ids:
            said = [statement for at, statement in self._said[connection] if at <= position]
            key = (connection, len(said))
            if said and key not in self._known:
                self._known[key] = model(said)
            if said:
                known[connection] = self._known[key]
        return known


def _check_connection(found: dict[str, Any], expected: dict[str, Any], answer: Answered) -> None:
    since = expected["statusSince"]
    assert (
        found["status"], found["statusSince"], found["clientReferenceId"], found["userData"],
        found["flags"],
    ) == (
        expected["status"], None if since is None else format_millis(since), expected["client"],
        expected["userData"] or None, expected["flags"],
    ), answer  # fmt: skip


def goes_back(answers: Sequence[Answered]) -> list[tuple[Answered, Answered]]:
    """Give answers from older views than what had been answered when they were asked for.

    From an older generation, or from an older position: all views of a generation go on together.
    """
    found = []
    newest: Answered | None = None
    ends = iter(sorted(answers, key=lambda one: one.answered))
    end = next(ends, None)
    for answer in sorted(answers, key=lambda one: one.asked):
        while end is not None and end.answered < answer.asked:
            if newest is None or end.place > newest.place:
                newest = end
            end = next(ends, None)
        if newest is not None and (
            answer.generation < newest.generation or answer.position < newest.position
        ):
            found.append((newest, answer))
    return found
