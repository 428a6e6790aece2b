"""Rebuilding over HTTP: asked for, followed, cancelled; what is read and erased meanwhile."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from api import history
from tests.builders import NOON, delivery, webhook
from tests.erasing import REFERENCE, deliver_all, left
from tests.integration.test_forget import forget
from tests.rebuilding import children, complete, ended, remnants, stopped
from tests.serving import READ, WRITE, Serving

PATH = "/api/projections/rebuild"
ALL = ["current_state", "history", "deliveries", "links"]


def generation(response: Any) -> int:
    """The generation that an answer names."""
    return int(response.headers["Ledger-Projection"].rpartition("generation=")[2])


def enough(serving: Serving, count: int = 3_000) -> None:
    """Record so much that reading it takes several portions."""
    bodies = [webhook(connection=f"conn_{n}", ref=f"user_{n % 100}") for n in range(count)]
    for first in range(0, count, 500):
        done = serving.ledger.record([delivery(body) for body in bodies[first : first + 500]])
    serving.position = done[-1].position
    serving.read("/api/connections")


def cancel(serving: Serving, token: str | None = None) -> Any:
    """Ask to cancel."""
    headers = {"Authorization": f"Bearer {token}"} if token else serving.admin
    return serving.client.delete(PATH, headers=headers)


def test_every_read_comes_from_the_rebuilt_views_afterwards(serving: Serving) -> None:
    """The same answers, under another generation; the result stays to be looked at."""
    deliver_all(serving)
    paths = (
        "/api/connections", f"/api/clients/{REFERENCE}", f"/api/clients/{REFERENCE}/history",
        "/api/parked",
    )  # fmt: skip
    before = [serving.get(path) for path in paths]
    assert serving.read("/api/projections")["rebuild"] is None
    response = serving.post(PATH, {})
    assert response.status_code == 202
    assert (response.json["state"], response.json["names"]) == ("running", ALL)
    ended(serving.service.services.rebuilds)
    after = [serving.get(path) for path in paths]
    assert [one.data for one in after] == [one.data for one in before]
    assert [generation(one) for one in before] == [1] * 4
    assert [generation(one) for one in after] == [2] * 4
    answer = serving.read("/api/projections")
    assert {item["generation"] for item in answer["items"]} == {2}
    result = answer["rebuild"]
    assert (result["state"], result["generation"], result["detail"]) == ("done", 2, None)
    assert result["done"] == result["total"] > 0
    assert result["position"] == serving.position
    assert (result["secondsLeft"], result["differences"]) == (None, [])


def test_a_rebuild_tells_how_far_it_is(serving: Serving) -> None:
    """Phase, events, rate and time left; the metrics say that it runs."""
    enough(serving)
    serving.post(PATH, {})
    with stopped(serving.service.services.rebuilds):
        rebuild = serving.read("/api/projections")["rebuild"]
        metrics = serving.get("/metrics").text
    assert (rebuild["state"], rebuild["phase"], rebuild["total"]) == ("running", "reading", 6_000)
    assert "ledger_rebuild_running 1.0" in metrics
    assert "ledger_generation 1.0" in metrics
    ended(serving.service.services.rebuilds)
    assert "ledger_generation 2.0" in serving.get("/metrics").text
    assert "ledger_rebuild_running 0.0" in serving.get("/metrics").text


def test_one_at_a_time_and_it_can_be_cancelled(serving: Serving, database_url: str) -> None:
    """409 for the second; after the cancellation nothing of the first is left."""
    enough(serving)
    there = remnants(database_url)
    serving.post(PATH, {"names": ["history"]})
    with stopped(serving.service.services.rebuilds) as process:
        second = serving.post(PATH, {})
        assert (second.status_code, second.json["type"].rpartition(":")[2]) == (
            409, "rebuild-running",
        )  # fmt: skip
        cancelled = cancel(serving)
    assert (cancelled.status_code, cancelled.json["state"]) == (200, "cancelled")
    assert cancelled.json["names"] == ["history"]
    assert not Path(f"/proc/{process}").exists()
    assert remnants(database_url) == there
    assert cancel(serving).status_code == 404
    assert serving.read("/api/projections")["rebuild"]["state"] == "cancelled"
    assert generation(serving.get("/api/connections")) == 1


def test_planted_differences_are_answered_and_the_live_views_stay(serving: Serving) -> None:
    """The first ten, with what tells each row apart."""
    for number in range(12):
        serving.tell(connection=f"conn_{number:02}")
    serving.read("/api/connections")
    with serving.service.services.forget.live() as store:
        assert store is not None
        with store.writing() as session:
            session.run("UPDATE current_state{g} SET status = 'expired'")
    result = serving.rebuild(verify=True)
    assert (result["state"], len(result["differences"])) == ("different", 10)
    assert result["differences"][0] == {
        "projection": "current_state", "table": "current_state", "key": {"id": "conn_00"},
        "what": "differs", "columns": ["status"],
    }  # fmt: skip
    assert generation(serving.get("/api/connections")) == 1
    assert serving.rebuild()["state"] == "done"
    assert len(serving.read("/api/connections", status="active")["items"]) == 12
    assert serving.rebuild(verify=True)["differences"] == []


def test_who_may_rebuild(small: Serving) -> None:
    """Only the scope admin; a name that is not known is refused."""
    for token in (READ, WRITE):
        assert small.post(PATH, {}, token=token).status_code == 403
        assert cancel(small, token).status_code == 403
    response = small.post(PATH, {"names": ["history", "histories"]})
    assert response.status_code == 422
    assert response.json["errors"][0]["name"] == "names"
    assert small.post(PATH, {"name": "history"}).status_code == 422
    assert children() == []


def test_a_stream_that_was_begun_before_the_switch_ends_in_its_own_views(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every line is of one moment, also over two pages, whatever becomes live meanwhile."""
    monkeypatch.setattr(history, "_STREAMED_AT_ONCE", 3)
    for number in range(10):
        serving.tell("updated", at=NOON + number, userData={"name": f"Name {number}"})
    whole = serving.read("/api/clients/user_1/history")["items"]
    response = serving.client.get(
        "/api/clients/user_1/history",
        headers={"Accept": "application/x-ndjson", **serving.admin},
        buffered=False,
    )
    lines = iter(response.response)
    first = next(lines)
    serving.tell("updated", at=NOON + 99, userData={"name": "Later"})
    assert serving.rebuild()["state"] == "done"
    assert generation(serving.get("/api/clients/user_1/history")) == 2
    assert len(serving.read("/api/clients/user_1/history")["items"]) == 11
    rest = b"".join([first, *lines]).decode().splitlines()
    response.close()
    assert [json.loads(line) for line in rest] == whole
    assert generation(response) == 1


def test_the_end_of_a_service_cancels_its_rebuild(database_url: str, tmp_path: Path) -> None:
    """No process outlives it, and nothing is left."""
    with Serving(database_url, tmp_path) as serving:
        enough(serving)
        there = remnants(database_url)
        serving.post(PATH, {})
        with stopped(serving.service.services.rebuilds) as process:
            serving.service.stop()
        assert not os.path.exists(f"/proc/{process}")
    assert remnants(database_url) == there


# erasing


def test_what_is_erased_during_a_rebuild_is_not_in_the_new_views(
    serving: Serving, database_url: str, tmp_path: Path
) -> None:
    """Whatever was read before; the answer says that files may keep it, until it is said again."""
    deliver_all(serving)
    enough(serving)
    serving.post(PATH, {})
    with stopped(serving.service.services.rebuilds):
        assert any("being rebuilt" in sentence for sentence in forget(serving)["remains"])
    last = ended(serving.service.services.rebuilds)
    assert (last.state, last.detail) == ("done", None)
    assert complete(database_url) == [1, 2]
    assert "canary" not in serving.get("/api/connections", limit=500).text
    again = forget(serving)
    assert not any("being rebuilt" in sentence for sentence in again["remains"])
    assert left(database_url, tmp_path) == {}
    assert serving.rebuild(verify=True)["state"] == "done"


def test_rebuilt_views_equal_those_in_which_a_person_was_erased(serving: Serving) -> None:
    """Compared row by row, before the switch and after it."""
    deliver_all(serving)
    forget(serving)
    serving.tell("updated", "conn_erased1", ref=REFERENCE, at=NOON + 9000, userData={"name": "New"})
    serving.read("/api/connections")
    assert serving.rebuild(verify=True)["state"] == "done"
    forget(serving)
    assert serving.rebuild(verify=True)["state"] == "done"
