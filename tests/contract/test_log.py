"""What every log promises, whatever database holds it."""

import threading
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from ledger.domain.errors import StoreUnavailable, WriterLocked
from ledger.recorders import BadDatabaseUrl, open_log
from ledger.recorders.base import Log, NewRow, Seen, names_of_kind
from tests.builders import Clock, counting_entropy


def open_writer(url: str, clock: Clock | None = None) -> Log:
    """Open a log for writing, with names that are the same in every run."""
    return open_log(url, writer=True, entropy=counting_entropy(), now=clock or Clock())


@pytest.fixture
def log(database_url: str) -> Iterator[Log]:
    """An empty log on each database."""
    log = open_writer(database_url)
    yield log
    log.close()


def append(log: Log, *rows: NewRow, clock: Clock | None = None) -> list[int]:
    """Append rows without looking."""
    return log.transact((), (), lambda _: rows, clock or Clock())[0]


def row(stream: str, version: int = 1, topic: str = "delivery.received", **more: object) -> NewRow:
    """A row whose state does not matter."""
    return NewRow(stream, version, topic, b'{"v":1}', **more)  # type: ignore[arg-type]


def test_an_empty_log_ends_at_zero(log: Log) -> None:
    """Position 0 is before the first event."""
    assert log.head() == (0, 0)
    assert log.position_at(2**60) == 0
    assert log.read_log(0, 10) == []


def test_a_batch_of_many_streams_is_appended_at_ascending_positions(log: Log) -> None:
    """Events lie in the log in the order in which they were decided."""
    positions = append(log, row("delivery:a"), row("connection:x"), row("delivery:a", 2))
    assert positions == sorted(positions)
    assert [r.stream for r in log.read_log(0, 10)] == ["delivery:a", "connection:x", "delivery:a"]
    assert [r.position for r in log.read_log(positions[0], 10)] == positions[1:]
    assert [r.position for r in log.read_log(0, 10, up_to=positions[1])] == positions[:2]


def test_recorded_times_ascend_even_when_the_clock_goes_back(log: Log) -> None:
    """`recordedAt` of an event is always greater than that of the one before."""
    append(log, row("delivery:a"), row("delivery:b"), clock=Clock(5_000))
    append(log, row("delivery:c"), row("delivery:d"), clock=Clock(1_000))
    times = [r.recorded_at for r in log.read_log(0, 10)]
    assert times == sorted(set(times))


def test_a_decision_sees_the_streams_it_named_and_the_end_of_the_log(log: Log) -> None:
    """What is read under the lock is whole: all versions, with connections' payloads."""
    append(
        log,
        row("delivery:a", payload=b"body", salt=b"s", message_id="msg_1"),
        row("connection:x", topic="connection.created", payload=b'{"a":1}', salt=b"s"),
        row("connection:y", topic="connection.created"),
    )
    seen: list[Seen] = []

    def decide(found: Seen) -> Sequence[NewRow]:
        seen.append(found)
        return ()

    _, head = log.transact({"delivery:a", "connection:x"}, {"msg_1", "msg_2"}, decide, Clock())
    assert [(r.stream, r.payload) for r in seen[0].rows] == [
        ("connection:x", b'{"a":1}'),
        ("delivery:a", None),
    ]
    assert list(seen[0].message_streams) == [("msg_1", "delivery:a")]
    assert seen[0].head == head == log.head()


def test_a_failing_decision_appends_nothing_and_frees_the_lock(log: Log) -> None:
    """An error between reading and appending leaves the log as it was."""

    def fail(_: Seen) -> Sequence[NewRow]:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        log.transact((), (), fail, Clock())
    assert append(log, row("delivery:a"))
    assert len(log.read_log(0, 10)) == 1


def test_a_version_that_exists_refuses_the_whole_batch(log: Log) -> None:
    """Stream and version are unique: of a batch with one conflict nothing is stored."""
    append(log, row("delivery:a"))
    with pytest.raises(StoreUnavailable):
        append(log, row("delivery:b"), row("delivery:a"))
    assert [r.stream for r in log.read_log(0, 10)] == ["delivery:a"]


def test_positions_are_not_reused_after_a_failure(log: Log) -> None:
    """A failed batch may leave a gap, never a position given twice."""
    first = append(log, row("delivery:a"))
    with pytest.raises(StoreUnavailable):
        append(log, row("delivery:b"), row("delivery:a"))
    assert append(log, row("delivery:c"))[0] > first[0]


def test_payloads_rest_apart_and_are_found_by_position(log: Log) -> None:
    """Raw bodies come back byte for byte, and never with a listing of the log."""
    body = b'\xff\x00{"broken": "\\ud800"'
    (position,) = append(log, row("delivery:a", payload=body, salt=b"s"))
    assert log.body(position) == body
    assert log.body(position + 1) is None
    assert log.read_log(0, 10, payloads=True)[0].payload is None


def test_the_log_is_read_by_type_and_by_family_of_types(log: Log) -> None:
    """A topic is exact; with a dot at its end it is a prefix."""
    append(
        log,
        row("delivery:a"),
        row("delivery:a", 2, "delivery.repeated"),
        row("connection:x", topic="connection.created"),
    )
    assert len(log.read_log(0, 10, topics=["delivery.repeated"])) == 1
    assert len(log.read_log(0, 10, topics=["delivery."])) == 2
    assert len(log.read_log(0, 10, topics=["delivery.repeated", "connection."])) == 2
    assert len(log.read_log(0, 10, topics=["delivery"])) == 0


def test_first_positions_are_those_of_first_versions(log: Log) -> None:
    """The position of a delivery is that of its `delivery.received`."""
    positions = append(log, row("delivery:a"), row("delivery:a", 2), row("delivery:b"))
    assert log.first_positions(["delivery:a", "delivery:b", "delivery:c"]) == {
        "delivery:a": positions[0],
        "delivery:b": positions[2],
    }


def test_streams_are_read_up_to_a_position(log: Log) -> None:
    """What was known at a position is what lies at or before it."""
    positions = append(log, row("connection:x"), row("connection:x", 2), row("connection:x", 3))
    assert [r.version for r in log.read_streams(["connection:x"], up_to=positions[1])] == [1, 2]


def test_the_events_of_a_kind_of_streams_are_counted_up_to_a_position(log: Log) -> None:
    """What came later does not count, nor what is of another kind."""
    append(log, row("delivery:a"), row("connection:x"), row("connection:y"), row("link:z"))
    end = append(log, row("connection:x", 2))[0]
    append(log, row("connection:x", 3), row("connection:z"), row("delivery:b"))
    assert log.count(names_of_kind("connection:"), end) == 3
    assert log.count(names_of_kind("delivery:"), end) == 1
    assert log.count(names_of_kind("sweep:"), end) == 0


def test_a_time_finds_the_last_position_recorded_by_then(log: Log) -> None:
    """`position_at` is the inverse of `recorded_at`, also between and outside the times."""
    clock = Clock()
    for index in range(40):
        clock.advance(1)
        append(log, row(f"delivery:{index}"), row(f"delivery:{index}", 2), clock=clock)
    rows = log.read_log(0, 100)
    for this, following in pairwise(rows):
        assert log.position_at(this.recorded_at) == this.position
        assert log.position_at(following.recorded_at - 1) == this.position
    assert log.position_at(rows[0].recorded_at - 1) == 0
    assert log.position_at(2**60) == rows[-1].position


def test_writers_in_many_threads_give_one_order(log: Log) -> None:
    """A reader that follows the log never passes over an event."""
    done = threading.Event()
    followed: list[int] = []

    def follow() -> None:
        while True:
            finished = done.is_set()
            rows = log.read_log(followed[-1] if followed else 0, 1000)
            followed.extend(r.position for r in rows)
            if finished and not rows:
                return

    def write(name: int) -> None:
        for index in range(25):
            append(log, row(f"delivery:{name}-{index}"))

    follower = threading.Thread(target=follow)
    writers = [threading.Thread(target=write, args=(name,)) for name in range(6)]
    follower.start()
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    done.set()
    follower.join()
    assert len(followed) == 150
    assert followed == [r.position for r in log.read_log(0, 1000)]


def test_the_store_keeps_its_key(database_url: str) -> None:
    """The key that short ids are made with is made once."""
    log = open_writer(database_url)
    key = log.key
    log.close()
    again = open_log(database_url, writer=True, entropy=lambda size: b"z" * size, now=Clock())
    assert again.key == key
    assert len(key) == 32
    again.close()


def test_a_reader_sees_what_is_committed_and_cannot_write(database_url: str) -> None:
    """A command opens the ledger beside the service without disturbing it."""
    log = open_writer(database_url)
    append(log, row("delivery:a"))
    reader = open_log(database_url, writer=False, entropy=counting_entropy(), now=Clock())
    assert len(reader.read_log(0, 10)) == 1
    append(log, row("delivery:b"))
    assert len(reader.read_log(0, 10)) == 2
    reader.close()
    log.close()
    again = open_log(database_url, writer=False, entropy=counting_entropy(), now=Clock())
    assert len(again.read_log(0, 10)) == 2
    again.close()


def test_a_second_writer_of_a_sqlite_ledger_is_refused(sqlite_url: str) -> None:
    """One process writes a SQLite ledger, and the refusal says what to do."""
    log = open_writer(sqlite_url)
    with pytest.raises(WriterLocked, match="--url"):
        open_writer(sqlite_url)
    log.close()
    open_writer(sqlite_url).close()


def test_a_sqlite_ledger_is_private_and_durable(sqlite_url: str) -> None:
    """Files are mode 0600 and a commit waits for the disk."""
    log = open_writer(sqlite_url)
    append(log, row("delivery:a"))
    folder = Path(sqlite_url.removeprefix("sqlite:///")).parent
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}
    log.close()


def test_reading_a_ledger_that_does_not_exist_says_how_to_make_one(sqlite_url: str) -> None:
    """A reader creates nothing."""
    with pytest.raises(StoreUnavailable, match="serve"):
        open_log(sqlite_url, writer=False, entropy=counting_entropy(), now=Clock())
    assert not Path(sqlite_url.removeprefix("sqlite:///")).exists()


def test_a_ledger_in_a_folder_that_does_not_exist_says_so(tmp_path: Path) -> None:
    """A misspelt folder is not made, and not taken for a damaged ledger."""
    url = f"sqlite:///{tmp_path}/misspelt/ledger.db"
    with pytest.raises(StoreUnavailable, match="misspelt does not exist; make it, or correct"):
        open_log(url, writer=True, entropy=counting_entropy(), now=Clock())
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("url", ["", "mysql://x", "sqlite:///", "/tmp/file", "sqlite://x"])
def test_an_address_of_no_known_form_is_explained(url: str) -> None:
    """A wrong address says which forms there are."""
    with pytest.raises(BadDatabaseUrl, match="postgresql://"):
        open_log(url, writer=True, entropy=counting_entropy(), now=Clock())
