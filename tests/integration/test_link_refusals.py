"""Link sessions that come to nothing: what cannot be asked for, opened, or reported."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.linking import Linking, linking
from tests.serving import READ, WRITE


@pytest.fixture
def service(sqlite_url: str, tmp_path: Path) -> Iterator[Linking]:
    """A service and a fake OFAuth that deliver to each other."""
    with linking(sqlite_url, tmp_path) as made:
        yield made


def test_a_link_that_nobody_made_is_unknown(service: Linking) -> None:
    """Like one with a typing error."""
    for link in ("link_000000000000000000000000", "x", "link_"):
        assert service.start(link).status_code == 404
        assert service.get(f"/api/links/{link}").status_code == 404


@pytest.mark.parametrize(
    "body",
    [{}, {"step": "2fa"}, {"type": "else"}, {"connection": {}}, {"connection": {"id": "x"}}, []],
)
def test_what_no_embed_says_is_refused(service: Linking, body: Any) -> None:
    """With the part that is wrong."""
    begun = service.begin()
    answer = service.post(f"/api/links/{begun['linkId']}/reports", body, WRITE)
    assert answer.status_code == 422
    assert answer.json["errors"]


def test_a_report_of_another_clients_connection_is_refused(service: Linking) -> None:
    """Nothing is recorded, and the browser is not sent on."""
    others = service.control("connections", clientReferenceId="noah")["id"]
    service.control("quiesce")
    begun = service.begin()
    rows = len(service.rows())
    answer = service.come_back(
        service.state(begun["linkId"]), status="success", connection_id=others
    )
    assert answer.status_code == 409
    assert "Location" not in answer.headers
    report = {"connection": {"id": others}}
    assert service.post(f"/api/links/{begun['linkId']}/reports", report).status_code == 409
    assert len(service.rows()) == rows


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        ({"http429": 1}, 503, "rate_limited"),
        ({"html": 1}, 503, "unknown_outcome"),
        ({"truncate": 1}, 503, "unknown_outcome"),
        ({"http5xx": 1}, 503, "unknown_outcome"),
    ],
)
def test_a_session_that_the_provider_does_not_open_has_failed(
    service: Linking, fault: dict[str, float], status: int, reason: str
) -> None:
    """The call is made once; what is not known to have happened is said to be so."""
    service.control("faults", "PUT", **fault)
    answer = service.post("/api/links", {"clientReferenceId": "mia"})
    assert answer.status_code == status
    kind = "unknown-outcome" if reason == "unknown_outcome" else "provider-away"
    assert answer.json["type"].endswith(kind)
    service.control("faults", "PUT")
    found = service.await_that(
        lambda: service.get("/api/clients/mia").json,
        lambda found: found.get("linkSessions", [{"status": "pending"}])[0]["status"] != "pending",
    )
    (link,) = found["linkSessions"]
    assert (link["status"], link["failureReason"]) == ("failed", reason)
    assert found["status"] == "failed"
    assert service.start(link["linkId"]).status_code == 410
    assert service.truth()["effects"]["linked"] <= 1


def test_what_the_provider_refuses_is_said(service: Linking) -> None:
    """Nothing happened there."""
    service.control("answers", "PUT", redirectUris=["https://elsewhere.example"])
    answer = service.post("/api/links", {"clientReferenceId": "mia"})
    assert (answer.status_code, answer.json["type"].rpartition(":")[2]) == (502, "provider-refused")
    assert service.truth()["effects"]["linked"] == 0


@pytest.mark.parametrize("name", ["LEDGER_PUBLIC_URL", "LEDGER_OFAUTH_API_KEY"])
def test_a_missing_setting_is_named(sqlite_url: str, tmp_path: Path, name: str) -> None:
    """Before anything is written."""
    with linking(sqlite_url, tmp_path, **{name: ""}) as service:
        answer = service.post("/api/links", {"clientReferenceId": "mia"})
        assert answer.status_code == 503
        assert name in answer.json["detail"]
        assert service.rows() == []


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({}, "clientReferenceId"),
        ({"clientReferenceId": ""}, "clientReferenceId"),
        ({"clientReferenceId": "mia", "connectionId": "x"}, "connectionId"),
        ({"clientReferenceId": "mia", "returnUrl": "https://evil.example"}, "returnUrl"),
        ({"clientReferenceId": "mia", "reason": "x" * 1001}, "reason"),
        ({"clientReferenceId": "mia", "else": 1}, "else"),
    ],
)
def test_a_bad_wish_is_refused(service: Linking, body: dict[str, Any], name: str) -> None:
    """With the name of the part that is wrong."""
    answer = service.post("/api/links", body)
    assert answer.status_code == 422
    assert [error["name"] for error in answer.json["errors"]] == [name]
    assert service.rows() == []


def test_scopes(service: Linking) -> None:
    """Beginning and reporting ask for `write`, looking for `read`."""
    begun = service.begin()
    path = f"/api/links/{begun['linkId']}"
    assert service.post("/api/links", {"clientReferenceId": "x"}, READ).status_code == 403
    assert service.post(f"{path}/reports", {"type": "user_exit"}, READ).status_code == 403
    assert service.get(path, WRITE).status_code == 403
    assert service.get(path, READ).status_code == 200
    assert service.post("/api/links", {"clientReferenceId": "x"}, WRITE).status_code == 201
