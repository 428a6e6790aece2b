"""Every class of answer to a command: what its caller is told, and what becomes of the order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from api import commanding
from api.emulator.calls import Answer, Call, Ending
from api.emulator.server import EmulatorServer
from ledger.commands import intents
from ledger.domain.orders import Order
from ledger.reconcile.rows import statements_of
from tests.provided import Provided
from tests.rebuilding import until
from tests.serving import ADMIN

HTML = b"<html>No</html>"
PAGE = {"Content-Type": "text/html"}
CALLS = {
    Order.DELETE: ("DELETE", "/v2/account/connections/{}"),
    Order.INVALIDATE: ("POST", "/v2/account/connections/{}/invalidate"),
}


@dataclass(frozen=True)
class Case:
    """An answer of the provider's, or of something before it."""

    status: int
    type: str | None = None
    """Of an error in the provider's form; None for a page."""
    headers: dict[str, str] = field(default_factory=dict)
    ending: Ending = Ending.WHOLE
    notes: str = "confirmed"
    """What a refusal is in the history."""

    def answer(self) -> Answer:
        """Make it."""
        if self.type is None:
            headers = PAGE | self.headers
            return Answer(status=self.status, headers=headers, body=HTML, ending=self.ending)
        made = Answer.of({"error": "No", "type": self.type, "requestId": "req_1"}, self.status)
        made.headers |= self.headers
        return made


REFUSALS = [
    Case(400, "BAD_REQUEST"),
    Case(401, "SESSION_EXPIRED", notes="expiry_suspected"),
    Case(401, "SESSION_NOT_PROVIDED", notes="expiry_suspected"),
    Case(401, "UNAUTHORIZED"),
    Case(401, "RULES_OUTDATED"),
    Case(403, "FORBIDDEN"),
    Case(403),
    Case(404, "RESOURCE_NOT_FOUND"),
    Case(404, "ROUTE_NOT_FOUND"),
    Case(409, "CONFLICT"),
    Case(429, "RATE_LIMIT_EXCEEDED", {"Retry-After": "0", "X-RateLimit-Remaining": "0"}),
]
NO_ANSWERS = [
    Case(200),
    Case(302, headers={"Location": "/login"}),
    Case(404),
    Case(408, "REQUEST_TIMEOUT"),
    Case(500, "INTERNAL_ERROR"),
    Case(502),
    Case(503, "SERVICE_UNAVAILABLE", {"Retry-After": "0"}),
    Case(200, ending=Ending.CUT),
    Case(200, ending=Ending.LOST),
]


class Answering(Provided):
    """A service whose provider answers commands as a test wants, without doing anything."""

    def __init__(self, url: str, folder: Path, provider: EmulatorServer) -> None:
        super().__init__(url, folder, provider)
        self.cases: dict[str, Case] = {}
        """By connection; a connection that is not in it is treated as the emulator does."""
        self.calls: Counter[str] = Counter()
        self._real = provider.emulator.call

    def answer(self, call: Call) -> Answer:
        """Answer a call."""
        case = next((case for id, case in self.cases.items() if id in call.path), None)
        if case is None or call.method == "GET":
            return self._real(call)
        self.calls[call.segments[3]] += 1
        return case.answer()

    def pass_on(self, order: Order, id: str) -> Any:
        """Command something through the drop-in."""
        method, path = CALLS[order]
        return self.client.open(path.format(id), method=method, headers={"apiKey": ADMIN})

    def open_orders(self, id: str) -> list[Order]:
        """The commands about a connection that are open, by the log."""
        known = statements_of(self.service.services.log, [id])[id]
        return [one.request.order for one in intents(id, known, None)]

    def state(self, id: str) -> Any:
        """What is true of a connection, by all that is in the log."""
        self.position = self.service.services.log.head().position
        return self.read(f"/api/connections/{id}")


@pytest.fixture
def answering(
    sqlite_url: str, tmp_path: Path, provider: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Answering]:
    """The service; what is left open is worked on at once."""
    monkeypatch.setattr(commanding, "FIRST_WAIT_S", 0.02)
    monkeypatch.setattr(commanding, "LOOK_S", 0.05)
    monkeypatch.setattr(commanding, "OTHERS_MS", 0)
    with Answering(sqlite_url, tmp_path, provider) as answering:
        monkeypatch.setattr(provider.emulator, "call", answering.answer)
        yield answering


@pytest.mark.parametrize("order", Order)
def test_a_refusal_through_the_drop_in_is_the_end_of_it(
    answering: Answering, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller is told as the provider says it, and nothing is done behind his back."""
    monkeypatch.setattr("ledger.domain.orders.UNPROVED_AFTER_MS", -1)
    for case in REFUSALS:
        id = answering.connect()
        answering.cases[id] = case
        answer = answering.pass_on(order, id)
        assert (answer.status_code, answer.data) == (case.status, case.answer().body)
        assert all(answer.headers[name] == value for name, value in case.headers.items())
        assert answering.open_orders(id) == []
        state = answering.state(id)
        assert (state["deletionRequestedAt"], state["flags"]) == (None, [])
        assert (state["expirySuspectedAt"] is None) == (case.notes == "confirmed")
        path = f"/api/connections/{id}/history"
        requested, refused = answering.read(path)["items"][1:]
        assert requested["type"].endswith("ion_requested")
        assert refused["type"] == f"connection.{case.notes}"
        assert refused["data"]["closes"] == requested["data"]["command"]
        assert refused["data"]["httpStatus"] == case.status
        assert int(answer.headers["Ledger-Position"]) == refused["position"]
    assert "ledger_commands_unproved 0.0" in answering.get("/metrics").text
    called = dict(answering.calls)
    answering.cases.clear()
    answering.sweep()
    assert called == dict.fromkeys(called, 1)
    assert not answering.effects()["deleted"]
    assert not answering.effects()["invalidated"]


def test_what_is_no_answer_is_503_through_the_drop_in_and_goes_on(answering: Answering) -> None:
    """Whatever stands in between has sent it; the text says that the ledger goes on."""
    ids = []
    for case in NO_ANSWERS:
        ids.append(id := answering.connect())
        answering.cases[id] = case
        answer = answering.pass_on(Order.DELETE, id)
        assert (answer.status_code, answer.json["type"]) == (503, "SERVICE_UNAVAILABLE")
        assert "goes on" in answer.json["error"]
        assert answer.headers.get("Retry-After") == case.headers.get("Retry-After")
        assert answering.open_orders(id) == [Order.DELETE]
    answering.cases.clear()
    for id in ids:
        until(lambda id=id: answering.state(id)["status"] == "deleted")  # type: ignore[misc]
    assert answering.effects()["deleted"] == dict.fromkeys(ids, 1)


def test_a_call_that_was_not_made_is_503_too_and_goes_on(
    answering: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There was no connection: nothing happened, and it will."""
    id = answering.connect()
    client = answering.service.services.provider()
    assert client is not None
    with monkeypatch.context() as patched:
        patched.setattr(client._transport, "_base_url", "http://127.0.0.1:9")
        answer = answering.pass_on(Order.DELETE, id)
        assert (answer.status_code, answer.json["type"]) == (503, "SERVICE_UNAVAILABLE")
        assert answering.open_orders(id) == [Order.DELETE]
    until(lambda: answering.state(id)["status"] == "deleted")


def test_an_id_that_cannot_be_sent_is_refused_here(answering: Answering) -> None:
    """It would be another path: 502, and nothing is left open."""
    answer = answering.pass_on(Order.INVALIDATE, "%2e%2e")
    assert (answer.status_code, answer.json["type"]) == (502, "BAD_GATEWAY")
    assert answering.open_orders("..") == []


def test_what_our_own_routes_accepted_goes_on_after_every_answer(answering: Answering) -> None:
    """202 is a promise: a refusal is no outcome, and what is answered later counts.

    After a 404 about the connection it waits for a pass, so that one is not in the list here.
    """
    ids = []
    for case in [*REFUSALS, *NO_ANSWERS]:
        if case.type == "RESOURCE_NOT_FOUND":
            continue
        ids.append(id := answering.connect())
        answering.cases[id] = case
        answer = answering.client.delete(f"/api/connections/{id}", headers=answering.admin)
        assert answer.status_code == 202
    until(lambda: all(answering.calls[id] for id in ids))
    assert all(answering.open_orders(id) == [Order.DELETE] for id in ids)
    answering.cases.clear()
    for id in ids:
        until(lambda id=id: answering.state(id)["status"] == "deleted")  # type: ignore[misc]
    assert answering.effects()["deleted"] == dict.fromkeys(ids, 1)
