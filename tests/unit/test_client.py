"""The client of the provider's API: what it sends, and what it gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ledger.ofauth.client import LinkInit, OFAuthClient, Paths
from ledger.ofauth.errors import ConnectionGone, Rejected, UnreadableAnswer
from tests.asking import KEY, NOW, Clock, asking
from tests.fault_server import FaultServer, answer

EMPTY = answer(200, {"list": [], "hasMore": False})
DATE = "Tue, 14 Nov 2023 22:13:00 GMT"
AT = 1_699_999_980_000


@pytest.mark.parametrize(
    ("paths", "call", "method", "target"),
    [
        (
            Paths.ACCOUNT,
            lambda one: one.connections(limit=100, offset=90),
            "GET",
            "/v2/account/connections?limit=100&offset=90",
        ),
        (
            Paths.PLAIN,
            lambda one: one.connections(limit=1, offset=0),
            "GET",
            "/v2/connections?limit=1&offset=0",
        ),
        (
            Paths.ACCOUNT,
            lambda one: one.delete("conn_1"),
            "DELETE",
            "/v2/account/connections/conn_1",
        ),
        (Paths.PLAIN, lambda one: one.delete("conn_1"), "DELETE", "/v2/connections/conn_1"),
        (
            Paths.PLAIN,
            lambda one: one.invalidate("conn_1"),
            "POST",
            "/v2/account/connections/conn_1/invalidate",
        ),
        (
            Paths.PLAIN,
            lambda one: one.probe("conn_1"),
            "GET",
            "/v2/account/connections/conn_1/settings",
        ),
        (
            Paths.ACCOUNT,
            lambda one: one.forward("GET", "/v2/account/whoami", query={"a": "b c"}),
            "GET",
            "/v2/account/whoami?a=b+c",
        ),
    ],
)
def test_each_call_has_the_providers_method_and_path(
    paths: Paths, call: Callable[[OFAuthClient], Any], method: str, target: str
) -> None:
    """Only list and delete are published under both families of paths."""
    with FaultServer(EMPTY) as provider, asking(provider.url, paths=paths) as client:
        call(client)
        [asked] = provider.asked
    assert (asked.method, asked.target) == (method, target)
    assert asked.headers["apikey"] == KEY


def test_a_page_has_rows_more_and_when_it_was_answered() -> None:
    """The rows as sent; the time is the answer's `Date` minus its `Age`."""
    rows = [{"id": "conn_1", "status": "active"}, {"id": "conn_2", "new": [1]}]
    page = answer(200, {"list": rows, "hasMore": True}, Date=DATE, Age="20")
    with FaultServer(page) as provider, asking(provider.url) as client:
        found = client.connections(limit=2, offset=0)
    assert (found.rows, found.has_more) == (rows, True)
    assert (found.answered, found.dated) == (AT - 20_000, True)


@pytest.mark.parametrize("headers", [{}, {"Date": "soon"}, {"Date": ""}, {"Age": "9"}])
def test_without_a_date_our_clock_counts(headers: dict[str, str]) -> None:
    """The provider's list is at least as new as our question."""
    page = answer(200, {"list": [], "hasMore": False}, **headers)
    with FaultServer(page) as provider, asking(provider.url) as client:
        found = client.connections(limit=2, offset=0)
    assert (found.answered, found.dated) == (NOW, False)


@pytest.mark.parametrize(("following", "more"), [(20, True), (None, False)])
def test_a_next_offset_speaks_where_has_more_is_absent(following: int | None, more: bool) -> None:
    """The official SDK understands it too."""
    page = answer(200, {"list": [], "nextOffset": following})
    with FaultServer(page) as provider, asking(provider.url) as client:
        assert client.connections(limit=2, offset=0).has_more is more


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"<html></html>",
        b'{"list": [], "hasMore": fal',
        b'{"list": [], "list": [], "hasMore": false}',
        b"\xff",
        {"hasMore": False},
        {"list": {}, "hasMore": False},
        {"list": [1], "hasMore": False},
        {"list": [{"status": "active"}], "hasMore": False},
        {"list": [{"id": ""}], "hasMore": False},
        {"list": []},
        {"list": [], "hasMore": "no"},
        {"list": [], "hasMore": None},
    ],
)
def test_a_page_of_another_form_is_an_error(body: Any) -> None:
    """Nothing is ever inferred from it; it is asked for again before that."""
    with (
        FaultServer(answer(200, body)) as provider,
        asking(provider.url) as client,
        pytest.raises(UnreadableAnswer) as caught,
    ):
        client.connections(limit=2, offset=0)
    assert len(provider.asked) == 4
    assert not caught.value.may_have_happened


def test_whoami_names_the_organisation() -> None:
    """Its id decides whose list it is; a name may be absent."""
    whose = answer(200, {"id": "org_1", "name": "Us", "permissions": []}, Date=DATE)
    with FaultServer(whose, answer(200, {"id": "org_2"})) as provider, asking(provider.url) as one:
        first, second = one.whoami(), one.whoami()
    assert (first.id, first.name, first.answered) == ("org_1", "Us", AT)
    assert (second.id, second.name) == ("org_2", None)


@pytest.mark.parametrize("body", [{}, {"id": ""}, {"id": 5}, {"id": "a\0"}, b"[]"])
def test_an_organisation_without_an_id_is_an_error(body: Any) -> None:
    """Else a foreign key could not be told from ours."""
    with (
        FaultServer(answer(200, body)) as provider,
        asking(provider.url) as client,
        pytest.raises(UnreadableAnswer),
    ):
        client.whoami()


@pytest.mark.parametrize("call", [OFAuthClient.delete, OFAuthClient.invalidate])
@pytest.mark.parametrize(
    "done",
    [
        answer(204, kind=None, Date=DATE),
        answer(200, {"success": True}, Date=DATE),
        answer(202, b"null", Date=DATE),
        answer(200, b"OK", kind="text/plain; charset=utf-8", Date=DATE),
    ],
)
def test_a_command_is_confirmed_by_any_2xx_of_the_provider(
    call: Callable[[OFAuthClient, str], Any], done: bytes
) -> None:
    """At the time of its answer."""
    with FaultServer(done) as provider, asking(provider.url) as client:
        assert call(client, "conn_1").answered == AT


@pytest.mark.parametrize("call", [OFAuthClient.delete, OFAuthClient.invalidate])
@pytest.mark.parametrize(
    "page", [answer(200, b"<html>Log in</html>", kind="text/html"), answer(200, b'{"succ')]
)
def test_a_2xx_that_is_not_the_providers_confirms_nothing(
    call: Callable[[OFAuthClient, str], Any], page: bytes
) -> None:
    """A page of something in between must not prove a deletion; it may have happened, though."""
    with (
        FaultServer(page) as provider,
        asking(provider.url) as client,
        pytest.raises(UnreadableAnswer) as caught,
    ):
        call(client, "conn_1")
    assert caught.value.may_have_happened
    assert len(provider.asked) == 1


def test_a_probe_finds_a_connection_by_its_settings() -> None:
    """It needs an object: an empty answer proves nothing."""
    found, empty = answer(200, {"vaultPlus": {}}, Date=DATE), answer(200)
    with FaultServer(found, empty) as provider, asking(provider.url) as client:
        assert client.probe("conn_1").answered == AT
        with pytest.raises(UnreadableAnswer):
            client.probe("conn_1")


def test_link_init_sends_what_is_given_and_nothing_else() -> None:
    """No option that would make the provider answer with a creator's session."""
    started = answer(200, {"url": "https://link.example/x?y=z"}, Date=DATE)
    whole = LinkInit(redirect_url="https://us", client_reference_id="a/b", connection_id="conn_1")
    with FaultServer(started) as provider, asking(provider.url) as client:
        client.link_init(whole)
        client.link_init(LinkInit(client_reference_id="é"))
        first, second = provider.asked
    assert (first.method, first.target) == ("POST", "/v2/link/init")
    assert first.headers["content-type"] == "application/json"
    assert json.loads(first.body) == {
        "redirectUrl": "https://us",
        "clientReferenceId": "a/b",
        "connectionId": "conn_1",
    }
    assert json.loads(second.body) == {"clientReferenceId": "é"}


@pytest.mark.parametrize(
    ("expires", "read"),
    [("2023-11-14T22:13:00Z", AT), (None, None), ("tomorrow", None), (5, None)],
)
def test_a_link_session_has_an_address_and_perhaps_an_end(expires: Any, read: int | None) -> None:
    """An end that cannot be read is no reason to lose a session that has begun."""
    started = answer(200, {"mode": "hosted", "url": "https://link.example/x", "expiresAt": expires})
    with FaultServer(started) as provider, asking(provider.url) as client:
        found = client.link_init(LinkInit())
    assert (found.url, found.expires_at, found.answered) == ("https://link.example/x", read, NOW)


@pytest.mark.parametrize(
    "url",
    [None, "", 5, "javascript:alert(1)", "https://a b", "https://x\r\ny", "https://" + "x" * 5000],
)
def test_a_link_session_without_a_usable_address_is_an_error(url: Any) -> None:
    """A browser will be sent there; the session may have begun all the same."""
    with (
        FaultServer(answer(200, {"url": url})) as provider,
        asking(provider.url) as client,
        pytest.raises(UnreadableAnswer) as caught,
    ):
        client.link_init(LinkInit())
    assert caught.value.may_have_happened


@pytest.mark.parametrize("name", ["conn_1/../x", "a?b#c", "conn_%2e%2e", "é", "a b", "..."])
def test_an_id_stays_one_part_of_the_path(name: str) -> None:
    """Whatever it holds, the call is about nothing else."""
    with FaultServer(answer(204)) as provider, asking(provider.url) as client:
        client.delete(name)
        [asked] = provider.asked
    start, _, last = asked.target.rpartition("/")
    assert start == "/v2/account/connections"
    assert (
        last
        == {
            "conn_1/../x": "conn_1%2F..%2Fx",
            "a?b#c": "a%3Fb%23c",
            "conn_%2e%2e": "conn_%252e%252e",
            "é": "%C3%A9",
            "a b": "a%20b",
            "...": "...",
        }[name]
    )


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_an_id_that_would_change_the_path_is_not_sent(name: str) -> None:
    """`DELETE /v2/account/connections/..` would mean something else."""
    with FaultServer(answer(204)) as provider, asking(provider.url) as client:
        for call in (client.delete, client.invalidate, client.probe):
            with pytest.raises(Rejected) as caught:
                call(name)
            assert not caught.value.may_have_happened
        with pytest.raises(Rejected):
            client.forward("DELETE", f"/v2/connections/{name}/x", query={})
        assert provider.asked == []


def test_questions_share_a_connection_and_commands_have_their_own() -> None:
    """A kept one that has died would leave the outcome of a command unknown."""
    with FaultServer(EMPTY) as provider, asking(provider.url) as client:
        for _ in range(3):
            client.connections(limit=1, offset=0)
        assert provider.connections == 1
        client.delete("conn_1")
        client.invalidate("conn_1")
        assert provider.connections == 3


def test_cookies_of_the_provider_are_not_kept() -> None:
    """Nor sent back."""
    page = answer(200, {"list": [], "hasMore": False}, Set_Cookie="session=canary; Path=/")
    with FaultServer(page) as provider, asking(provider.url) as client:
        for _ in range(2):
            client.connections(limit=1, offset=0)
        assert "cookie" not in provider.asked[1].headers


def test_the_environment_changes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A proxy would see the key; a `.netrc` would send somebody else's."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login canary password canary\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with FaultServer(EMPTY) as proxy, FaultServer(EMPTY) as provider:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        with asking(provider.url) as client:
            client.connections(limit=1, offset=0)
        assert proxy.asked == []
        assert "authorization" not in provider.asked[0].headers


def test_a_path_before_the_providers_own_is_kept() -> None:
    """Somebody's gateway."""
    with FaultServer(EMPTY) as provider, asking(f"{provider.url}/gate/") as client:
        client.connections(limit=1, offset=0)
        assert provider.asked[0].target.startswith("/gate/v2/account/connections?")


def test_a_forwarded_call_gives_the_answer_as_it_is() -> None:
    """Also an error, and also a page; of its headers only those that mean something to others."""
    limited = answer(
        429,
        {"error": "slow down"},
        Retry_After="7",
        X_RateLimit_Remaining="0",
        Set_Cookie="session=canary",
        Server="canary",
    )
    body = b'{"connectionId":"conn_1"}'
    clock = Clock()
    with (
        FaultServer(limited, answer(502, b"<html>", kind="text/html")) as provider,
        asking(provider.url, clock) as client,
    ):
        first = client.forward("POST", "/v2/link/init", query={}, body=body)
        clock.now += 7
        second = client.forward("DELETE", "/v2/connections/conn_1", query={})
        assert provider.asked[0].body == body
        assert len(provider.asked) == 2
    assert (first.status, first.body) == (429, b'{"error": "slow down"}')
    assert dict(first.headers) == {
        "Content-Type": "application/json",
        "Retry-After": "7",
        "X-RateLimit-Remaining": "0",
    }
    assert (second.status, second.body, second.answered) == (502, b"<html>", NOW)


@pytest.mark.parametrize("name", ["Content-Type", "content-type"])
def test_a_forwarded_confirmation_is_read_as_one_of_our_own(name: str) -> None:
    """Plain text confirms, a page does not, however the header is spelled."""
    plain, page = (
        answer(200, b"OK", kind=None, **{name: kind}) for kind in ("text/plain", "text/html")
    )
    with FaultServer(plain, page) as provider, asking(provider.url) as client:
        done, other = (
            client.forward("DELETE", "/v2/connections/conn_1", query={}) for _ in range(2)
        )
    assert done.confirmation().answered == done.answered
    with pytest.raises(UnreadableAnswer):
        other.confirmation()


def test_a_forwarded_redirect_is_an_error() -> None:
    """The caller's program would follow it, with its own token."""
    moved = answer(307, b"", Location="https://elsewhere.example/")
    with (
        FaultServer(moved) as provider,
        asking(provider.url) as client,
        pytest.raises(UnreadableAnswer),
    ):
        client.forward("DELETE", "/v2/connections/conn_1", query={})


def test_a_gone_connection_tells_when_the_provider_said_so() -> None:
    """The ledger records it as of then."""
    gone = answer(
        404, {"error": "No", "type": "RESOURCE_NOT_FOUND", "requestId": "req_9"}, Date=DATE
    )
    with (
        FaultServer(gone) as provider,
        asking(provider.url) as client,
        pytest.raises(ConnectionGone) as caught,
    ):
        client.delete("conn_1")
    assert (caught.value.answered, caught.value.request_id) == (AT, "req_9")
