"""How views keep up with the log: batches, crashes, bad events, other processes."""

import logging
import threading

import pytest

from ledger.domain import events
from ledger.domain.errors import StoreUnavailable
from ledger.recorders import codec
from ledger.recorders.base import NewRow, StoredRow
from ledger.recorders.codec import to_row
from projections.applying import Overtaken
from projections.current_state.projection import CurrentState
from projections.deliveries.projection import PARK
from projections.errors import ViewsAhead
from projections.registry import PROJECTIONS, all_projections
from projections.runner import NOT_SEEN, Runner
from projections.store import Session
from tests.builders import NOON
from tests.given import MINUTE, as_statement, created, expired, updated
from tests.projected import Views, about, dump, received

DEADLINE = 20.0


def tell_some(views: Views, count: int = 6) -> None:
    """A few connections, each with two claims."""
    for i in range(count):
        views.tell(
            about(f"conn_{i}", as_statement(created(client="a"))),
            about(f"conn_{i}", as_statement(expired(at=MINUTE))),
        )


def ids(views: Views) -> list[str]:
    """The ids of the connections in the view."""
    answer = views.questions.connections(now_ms=NOON, limit=500)
    return [view.id for view in answer.value.items]


# crashes


def test_rows_and_position_are_lost_together(views: Views, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the end of a batch fails, neither its rows nor its position remain."""
    tell_some(views)
    before = dump(views.store)
    track = views.store.track

    def fail(session: Session, name: str, position: int) -> None:
        track(session, name, position)
        if name == "history":
            raise KeyboardInterrupt

    monkeypatch.setattr(views.store, "track", fail)
    with pytest.raises(KeyboardInterrupt):
        views.runner.step()
    assert dump(views.store) == before
    assert set(views.questions.positions().values()) == {0}
    monkeypatch.setattr(views.store, "track", track)
    views.catch_up()
    assert len(ids(views)) == 6
    assert set(views.questions.positions().values()) == {views.log.head().position}


def test_how_far_the_views_are_is_not_known_before_somebody_looked(views: Views) -> None:
    """Nobody who starts on old views takes them for empty ones, and reads the log anew."""
    views.tell(as_statement(created()))
    views.catch_up()
    again = Runner(views.log, views.store)
    assert set(again.positions().values()) == {NOT_SEEN}
    assert not again.wait_for(0, 0)
    again.step(0)
    assert set(again.positions().values()) == {views.log.head().position}
    assert again.wait_for(0, 0)


def test_a_crash_between_batches_repeats_nothing(views: Views) -> None:
    """Each batch counts once, although each is taken by a runner that has just started."""
    tell_some(views)
    views.catch_up()
    whole = dump(views.store)
    again = views.open(2)
    while Runner(views.log, again, limit=5).step():
        pass
    assert dump(again) == whole
    assert [row[-1] for row in whole["dialects"]] == [12]


def test_a_store_that_is_down_is_asked_again(views: Views, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that the store refused is taken again as it was."""
    tell_some(views)
    with monkeypatch.context() as down:
        down.setattr(views.store, "track", _raise_unavailable)
        with pytest.raises(StoreUnavailable):
            views.runner.step()
    views.catch_up()
    assert len(ids(views)) == 6
    assert views.questions.blocked() == ()


def _raise_unavailable(*_: object) -> None:
    raise StoreUnavailable("The store is away.")


# projections at different positions


def test_a_projection_that_is_behind_catches_up_alone_first(views: Views) -> None:
    """From then on all advance together, and the rows are the same as if they always had."""
    tell_some(views, 3)
    first = views.open(2)
    Runner(views.log, first, [CurrentState(views.log.key)], limit=4).step()
    runner = Runner(views.log, first, limit=100)
    assert runner.step() == 4
    positions = runner.positions()
    assert set(positions.values()) == {positions["current_state"]}
    views.catch_up(first)
    views.catch_up()
    assert dump(first) == dump(views.store)


def test_a_second_process_takes_no_batch_twice(views: Views) -> None:
    """Who was overtaken writes nothing, looks again and goes on from there."""
    tell_some(views, 2)
    other = Runner(views.log, views.store)
    views.catch_up()
    assert other.step() == 0
    tell_some(views, 4)
    views.catch_up()
    whole = dump(views.store)
    with pytest.raises(Overtaken):
        other.step()
    assert dump(views.store) == whole
    assert other.step() == 0


def test_views_of_a_longer_log_are_refused(views: Views) -> None:
    """Positions beyond the end of the log mean that they were read from another one."""
    tell_some(views, 1)
    with views.store.writing() as session:
        views.store.track(session, "history", 1_000)
    with pytest.raises(ViewsAhead, match="remove the views"):
        Runner(views.log, views.store).step()


# bad events


def bad_rows(views: Views) -> list[NewRow]:
    """The three ways in which an event cannot be read, on one stream each, at version 2."""
    claim = about("conn_0", as_statement(updated(at=MINUTE)))
    good = to_row("connection:conn_0", 2, events.ConnectionUpdated(statement=claim), salt=b"s")
    return [
        good._replace(topic="connection.of_tomorrow"),
        good._replace(stream="connection:conn_1", state=b'{"v":99,"x":1}'),
        good._replace(stream="connection:conn_2", state=b'{"v":1,"statement":7}'),
    ]


def test_a_bad_event_blocks_its_stream_only(views: Views, caplog: pytest.LogCaptureFixture) -> None:
    """What came before it stays in the view, flagged; other streams go on; no id is logged."""
    for i in range(4):
        views.tell(about(f"conn_{i}", as_statement(created(client="a"))))
    positions = views.append(*bad_rows(views))
    views.tell(about("conn_3", as_statement(expired(at=MINUTE))))
    with caplog.at_level(logging.INFO):
        views.catch_up()
    blocked = views.questions.blocked()
    assert {(b.projection, b.stream, b.position) for b in blocked} == {
        (projection, f"connection:conn_{i}", positions[i])
        for projection in ("current_state", "history")
        for i in range(3)
    }
    assert {b.reason.partition(":")[0] for b in blocked} == {
        "UnknownEventType",
        "EventTooNew",
        "UnreadableEvent",
    }
    answer = views.questions.client("a", now_ms=NOON)
    assert answer is not None
    assert [(c.status, "blocked" in c.flags) for c in answer.value.connections] == [
        ("active", True),
        ("active", True),
        ("active", True),
        ("expired", False),
    ]
    folded = views.from_log.client("a", now_ms=NOON)
    assert folded == answer
    counts = views.questions.counts().blocked
    assert counts == dict.fromkeys(PROJECTIONS, 0) | {"current_state": 3, "history": 3}
    assert "conn~" in caplog.text
    assert "conn_" not in caplog.text


def learn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the program be one that knows the types of tomorrow."""
    names = {
        "connection.of_tomorrow": events.ConnectionUpdated.NAME,
        "delivery.of_tomorrow": events.DeliveryRepeated.NAME,
    }

    def to_event(row: StoredRow) -> events.Event:
        return codec.to_event(row._replace(topic=names.get(row.topic, row.topic)))

    monkeypatch.setattr("projections.batch.to_event", to_event)


@pytest.mark.parametrize("how", ["start", "next event"])
def test_a_blocked_stream_goes_on_when_its_events_can_be_read(
    views: Views, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """At the next start, or when the stream goes on, the rows become what they should be."""
    views.tell(about("conn_0", as_statement(created(client="a"))))
    views.append(bad_rows(views)[0])
    views.catch_up()
    assert len(views.questions.blocked()) == 2
    learn(monkeypatch)
    if how == "start":
        Runner(views.log, views.store).step()
    else:
        statement = about("conn_0", as_statement(expired(at=2 * MINUTE)))
        event = events.ConnectionExpired(statement=statement)
        views.append(to_row("connection:conn_0", 3, event, salt=b"s"))
        views.catch_up()
    assert views.questions.blocked() == ()
    fresh = views.open(2)
    views.catch_up(fresh)
    assert dump(fresh) == dump(views.store)


def test_a_stream_stays_blocked_while_it_cannot_be_read(views: Views) -> None:
    """Later events of the stream change nothing in the view, and the block keeps its place."""
    views.tell(about("conn_0", as_statement(created(client="a"))))
    views.append(bad_rows(views)[0])
    views.catch_up()
    before = dump(views.store)
    statement = about("conn_0", as_statement(expired(at=2 * MINUTE)))
    event = events.ConnectionExpired(statement=statement)
    views.append(to_row("connection:conn_0", 3, event, salt=b"s"))
    views.catch_up()
    assert dump(views.store) == before
    Runner(views.log, views.store).step()
    assert dump(views.store) == before


def test_a_bad_delivery_event_is_counted_once_it_can_be_read(
    views: Views, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a blocked delivery said is neither lost nor counted twice."""
    signed = (events.Signed("documented", NOON // 1000, "secret 1"),)
    repeated = events.DeliveryRepeated(receipt="x", observed=NOON + 5, signed=signed)
    views.append(
        to_row("delivery:1", 1, received(NOON), payload=b"body", salt=b"s"),
        to_row("delivery:1", 2, repeated),
        to_row("delivery:1", 3, repeated)._replace(topic="delivery.of_tomorrow"),
    )
    views.catch_up()
    views.append(to_row("delivery:1", 4, repeated))
    views.catch_up()
    assert [row[2] for row in dump(views.store)["dialects"]] == [2]
    learn(monkeypatch)
    Runner(views.log, views.store).step()
    assert [row[2] for row in dump(views.store)["dialects"]] == [4]
    assert views.questions.blocked() == ()


def test_what_the_database_refuses_blocks_its_stream_only(views: Views) -> None:
    """PostgreSQL's text cannot hold a NUL: the rest of the batch is written all the same."""
    views.tell(
        about("conn_0", as_statement(created(client="a"))),
        about("conn_1", as_statement(created(client="nul\0"))),
        about("conn_2", as_statement(created(client="a"))),
    )
    views.catch_up()
    refused = {blocked.stream for blocked in views.questions.blocked()}
    assert refused <= {"connection:conn_1"}
    assert bool(refused) is views.url.startswith("postgres")
    assert [one for one in ids(views) if one != "conn_1"] == ["conn_0", "conn_2"]
    assert set(views.questions.positions().values()) == {views.log.head().position}


def test_a_fold_that_fails_blocks_its_stream_only(
    views: Views, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a projection stumbles over is kept to the stream, without its text."""
    tell_some(views, 3)
    projection = all_projections(views.log.key)[0]
    writes = projection.writes

    def stumble(told: object) -> object:
        if told.stream == "connection:conn_1":  # type: ignore[attr-defined]
            raise KeyError("secret")
        return writes(told)  # type: ignore[arg-type]

    monkeypatch.setattr(projection, "writes", stumble)
    Runner(views.log, views.store, [projection]).step()
    assert ids(views) == ["conn_0", "conn_2"]
    (blocked,) = views.questions.blocked()
    assert blocked.reason == "KeyError while it was folded"


# waiting


def test_waiting_for_a_position_ends_when_the_views_have_read_it(views: Views) -> None:
    """A commit that wakes the loop is answered; a position beyond the log is not waited for."""
    stop, wake = threading.Event(), threading.Event()
    thread = threading.Thread(target=views.runner.run, args=(stop, wake, DEADLINE))
    thread.start()
    try:
        assert views.runner.wait_for(0, DEADLINE)
        for i in range(3):
            position = views.tell(about(f"conn_{i}", as_statement(created(client="a"))))[-1]
            wake.set()
            assert views.runner.wait_for(position, DEADLINE)
            assert len(ids(views)) == i + 1
        assert not views.runner.wait_for(position + 1, 0.0)
    finally:
        stop.set()
        wake.set()
        thread.join(DEADLINE)
    assert not thread.is_alive()


def test_the_loop_goes_on_after_a_failure(
    views: Views, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A store that was away is found again, and the log says once that it was."""
    tell_some(views, 2)
    track, failures = views.store.track, [3]

    def sometimes(session: Session, name: str, position: int) -> None:
        if failures[0]:
            failures[0] -= 1
            raise StoreUnavailable("The store is away.")
        track(session, name, position)

    monkeypatch.setattr(views.store, "track", sometimes)
    stop, wake = threading.Event(), threading.Event()
    thread = threading.Thread(target=views.runner.run, args=(stop, wake, 0.001))
    thread.start()
    try:
        assert views.runner.wait_for(views.log.head().position, DEADLINE)
    finally:
        stop.set()
        wake.set()
        thread.join(DEADLINE)
    assert len(ids(views)) == 2
    assert caplog.text.count("The store is away.") == 1


@pytest.mark.parametrize("number", [1, 49, 50, 120])
def test_many_rows_are_written_as_each_would_be(views: Views, number: int) -> None:
    """However many a statement takes together; later ones replace earlier ones."""
    for reason in ("first", "second"):
        rows = [(f"delivery:{one}", one, reason, "d", None, 1, NOON, None) for one in range(number)]
        with views.store.writing() as session:
            session.run_many(PARK, rows)
    with views.store.reading() as session:
        found = session.rows("SELECT position, reason FROM parked{g} ORDER BY position")
    assert [tuple(dict(row).values()) for row in found] == [(n, "second") for n in range(number)]
