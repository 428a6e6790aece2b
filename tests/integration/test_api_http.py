"""The service as a process, over real HTTP: what only a socket can show."""

from __future__ import annotations

import http.client
import json
import os
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.ofauth.signatures import Dialect, Secret, sign
from tests.builders import SECRET, webhook
from tests.rebuilding import until
from tests.serving import ADMIN, HOOK, PROBLEM, READ, Serve, environment, run_process, signed

MIB = 1024 * 1024
OTHER = Secret("whsec_" + "b3RoZXItb3RoZXItb3RoZXItb3RoZXIh")
Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """One service on SQLite for the tests that leave it as it was."""
    folder = tmp_path_factory.mktemp("serve")
    with Serve(environment(f"sqlite:///{folder}/ledger.db"), folder / "log") as process:
        yield process


def exchange(port: int, raw: bytes) -> bytes:
    """Send bytes as they are, and read until the service closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        parts = []
        while part := connection.recv(65_536):
            parts.append(part)
        return b"".join(parts)


def status_of(answer: bytes) -> int:
    """The status of a raw answer."""
    return int(answer.split(b" ", 2)[1])


def refused(answer: bytes, status: int, name: str) -> None:
    """Check a whole answer: the problem of that name, under the id that its header has."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert (status_of(answer), b"Content-Type: " + PROBLEM.encode() in head) == (status, True)
    problem = json.loads(body)
    assert (problem["status"], problem["type"].rpartition(":")[2]) == (status, name)
    assert b"X-Request-Id: " + problem["requestId"].encode() in head


def posted(headers: list[tuple[str, str]], body: bytes, *, length: bool = True) -> bytes:
    """A delivery as raw bytes, each header exactly as given."""
    lines = [f"POST {HOOK} HTTP/1.1", "Host: ledger", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def ask(port: int, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
    """Ask once, on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def test_a_good_delivery_is_204_and_leaves_the_connection_open(serve: Serve) -> None:
    """A sender need not connect anew for each delivery."""
    connection = http.client.HTTPConnection("127.0.0.1", serve.port, timeout=20)
    for number in range(3):
        body = webhook(connection=f"conn_keep_{number}")
        connection.request("POST", HOOK, body, signed(body))
        response = connection.getresponse()
        assert (response.status, response.read()) == (204, b"")
        assert response.getheader("Connection") is None
        sock = connection.sock
        assert sock is not None
    connection.close()


def test_a_header_that_comes_twice_is_401(serve: Serve) -> None:
    """Whichever header, and whether or not the values agree."""
    body = webhook()
    for dialect in Dialect:
        headers = sign(dialect, SECRET, body, stamp=int(time.time()), message_id="msg_1")
        for name, value in headers.items():
            twice = [*headers.items(), (name.upper(), value)]
            assert status_of(exchange(serve.port, posted(twice, body))) == 401, name


def test_bytes_outside_ascii_are_401(serve: Serve) -> None:
    """In every signature header, also at its end."""
    body = webhook()
    for dialect in Dialect:
        headers = sign(dialect, SECRET, body, stamp=int(time.time()), message_id="msg_1")
        for name in headers:
            for junk in ("é", "\xa0", "\xff"):
                changed = [(n, v + junk if n == name else v) for n, v in headers.items()]
                assert status_of(exchange(serve.port, posted(changed, body))) == 401


def test_chunked_bodies_are_read_whole(serve: Serve) -> None:
    """The bytes that were signed are those that arrive, however they are framed."""
    body = webhook(connection="conn_chunked")
    chunks = b"".join(b"%x\r\n%s\r\n" % (1, body[i : i + 1]) for i in range(len(body)))
    headers = [*signed(body).items(), ("Transfer-Encoding", "chunked")]
    raw = posted(headers, chunks + b"0\r\n\r\n", length=False)
    assert status_of(exchange(serve.port, raw)) == 204


def test_over_1_mib_is_413_before_reading(serve: Serve) -> None:
    """Announced by Content-Length, or found while chunks come in."""
    head = posted([("Content-Length", str(10 * MIB))], b"x" * 10 * MIB, length=False)
    refused(exchange(serve.port, head), 413, "too-large")
    chunk = b"%x\r\n%s\r\n" % (MIB // 4, b"x" * (MIB // 4))
    raw = posted([("Transfer-Encoding", "chunked")], chunk * 5 + b"0\r\n\r\n", length=False)
    refused(exchange(serve.port, raw), 413, "too-large")


def test_what_the_server_refuses_is_a_problem_too(serve: Serve) -> None:
    """A head that is no HTTP, or is too large, never reaches the application."""
    refused(exchange(serve.port, b"BREW a pot HTTP/1.1\r\n\r\n"), 400, "bad-request")
    large = b"GET / HTTP/1.1\r\nX-Large: " + b"x" * 70_000 + b"\r\n\r\n"
    refused(exchange(serve.port, large), 431, "request-header-fields-too-large")


def test_exactly_1_mib_is_taken(serve: Serve) -> None:
    """The limit itself is allowed."""
    body = b" " * MIB
    assert ask(serve.port, "POST", HOOK, body, **signed(body))[0] == 204


def test_hostile_requests_are_never_5xx(serve: Serve) -> None:
    """Random methods, paths, headers and bodies from a seed: 2xx or 4xx, and always a problem."""
    rng = random.Random(20_260_101)
    seen: Counter[int] = Counter()
    methods = [b"GET", b"POST", b"PUT", b"DELETE", b"HEAD", b"OPTIONS", b"BREW", b"get"]
    paths = [HOOK, "/api/clients/", "/api/connections", "/docs/", "/", "/api/history", "*", "//x"]
    names = [b"OFAuth-Signature", b"svix-id", b"Authorization", b"apikey", b"Accept", b"Cookie",
             b"Content-Type", b"Range", b"If-None-Match", b"X-Request-Id"]  # fmt: skip
    for _ in range(400):
        path = rng.choice(paths).encode() + rng.choice([b"", b"%00", b"%ff%fe", b"../..%2f", b"?"])
        path += rng.choice([b"", b"limit=%00", b"asOf=%F0", b"cursor=" + b"A" * 500, b"&&=&"])
        lines = [rng.choice(methods) + b" " + path + b" HTTP/1.1", b"Host: x", b"Connection: close"]
        for name in rng.sample(names, rng.randrange(len(names))):
            junk = bytes(rng.choice(b"\x80\xffaZ09=,:;\"'(){}") for _ in range(rng.randrange(60)))
            lines.append(name + b": " + (f"Bearer {ADMIN}".encode() if name == b"Authorization"
                         and rng.random() < 0.7 else junk))  # fmt: skip
        body = rng.randbytes(rng.randrange(200))
        lines.append(b"Content-Length: %d" % len(body))
        answer = exchange(serve.port, b"\r\n".join(lines) + b"\r\n\r\n" + body)
        seen[status_of(answer)] += 1
        if status_of(answer) >= 400:
            assert b"content-type: " + PROBLEM.encode() in answer.lower()
    assert all(status < 500 for status in seen), seen
    assert {200, 401, 404, 405} <= set(seen)


def test_every_position_is_found_after_the_end(tmp_path: Path) -> None:
    """SIGTERM in the middle of many deliveries: exit 0, and every 204 is in the log."""
    env = environment(f"sqlite:///{tmp_path}/ledger.db")
    acknowledged: dict[str, int] = {}
    torn: list[str] = []
    stop = threading.Event()

    def send(sender: int, port: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        number = 0
        while not stop.is_set():
            name = f"conn_{sender}_{number}"
            body = webhook(connection=name, ref=name)
            try:
                connection.request("POST", HOOK, body, signed(body))
            except OSError:
                return
            try:
                response = connection.getresponse()
                response.read()
            except (OSError, http.client.HTTPException):
                torn.append(name)
                return
            if response.status == 204:
                acknowledged[name] = int(response.headers["Ledger-Position"])
            number += 1

    with Serve(env, tmp_path / "log") as process:
        senders = [threading.Thread(target=send, args=(n, process.port)) for n in range(40)]
        for thread in senders:
            thread.start()
        until(lambda: len(acknowledged) >= 200)
        code = process.end()
        stop.set()
        for thread in senders:
            thread.join()
    assert code == 0
    # a request that reached the machine after the last look at the socket has no answer
    assert len(torn) <= 40
    with Serve(env, tmp_path / "log2") as process:
        listed, cursor = set(), ""
        while cursor is not None:
            last = max(acknowledged.values())
            query = f"?limit=500&minPosition={last}{cursor and '&cursor=' + cursor}"
            _, _, content = ask(process.port, "GET", f"/api/connections{query}", apikey=READ)
            page = json.loads(content)
            listed |= {item["id"] for item in page["items"]}
            cursor = page["nextCursor"]
    assert acknowledged.keys() - listed == set()


def test_crowds_of_readers_leave_ingest_and_probes_alone(serve: Serve) -> None:
    """Sixty readers that all wait: webhooks and probes are answered, some readers get 503."""
    statuses: list[int] = []

    def wait() -> None:
        position = 10**15
        status, _, _ = ask(
            serve.port, "GET", f"/api/connections?minPosition={position}", apikey=READ
        )
        statuses.append(status)

    readers = [threading.Thread(target=wait) for _ in range(60)]
    for thread in readers:
        thread.start()
    body = webhook(connection="conn_crowd")
    assert ask(serve.port, "POST", HOOK, body, **signed(body))[0] == 204
    assert ask(serve.port, "GET", "/livez")[0] == 200
    assert ask(serve.port, "GET", "/readyz")[0] == 200
    for thread in readers:
        thread.join()
    assert set(statuses) <= {422, 503}


def test_a_secret_in_a_file_is_rotated_without_a_restart(tmp_path: Path) -> None:
    """NAME_FILE is read again when it changes; tokens alike."""
    secrets, tokens = tmp_path / "secrets", tmp_path / "tokens"
    secrets.write_text(SECRET.value + "\n")
    tokens.write_text("one:read:first\n")
    env = environment(f"sqlite:///{tmp_path}/ledger.db")
    del env["LEDGER_WEBHOOK_SECRETS"], env["LEDGER_API_TOKENS"]
    env |= {"LEDGER_WEBHOOK_SECRETS_FILE": str(secrets), "LEDGER_API_TOKENS_FILE": str(tokens)}
    body = webhook()
    other = sign(Dialect.DOCUMENTED, OTHER, body, stamp=int(time.time()))
    with Serve(env, tmp_path / "log") as process:
        assert ask(process.port, "POST", HOOK, body, **other)[0] == 401
        assert ask(process.port, "GET", "/api/connections", apikey="second")[0] == 401
        for file, text in ((secrets, OTHER.value), (tokens, "one:read:second")):
            fresh = tmp_path / "fresh"
            fresh.write_text(text)
            os.replace(fresh, file)
        assert ask(process.port, "POST", HOOK, body, **other)[0] == 204
        assert ask(process.port, "GET", "/api/connections", apikey="second")[0] == 200
        assert ask(process.port, "GET", "/api/connections", apikey="first")[0] == 401
        tokens.write_text("nonsense")
        assert ask(process.port, "GET", "/api/connections", apikey="second")[0] == 200
    assert "nonsense" not in (tmp_path / "log").read_text()


def test_missing_settings_end_serve_with_2_and_a_sentence_for_each(tmp_path: Path) -> None:
    """Which and how, all at once; there are no default secrets."""
    ran = run_process("serve", env={"LEDGER_DATABASE_URL": "mysql://x", "LEDGER_LOG_FORMAT": "xml"})
    assert ran.code == 2
    for name in ("DATABASE_URL", "LOG_FORMAT", "WEBHOOK_SECRETS", "API_TOKENS"):
        assert any(line.startswith(f"LEDGER_{name}: ") for line in ran.err.splitlines()), name
    assert "connection-ledger token" in ran.err


def test_a_taken_address_or_ledger_ends_serve_with_3(tmp_path: Path, serve: Serve) -> None:
    """And says what to do."""
    env = environment(f"sqlite:///{tmp_path}/ledger.db")
    taken = run_process("serve", "--port", str(serve.port), env=env)
    assert (taken.code, "--port" in taken.err) == (3, True)
    with Serve(env, tmp_path / "log"):
        second = run_process("serve", "--port", "0", env=env)
    assert second.code == 3
    gone = environment("postgresql://nobody@127.0.0.1:1/none")
    assert run_process("serve", "--port", "0", env=gone).code == 3


def test_the_files_of_a_ledger_are_its_owners_alone(tmp_path: Path) -> None:
    """Database, views, lock and quarantine are mode 0600."""
    env = environment(f"sqlite:///{tmp_path}/ledger.db")
    body = webhook()
    with Serve(env, tmp_path / "log") as process:
        other = sign(Dialect.DOCUMENTED, OTHER, body, stamp=int(time.time()))
        assert ask(process.port, "POST", HOOK, body, **other)[0] == 401
        assert ask(process.port, "POST", HOOK, body, **signed(body))[0] == 204
        ask(process.port, "GET", "/readyz")
        files = [file for file in tmp_path.rglob("*") if file.is_file() and file.name != "log"]
        assert len(files) >= 5
        assert {oct(file.stat().st_mode & 0o777) for file in files} == {"0o600"}
