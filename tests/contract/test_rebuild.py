"""What a rebuild promises, whatever database holds the views."""

from contextlib import closing

import pytest

from ledger.recorders.base import NewRow
from projections.errors import RebuildFailed
from projections.generations import generations_of
from projections.rebuild import build as building
from projections.rebuild.job import Job, Message, Progress
from projections.registry import PROJECTIONS
from tests.builders import delivery, open_ledger, webhook
from tests.projected import TABLES, Views, dump, tangle
from tests.rebuilding import complete, ended, live_rows, rebuilds_of, remnants, stopped


def test_rebuilt_views_equal_the_live_ones(filled: Views) -> None:
    """Row by row in every table, and at the same positions."""
    before = dump(filled.store)
    assert all(before[table] for table in TABLES if table not in ("blocked", "dialects"))
    rebuilds = rebuilds_of(filled.url)
    started = rebuilds.start()
    assert (started.state, started.names) == ("running", tuple(PROJECTIONS))
    last = ended(rebuilds)
    assert (last.state, last.generation, last.detail) == ("done", 2, None)
    assert last.position == filled.log.head().position
    assert last.done == last.total == last.position
    assert live_rows(filled, 2) == before
    with filled.open(2).reading() as session:
        assert set(session.positions(PROJECTIONS).values()) == {last.position}


def test_views_can_be_rebuilt_that_do_not_exist(database_url: str) -> None:
    """Somebody removed them, or there never were any."""
    ledger = open_ledger(database_url)
    ledger.record([delivery(webhook(connection=f"conn_{i}")) for i in range(9)])
    ledger.log.close()
    rebuilds = rebuilds_of(database_url)
    rebuilds.start(["history"], verify=True)
    assert ended(rebuilds).state == "done"
    assert complete(database_url) == [2]
    filled = Views(database_url)
    filled.catch_up()
    assert live_rows(filled, 2) == dump(filled.store)
    filled.close()


def test_what_comes_meanwhile_is_caught_up(many: Views) -> None:
    """Events that were recorded while the log was being read are in the rebuilt views."""
    rebuilds = rebuilds_of(many.url)
    rebuilds.start()
    with stopped(rebuilds):
        many.tell(*tangle(3, 30))
    last = ended(rebuilds)
    assert (last.state, last.position) == ("done", many.log.head().position)
    many.catch_up()
    assert live_rows(many, 2) == dump(many.store)


def test_only_what_is_named_is_made_again(filled: Views) -> None:
    """The others are taken over as they are, right or wrong."""
    with filled.store.writing() as session:
        session.run("UPDATE current_state{g} SET status = 'taken over'")
        session.run("UPDATE history{g} SET type = 'not taken over'")
    rebuilds = rebuilds_of(filled.url)
    rebuilds.start(["history"])
    last = ended(rebuilds)
    assert (last.state, last.names) == ("done", ("history",))
    rebuilt, old = live_rows(filled, 2), dump(filled.store)
    assert rebuilt["current_state"] == old["current_state"]
    assert rebuilt["parked"] == old["parked"]
    assert "not taken over" not in str(rebuilt["history"])
    assert len(rebuilt["history"]) == len(old["history"])


def test_a_projection_that_the_live_views_lack_is_made_as_well(filled: Views) -> None:
    """An upgrade has brought it, and another one is rebuilt before the service starts."""
    before = dump(filled.store)
    with filled.store.writing() as session:
        session.run("DROP TABLE parked{g}")
        session.run("DELETE FROM {tracking} WHERE application_name = 'deliveries'")
    rebuilds = rebuilds_of(filled.url)
    rebuilds.start(["history"])
    assert ended(rebuilds).state == "done"
    assert live_rows(filled, 2) == before


def test_a_stream_that_cannot_be_folded_is_blocked_in_the_rebuilt_views_too(filled: Views) -> None:
    """With the same rows up to there, and the same reason."""
    filled.append(NewRow("connection:conn_3", 99, "connection.unheard_of", b'{"v":1}'))
    filled.catch_up()
    expected = dump(filled.store)
    assert len(expected["blocked"]) == 2
    rebuilds = rebuilds_of(filled.url)
    rebuilds.start(verify=True)
    assert ended(rebuilds).state == "done"
    assert live_rows(filled, 2) == expected


def test_verify_finds_nothing_where_nothing_is_wrong(filled: Views) -> None:
    """Then the rebuilt views become live."""
    rebuilds = rebuilds_of(filled.url)
    rebuilds.start(verify=True)
    last = ended(rebuilds)
    assert (last.state, last.differences, last.verify) == ("done", (), True)
    assert complete(filled.url) == [1, 2]


def test_verify_names_the_first_differences_and_keeps_the_live_views(filled: Views) -> None:
    """A row that was changed, one that is missing and one too many; ten at most."""
    with filled.store.writing() as session:
        session.run("UPDATE current_state{g} SET document = '[]' WHERE id = 'conn_5'")
        session.run("DELETE FROM current_state{g} WHERE id = 'conn_6'")
        session.run("UPDATE history_bindings{g} SET connection_id = 'conn_x' WHERE client_ref = "
                    "'user_2' AND connection_id = (SELECT MIN(connection_id) FROM "
                    "history_bindings{g} WHERE client_ref = 'user_2')")  # fmt: skip
        session.run("DELETE FROM parked{g}")
    before, there = dump(filled.store), remnants(filled.url)
    rebuilds = rebuilds_of(filled.url)
    rebuilds.start(["current_state", "deliveries", "history"], verify=True)
    last = ended(rebuilds)
    assert last.state == "different"
    assert "without --verify" in str(last.detail)
    found = {(d.table, next(iter(d.key.values())), d.what, d.columns) for d in last.differences}
    assert ("current_state", "conn_5", "differs", ("document",)) in found
    assert ("current_state", "conn_6", "extra", ()) in found
    assert {d.what for d in last.differences if d.table == "history_bindings"} == {
        "extra", "missing",
    }  # fmt: skip
    assert [d.what for d in last.differences if d.table == "parked"] == ["extra"] * 3
    assert dump(filled.store) == before
    assert remnants(filled.url) == there


def test_verify_names_ten_differences_at_most(filled: Views) -> None:
    """Who has ten need not wait for thousands."""
    with filled.store.writing() as session:
        session.run("UPDATE history{g} SET occurred_at = occurred_at + 1")
    rebuilds = rebuilds_of(filled.url)
    rebuilds.start(verify=True)
    last = ended(rebuilds)
    assert len(last.differences) == 10
    assert {d.columns for d in last.differences} == {("occurred_at",)}


def test_verify_needs_live_views_that_come_as_far(
    filled: Views, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody feeds them here: it says so, and nothing changes."""
    filled.tell(*tangle(9, 3))
    monkeypatch.setattr(building, "MEETING_SECONDS", 0.0)
    there, told = remnants(filled.url), list[Message]()
    with closing(generations_of(filled.url)) as generations:
        job = Job(filled.url, tuple(PROJECTIONS), generations.begin(), verify=True)
        with pytest.raises(RebuildFailed, match="without --verify"):
            building.build(job, told.append)
        generations.end()
    assert [one.phase for one in told if isinstance(one, Progress)][-1] == "comparing"
    assert remnants(filled.url) == there


def test_what_is_told_of_the_reading_goes_from_nothing_to_all(many: Views) -> None:
    """Also while the database sorts, before the first event comes."""
    told = list[Message]()
    with closing(generations_of(many.url)) as generations:
        building.build(Job(many.url, ("history",), generations.begin(), verify=False), told.append)
        generations.end()
    read = [one.done for one in told if isinstance(one, Progress) and one.phase == "reading"]
    assert (read[0], read[-1]) == (0, 9_000)
    assert read == sorted(read)
