"""Erasing a person: nothing of it is found any more, and what happened still is."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from api.logs import configure
from projections.generations import generations_of
from projections.runner import Runner
from tests.builders import NOON, webhook
from tests.erasing import (
    CANARIES,
    CONNECTION,
    OTHER,
    OTHER_CONNECTION,
    REFERENCE,
    SECOND,
    account_keys,
    bodies,
    canary,
    deliver_all,
    left,
    left_in_files,
    left_in_tables,
    user,
)
from tests.logged import logged
from tests.postgres import PostgresServer
from tests.projected import dump, open_generation
from tests.serving import READ, WRITE, Serving

FORGET = "/api/clients/forget"
KEPT_OF_A_CONNECTION = (
    "id", "clientReferenceId", "status", "statusSince", "createdAt", "updatedAt", "expiredAt",
    "deletedAt", "lastEvidenceAt", "lastEvidenceSource", "imported", "lastCheckedAt",
)  # fmt: skip
KEPT_OF_AN_ENTRY = (
    "position", "type", "connectionId", "clientReferenceId", "occurredAt", "observedAt",
    "recordedAt", "source", "late", "evidence",
)  # fmt: skip


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """Everything that is logged."""
    root, stream = logging.getLogger(), io.StringIO()
    before, level = root.handlers[:], root.level
    configure("text", stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)


def forget(serving: Serving, reference: str = REFERENCE) -> Any:
    """Erase a person and give the answer."""
    response = serving.post(FORGET, {"clientReferenceId": reference})
    assert response.status_code == 200, response.text
    serving.position = int(response.headers["Ledger-Position"])
    return response.json


def of_client(serving: Serving, reference: str, **query: Any) -> list[Any]:
    """What is answered about a client, its connections and both histories."""
    state = serving.read("/api/clients", clientReferenceId=reference, **query)
    entries = serving.read("/api/history", clientReferenceId=reference, limit=500, **query)
    return [state, entries]


def kept(answers: list[Any]) -> list[Any]:
    """Of answers what erasing leaves: order, statuses and times."""
    state, entries = answers
    data = [{name: entry["data"].get(name) for name in ("status",)} for entry in entries["items"]]
    return [
        [{name: one[name] for name in KEPT_OF_A_CONNECTION} for one in state["connections"]],
        [{name: entry[name] for name in KEPT_OF_AN_ENTRY} for entry in entries["items"]],
        data,
    ]


def test_nothing_of_an_erased_person_is_found_anywhere(
    database_url: str, tmp_path: Path, written: io.StringIO
) -> None:
    """Not in the log, the views, the quarantine, any file, any log line or any metric."""
    with Serving(database_url, tmp_path) as serving:
        deliver_all(serving)
        serving.read("/api/connections")
        (tmp_path / "log").write_text(logged(written))
        assert len(left(database_url, tmp_path)) >= 2
        answer = forget(serving)
        (tmp_path / "metrics").write_text(serving.get("/metrics").text)
        (tmp_path / "log").write_text(logged(written))
        assert left(database_url, tmp_path) == {}
        assert (answer["connections"], answer["quarantined"]) == (2, 5)
        assert bool(answer["remains"]) is database_url.startswith("postgres")
    assert left(database_url, tmp_path) == {}


def test_no_key_of_an_erased_persons_accounts_is_left_in_any_generation(
    database_url: str, tmp_path: Path
) -> None:
    """Nor in the statistics of PostgreSQL, which outlive the rows of a table that is empty."""
    with Serving(database_url, tmp_path) as serving:
        for body in bodies():
            assert serving.deliver(body).status_code == 204
        serving.read("/api/connections")
        assert serving.rebuild()["state"] == "done"
        keys = account_keys(serving)
        if database_url.startswith("postgres"):
            with psycopg.connect(database_url) as connection:
                connection.execute("ANALYZE")
            # The tables of two generations, and what is known of their columns.
            assert {f"{table}_{number}" for table in ("accounts", "current_state")
                    for number in (1, 2)} <= left(database_url, tmp_path, keys).keys()  # fmt: skip
            assert left_in_tables(database_url, keys)["pg_stats"] > 0
        else:
            for one in keys:
                assert len(left_in_files(tmp_path, [one])) >= 2
        forget(serving)
        assert left(database_url, tmp_path, keys) == {}
        assert serving.read("/api/duplicates")["items"] == []
    assert left(database_url, tmp_path, keys) == {}


def test_order_statuses_and_times_of_an_erased_person_stay(serving: Serving) -> None:
    """Now and for every earlier moment; only what was said about the person is gone."""
    deliver_all(serving)
    times = [entry["recordedAt"] for entry in of_client(serving, REFERENCE)[1]["items"]]
    asked: list[dict[str, Any]] = [{}, *({"asOf": time} for time in times)]
    before = [of_client(serving, REFERENCE, **query) for query in asked]
    assert before[0][0]["connections"][0]["userData"]["name"] == canary("sdkname")
    forget(serving)
    after = [of_client(serving, REFERENCE, **query) for query in asked]
    assert [kept(one) for one in after] == [kept(one) for one in before]
    for state, entries in after:
        assert "canary" not in json.dumps([state, entries])
        for connection in state["connections"]:
            assert (connection["userData"], connection["permissions"]) == (None, None)
            assert "erased" in connection["flags"]


def test_other_clients_are_untouched(serving: Serving) -> None:
    """What is answered about them is equal to the byte; their parked and held requests stay."""
    deliver_all(serving)
    paths = [
        f"/api/clients/{OTHER}", f"/api/clients/{OTHER}/history",
        f"/api/connections/{OTHER_CONNECTION}", f"/api/connections/{OTHER_CONNECTION}/history",
    ]  # fmt: skip
    before = [serving.get(path).data for path in paths]
    forget(serving)
    assert [serving.get(path).data for path in paths] == before
    assert [item["detail"] for item in serving.read("/api/parked")["items"]] != []
    assert len(serving.read("/api/parked")["items"]) == 1
    assert len(serving.read("/api/quarantine", minPosition=None)["items"]) == 1


def test_views_made_again_equal_those_that_were_erased(serving: Serving, database_url: str) -> None:
    """A rebuild reads what the log still tells, and the erased views tell the same."""
    deliver_all(serving)
    serving.read("/api/connections")
    forget(serving)
    serving.tell("updated", CONNECTION, ref=REFERENCE, at=NOON + 9000, userData={"name": "New"})
    serving.read("/api/connections")
    other = open_generation(database_url, 7)
    try:
        runner = Runner(serving.service.services.log, other, limit=3)
        while runner.step():
            pass
        live = open_generation(database_url, 1)
        try:
            assert dump(other) == dump(live)
        finally:
            live.close()
    finally:
        other.close()


def test_every_generation_of_the_views_is_erased(
    serving: Serving, database_url: str, tmp_path: Path
) -> None:
    """Also the one that a rebuild has replaced, which no longer follows the log."""
    deliver_all(serving)
    serving.read("/api/connections")
    assert serving.rebuild()["state"] == "done"
    with closing(generations_of(database_url)) as generations:
        assert generations.all() == [1, 2]
    forget(serving)
    assert left(database_url, tmp_path) == {}


def test_what_is_told_of_the_person_later_is_kept_as_usual(serving: Serving) -> None:
    """An erasure is about what was; the next one takes the rest."""
    deliver_all(serving)
    first = forget(serving)
    body = webhook("updated", CONNECTION, ref=REFERENCE, at=NOON + 9000, userData=user("later"))
    assert serving.deliver(body).status_code == 204
    connection = serving.read(f"/api/connections/{CONNECTION}")
    assert connection["userData"]["name"] == canary("later")
    second = forget(serving)
    assert (second["deliveries"], second["claims"], second["quarantined"]) == (1, 1, 0)
    assert second["position"] > first["position"]
    assert serving.read(f"/api/connections/{CONNECTION}")["userData"] is None


def test_erasing_again_changes_nothing(serving: Serving) -> None:
    """When there is nothing left, nothing is appended and nothing counted."""
    deliver_all(serving)
    first = forget(serving)
    end = serving.read("/api/events", after=first["position"])["nextAfter"]
    second = forget(serving)
    assert second["position"] == first["position"]
    assert (second["deliveries"], second["claims"], second["quarantined"]) == (0, 0, 0)
    assert serving.read("/api/events", after=end)["items"] == []


def test_a_repeat_of_an_erased_delivery_brings_nothing_back(serving: Serving) -> None:
    """The identity of a delivery stays, so that its retry is a repeat."""
    body = webhook(connection=CONNECTION, ref=REFERENCE, userData=user())
    serving.deliver(body)
    forget(serving)
    serving.deliver(body)
    assert serving.read(f"/api/connections/{CONNECTION}")["userData"] is None
    assert forget(serving)["deliveries"] == 0


def test_a_parked_delivery_of_an_erased_person_waits_no_longer(serving: Serving) -> None:
    """It can never be read again, so it is resolved."""
    deliver_all(serving)
    parked = [item["id"] for item in serving.read("/api/parked")["items"]]
    forget(serving)
    still = [item["id"] for item in serving.read("/api/parked")["items"]]
    assert len(still) == 1 < len(parked)
    done = serving.post("/api/parked/retry").json["items"]
    assert [item["outcome"] for item in done] == ["still_parked"]


def test_a_connection_that_was_given_away_is_erased_whole(serving: Serving) -> None:
    """It is the same account: the status stays the new client's, what was said is gone."""
    serving.tell(connection=CONNECTION, ref=REFERENCE, userData=user())
    serving.tell("updated", CONNECTION, ref=OTHER, at=NOON + 1, userData={"name": canary("again")})
    assert forget(serving)["connections"] == 1
    state = serving.read(f"/api/clients/{OTHER}")
    assert state["connections"][0]["userData"] is None
    assert state["status"] == "active"
    assert serving.read(f"/api/clients/{REFERENCE}")["status"] == "deleted"


def test_it_is_said_of_how_many_connections_the_provider_goes_on_telling(small: Serving) -> None:
    """Those that are not deleted: an erasure is not the end while there are any."""
    for connection in (CONNECTION, SECOND):
        small.tell(connection=connection, ref=REFERENCE, userData=user())
    assert forget(small)["live"] == 2
    small.tell("disconnected", SECOND, at=NOON + 1000)
    assert forget(small)["live"] == 1
    small.tell("disconnected", CONNECTION, at=NOON + 1000)
    assert forget(small)["live"] == 0


def test_what_only_repeated_the_known_is_taken_to_have_changed_it(small: Serving) -> None:
    """Nobody can tell any more; the status and its time are as before."""
    for at in (NOON, NOON + 1000):
        small.tell("created" if at == NOON else "updated", CONNECTION, ref=REFERENCE, at=at,
                   userData={"name": canary("name")}, status="active")  # fmt: skip
    before = small.read(f"/api/connections/{CONNECTION}")
    forget(small)
    after = small.read(f"/api/connections/{CONNECTION}")
    entries = small.read(f"/api/connections/{CONNECTION}/history")["items"]
    assert [one["type"].partition(".")[2] for one in entries] == ["created", "updated"]
    assert [one["recordedAs"] for one in entries] == [None, "connection.confirmed"]
    assert after["updatedAt"] > before["updatedAt"] == before["createdAt"]
    assert [after[name] for name in ("status", "statusSince")] == ["active", before["statusSince"]]


@pytest.mark.parametrize("reference", ["1", "é", 'quo"te', "über-long/ref", "conn_x"])
def test_a_reference_is_told_apart_from_longer_ones(small: Serving, reference: str) -> None:
    """A short one, one that JSON escapes, one that others begin with."""
    other = f"{reference}2"
    for number, one in enumerate((reference, other)):
        small.tell(connection=f"conn_of{number}", ref=one, userData={"name": one})
        odd = {"type": "connection.unheard_of", "data": {"about": one, "n": number}}
        small.deliver(json.dumps(odd).encode())
        small.deliver(json.dumps(odd | {"x": 1}, ensure_ascii=False).encode())
    done = forget(small, reference)
    assert (done["connections"], done["deliveries"]) == (1, 3)
    left_over = small.read("/api/clients", clientReferenceId=other)
    assert left_over["connections"][0]["userData"] == {"name": other}
    assert len(small.read("/api/parked")["items"]) == 2


def test_who_was_never_heard_of_is_not_found(small: Serving) -> None:
    """Nothing is appended, and the reference is not kept."""
    small.tell()
    end = small.read("/api/events")["nextAfter"]
    response = small.post(FORGET, {"clientReferenceId": "nobody"})
    assert response.status_code == 404
    assert "nobody" not in response.text
    assert small.read("/api/events", after=end)["items"] == []


def test_a_person_only_in_quarantine_is_erased_there(small: Serving) -> None:
    """The log never heard of it, and stays as it is."""
    deliver_all(small)
    assert forget(small, "of-others")["quarantined"] == 1
    assert small.read("/api/events", type="client.erased")["items"] == []


def test_erasing_needs_the_scope_admin(small: Serving) -> None:
    """A token that reads or writes may not."""
    small.tell()
    for token in (READ, WRITE):
        response = small.post(FORGET, {"clientReferenceId": "user_1"}, token=token)
        assert response.status_code == 403
    assert small.post(FORGET, {}).status_code == 422


def test_the_event_says_who_asked_and_what_went(serving: Serving) -> None:
    """It names the connections, and the reference only as a keyed hash."""
    deliver_all(serving)
    forget(serving)
    [item] = serving.read("/api/events", type="client.erased")["items"]
    assert item["stream"].startswith("client:")
    assert REFERENCE not in json.dumps(item)
    assert item["data"]["by"] == "chief"
    assert item["data"]["connections"] == [CONNECTION, SECOND]
    assert item["data"]["claims"] == 6


def test_postgresql_holds_nothing_on_disk_after_what_the_how_to_says(tmp_path: Path) -> None:
    """No data file, no write-ahead log; before it both do, as the how-to says."""
    page = (Path(__file__).parents[2] / "docs/how-to/erase-a-person.md").read_text()
    statements = re.split("```sql.*\n", page)[1].split("```")[0].split(";\n")
    with PostgresServer() as server:
        url = server.create_database()
        with psycopg.connect(url, autocommit=True) as connection:
            [[folder]] = connection.execute("SHOW data_directory").fetchall()
            with Serving(url, tmp_path) as serving:
                deliver_all(serving)
                serving.read("/api/connections")
                connection.execute("ANALYZE")
                forget(serving)
                connection.execute("CHECKPOINT")
                keys = account_keys(serving)
                assert left_in_files(Path(folder)) != {}
                for statement in statements:
                    connection.execute(statement.encode())
                assert left_in_files(Path(folder), [*CANARIES, *keys]) == {}
                serving.tell("updated", CONNECTION, ref=REFERENCE, at=NOON + 9000)
