"""The client when things go wrong: each failure has its type, and tells what may have happened."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from ledger.ofauth.client import Timeouts
from ledger.ofauth.errors import (
    ConnectionGone,
    Forbidden,
    NoSession,
    ProviderError,
    ProviderFailed,
    RateLimited,
    RefusedKey,
    Rejected,
    Unreachable,
    UnreadableAnswer,
)
from ledger.ofauth.transport import MOST_BYTES
from tests.asking import JITTER, QUICK, Clock, asking
from tests.calling import COMMANDS, NAMING, WHOLE, Call, ask_list, delete, failing, forward, link
from tests.fault_server import FaultServer, Reaction, answer, cut, hang_up

HTML = b"<!DOCTYPE html>\n<html><body><h1>Bad Gateway</h1></body></html>\n"


@pytest.mark.parametrize(
    ("status", "kind", "calls", "error"),
    [
        (401, "UNAUTHORIZED", [ask_list, *NAMING, link], RefusedKey),
        (401, "SESSION_EXPIRED", NAMING, NoSession),
        (401, "SESSION_NOT_PROVIDED", NAMING, NoSession),
        (401, "SESSION_EXPIRED", [ask_list, link], Rejected),
        (401, "RULES_OUTDATED", [ask_list, *NAMING, link], Rejected),
        (403, "FORBIDDEN", [ask_list, *NAMING, link], Forbidden),
        (404, "RESOURCE_NOT_FOUND", NAMING, ConnectionGone),
        (404, "RESOURCE_NOT_FOUND", [ask_list, link], Rejected),
        (404, "ROUTE_NOT_FOUND", [ask_list, *NAMING, link], Rejected),
        (400, "BAD_REQUEST", [ask_list, *NAMING, link], Rejected),
        (409, "SOMETHING_NEW", [ask_list, *NAMING, link], Rejected),
    ],
)
@pytest.mark.parametrize("member", ["type", "code"])
def test_each_refusal_has_its_type_in_both_forms(
    status: int, kind: str, calls: list[Call], error: type[ProviderError], member: str
) -> None:
    """Refused is refused: nothing happened, and the client does not ask again by itself."""
    body: dict[str, Any] = {"error": "Some text.", member: kind}
    body |= {"requestId": "req_1"} if member == "type" else {"details": {"a": 1}}
    for call in calls:
        failed, asked = failing(call, answer(status, body))
        assert type(failed) is error
        assert (failed.status, failed.type, failed.may_have_happened) == (status, kind, False)
        assert failed.request_id == ("req_1" if member == "type" else None)
        assert asked == 1


@pytest.mark.parametrize("body", [b"", HTML, b"[]", b'{"error":', b'{"list": []}'])
def test_a_404_that_is_not_the_providers_proves_nothing(body: bytes) -> None:
    """Only its own word counts: a page of a gateway must not delete anything."""
    for call in NAMING:
        failed, _ = failing(call, answer(404, body))
        assert type(failed) is UnreadableAnswer


@pytest.mark.parametrize("kind", [None, 7, "", "resource_not_found", "conn_1", ["X"]])
def test_an_error_without_a_known_word_is_a_refusal(kind: Any) -> None:
    """Its text is in nobody's hands; a word of another form is not repeated."""
    failed, _ = failing(delete, answer(404, {"error": "Gone?", "type": kind}))
    assert type(failed) is Rejected
    assert failed.type is None


@pytest.mark.parametrize("body", [b"", HTML, b"{}"])
def test_refusals_of_the_key_need_no_body(body: bytes) -> None:
    """401 and 403 mean the key, whoever answers."""
    assert type(failing(delete, answer(401, body))[0]) is RefusedKey
    assert type(failing(delete, answer(403, body))[0]) is Forbidden


@pytest.mark.parametrize("status", [500, 502, 503, 504, 599])
@pytest.mark.parametrize("body", [HTML, b'{"error": "x", "type": "INTERNAL_ERROR"}', b""])
def test_after_a_5xx_a_command_may_have_happened(status: int, body: bytes) -> None:
    """So it is not sent twice; a question is asked again."""
    for call in COMMANDS:
        failed, asked = failing(call, answer(status, body))
        assert type(failed) is ProviderFailed
        assert failed.may_have_happened
        assert asked == 1
    failed, asked = failing(ask_list, answer(status, body))
    assert type(failed) is ProviderFailed
    assert not failed.may_have_happened
    assert asked == 4


def test_a_proxys_408_leaves_the_outcome_open() -> None:
    """It does not say how far the command came."""
    failed, _ = failing(delete, answer(408, {"error": "x", "type": "REQUEST_TIMEOUT"}))
    assert failed.may_have_happened


def test_a_429_is_no_outcome() -> None:
    """Nothing was done; how long to wait is told."""
    limited = answer(429, {"error": "x", "type": "RATE_LIMIT_EXCEEDED"}, Retry_After="120")
    for call in COMMANDS:
        failed, asked = failing(call, limited)
        assert type(failed) is RateLimited
        assert (failed.retry_after, failed.may_have_happened, asked) == (120.0, False, 1)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 304])
def test_redirects_are_not_followed(status: int) -> None:
    """The key would go to wherever it points."""
    with FaultServer(answer(200, {"list": [], "hasMore": False})) as elsewhere:
        moved = answer(status, b"", Location=elsewhere.url)
        for call in (ask_list, delete, link, forward):
            failed, asked = failing(call, moved)
            assert type(failed) is UnreadableAnswer
            assert asked == 1
        assert elsewhere.asked == []


@pytest.mark.parametrize("place", ["http://[broken", "gopher://x", "", "//", "\xff"])
def test_where_a_redirect_points_is_not_looked_at(place: str) -> None:
    """An address that nobody can read is a redirect like any other."""
    failed, _ = failing(delete, answer(302, b"", Location=place))
    assert type(failed) is UnreadableAnswer


def test_a_redirects_body_is_read_no_further_than_any() -> None:
    """However long it is."""
    moved = answer(302, b"x" * (MOST_BYTES + 1), Location="http://127.0.0.1:1/")
    failed, _ = failing(delete, moved)
    assert "bytes" in str(failed)


def test_a_giant_answer_is_given_up() -> None:
    """Neither read to its end nor asked for again."""
    for call, unknown in ((ask_list, False), (delete, True), (forward, True)):
        failed, asked = failing(call, answer(200, b"[" * (MOST_BYTES + 1)))
        assert type(failed) is UnreadableAnswer
        assert (failed.may_have_happened, asked) == (unknown, 1)


def test_an_answer_that_never_ends_is_given_up() -> None:
    """One that names no length, too."""

    def flood(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65_536)

    failed, _ = failing(delete, flood)
    assert type(failed) is UnreadableAnswer


def test_broken_compression_is_an_answer_that_cannot_be_read() -> None:
    """We ask for none, and read it where it is sent all the same."""
    failed, _ = failing(delete, answer(200, b"not gzip", Content_Encoding="gzip"))
    assert type(failed) is UnreadableAnswer
    assert failed.may_have_happened


@pytest.mark.parametrize(
    "reaction",
    [
        hang_up,
        cut(b"HTTP/1."),
        cut(b"HTTP/1.1 200 OK\r\n"),
        cut(b"HTTP/1.1 200 OK\r\nContent-"),
        cut(b"HTTP/1.1 404 Not Found\r\nDate: x\r\n"),
        cut(WHOLE[:-1]),
        cut(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"),
        cut(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{"),
        cut(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}"),
        cut(b"HTTP/1.1 abc OK\r\n\r\n"),
        cut(b"220 ftp.example ready\r\n\r\n"),
        cut(b"\0" * 100),
        cut(b"HTTP/1.1 200 OK\r\n" + b"a" * 70_000 + b"\r\n\r\n"),
        cut(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200 + b"\r\n"),
    ],
)
def test_after_a_cut_answer_a_command_may_have_happened(reaction: Reaction) -> None:
    """It had been sent; and it is not sent again."""
    for call in (*COMMANDS, forward):
        failed, asked = failing(call, reaction)
        assert type(failed) is Unreachable
        assert failed.may_have_happened
        assert asked == 1


def test_a_question_is_asked_again_after_a_cut_answer() -> None:
    """And answered by what comes then."""
    clock = Clock()
    with (
        FaultServer(hang_up, cut(WHOLE[:-1]), answer(200, b'{"li'), WHOLE) as provider,
        asking(provider.url, clock) as client,
    ):
        assert client.connections(limit=1, offset=0).rows == []
        assert len(provider.asked) == 4
    assert clock.slept == [0 + JITTER, 1 + JITTER, 2 + JITTER]


@pytest.mark.parametrize("late", ["nothing", "slow head", "slow body"])
def test_an_answer_that_takes_too_long_is_given_up(late: str) -> None:
    """Also one that comes byte by byte, so that no single wait is long."""
    with FaultServer(b"") as provider, asking(provider.url, timeouts=QUICK) as client:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
        drip = provider.drip((head if late == "slow head" else b"") + b"x" * 1000, 0.05)

        def slow_body(connection: socket.socket) -> None:
            connection.sendall(head)
            drip(connection)

        reactions = {"nothing": provider.stall, "slow head": drip, "slow body": slow_body}
        provider.react(reactions[late])
        with pytest.raises(Unreachable, match="in time") as caught:
            client.delete("conn_1")
        assert caught.value.may_have_happened
        assert len(provider.asked) == 1


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("call", [*COMMANDS, forward])
def test_without_a_connection_nothing_happened(scheme: str, call: Call) -> None:
    """So a command is tried once more, and then left to the caller."""
    clock = Clock()
    with (
        asking(f"{scheme}://127.0.0.1:{free_port()}", clock) as client,
        pytest.raises(Unreachable, match="no connection") as caught,
    ):
        call(client)
    assert not caught.value.may_have_happened
    assert clock.slept == [JITTER]


def test_an_unknown_host_is_no_connection() -> None:
    """Whatever the resolver says."""
    with (
        asking("http://host.invalid") as client,
        pytest.raises(Unreachable, match="no connection") as caught,
    ):
        client.delete("conn_1")
    assert not caught.value.may_have_happened


@pytest.mark.parametrize("hello", ["silence", "garbage", "hang up"])
def test_without_a_secure_connection_nothing_was_sent(hello: str) -> None:
    """Whatever answers there, it has not seen the key."""
    with FaultServer(b"") as provider:
        greeting = {
            "silence": provider.stall,
            "garbage": cut(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
            "hang up": hang_up,
        }
        provider.greet(greeting[hello])
        timeouts = Timeouts(connect=0.2, read=0.2, whole=1.0)
        with (
            asking(f"https://127.0.0.1:{provider.port}", timeouts=timeouts) as client,
            pytest.raises(Unreachable) as caught,
        ):
            client.delete("conn_1")
        assert not caught.value.may_have_happened
        assert provider.connections == 2


def test_every_error_says_what_to_do() -> None:
    """Two sentences: what happened, and the next step."""
    for error in ProviderError.__subclasses__():
        text = str(error("some detail", status=500, type="SOME_TYPE", request_id="req_1"))
        assert "(some detail, 500, SOME_TYPE, req_1). " in text
        assert text.endswith(error.advice)
        assert error.advice not in ("", ProviderError.advice)
