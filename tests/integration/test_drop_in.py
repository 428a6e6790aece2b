"""The provider's own calls on the ledger: programs written for OFAuth do not notice it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onlyfans_sdk
import pytest
from onlyfans_sdk import account, link
from onlyfans_sdk.models import V2AccountConnectionsGetResponse, V2LinkInitPostResponse

from api import commanding
from api.emulator.server import EmulatorServer
from api.emulator.world import Action
from api.server import Server
from tests.provided import Provided, now_ms
from tests.rebuilding import until
from tests.serving import ADMIN, READ, WRITE


class Between(Provided):
    """A service between the SDK and the provider."""

    def v2(self, method: str, path: str, token: str | None = ADMIN, **how: Any) -> Any:
        """Make one of the provider's calls, with the header that its SDK sends."""
        headers = {} if token is None else {"apiKey": token}
        return self.client.open(path, method=method, headers=headers, **how)


@pytest.fixture
def between(database_url: str, tmp_path: Path, provider: EmulatorServer) -> Iterator[Between]:
    """The service, whose first pass is done."""
    with Between(database_url, tmp_path, provider) as serving:
        yield serving


@pytest.fixture
def sdk(between: Between, monkeypatch: pytest.MonkeyPatch) -> Iterator[onlyfans_sdk.OFAuthClient]:
    """OFAuth's official SDK, unchanged, with the ledger's address and token."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server(
        between.service.app, "127.0.0.1", 0, new_request_id=between.service.new_request_id
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    with onlyfans_sdk.OFAuthClient(ADMIN, base_url=server.url) as client:
        yield client
    server.stop()
    thread.join()


def test_the_sdk_lists_and_iterates(between: Between, sdk: onlyfans_sdk.OFAuthClient) -> None:
    """What the provider would list, in pages and filtered, as its own model."""
    ids = [between.connect(f"client-{number}") for number in range(25)]
    between.provider.act(ids[3], Action.EXPIRE)
    between.sweep()
    page = account.list_connections(sdk, limit=5)
    assert (len(page["list"]), page["hasMore"]) == (5, True)
    listed = [row["id"] for row in account.iter_connections(sdk, page_size=10)]
    theirs = [row["id"] for row in between.provider.truth()["list"]]
    assert sorted(listed) == sorted(theirs) == sorted(ids)
    expired = account.list_connections(sdk, status="expired")
    read = V2AccountConnectionsGetResponse.model_validate(expired)
    assert [row.id for row in read.list] == [ids[3]]


def test_the_rows_are_the_provider_s(between: Between) -> None:
    """All ten keys with the same values, newest first; on both paths."""
    ago = now_ms() - 60_000
    for number in range(3):
        between.connect(f"client-{number}", at=ago + number)
    between.sweep()
    theirs = between.provider.truth()["list"]
    for path in ("/v2/connections", "/v2/account/connections"):
        ours = between.v2("GET", path).json
        assert ours == {"list": theirs, "hasMore": False}


def test_the_sdk_deletes(between: Between, sdk: onlyfans_sdk.OFAuthClient) -> None:
    """The provider's answer comes back, and the ledger knows at once."""
    id = between.connect()
    account.delete_connections(sdk, id)
    assert between.effects()["deleted"] == {id: 1}
    assert account.list_connections(sdk)["list"] == []
    assert between.types(id) == ["created", "deletion_requested", "deleted"]
    with pytest.raises(onlyfans_sdk.OFAuthError) as caught:
        account.delete_connections(sdk, id)
    assert caught.value.status == 404


def test_the_sdk_invalidates(between: Between, sdk: onlyfans_sdk.OFAuthClient) -> None:
    """With the request in the history, so that the expiry has a cause."""
    id = between.connect()
    account.invalidate_connections(sdk, id)
    assert between.types(id) == ["created", "invalidation_requested", "expired"]
    [row] = account.list_connections(sdk, status="expired")["list"]
    assert row["id"] == id


def test_the_sdk_starts_link_sessions(between: Between, sdk: onlyfans_sdk.OFAuthClient) -> None:
    """At the provider's own address; the session is the client's, and pending."""
    told = link.init_v2_link(sdk, {"clientReferenceId": "noah"})
    V2LinkInitPostResponse.model_validate(told)
    assert told["url"].startswith(between.provider_url)
    between.position = between.service.services.log.head().position
    client = between.read("/api/clients/noah")
    assert (client["status"], len(client["linkSessions"])) == ("pending", 1)


def test_a_session_for_an_unknown_connection_is_passed_on_and_marked(between: Between) -> None:
    """The provider would make another connection without a word: the log says so beforehand."""
    body = {"clientReferenceId": "noah", "connectionId": "conn_unheard_of"}
    assert between.v2("POST", "/v2/link/init", json=body).status_code == 200
    [event] = between.read("/api/events", type="link.requested")["items"]
    assert (event["data"]["risk"], event["data"]["via"]) == ("unknown_target", "drop_in")


def test_whoami_is_the_provider_s(between: Between) -> None:
    """Asked every time."""
    assert between.v2("GET", "/v2/account/whoami").json["id"] == between.provider.organisation
    between.provider.set_faults({"http5xx": 1})
    assert between.v2("GET", "/v2/account/whoami").status_code >= 500


def test_an_unknown_connection_is_passed_on_and_recorded(between: Between) -> None:
    """The provider knows better; its answer comes back as it is."""
    answer = between.v2("DELETE", "/v2/connections/conn_unheard_of")
    assert (answer.status_code, answer.json["type"]) == (404, "RESOURCE_NOT_FOUND")
    assert "deletion_requested" in between.types("conn_unheard_of")


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Open commands are looked for all the time, from the start of the service."""
    monkeypatch.setattr(commanding, "LOOK_S", 0.02)
    monkeypatch.setattr(commanding, "OTHERS_MS", 0)


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize("fault", ["lostAnswer", "lostRequest"])
def test_an_unknown_outcome_is_503_while_retries_go_on(between: Between, fault: str) -> None:
    """In the provider's form; what it did is found out later."""
    id = between.connect()
    between.provider.set_faults({fault: 1})
    answer = between.v2("DELETE", f"/v2/account/connections/{id}")
    assert (answer.status_code, answer.json["type"]) == (503, "SERVICE_UNAVAILABLE")
    between.provider.set_faults({})
    until(lambda: between.effects()["deleted"] == {id: 1})
    until(lambda: {"deleted", "confirmed"} & set(between.types(id)) != set())


@pytest.mark.usefixtures("_quick")
def test_what_the_provider_refuses_is_over(
    between: Between, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not open in the views, after a rebuild either, and is never done."""
    monkeypatch.setattr("ledger.domain.orders.UNPROVED_AFTER_MS", -1)
    id = between.connect()
    between.provider.set_faults({"http403": 1})
    assert between.v2("DELETE", f"/v2/connections/{id}").status_code == 403
    between.provider.set_faults({})
    assert between.types(id) == ["created", "deletion_requested", "confirmed"]
    assert between.rebuild(verify=True)["differences"] == []
    state = between.read(f"/api/connections/{id}")
    assert (state["deletionRequestedAt"], state["flags"]) == (None, [])
    assert list(between.service.services.commanding._commanded()) == []
    assert between.effects()["deleted"] == {}


@pytest.mark.parametrize(
    ("method", "path", "token", "status", "kind"),
    [
        ("GET", "/v2/connections", None, 401, "UNAUTHORIZED"),
        ("GET", "/v2/connections", "wrong", 401, "UNAUTHORIZED"),
        ("GET", "/v2/connections", WRITE, 403, "FORBIDDEN"),
        ("POST", "/v2/link/init", READ, 403, "FORBIDDEN"),
        ("DELETE", "/v2/connections/conn_1", WRITE, 403, "FORBIDDEN"),
        ("POST", "/v2/account/connections/conn_1/invalidate", READ, 403, "FORBIDDEN"),
        ("GET", "/v2/connections?status=pending", ADMIN, 400, "BAD_REQUEST"),
        ("GET", "/v2/connections?imported=maybe", ADMIN, 400, "BAD_REQUEST"),
        ("GET", "/v2/connections?limit=ten", ADMIN, 400, "BAD_REQUEST"),
        ("GET", "/v2/account/profile", ADMIN, 404, "ROUTE_NOT_FOUND"),
        ("PUT", "/v2/connections", ADMIN, 404, "ROUTE_NOT_FOUND"),
        ("GET", "/v2/connections/conn_1", ADMIN, 404, "ROUTE_NOT_FOUND"),
    ],
)
def test_errors_have_the_provider_s_form(
    between: Between, method: str, path: str, token: str | None, status: int, kind: str
) -> None:
    """Also those that are our own."""
    answer = between.v2(method, path, token)
    assert (answer.status_code, answer.json["type"]) == (status, kind)
    assert answer.json.keys() == {"error", "type", "requestId"}
    assert answer.content_type == "application/json"


def test_what_is_not_passed_on_is_asked_for_elsewhere(between: Between) -> None:
    """At the provider that is set, wherever that is."""
    error = between.v2("GET", "/v2/account/profile", ADMIN).json["error"]
    assert between.provider_url in error


def test_unknown_parameters_are_ignored(between: Between) -> None:
    """As the provider does."""
    assert between.v2("GET", "/v2/connections?foo=bar").status_code == 200


def test_missing_and_deleted_connections_are_not_listed(between: Between) -> None:
    """And a connection of which nothing but a command is known is none."""
    id = between.connect()
    between.v2("DELETE", "/v2/connections/conn_unheard_of")
    assert [row["id"] for row in between.v2("GET", "/v2/connections").json["list"]] == [id]
    between.tell("disconnected", id, at=now_ms() + 1)
    assert between.v2("GET", "/v2/connections").json["list"] == []


def test_cookies_of_a_session_are_handed_on_and_never_kept(
    between: Between, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The body goes to the caller only."""
    canary = "canary-session-cookie"
    real = between.provider.call

    def with_cookie(call: Any) -> Any:
        answer = real(call)
        if call.path == "/v2/link/init":
            answer.body = answer.body[:-1] + f',"cookies":"{canary}"}}'.encode()
        return answer

    monkeypatch.setattr(between.provider, "call", with_cookie)
    answer = between.v2("POST", "/v2/link/init", json={"clientReferenceId": "noah"})
    assert canary in answer.text
    log = between.service.services.log
    rows = log.read_log(0, 1000, payloads=True)
    kept = [row.state + (log.body(row.position) or b"") for row in rows]
    assert not any(canary.encode() in one for one in kept)
