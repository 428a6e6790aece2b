"""What a rebuild promises, whatever database holds the views."""

import os
import signal
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from ledger.application import LinkStep
from ledger.domain.errors import StoreUnavailable
from ledger.recorders.base import NewRow
from projections import postgres_generations
from projections.errors import RebuildFailed, RebuildRunning, UnknownProjection
from projections.generations import generations_of
from projections.live import Live
from projections.rebuild import build as building
from projections.rebuild import rebuilds as module
from projections.rebuild.job import Job, Message, Progress
from projections.rebuild.rebuilds import Rebuilds
from projections.registry import PROJECTIONS
from tests.builders import delivery, open_ledger, webhook
from tests.contract.test_views import tangle
from tests.given import as_statement, created
from tests.linked import lives
from tests.projected import TABLES, Views, about, dump
from tests.rebuilding import (
    children,
    complete,
    ended,
    rebuilds_of,
    remnants,
    stopped,
    until,
)


@pytest.fixture
def views(database_url: str) -> Iterator[Views]:
    """A log about many connections, with views that have read it."""
    ledger = open_ledger(database_url)
    ledger.record([delivery(b"not json %d" % i) for i in range(3)])
    ledger.record([LinkStep(link=link, events=(event,)) for link, event in lives(1, 20)])
    ledger.log.close()
    views = Views(database_url)
    views.tell(*tangle(1, 40))
    views.catch_up()
    yield views
    views.close()


@pytest.fixture
def many(database_url: str) -> Iterator[Views]:
    """A log that is read in several portions, so that reading it can be interrupted."""
    views = Views(database_url)
    for first in range(0, 9_000, 3_000):
        some = range(first, first + 3_000)
        views.tell(*(about(f"conn_{i}", as_statement(created(client="a"))) for i in some))
    views.catch_up()
    yield views
    views.close()


def live_rows(views: Views, generation: int) -> dict[str, list[tuple[object, ...]]]:
    """Everything that a generation holds."""
    with closing(generations_of(views.url)) as generations:
        assert generations.live() == generation
        with closing(generations.open(generation, writer=False)) as store:
            return dump(store)


def test_rebuilt_views_equal_the_live_ones(views: Views) -> None:
    """Row by row in every table, and at the same positions."""
    before = dump(views.store)
    assert all(before[table] for table in TABLES if table not in ("blocked", "dialects"))
    rebuilds = rebuilds_of(views.url)
    started = rebuilds.start()
    assert (started.state, started.names) == ("running", tuple(PROJECTIONS))
    last = ended(rebuilds)
    assert (last.state, last.generation, last.detail) == ("done", 2, None)
    assert last.position == views.log.head().position
    assert last.done == last.total == last.position
    assert live_rows(views, 2) == before
    with views.open(2).reading() as session:
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
    views = Views(database_url)
    views.catch_up()
    assert live_rows(views, 2) == dump(views.store)
    views.close()


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


def test_only_what_is_named_is_made_again(views: Views) -> None:
    """The others are taken over as they are, right or wrong."""
    with views.store.writing() as session:
        session.run("UPDATE current_state{g} SET status = 'taken over'")
        session.run("UPDATE history{g} SET type = 'not taken over'")
    rebuilds = rebuilds_of(views.url)
    rebuilds.start(["history"])
    last = ended(rebuilds)
    assert (last.state, last.names) == ("done", ("history",))
    rebuilt, old = live_rows(views, 2), dump(views.store)
    assert rebuilt["current_state"] == old["current_state"]
    assert rebuilt["parked"] == old["parked"]
    assert "not taken over" not in str(rebuilt["history"])
    assert len(rebuilt["history"]) == len(old["history"])


def test_a_projection_that_the_live_views_lack_is_made_as_well(views: Views) -> None:
    """An upgrade has brought it, and another one is rebuilt before the service starts."""
    before = dump(views.store)
    with views.store.writing() as session:
        session.run("DROP TABLE parked{g}")
        session.run("DELETE FROM {tracking} WHERE application_name = 'deliveries'")
    rebuilds = rebuilds_of(views.url)
    rebuilds.start(["history"])
    assert ended(rebuilds).state == "done"
    assert live_rows(views, 2) == before


def test_a_stream_that_cannot_be_folded_is_blocked_in_the_rebuilt_views_too(views: Views) -> None:
    """With the same rows up to there, and the same reason."""
    views.append(NewRow("connection:conn_3", 99, "connection.unheard_of", b'{"v":1}'))
    views.catch_up()
    expected = dump(views.store)
    assert len(expected["blocked"]) == 2
    rebuilds = rebuilds_of(views.url)
    rebuilds.start(verify=True)
    assert ended(rebuilds).state == "done"
    assert live_rows(views, 2) == expected


# verify


def test_verify_finds_nothing_where_nothing_is_wrong(views: Views) -> None:
    """Then the rebuilt views become live."""
    rebuilds = rebuilds_of(views.url)
    rebuilds.start(verify=True)
    last = ended(rebuilds)
    assert (last.state, last.differences, last.verify) == ("done", (), True)
    assert complete(views.url) == [1, 2]


def test_verify_names_the_first_differences_and_keeps_the_live_views(views: Views) -> None:
    """A row that was changed, one that is missing and one too many; ten at most."""
    with views.store.writing() as session:
        session.run("UPDATE current_state{g} SET document = '[]' WHERE id = 'conn_5'")
        session.run("DELETE FROM current_state{g} WHERE id = 'conn_6'")
        session.run("UPDATE history_bindings{g} SET connection_id = 'conn_x' WHERE client_ref = "
                    "'user_2' AND connection_id = (SELECT MIN(connection_id) FROM "
                    "history_bindings{g} WHERE client_ref = 'user_2')")  # fmt: skip
        session.run("DELETE FROM parked{g}")
    before, there = dump(views.store), remnants(views.url)
    rebuilds = rebuilds_of(views.url)
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
    assert dump(views.store) == before
    assert remnants(views.url) == there


def test_verify_names_ten_differences_at_most(views: Views) -> None:
    """Who has ten need not wait for thousands."""
    with views.store.writing() as session:
        session.run("UPDATE history{g} SET occurred_at = occurred_at + 1")
    rebuilds = rebuilds_of(views.url)
    rebuilds.start(verify=True)
    last = ended(rebuilds)
    assert len(last.differences) == 10
    assert {d.columns for d in last.differences} == {("occurred_at",)}


def test_verify_needs_live_views_that_come_as_far(
    views: Views, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody feeds them here: it says so, and nothing changes."""
    views.tell(*tangle(9, 3))
    monkeypatch.setattr(building, "MEETING_SECONDS", 0.0)
    there, told = remnants(views.url), list[Message]()
    with closing(generations_of(views.url)) as generations:
        job = Job(views.url, tuple(PROJECTIONS), generations.begin(), verify=True)
        with pytest.raises(RebuildFailed, match="without --verify"):
            building.build(job, told.append)
        generations.end()
    assert [one.phase for one in told if isinstance(one, Progress)][-1] == "comparing"
    assert remnants(views.url) == there


def test_what_is_told_of_the_reading_goes_from_nothing_to_all(many: Views) -> None:
    """Also while the database sorts, before the first event comes."""
    told = list[Message]()
    with closing(generations_of(many.url)) as generations:
        building.build(Job(many.url, ("history",), generations.begin(), verify=False), told.append)
        generations.end()
    read = [one.done for one in told if isinstance(one, Progress) and one.phase == "reading"]
    assert (read[0], read[-1]) == (0, 9_000)
    assert read == sorted(read)


# one at a time, and its end


def test_the_generation_before_stays_until_the_next_rebuild(views: Views) -> None:
    """Readers may end in it; two rebuilds later it is gone."""
    rebuilds = rebuilds_of(views.url)
    for expected in ([1, 2], [2, 3], [3, 4]):
        rebuilds.start()
        assert ended(rebuilds).state == "done"
        assert complete(views.url) == expected


def test_a_second_rebuild_is_refused_while_one_runs(many: Views) -> None:
    """In the same process on any database."""
    rebuilds = rebuilds_of(many.url)
    rebuilds.start()
    with stopped(rebuilds):
        with pytest.raises(RebuildRunning, match="DELETE /api/projections/rebuild"):
            rebuilds.start()
        assert len(children()) == 1
    assert ended(rebuilds).state == "done"


def test_rebuilds_of_two_processes_exclude_each_other(postgres_url: str) -> None:
    """The lock is the database's; on SQLite it is the writer's."""
    views = Views(postgres_url)
    with closing(generations_of(postgres_url)) as other:
        other.begin()
        with closing(generations_of(postgres_url)) as third:
            assert third.drafting()
        with pytest.raises(RebuildRunning):
            rebuilds_of(postgres_url).start()
        other.end()
    rebuilds = rebuilds_of(postgres_url)
    rebuilds.start()
    assert ended(rebuilds).state == "done"
    views.close()


def test_an_unknown_projection_is_refused(views: Views) -> None:
    """With the names that there are."""
    with pytest.raises(UnknownProjection, match="current_state, history, deliveries"):
        rebuilds_of(views.url).start(["histories"])
    assert children() == []


@pytest.mark.parametrize("phase", ["reading", "starting"])
def test_a_cancelled_rebuild_leaves_nothing(many: Views, phase: str) -> None:
    """No file, no table, no process; and the next one runs."""
    there, rebuilds = remnants(many.url), rebuilds_of(many.url)
    rebuilds.start()
    with stopped(rebuilds, phase) as process:
        cancelled = rebuilds.cancel()
    assert cancelled is not None
    assert (cancelled.state, cancelled.detail) == ("cancelled", None)
    assert children() == []
    assert not os.path.exists(f"/proc/{process}")
    assert remnants(many.url) == there
    assert rebuilds.cancel() is None
    rebuilds.start()
    assert ended(rebuilds).state == "done"


def test_a_killed_process_leaves_the_live_views(many: Views) -> None:
    """The rebuild has failed, says so, and leaves nothing."""
    there, rebuilds = remnants(many.url), rebuilds_of(many.url)
    before = dump(many.store)
    rebuilds.start()
    with stopped(rebuilds) as process:
        os.kill(process, signal.SIGKILL)
    last = ended(rebuilds)
    assert (last.state, "exit code -9" in str(last.detail)) == ("failed", True)
    assert remnants(many.url) == there
    assert dump(many.store) == before


def test_what_a_dead_process_left_is_removed_at_the_next_start(many: Views) -> None:
    """A draft that nobody makes any more is not read, and goes."""
    there = remnants(many.url)
    with closing(generations_of(many.url)) as dead:
        number = dead.begin()
        with closing(dead.draft(number)) as draft, draft.filling(None) as filling:
            filling.session.run("CREATE TABLE history{g} (one TEXT)")
    assert complete(many.url) == [1]
    assert remnants(many.url) != there
    with closing(generations_of(many.url)) as next_one:
        assert next_one.drafting()
    live = Live(many.log, generations_of(many.url))
    assert live.store.generation == 1
    live.close()
    assert remnants(many.url) == there


def test_what_was_built_without_the_lock_is_not_published(postgres_url: str) -> None:
    """When its connection was lost, another process may be rebuilding by now."""
    with closing(generations_of(postgres_url)) as generations:
        assert isinstance(generations, postgres_generations.PostgresGenerations)
        number = generations.begin()
        with psycopg.connect(postgres_url, autocommit=True) as chief:
            chief.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        with pytest.raises(StoreUnavailable):
            generations.publish(number)
        with pytest.raises(StoreUnavailable, match="rebuild again"):
            generations.publish(number)
        assert generations.live() == 1


def test_views_that_are_still_read_are_not_removed_on_postgresql(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next rebuild waits for their reader, and then says what keeps it."""
    monkeypatch.setattr(postgres_generations, "_DROP_WAIT", "50ms")
    views = Views(postgres_url)
    rebuilds = rebuilds_of(postgres_url)
    rebuilds.start()
    assert ended(rebuilds).state == "done"
    with views.store.reading() as session:
        session.rows("SELECT * FROM history{g}")
        with pytest.raises(StoreUnavailable, match="still reads"):
            rebuilds.start()
    rebuilds.start()
    assert ended(rebuilds).state == "done"
    views.close()


# going over


def test_a_reader_ends_in_the_generation_in_which_it_began(views: Views) -> None:
    """Also when that one was replaced, and replaced again; then it is closed."""
    live = Live(views.log, generations_of(views.url))
    rebuilds = rebuilds_of(views.url)
    with live.reading() as session:
        assert session.rows("SELECT * FROM history{g}")
        rebuilds.start()
        assert ended(rebuilds).state == "done"
        live.follow()
        assert live.store.generation == 2
        assert session.generation == 1
        assert len(session.rows("SELECT * FROM history{g}")) == len(dump(views.store)["history"])
        with live.reading() as other:
            assert other.generation == 2
    live.close()


def test_no_view_goes_back_when_a_process_goes_over(views: Views) -> None:
    """The new generation is brought to the log's end before anybody reads it."""
    live = Live(views.log, generations_of(views.url))
    rebuilds = rebuilds_of(views.url)
    rebuilds.start()
    assert ended(rebuilds).state == "done"
    position = views.tell(*tangle(4, 5))[-1]
    live.follow()
    assert set(live.positions().values()) == {position}
    with live.reading() as session:
        assert set(session.positions(PROJECTIONS).values()) == {position}
    live.close()


def test_a_service_that_does_not_go_over_is_not_called_done_in_silence(
    views: Views, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The views are published, and the log says what is wrong."""
    monkeypatch.setattr(module, "SWITCH_SECONDS", 0.0)
    rebuilds = Rebuilds(views.url, monotonic=lambda: 0.0, switched=lambda *_: False)
    rebuilds.start()
    assert ended(rebuilds).state == "done"
    until(lambda: "does not go over" in caplog.text)
