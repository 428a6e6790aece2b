"""Deleting connections and ending sessions through the ledger: once, and until it is proved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from api import commanding
from api.emulator.server import EmulatorServer
from api.emulator.world import Action
from ledger.commands import STEPS, Commands
from ledger.domain.errors import StoreUnavailable
from tests.provided import Provided, now_ms
from tests.rebuilding import until
from tests.serving import ADMIN, PROBLEM, READ, WRITE, Serving

REASON = "the contract ended"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow each other at once, and open commands are looked for all the time."""
    monkeypatch.setattr(commanding, "FIRST_WAIT_S", 0.02)
    monkeypatch.setattr(commanding, "LOOK_S", 0.05)


class Commanding(Provided):
    """A service that commands its provider."""

    def order(self, id: str, what: str, token: str = ADMIN, **body: Any) -> Any:
        """Command something."""
        headers = {"Authorization": f"Bearer {token}"}
        if what == "delete":
            response = self.client.delete(f"/api/connections/{id}", json=body, headers=headers)
        else:
            path = f"/api/connections/{id}/{what}"
            response = self.client.post(path, json=body, headers=headers)
        if response.status_code == 202:
            self.position = max(self.position, int(response.headers["Ledger-Position"]))
        return response

    def state(self, id: str) -> Any:
        """What is true of a connection."""
        return self.read(f"/api/connections/{id}")

    def becomes(self, id: str, status: str) -> Any:
        """Wait until a connection has a status."""
        until(lambda: self.state(id)["status"] == status)
        return self.state(id)


@pytest.fixture
def serving(database_url: str, tmp_path: Path, provider: EmulatorServer) -> Iterator[Commanding]:
    """A service, and the provider that it commands."""
    with Commanding(database_url, tmp_path, provider) as serving:
        yield serving


def test_a_deletion_is_requested_called_and_proved(serving: Commanding) -> None:
    """The answer says that it is under way; who asked and why is in the history."""
    id = serving.connect()
    response = serving.order(id, "delete", reason=REASON)
    assert response.status_code == 202
    assert response.json["deletionRequestedAt"] is not None
    state = serving.becomes(id, "deleted")
    assert state["deletedAt"] is not None
    assert serving.types(id) == ["created", "deletion_requested", "deleted"]
    entry = serving.read(f"/api/connections/{id}/history", minPosition=None)["items"][1]
    assert (entry["data"]["requestedBy"], entry["data"]["reason"]) == ("chief", REASON)
    assert serving.effects()["deleted"] == {id: 1}


def test_what_is_commanded_twice_is_done_once(serving: Commanding) -> None:
    """While it is open, and afterwards."""
    id = serving.connect()
    serving.provider.set_faults({"http5xx": 1})
    answers = [serving.order(id, "delete") for _ in range(3)]
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.headers["Ledger-Position"] for answer in answers}) == 1
    serving.provider.set_faults({})
    serving.becomes(id, "deleted")
    assert serving.order(id, "delete").status_code == 202
    assert serving.types(id).count("deletion_requested") == 1
    assert serving.effects()["deleted"] == {id: 1}


def test_an_ended_session_says_what_caused_it(serving: Commanding) -> None:
    """An expiry within ten minutes of our request is its effect."""
    id = serving.connect()
    assert serving.order(id, "invalidate", reason=REASON).status_code == 202
    serving.becomes(id, "expired")
    assert serving.types(id) == ["created", "invalidation_requested", "expired"]
    entry = serving.read(f"/api/connections/{id}/history", minPosition=None)["items"][-1]
    cause = entry["data"]["cause"]
    assert (cause["request"], cause["requestedBy"]) == ("invalidate", "chief")
    assert serving.effects()["invalidated"] == {id: 1}


@pytest.mark.parametrize("fault", ["http5xx", "late5xx", "lostRequest", "lostAnswer", "html"])
def test_a_deletion_goes_on_until_it_is_proved(serving: Commanding, fault: str) -> None:
    """Whether the provider has done it or not before it failed; nothing is deleted twice."""
    id = serving.connect()
    serving.provider.set_faults({fault: 1})
    serving.order(id, "delete")
    until(lambda: serving.provider.truth()["requests"] != {})
    serving.provider.set_faults({})
    until(lambda: set(serving.effects()["deleted"]) == {id})
    until(lambda: proved_by_sweep(serving, id))
    assert serving.effects()["deleted"] == {id: 1}
    assert serving.types(id)[-1] == "deleted"


def proved_by_sweep(serving: Commanding, id: str) -> bool:
    """Whether a connection is deleted, after one pass more over the list."""
    if serving.state(id)["status"] != "deleted":
        serving.sweep()
    return bool(serving.state(id)["status"] == "deleted")


@pytest.mark.parametrize("fault", ["late5xx", "lostAnswer"])
def test_a_session_is_never_ended_twice(serving: Commanding, fault: str) -> None:
    """The answer was lost, the creator logged in again: a second call would log her out again."""
    id = serving.connect()
    serving.provider.set_faults({fault: 1})
    serving.order(id, "invalidate")
    until(lambda: serving.effects()["invalidated"] == {id: 1})
    serving.provider.act(id, Action.RECONNECT)
    serving.provider.set_faults({})
    for _ in range(3):
        serving.sweep()
    assert serving.effects()["invalidated"] == {id: 1}
    assert serving.state(id)["status"] == "active"


def test_a_session_that_was_not_ended_is_ended_later(
    serving: Commanding, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pass shows that the connection is unchanged since the request: now it may be called."""
    monkeypatch.setattr(commanding, "OTHERS_MS", 0)
    id = serving.connect()
    serving.sweep()
    serving.provider.set_faults({"lostRequest": 1})
    serving.order(id, "invalidate")
    until(lambda: sum(serving.provider.truth()["requests"].values()) > 3)
    serving.provider.set_faults({})
    until(lambda: swept_until(serving, id, "expired"))
    assert serving.effects()["invalidated"] == {id: 1}


def swept_until(serving: Commanding, id: str, status: str) -> bool:
    """Whether a connection has a status, after one pass more over the list."""
    serving.sweep()
    return bool(serving.state(id)["status"] == status)


def test_a_session_that_ended_by_itself_meanwhile_is_not_ended_again(serving: Commanding) -> None:
    """What was asked for is so before the provider took a call; the creator has a new session."""
    id = serving.connect()
    serving.provider.set_faults({"http429": 1})
    serving.order(id, "invalidate")
    until(lambda: any("429" in one for one in serving.provider.truth()["requests"]))
    for action, kind, status in (
        (Action.EXPIRE, "expired", "expired"),
        (Action.RECONNECT, "updated", "active"),
    ):
        serving.provider.act(id, action)
        serving.tell(kind, id, at=now_ms(), status=status)
    serving.provider.set_faults({})
    until(lambda: id not in serving.service.services.commanding._held)
    assert serving.effects()["invalidated"] == {}
    assert serving.state(id)["status"] == "active"


def test_an_open_command_outlives_the_process(
    database_url: str, tmp_path: Path, provider: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one finds it in the views, and carries it out."""
    with Commanding(database_url, tmp_path, provider) as serving:
        id = serving.connect()
        serving.provider.set_faults({"http5xx": 1})
        serving.order(id, "delete")
        serving.read("/api/connections")
    serving.provider.set_faults({})
    assert serving.effects()["deleted"] == {}
    monkeypatch.setattr(commanding, "OTHERS_MS", 0)
    with Commanding(database_url, tmp_path, provider) as serving:
        serving.becomes(id, "deleted")
        assert serving.types(id).count("deletion_requested") == 1
    assert serving.effects()["deleted"] == {id: 1}


def test_a_connection_without_session_is_suspected_of_its_end(serving: Commanding) -> None:
    """A 401 about it proves nothing; the command stays open."""
    id = serving.connect()
    serving.provider.act(id, Action.EXPIRE)
    serving.provider.set_manner({"expired": "SESSION_NOT_PROVIDED"})
    serving.order(id, "delete")
    until(lambda: serving.state(id)["expirySuspectedAt"] is not None)
    assert serving.state(id)["status"] == "active"
    serving.provider.set_manner({"expired": "allowed"})
    serving.becomes(id, "deleted")


def test_an_unproved_command_is_an_alarm(
    serving: Commanding, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Billing goes on: the connection is flagged, a metric counts it, the probe is degraded."""
    id = serving.connect()
    serving.provider.set_faults({"http5xx": 1})
    serving.order(id, "delete")
    assert "command_unproved" not in serving.state(id)["flags"]
    monkeypatch.setattr("ledger.domain.orders.UNPROVED_AFTER_MS", -1)
    until(lambda: "command_unproved" in serving.state(id)["flags"])
    assert "ledger_commands_unproved 1.0" in serving.get("/metrics").text
    until(lambda: serving.get("/readyz", token=None).json["checks"]["commands"] == "unproved")
    ready = serving.get("/readyz", token=None)
    assert (ready.status_code, ready.json["status"]) == (200, "degraded")


def test_what_the_ledger_does_not_know_is_not_commanded(serving: Commanding) -> None:
    """404, and nothing is appended; who may not command is refused."""
    id = serving.connect()
    end = serving.service.services.log.head()
    assert serving.order("conn_unheard_of", "delete").status_code == 404
    assert serving.order("conn_unheard_of", "invalidate").status_code == 404
    for token in (READ, WRITE):
        assert serving.order(id, "delete", token).status_code == 403
        assert serving.order(id, "invalidate", token).status_code == 403
    assert serving.order(id, "delete", reason=3).status_code == 422
    assert serving.service.services.log.head() == end


def test_without_a_key_nothing_is_commanded(database_url: str, tmp_path: Path) -> None:
    """The answer says which setting is missing, and nothing is appended."""
    with Serving(database_url, tmp_path) as serving:
        serving.tell("created", "conn_1", status="active")
        headers = {"Authorization": f"Bearer {ADMIN}"}
        response = serving.client.delete("/api/connections/conn_1", headers=headers)
        assert (response.status_code, response.content_type) == (503, PROBLEM)
        assert "LEDGER_OFAUTH_API_KEY" in response.json["detail"]


class Cut:
    """A step of commands that breaks off once, before it happens or after it."""

    def __init__(self, step: str, moment: str) -> None:
        self.place = (step, moment)
        self.happened = False
        real: Callable[..., Any] = getattr(Commands, step)

        def cut(*args: Any, **named: Any) -> Any:
            if self.happened:
                return real(*args, **named)
            self.happened = True
            if moment == "after":
                real(*args, **named)
            raise StoreUnavailable("cut here")

        self.patch = patch.object(Commands, step, cut)


PLACES = [*product(STEPS, ("before", "after"))]


@pytest.mark.parametrize(("step", "moment"), PLACES)
def test_a_deletion_that_is_cut_at_a_step_is_done_once(
    serving: Commanding, monkeypatch: pytest.MonkeyPatch, step: str, moment: str
) -> None:
    """The service goes on, and so does the deletion until it is proved."""
    monkeypatch.setattr(commanding, "OTHERS_MS", 0)
    id, cut = serving.connect(), Cut(step, moment)
    if step == "refused":
        serving.provider.act(id, Action.DISCONNECT)
    with cut.patch:
        taken = serving.order(id, "delete").status_code == 202
        assert taken == (step != "requested")
        until(lambda: cut.happened)
        if cut.place == ("requested", "before"):
            assert serving.order(id, "delete").status_code == 202
        until(lambda: proved_by_sweep(serving, id))
    assert serving.effects()["deleted"] == ({} if step == "refused" else {id: 1})
    assert serving.types(id).count("deletion_requested") == 1


@pytest.mark.parametrize(("step", "moment"), PLACES)
def test_an_end_of_a_session_that_is_cut_at_a_step_happens_once(
    serving: Commanding, monkeypatch: pytest.MonkeyPatch, step: str, moment: str
) -> None:
    """Also when the creator logs in again before anybody tries again: then it is an alarm."""
    monkeypatch.setattr(commanding, "OTHERS_MS", 0)
    id, cut = serving.connect(), Cut(step, moment)
    if step == "refused":
        serving.provider.act(id, Action.DISCONNECT)
    with cut.patch:
        serving.order(id, "invalidate")
        until(lambda: cut.happened)
        if cut.place == ("requested", "before"):
            assert serving.order(id, "invalidate").status_code == 202
        if cut.place in (("called", "after"), ("settled", "before")):
            until(lambda: serving.effects()["invalidated"] == {id: 1})
            serving.provider.act(id, Action.RECONNECT)
            for _ in range(5):
                serving.sweep()
            assert serving.state(id)["status"] == "active"
            monkeypatch.setattr("ledger.domain.orders.UNPROVED_AFTER_MS", -1)
            assert "command_unproved" in serving.state(id)["flags"]
        elif step == "refused":
            until(lambda: swept_until(serving, id, "deleted"))
        else:
            until(lambda: swept_until(serving, id, "expired"))
    assert serving.effects()["invalidated"] == ({} if step == "refused" else {id: 1})
