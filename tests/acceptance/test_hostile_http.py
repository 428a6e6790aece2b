"""What strangers and confused senders can do over HTTP: be refused, or be kept. Nothing else."""

import json
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import pytest
import requests

from ledger.ofauth.signatures import Dialect, Secret, sign
from ledger.recorders import open_log
from tests import hostile
from tests.acceptance.service import SECRET, TOKEN, Service, service_on
from tests.builders import NOON, Clock, counting_entropy, webhook
from tests.mutations import SignedRequest, mutations

CONNECTIONS = 8
GROWTH = 20 * 1024 * 1024
"""How many bytes of memory 40,000 further hostile requests may cost."""


@pytest.fixture
def service(sqlite_url: str, tmp_path: Path) -> Iterator[Service]:
    """The real service on SQLite."""
    with service_on(sqlite_url, tmp_path) as service:
        service.start()
        yield service
        assert service.stop() == 0


def wire(request: SignedRequest) -> bytes:
    """A request as bytes, exactly as given: no client library repairs it."""
    lines = ["POST /webhooks/ofauth HTTP/1.1", "Host: ledger"]
    lines += [f"{name}: {value}" for name, value in request.headers]
    lines.append(f"Content-Length: {len(request.body)}")
    return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + request.body


class RawClient:
    """One connection that is kept open, and opened again when the server closes it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open()

    def _open(self) -> None:
        self._socket = socket.create_connection(("127.0.0.1", self._port), 20)
        self._file = self._socket.makefile("rb")

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self._socket.close()

    def status(self, request: bytes) -> int:
        """Send a request and give the status of its answer."""
        try:
            self._socket.sendall(request)
            line = self._file.readline()
        except ConnectionError:
            line = b""
        if not line:
            self.close()
            self._open()
            self._socket.sendall(request)
            line = self._file.readline()
        length = 0
        while (header := self._file.readline().strip()) != b"":
            name, _, value = header.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        self._file.read(length)
        return int(line.split()[1])


def send_all(port: int, work: Iterable[bytes]) -> Counter[int]:
    """Send everything over several connections; count the answers by status."""
    statuses: Counter[int] = Counter()
    lock = threading.Lock()
    source = iter(work)

    def run() -> None:
        client = RawClient(port)
        while True:
            with lock:
                request = next(source, None)
            if request is None:
                break
            status = client.status(request)
            with lock:
                statuses[status] += 1
        client.close()

    threads = [threading.Thread(target=run) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses


def signed(body: bytes, dialect: Dialect, number: int) -> SignedRequest:
    """A good request, signed now."""
    headers = sign(
        dialect, Secret(SECRET), body, stamp=int(time.time()), message_id=f"msg_{number}"
    )
    return SignedRequest(tuple(headers.items()), body)


def pool() -> list[SignedRequest]:
    """Good requests in every dialect, to be mutated."""
    return [
        signed(webhook("created", f"conn_{number}", at=NOON + number), dialect, number)
        for number in range(30)
        for dialect in Dialect
    ]


def test_no_mutation_of_a_good_request_is_accepted(service: Service, sqlite_url: str) -> None:
    """2,000 over HTTP: none accepted, nothing but 401; the originals are."""
    changed = [wire(m.request) for m in mutations(7, pool(), 2_000, over_http=True)]
    assert send_all(service.port, changed) == {401: 2_000}
    log = open_log(sqlite_url, writer=False, entropy=counting_entropy(), now=Clock())
    assert log.head().position == 0
    log.close()
    assert set(send_all(service.port, [wire(request) for request in pool()])) == {204}


def hostile_requests(seed: int, count: int) -> Iterator[bytes]:
    """Signed hostile bodies, hostile headers with and without a good body."""
    rng = random.Random(seed)
    bodies = hostile.bodies(rng)
    good = pool()
    spoiled = mutations(seed, good, count, over_http=True)
    for number in range(count):
        if number % 2:
            yield wire(signed(next(bodies).body, rng.choice(list(Dialect)), number))
        elif number % 4:
            yield wire(next(spoiled).request)
        else:
            yield wire(garbage_headers(rng))


def garbage_headers(rng: random.Random) -> SignedRequest:
    """Signature headers full of anything that fits on one line."""
    names = ["OFAuth-Signature", "svix-id", "svix-timestamp", "svix-signature", "webhook-id"]
    letters = [chr(point) for point in (*range(0x21, 0x7F), *range(0xA0, 0x100))]
    headers = tuple(
        (name, "".join(rng.choices(letters, k=rng.randrange(1, 200))))
        for name in rng.sample(names, rng.randrange(1, 5))
    )
    return SignedRequest(headers, rng.randbytes(rng.randrange(1, 400)))


@pytest.mark.timeout(400)
def test_hostile_bodies_and_headers_are_refused_or_kept(service: Service) -> None:
    """50,000 of them: 401 or 204, no 5xx, and the memory stays flat."""
    statuses = send_all(service.port, hostile_requests(1, 10_000))
    warm = service.resident()
    statuses += send_all(service.port, hostile_requests(2, 40_000))
    assert set(statuses) == {204, 401}
    assert statuses.total() == 50_000
    assert statuses[204] >= 24_000
    assert service.resident() - warm < GROWTH


def test_unreadable_bodies_are_parked_with_their_reasons(service: Service) -> None:
    """Each kind of unreadable body is acknowledged, and `parked` names why."""
    kinds = list(islice(hostile.bodies(random.Random(3)), 120))
    requests_ = [wire(signed(k.body, Dialect.SVIX, n)) for n, k in enumerate(kinds)]
    assert set(send_all(service.port, requests_)) == {204}
    expected = Counter(kind.reason for kind in kinds if kind.reason)
    found: Counter[str] = Counter()
    cursor = None
    position = _head(service)
    while True:
        answer = requests.get(
            f"http://127.0.0.1:{service.port}/api/parked",
            headers={"Authorization": f"Bearer {TOKEN}"},
            params={"limit": 50, "minPosition": position, **({"cursor": cursor} if cursor else {})},
            timeout=20,
        )
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found.update(item["reason"] for item in page["items"])
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert found == expected


def _head(service: Service) -> int:
    """The position of one more delivery, which is after all others."""
    request = signed(webhook("created", "conn_last", at=NOON), Dialect.STANDARD, 0)
    answer = requests.post(
        f"http://127.0.0.1:{service.port}/webhooks/ofauth",
        data=request.body,
        headers=dict(request.headers),
        timeout=20,
    )
    assert answer.status_code == 204
    return int(answer.headers["Ledger-Position"])


def test_a_body_over_a_mebibyte_is_refused_before_it_is_read(service: Service) -> None:
    """413 comes although the body was only announced."""
    head = b"POST /webhooks/ofauth HTTP/1.1\r\nHost: ledger\r\nContent-Length: 1048577\r\n\r\n"
    client = RawClient(service.port)
    assert client.status(head) == 413
    client.close()


def test_a_signed_body_over_256_kib_is_kept_and_parked(service: Service) -> None:
    """What is signed is not refused for its size below the hard limit."""
    body = json.dumps({"type": "connection.created", "padding": "x" * 300_000}).encode()
    statuses = send_all(service.port, [wire(signed(body, Dialect.SVIX, 1))])
    assert statuses == {204: 1}
