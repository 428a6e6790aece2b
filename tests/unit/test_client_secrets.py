"""Neither the key nor an id nor a body of the provider's is ever shown, whatever goes wrong."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from ledger.ofauth.client import LinkInit, OFAuthClient
from ledger.ofauth.errors import ProviderError
from ledger.ofauth.transport import Call, path_of
from tests.asking import KEY, QUICK, asking
from tests.fault_server import FaultServer, Reaction, answer, cut, hang_up

ID = "conn_canary0id"
CLIENT = "canary-client"
BODY = "canary-of-a-body"
SECRETS = (KEY, ID, "canary")

CALLS: list[Callable[[OFAuthClient], Any]] = [
    lambda one: one.connections(limit=5, offset=0),
    lambda one: one.whoami(),
    lambda one: one.probe(ID),
    lambda one: one.delete(ID),
    lambda one: one.invalidate(ID),
    lambda one: one.link_init(LinkInit(client_reference_id=CLIENT, connection_id=ID)),
    lambda one: one.forward("DELETE", f"/v2/connections/{ID}", query={"q": BODY}, body=b"{}"),
]
REACTIONS: list[Reaction] = [
    hang_up,
    cut(answer(200, {"list": [BODY]})[:-1]),
    cut(f"HTTP/1.1 200 {BODY}\r\n{BODY}\r\n : {BODY}\r\n\r\n".encode()),
    answer(200, BODY.encode()),
    answer(200, {"list": [{"id": 5, "x": BODY}], "url": f"x:{BODY}", "id": [BODY]}),
    answer(302, BODY.encode(), Location=f"https://{BODY}.example/{ID}?key={KEY}"),
    answer(400, {"error": f"{BODY} {ID} {KEY}", "type": ID, "requestId": BODY}),
    answer(401, {"error": BODY, "code": BODY, "message": ID, "details": {KEY: ID}}),
    answer(404, {"error": ID, "type": "RESOURCE_NOT_FOUND", "requestId": f"req_{BODY} {KEY}"}),
    answer(429, BODY.encode(), Retry_After=BODY, X_RateLimit_Reset=BODY),
    answer(500, BODY.encode(), Set_Cookie=f"session={BODY}", Server=BODY, Date=BODY, Age=BODY),
    answer(200, b"x", Content_Encoding="gzip", ETag=BODY),
]


@pytest.fixture(autouse=True)
def everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Every logger says all that it can."""
    with caplog.at_level(logging.DEBUG):
        yield


def assert_silent(text: str) -> None:
    """Nothing secret is in a text."""
    assert [secret for secret in SECRETS if secret in text] == []


def failures(client: OFAuthClient) -> list[ProviderError]:
    """The errors with which the calls end; what one gives is looked at here."""
    found = []
    for call in CALLS:
        try:
            assert_silent(repr(call(client)))
        except ProviderError as error:
            found.append(error)
    return found


@pytest.mark.parametrize("reaction", REACTIONS)
def test_no_failure_shows_a_secret(reaction: Reaction, caplog: pytest.LogCaptureFixture) -> None:
    """Not in its message, its attributes, its causes, its traceback, nor in any log."""
    with FaultServer(reaction) as provider, asking(provider.url, timeouts=QUICK) as client:
        found = failures(client)
        assert_silent(repr(client) + repr(vars(client)))
    assert len(found) >= 3
    for error in found:
        assert_silent("".join(traceback.format_exception(error)) + repr(vars(error)))
        assert (error.__cause__, error.__context__) == (None, None)
    assert_silent(caplog.text)


def test_no_connection_shows_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    """The address of a call is in what the libraries raise and log then."""
    with asking("http://host.invalid") as client:
        found = failures(client)
    assert len(found) == len(CALLS)
    for error in found:
        assert_silent("".join(traceback.format_exception(error)))
        assert error.__context__ is None
    assert_silent(caplog.text)
    assert "asked again" in caplog.text


def test_good_answers_are_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    """A row, a Link address, a forwarded body: whoever prints one sees when it was, and no more."""
    good = {
        "list": [{"id": ID, "userData": {"name": BODY}}],
        "hasMore": False,
        "url": f"https://link.example/{BODY}",
        "id": "org_1",
    }
    with FaultServer(answer(200, good, X_Any=BODY)) as provider, asking(provider.url) as client:
        for call in CALLS:
            assert_silent(repr(call(client)))
    assert_silent(caplog.text)


def test_questions_are_not_shown() -> None:
    """Their paths hold ids."""
    assert_silent(repr(LinkInit(client_reference_id=CLIENT, connection_id=ID)))
    assert_silent(repr(Call(method="GET", path=path_of("v2", ID), query={"q": ID}, body=b"canary")))


def test_what_others_say_is_still_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Only our own calls are silent; and without that, a path would be in the log."""
    with FaultServer(answer(200)) as provider:
        with asking(provider.url) as client:
            client.delete(ID)
        assert provider.url not in caplog.text
        with requests.Session() as session:
            session.get(f"{provider.url}/{ID}", timeout=20)
    assert f"/{ID}" in caplog.text
