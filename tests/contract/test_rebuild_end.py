"""One rebuild at a time, how it ends, and how readers go over to what it made."""

import os
import signal
from contextlib import closing

import psycopg
import pytest

from ledger.domain.errors import StoreUnavailable
from projections import postgres_generations
from projections.errors import RebuildRunning, UnknownProjection
from projections.generations import generations_of
from projections.live import Live
from projections.rebuild import rebuilds as module
from projections.rebuild.rebuilds import Rebuilds
from projections.registry import PROJECTIONS
from tests.projected import Views, dump, tangle
from tests.rebuilding import children, complete, ended, rebuilds_of, remnants, stopped, until


def test_the_generation_before_stays_until_the_next_rebuild(filled: Views) -> None:
    """Readers may end in it; two rebuilds later it is gone."""
    rebuilds = rebuilds_of(filled.url)
    for expected in ([1, 2], [2, 3], [3, 4]):
        rebuilds.start()
        assert ended(rebuilds).state == "done"
        assert complete(filled.url) == expected


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
    filled = Views(postgres_url)
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
    filled.close()


def test_an_unknown_projection_is_refused(filled: Views) -> None:
    """With the names that there are."""
    with pytest.raises(UnknownProjection, match="current_state, history, deliveries"):
        rebuilds_of(filled.url).start(["histories"])
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
    filled = Views(postgres_url)
    rebuilds = rebuilds_of(postgres_url)
    rebuilds.start()
    assert ended(rebuilds).state == "done"
    with filled.store.reading() as session:
        session.rows("SELECT * FROM history{g}")
        with pytest.raises(StoreUnavailable, match="still reads"):
            rebuilds.start()
    rebuilds.start()
    assert ended(rebuilds).state == "done"
    filled.close()


def test_a_reader_ends_in_the_generation_in_which_it_began(filled: Views) -> None:
    """Also when that one was replaced, and replaced again; then it is closed."""
    live = Live(filled.log, generations_of(filled.url))
    rebuilds = rebuilds_of(filled.url)
    with live.reading() as session:
        assert session.rows("SELECT * FROM history{g}")
        rebuilds.start()
        assert ended(rebuilds).state == "done"
        live.follow()
        assert live.store.generation == 2
        assert session.generation == 1
        assert len(session.rows("SELECT * FROM history{g}")) == len(dump(filled.store)["history"])
        with live.reading() as other:
            assert other.generation == 2
    live.close()


def test_no_view_goes_back_when_a_process_goes_over(filled: Views) -> None:
    """The new generation is brought to the log's end before anybody reads it."""
    live = Live(filled.log, generations_of(filled.url))
    rebuilds = rebuilds_of(filled.url)
    rebuilds.start()
    assert ended(rebuilds).state == "done"
    position = filled.tell(*tangle(4, 5))[-1]
    live.follow()
    assert set(live.positions().values()) == {position}
    with live.reading() as session:
        assert set(session.positions(PROJECTIONS).values()) == {position}
    live.close()


def test_a_service_that_does_not_go_over_is_not_called_done_in_silence(
    filled: Views, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The views are published, and the log says what is wrong."""
    monkeypatch.setattr(module, "SWITCH_SECONDS", 0.0)
    rebuilds = Rebuilds(filled.url, monotonic=lambda: 0.0, switched=lambda *_: False)
    rebuilds.start()
    assert ended(rebuilds).state == "done"
    until(lambda: "does not go over" in caplog.text)
