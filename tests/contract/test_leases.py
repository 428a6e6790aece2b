"""Leases and the passes in a log: what keeps two sweepers apart, whatever database holds it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psycopg
import pytest

from ledger.domain.errors import LedgerError, StoreUnavailable
from ledger.recorders import open_log, postgres_sweeping, sqlite_writing
from ledger.recorders.base import LeaseLost, Log, NewRow, Seen
from tests.builders import NOON, Clock, counting_entropy

TTL = 60_000
INDEX = "stored_events_passes"


def open_writer(url: str) -> Log:
    """Open a log for writing."""
    return open_log(url, writer=True, entropy=counting_entropy(), now=Clock())


@pytest.fixture
def log(database_url: str) -> Iterator[Log]:
    """An empty log on each database."""
    log = open_writer(database_url)
    yield log
    log.close()


def a_pass(name: str, version: int = 1, topic: str = "sweep.started") -> NewRow:
    """An event of a pass whose state does not matter."""
    return NewRow(f"sweep:{name}", version, topic, b'{"v":1}')


def append(log: Log, *rows: NewRow, guard: tuple[str, int] | None = None) -> list[int]:
    """Append rows without looking."""
    return log.transact((), (), lambda _: rows, Clock(), guard)[0]


def streams(log: Log) -> list[str]:
    """What the log holds, in its order."""
    return [row.stream for row in log.read_log(0, 100)]


# leases


def test_one_holder_has_a_lease_until_it_ends(log: Log) -> None:
    """Nobody else gets it before, at its end anybody does, under another epoch."""
    assert log.take_lease("sweep", "a", NOON, TTL) == 1
    assert log.take_lease("sweep", "b", NOON + TTL - 1, TTL) is None
    assert log.take_lease("sweep", "b", NOON + TTL, TTL) == 2
    assert log.take_lease("sweep", "a", NOON + TTL, TTL) is None


def test_a_holder_that_takes_it_again_keeps_its_epoch(log: Log) -> None:
    """It is renewed, from now on, and what was guarded before still is."""
    epoch = log.take_lease("sweep", "a", NOON, TTL)
    assert log.take_lease("sweep", "a", NOON + TTL - 1, TTL) == epoch
    assert log.take_lease("sweep", "b", NOON + TTL + 1, TTL) is None
    assert log.take_lease("sweep", "b", NOON + 2 * TTL - 1, TTL) == 2


def test_leases_of_other_names_are_other_leases(log: Log) -> None:
    """One for each purpose."""
    assert log.take_lease("sweep", "a", NOON, TTL) == 1
    assert log.take_lease("commands", "b", NOON, TTL) == 1


def test_a_lease_outlives_the_process_that_took_it(database_url: str) -> None:
    """One that was killed is waited for until its lease ends, and no longer."""
    killed = open_writer(database_url)
    killed.take_lease("sweep", "killed", NOON, TTL)
    killed.close()
    log = open_writer(database_url)
    assert log.take_lease("sweep", "b", NOON + TTL - 1, TTL) is None
    assert log.take_lease("sweep", "b", NOON + TTL, TTL) == 2
    log.close()


def test_what_is_guarded_is_written_while_the_lease_is_held(log: Log) -> None:
    """Also long after its time, as long as nobody else took it."""
    epoch = log.take_lease("sweep", "a", NOON, TTL)
    assert epoch is not None
    assert append(log, a_pass("1"), guard=("sweep", epoch))


def test_a_holder_that_wakes_up_too_late_cannot_write(log: Log) -> None:
    """It was paused, another took over: nothing of its batch is written, and it can tell why."""
    late = log.take_lease("sweep", "a", NOON, TTL)
    new = log.take_lease("sweep", "b", NOON + TTL, TTL)
    assert late is not None
    assert new is not None
    with pytest.raises(LeaseLost, match="Another process has taken over the sweep"):
        append(log, a_pass("late"), guard=("sweep", late))
    assert append(log, a_pass("new"), guard=("sweep", new))
    assert append(log, a_pass("of nobody"))
    assert streams(log) == ["sweep:new", "sweep:of nobody"]
    assert not issubclass(LeaseLost, StoreUnavailable)
    assert issubclass(LeaseLost, LedgerError)


def test_under_a_lease_that_nobody_took_nothing_is_written(log: Log) -> None:
    """A guard that names nothing guards nothing."""
    with pytest.raises(LeaseLost):
        append(log, a_pass("1"), guard=("sweep", 1))


def test_a_lease_that_was_let_go_is_free_at_once(log: Log) -> None:
    """And who let go of it cannot write under it any more, not even after taking it again."""
    first = log.take_lease("sweep", "a", NOON, TTL)
    assert first is not None
    log.release_lease("sweep", first)
    with pytest.raises(LeaseLost):
        append(log, a_pass("1"), guard=("sweep", first))
    second = log.take_lease("sweep", "a", NOON + 1, TTL)
    assert second is not None
    with pytest.raises(LeaseLost):
        append(log, a_pass("1"), guard=("sweep", first))
    assert append(log, a_pass("1"), guard=("sweep", second))


def test_letting_go_of_a_lease_that_was_lost_does_nothing(log: Log) -> None:
    """The other's stays the other's."""
    lost = log.take_lease("sweep", "a", NOON, TTL)
    other = log.take_lease("sweep", "b", NOON + TTL, TTL)
    assert lost is not None
    assert other is not None
    log.release_lease("sweep", lost)
    assert log.take_lease("sweep", "c", NOON + TTL + 1, TTL) is None
    assert append(log, a_pass("1"), guard=("sweep", other))


def test_a_lease_is_not_taken_over_in_the_middle_of_a_guarded_write(log: Log) -> None:
    """Who has the new lease sees everything that was written under the old one."""
    epoch = log.take_lease("sweep", "a", NOON, TTL)
    assert epoch is not None
    found: list[int] = []

    def take_over() -> None:
        log.take_lease("sweep", "b", NOON + TTL, TTL)
        found.append(log.head().position)

    other = threading.Thread(target=take_over)

    def decide(_: Seen) -> Sequence[NewRow]:
        other.start()
        # Were it not kept waiting, it would be done long before this.
        other.join(0.3)
        return [a_pass("1")]

    (position,), _ = log.transact((), (), decide, Clock(), ("sweep", epoch))
    other.join()
    assert found == [position]


# passes


def test_passes_are_found_among_all_else_newest_first(log: Log) -> None:
    """Up to a position, before one, or from the first on."""
    others = [NewRow(f"delivery:{i}", 1, "delivery.received", b"{}") for i in range(9)]
    first, _, second, third = append(
        log, a_pass("1"), others[0], a_pass("1", 2, "sweep.completed"), a_pass("2")
    )
    append(log, *others[1:], NewRow("sweepstake:1", 1, "sweepstake.won", b"{}"))

    def found(**bounds: object) -> list[int]:
        return [row.position for row in log.passes(limit=9, **bounds)]  # type: ignore[arg-type]

    assert found() == [third, second, first]
    assert found(up_to=second) == [second, first]
    assert found(before=second) == [first]
    assert found(oldest_first=True) == [first, second, third]
    assert [row.position for row in log.passes(limit=1)] == [third]
    (row,) = log.passes(limit=1, oldest_first=True)
    assert (row.stream, row.version, row.topic) == ("sweep:1", 1, "sweep.started")
    assert (row.state, row.payload) == (b'{"v":1}', None)


def test_a_decision_sees_the_passes_as_they_are_under_the_lock(log: Log) -> None:
    """Only when it asks."""
    append(log, a_pass("1"), a_pass("2"))
    seen: list[str] = []

    def decide(found: Seen) -> Sequence[NewRow]:
        seen.extend(row.stream for row in found.passes(9))
        seen.extend(row.stream for row in found.passes(1))
        return [a_pass("3")]

    log.transact((), (), decide, Clock())
    assert seen == ["sweep:2", "sweep:1", "sweep:2"]
    assert streams(log)[-1] == "sweep:3"


def run_sqlite(url: str, *statements: str) -> list[str]:
    """Run statements in a SQLite file, and give the last one's rows as text."""
    connection = sqlite3.connect(Path(url.removeprefix("sqlite:///")), isolation_level=None)
    try:
        return [str(row) for statement in statements for row in connection.execute(statement)]
    finally:
        connection.close()


def run_postgres(url: str, *statements: str) -> list[str]:
    """Run statements in a PostgreSQL database, and give their rows as text."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursors = [connection.execute(statement.encode()) for statement in statements]
        return [str(row) for cursor in cursors if cursor.description for row in cursor]


@pytest.mark.parametrize(
    ("fixture", "run", "plan"),
    [
        ("sqlite_url", run_sqlite, ("EXPLAIN QUERY PLAN " + sqlite_writing.PASSES,)),
        (
            "postgres_url",
            run_postgres,
            ("ANALYZE stored_events", "EXPLAIN " + postgres_sweeping.PASSES),
        ),
    ],
    ids=["sqlite", "postgres"],
)
def test_an_older_ledger_gets_the_index_of_passes_when_it_is_written_again(
    request: pytest.FixtureRequest,
    fixture: str,
    run: Callable[..., list[str]],
    plan: tuple[str, ...],
) -> None:
    """And both ways to ask for passes use it."""
    url = request.getfixturevalue(fixture)
    old = open_writer(url)
    append(old, *[NewRow(f"delivery:{i}", 1, "delivery.received", b"{}") for i in range(3_000)])
    append(old, a_pass("1"))
    old.close()
    run(url, f"DROP INDEX {INDEX}", "DROP TABLE leases")
    reader = open_log(url, writer=False, entropy=counting_entropy(), now=Clock())
    assert [row.stream for row in reader.passes(limit=9)] == ["sweep:1"]
    reader.close()
    new = open_writer(url)
    assert [row.stream for row in new.passes(limit=9)] == ["sweep:1"]
    assert new.take_lease("sweep", "a", NOON, TTL) == 1
    new.close()
    *before, explain = plan
    for bound in ("", " AND e.notification_id < 9000"):
        asked = f"{explain}{bound} ORDER BY e.notification_id DESC LIMIT 5"
        assert INDEX in " ".join(run(url, *before, asked))
