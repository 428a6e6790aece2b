"""A sender with a journal of its own, and a service that is killed under it.

The oracle is the sender: what it was answered 204 for must be in the log, byte for byte, and every
fact once. Nothing of the service is asked what it thinks it stored.
"""

import base64
import hashlib
import hmac
import http.client
import itertools
import json
import random
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from tests.acceptance.service import KEY, SECRET, Service
from tests.builders import iso
from tests.unit.independent_ofauth_signature import ofauth_signature

SENDERS = 16
"""How many connections send at once."""
LEAST_IN_FLIGHT = 8
"""How many requests must be unanswered when the service is killed."""
PATIENCE_S = 120
"""How long a sender waits for anything to happen, in seconds."""


@dataclass(frozen=True)
class Signed:
    """One delivery, ready to be sent any number of times."""

    body: bytes
    headers: dict[str, str]


def deliveries(count: int, now: int, seed: int) -> list[Signed]:
    """Distinct signed deliveries about `count // 4` connections; `now` is seconds UTC."""
    rng = random.Random(seed)
    made = []
    for index in range(count):
        connection, step = divmod(index, 4)
        kind = ("created", "updated", "expired", "updated")[step]
        said: dict[str, object] = {"id": f"conn_{seed}x{connection:06d}"}
        if step != 2:
            said["status"] = ("active", "awaiting_2fa", "expired", "active")[step]
            said["userData"] = {"id": str(connection), "name": f"Name {rng.random():.9f}"}
        reference = f"user_{connection % 997}"
        data = {"clientReferenceId": reference, "connection": said}
        at = iso((now - 3600) * 1000 + index)
        if index % 3:
            body = json.dumps({"type": f"connection.{kind}", "timestamp": at, "data": data})
        else:
            body = json.dumps({"eventType": f"connection.{kind}", "live": True, "data": data})
        made.append(signed(body.encode(), f"msg_{seed}_{index}", now - index % 60, index))
    rng.shuffle(made)
    return made


def signed(body: bytes, message_id: str, stamp: int, index: int) -> Signed:
    """Sign by hand, in Svix's dialect or, for dated bodies, also in the documented one."""
    if index % 3 == 1:
        return Signed(body, {"OFAuth-Signature": ofauth_signature(SECRET.encode(), stamp, body)})
    content = f"{message_id}.{stamp}.".encode() + body
    mac = base64.b64encode(hmac.new(KEY, content, hashlib.sha256).digest()).decode()
    headers = {"svix-id": message_id, "svix-timestamp": str(stamp), "svix-signature": f"v1,{mac}"}
    return Signed(body, headers)


class Senders:
    """Many connections that send each delivery in turn and write down every 204."""

    def __init__(self, port: int, work: Sequence[Signed]) -> None:
        self.journal: list[tuple[Signed, int]] = []
        self.refused: list[int] = []
        self.in_flight_at_kills: list[int] = []
        self._port = port
        self._work = deque(work)
        self._changed = threading.Condition()
        self._sent: dict[int, float] = {}
        """By thread: when its request was sent to its last byte; answered ones are not in it."""
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(SENDERS)]
        self._started = False

    def start(self) -> None:
        """Begin to send; nothing happens the second time."""
        if not self._started:
            self._started = True
            for thread in self._threads:
                thread.start()

    def wait(self) -> None:
        """Wait until everything was sent."""
        for thread in self._threads:
            thread.join()

    def strike(self, answers: int, kill: Callable[[], None]) -> None:
        """Kill after so many more answers, while enough requests are in flight."""
        with self._changed:
            goal = len(self.journal) + answers
            while len(self.journal) < goal or len(self._sent) < LEAST_IN_FLIGHT:
                # However slow the machine is: it is no answer at all that tells of a fault.
                assert self._changed.wait(PATIENCE_S), (
                    f"{len(self.journal)} of {goal} answers, {len(self._sent)} in flight and "
                    f"{len(self._work)} left to send, {len(self.refused)} times 503: the service "
                    "hangs, or was to be killed too late"
                )
            # Under the lock, so that no answer that is read now makes the number untrue.
            self.in_flight_at_kills.append(len(self._sent))
            kill()

    def note_death(self, died: float) -> None:
        """Write down how many requests were in flight when the service died, by `monotonic`."""
        with self._changed:
            self.in_flight_at_kills.append(sum(sent < died for sent in self._sent.values()))

    def _run(self) -> None:
        connection = self._connection()
        while (delivery := self._next()) is not None:
            status, position = None, 0
            try:
                connection.request("POST", "/webhooks/ofauth", delivery.body, delivery.headers)
                self._now_in_flight()
                response = connection.getresponse()
                response.read()
                status = response.status
                position = int(response.headers.get("Ledger-Position", 0))
            except (OSError, http.client.HTTPException):
                connection.close()
                connection = self._connection()
                self._wait_for_port()
            self._answered(delivery, status, position)
        connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=15)

    def _wait_for_port(self) -> None:
        for _ in range(3000):
            with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1):
                return
            threading.Event().wait(0.01)

    def _next(self) -> Signed | None:
        with self._changed:
            if not self._work:
                return None
            return self._work.popleft()

    def _now_in_flight(self) -> None:
        with self._changed:
            self._sent[threading.get_ident()] = time.monotonic()
            self._changed.notify_all()

    def _answered(self, delivery: Signed, status: int | None, position: int) -> None:
        with self._changed:
            self._sent.pop(threading.get_ident(), None)
            if status == 204:
                self.journal.append((delivery, position))
            else:
                # As the provider would: what was not acknowledged is sent again.
                self._work.append(delivery)
                self.refused += [status] if status is not None else []
            self._changed.notify_all()


def thrice(distinct: Sequence[Signed], seed: int) -> list[Signed]:
    """Every delivery three times: the copies near each other, so that they race, and far apart."""
    rng = random.Random(seed)
    places = [
        (index + rng.choice((0, 1, 5, 40, len(distinct))), copy, index)
        for index in range(len(distinct))
        for copy in range(3)
    ]
    return [distinct[index] for _, _, index in sorted(places)]


def run(service: Service, work: Sequence[Signed], kills: int, seed: int) -> Senders:
    """Send all of `work` while the service is killed `kills` times and started again.

    Every second kill strikes at a counted commit, the others at any moment.
    """
    rng = random.Random(seed)
    senders = Senders(service.port, work)
    share = len(work) // (kills + 2)
    places = itertools.cycle(("inside", "before", "after"))
    for number in range(kills):
        if number % 2:
            service.start()
            senders.strike(share, service.kill)
        else:
            service.start(rng.randrange(3, share // SENDERS), next(places))
            senders.start()
            senders.note_death(service.bury())
    service.start()
    senders.wait()
    return senders
