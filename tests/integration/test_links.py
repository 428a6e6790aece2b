"""The life of Link sessions over HTTP: the service, a fake OFAuth, and a browser between them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.link_state import COOKIE, read_state
from tests.linking import HOME, OTHER_HOME, PUBLIC, RETURN, Linking, linking
from tests.serving import WRITE


@pytest.fixture
def service(sqlite_url: str, tmp_path: Path) -> Iterator[Linking]:
    """A service and a fake OFAuth that deliver to each other."""
    with linking(sqlite_url, tmp_path) as made:
        yield made


def test_a_session_from_beginning_to_end(database_url: str, tmp_path: Path) -> None:
    """Asked for, begun in a browser, finished, reported, and proved by a webhook."""
    with linking(database_url, tmp_path) as service:
        begun = service.begin(reason="new contract")
        assert begun["url"] == f"{PUBLIC}/link/start/{begun['linkId']}"
        assert service.link(begun["linkId"])["status"] == "pending"
        assert service.read("/api/clients/mia")["status"] == "pending"
        state = service.state(begun["linkId"])
        told = service.go_through(begun["linkId"])
        answer = service.come_back(state, **told)
        assert answer.status_code == 303
        place = f"https://app.example/done?tab=1&status=success&linkId={begun['linkId']}#top"
        assert answer.headers["Location"] == place
        found = service.await_link(begun["linkId"], "completed")
        assert found["completedConnectionId"] == told["connection_id"]
        assert found["reason"] == "new contract"
        assert found["requestedBy"] == "chief"
        client = service.await_that(
            lambda: service.read("/api/clients/mia"),
            lambda found: found["linkSessions"][0]["status"] == "completed",
        )
        assert client["status"] == "active"
        assert service.truth()["effects"]["linked"] == 1


def test_the_browser_goes_to_the_provider_with_a_state_of_its_own(service: Linking) -> None:
    """In a cookie that scripts cannot read, that only comes back here, and only over https."""
    begun = service.begin()
    answer = service.start(begun["linkId"])
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith(f"{service.emulator_url}/link/")
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    name, *attributes = answer.headers["Set-Cookie"].split("; ")
    key = service.service.services.log.key
    assert read_state(name.removeprefix(f"{COOKIE}="), key) == begun["linkId"]
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/connect/link/return"} <= set(attributes)


def test_without_https_the_cookie_is_not_marked_secure(sqlite_url: str, tmp_path: Path) -> None:
    """A browser would not send it back."""
    with linking(sqlite_url, tmp_path, LEDGER_PUBLIC_URL="http://127.0.0.1:8080") as service:
        answer = service.start(service.begin()["linkId"])
        attributes = answer.headers["Set-Cookie"].split("; ")[1:]
        assert "Secure" not in attributes
        assert {"HttpOnly", "SameSite=Lax", "Path=/link/return"} <= set(attributes)


def test_the_provider_is_asked_for_what_was_wanted(service: Linking) -> None:
    """With our own fixed return address."""
    begun = service.begin("noah/7")
    (link,) = service.truth()["links"]
    assert link["clientReferenceId"] == "noah/7"
    assert link["target"] is None
    service.control("answers", "PUT", redirectUris=[RETURN])
    assert service.begin("noah/7")["linkId"] != begun["linkId"]


def test_the_return_url_is_one_of_the_settings(service: Linking) -> None:
    """The first one, unless another is asked for."""
    first, second = service.begin(), service.begin(returnUrl=OTHER_HOME)
    assert service.link(first["linkId"])["returnUrl"] == HOME
    assert service.link(second["linkId"])["returnUrl"] == OTHER_HOME
    told = service.go_through(second["linkId"], outcome="cancelled", step="2fa")
    answer = service.come_back(service.state(second["linkId"]), **told)
    place = f"{OTHER_HOME}?status=cancelled&linkId={second['linkId']}"
    assert answer.headers["Location"] == place


def test_without_a_return_url_the_browser_is_thanked(sqlite_url: str, tmp_path: Path) -> None:
    """There is nowhere to send it."""
    with linking(sqlite_url, tmp_path, LEDGER_RETURN_URLS="") as service:
        begun = service.begin()
        told = service.go_through(begun["linkId"])
        answer = service.come_back(service.state(begun["linkId"]), **told)
        assert (answer.status_code, answer.mimetype) == (200, "text/plain")
        assert "Location" not in answer.headers
        assert service.link(begun["linkId"])["report"]["status"] == "success"


@pytest.mark.parametrize(
    ("how", "status", "report"),
    [
        (
            {"outcome": "cancelled", "step": "login"},
            "cancelled",
            {"status": "cancelled", "step": "login", "error": None},
        ),
        (
            {"outcome": "error", "errorCode": "invalid_credentials"},
            "failed",
            {"status": "error", "step": None, "error": "invalid_credentials"},
        ),
    ],
)
def test_what_a_browser_reports_of_a_failure_is_shown(
    service: Linking, how: dict[str, Any], status: str, report: dict[str, Any]
) -> None:
    """And is the status of a client without a connection."""
    begun = service.begin()
    state = service.state(begun["linkId"])
    answer = service.come_back(state, **service.go_through(begun["linkId"], **how))
    assert answer.status_code == 303
    found = service.link(begun["linkId"])
    assert found["status"] == status
    assert {name: found["report"][name] for name in report} == report
    assert found["report"]["channel"] == "redirect"
    client = service.await_that(
        lambda: service.read("/api/clients/mia"), lambda found: found["status"] != "pending"
    )
    assert client["status"] == status


def test_a_browsers_word_alone_makes_nothing_true(service: Linking) -> None:
    """A forged success is a report, and nothing more."""
    begun = service.begin()
    state = service.state(begun["linkId"])
    answer = service.come_back(
        state, status="success", connection_id="conn_forged", client_reference_id="mia"
    )
    assert answer.status_code == 303
    found = service.link(begun["linkId"])
    assert (found["status"], found["report"]["connectionId"]) == ("pending", "conn_forged")
    assert service.read("/api/clients/mia")["status"] == "pending"
    assert service.get("/api/connections/conn_forged").status_code == 404


def test_a_session_is_completed_without_any_report(service: Linking) -> None:
    """The creator closed the window; the webhook tells."""
    begun = service.begin()
    told = service.go_through(begun["linkId"])
    found = service.await_link(begun["linkId"], "completed")
    assert (found["report"], found["completedConnectionId"]) == (None, told["connection_id"])


def test_a_session_with_a_second_factor(service: Linking) -> None:
    """The connection comes to be when the code is entered."""
    begun = service.begin()
    secret = service.secret(begun["linkId"])
    service.control(f"links/{secret}", outcome="2fa")
    assert service.link(begun["linkId"])["status"] == "pending"
    service.control(f"links/{secret}", outcome="success")
    service.await_link(begun["linkId"], "completed")
    assert service.read("/api/clients/mia")["status"] == "active"


def test_only_the_first_return_counts(service: Linking) -> None:
    """A second visit repeats the answer, and a link is good once."""
    begun = service.begin()
    state = service.state(begun["linkId"])
    told = service.go_through(begun["linkId"], outcome="cancelled")
    first = service.come_back(state, **told)
    rows = len(service.rows())
    again = service.come_back(state, status="success", connection_id="conn_1")
    assert again.headers["Location"] == first.headers["Location"]
    assert len(service.rows()) == rows
    assert service.start(begun["linkId"]).status_code == 410


def test_an_unreadable_outcome_is_not_recorded(service: Linking) -> None:
    """The browser is sent on all the same."""
    begun = service.begin()
    rows = len(service.rows())
    answer = service.come_back(service.state(begun["linkId"]), status="perhaps")
    assert answer.headers["Location"].partition("?")[2].startswith("tab=1&status=unknown&linkId=")
    assert len(service.rows()) == rows
    assert service.link(begun["linkId"])["status"] == "pending"


# the embed


@pytest.mark.parametrize(
    ("body", "report"),
    [
        (
            {"connection": {"id": "conn_1", "userData": {"name": "x"}}, "successUrl": "y"},
            {"status": "success", "connectionId": "conn_1", "step": None, "error": None},
        ),
        (
            {"type": "user_exit", "step": "pre-login", "error": None},
            {"status": "cancelled", "connectionId": None, "step": "pre-login", "error": None},
        ),
        (
            {"type": "forced_exit"},
            {"status": "cancelled", "connectionId": None, "step": None, "error": None},
        ),
        (
            {"type": "error", "step": "2fa", "error": {"error_type": "x", "error_message": "y"}},
            {"status": "error", "connectionId": None, "step": "2fa", "error": "other"},
        ),
        (
            {"type": "user_exit", "error": {"error_type": "no word of the provider's"}},
            {"status": "error", "connectionId": None, "step": None, "error": "other"},
        ),
    ],
)
def test_what_the_embed_says_is_recorded(
    service: Linking, body: dict[str, Any], report: dict[str, Any]
) -> None:
    """As it was handed over; userData and messages are not kept."""
    begun = service.begin()
    answer = service.post(f"/api/links/{begun['linkId']}/reports", body, WRITE)
    assert answer.status_code == 202
    assert int(answer.headers["Ledger-Position"]) == service.rows()[-1].position
    assert {name: answer.json["report"][name] for name in report} == report
    assert answer.json["report"]["channel"] == "embed"
    assert answer.json["status"] == {"success": "pending", "cancelled": "cancelled"}.get(
        report["status"], "failed"
    )


# whose connection it is


def test_a_reconnection_keeps_the_connection(service: Linking) -> None:
    """And is completed by it alone."""
    old = service.long_ago("mia")
    begun = service.begin(connectionId=old)
    service.go_through(begun["linkId"])
    found = service.await_link(begun["linkId"], "completed")
    assert found["connectionId"] == found["completedConnectionId"] == old
    assert found["risk"] is None


def test_a_risk_is_taken_only_on_demand(service: Linking) -> None:
    """An unknown connection, a deleted one, and another client's."""
    gone, others = service.long_ago("mia"), service.long_ago("noah")
    service.control(f"connections/{gone}/disconnect")
    service.control("quiesce")
    service.views()
    rows = len(service.rows())
    for target, risk in (
        ("conn_unheard", "unknown_target"),
        (gone, "deleted_target"),
        (others, "other_client"),
    ):
        wish = {"clientReferenceId": "mia", "connectionId": target}
        refused = service.post("/api/links", wish)
        assert (refused.status_code, refused.json["risk"]) == (409, risk)
        assert target not in refused.text
        assert len(service.rows()) == rows
        begun = service.begin(connectionId=target, force=True)
        assert service.link(begun["linkId"])["risk"] == risk
        rows = len(service.rows())


def test_a_reported_fork_is_noted_in_both_connections(service: Linking) -> None:
    """The provider did not find the connection and made another one in silence."""
    old = service.long_ago("mia")
    begun = service.begin(connectionId=old)
    state = service.state(begun["linkId"])
    told = service.go_through(begun["linkId"], elsewhere=True)
    assert told["connection_id"] != old
    service.come_back(state, **told)
    found = service.await_link(begun["linkId"], "completed")
    assert found["completedConnectionId"] == told["connection_id"]
    service.views()
    assert service.read(f"/api/connections/{old}")["successorId"] == told["connection_id"]
    assert service.read(f"/api/connections/{told['connection_id']}")["predecessorId"] == old


# what nobody sees


def test_the_providers_address_is_nowhere_but_in_the_log_and_on_the_way(service: Linking) -> None:
    """In no answer, no event of the feed and no row of a view."""
    begun = service.begin(reason="secret-reason")
    secret = service.secret(begun["linkId"])
    told = service.go_through(begun["linkId"])
    service.come_back(service.state(begun["linkId"]), **told)
    service.await_link(begun["linkId"], "completed")
    shown = [
        json.dumps(service.read(path))
        for path in (f"/api/links/{begun['linkId']}", "/api/clients/mia", "/api/events")
    ]
    shown += [repr(service.views()), service.get("/metrics").text]
    assert not [text for text in shown if secret in text]
    assert [("secret-reason" in text) for text in shown] == [True] + [False] * 4


def test_an_erased_client_keeps_the_history_of_its_sessions(service: Linking) -> None:
    """Without the address and the reason: such a link leads nowhere any more."""
    begun = service.begin(reason="secret-reason")
    before = service.link(begun["linkId"])
    done = service.post("/api/clients/forget", {"clientReferenceId": "mia"})
    assert (done.status_code, done.json["links"]) == (200, 1)
    assert service.link(begun["linkId"]) == before | {"reason": None}
    assert service.start(begun["linkId"]).status_code == 410
    assert service.read("/api/clients/mia")["status"] == "pending"


def test_sessions_are_counted(service: Linking) -> None:
    """By what became of them."""
    begun = service.begin()
    told = service.go_through(begun["linkId"])
    service.come_back(service.state(begun["linkId"]), **told)
    service.await_link(begun["linkId"], "completed")
    service.control("faults", "PUT", http429=1)
    service.post("/api/links", {"clientReferenceId": "mia"})
    text = service.get("/metrics").text
    counted = {
        line.split('"')[1]: float(line.split()[-1])
        for line in text.splitlines()
        if line.startswith("ledger_links_total")
    }
    assert counted == {"started": 1, "failed": 1, "unknown": 0, "reported": 1, "completed": 1}
