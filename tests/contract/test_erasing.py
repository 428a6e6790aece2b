"""Erasing in the log and in the views, at the worst moments, on both databases."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.application import Ledger, LinkStep
from ledger.domain.errors import StoreUnavailable
from ledger.domain.events import ClientErased
from ledger.domain.words import link_stream
from ledger.erasure import Mentions
from ledger.recorders.base import AmbiguousCommit, Log
from ledger.recorders.codec import to_event
from projections import runner as running
from projections.batch import read_batch
from projections.erasing import erase_views
from tests.builders import NOON, delivery, webhook
from tests.linked import asked, opened
from tests.projected import Views, dump

CANARY = "canary-name"


def ledger_of(views: Views) -> Ledger:
    """The ledger that writes the log."""
    return Ledger(views.log, now=views.clock, entropy=lambda count: b"s" * count)


def told(number: int, **more: Any) -> bytes:
    """A delivery about the person."""
    return webhook("updated", at=NOON + number, userData={"name": CANARY}, **more)


def payloads(log: Log) -> int:
    """How many payloads the log holds."""
    return len(log.kept([row.position for row in log.read_log(0, 1_000)]))


def test_what_comes_before_the_lock_is_taken_is_erased_too(
    views: Views, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The long search ends before the lock; what came meanwhile is looked for under it."""
    ledger = ledger_of(views)
    ledger.record([delivery(told(1))])
    erase = views.log.erase

    def late(*args: Any) -> Any:
        if views.log.head().position == 2:
            more = [
                told(2),
                told(3, connection="conn_2"),
                b'{"type": "connection.x", "y": "user_1"}',
            ]
            ledger.record([delivery(body) for body in more])
        return erase(*args)

    monkeypatch.setattr(views.log, "erase", late)
    erased = ledger.forget("user_1", by="test")
    assert erased is not None
    assert (erased.deliveries, erased.claims) == (4, 3)
    assert erased.connections == ("conn_1", "conn_2")
    assert payloads(views.log) == 0


def test_a_commit_in_doubt_is_looked_at_again(
    views: Views, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is erased once, said once, and counted as it was."""
    ledger = ledger_of(views)
    ledger.record([delivery(told(1))])
    erase, doubts = views.log.erase, [1]

    def doubtful(*args: Any) -> Any:
        result = erase(*args)
        if doubts.pop() if doubts else 0:
            raise AmbiguousCommit("Nobody knows.")
        return result

    monkeypatch.setattr(views.log, "erase", doubtful)
    erased = ledger.forget("user_1", by="test")
    assert erased is not None
    assert (erased.deliveries, erased.claims, erased.position) == (1, 1, 3)
    [row] = views.log.read_log(0, 10, topics=["client.erased"])
    event = to_event(row)
    assert isinstance(event, ClientErased)
    assert (event.deliveries, event.claims, event.connections) == (1, 1, ("conn_1",))


def test_an_erasure_that_fails_erases_nothing(
    views: Views, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Payloads and the event go in one transaction, or neither."""
    ledger = ledger_of(views)
    ledger.record([delivery(told(1))])
    erase = views.log.erase

    def fail(streams: Any, decide: Any, now: Any) -> Any:
        def clash(seen: Any) -> Any:
            change = decide(seen)
            # A version that is taken already.
            return change._replace(rows=[change.rows[-1], change.rows[-1]])

        return erase(streams, clash, now)

    with monkeypatch.context() as failing:
        failing.setattr(views.log, "erase", fail)
        with pytest.raises(StoreUnavailable):
            ledger.forget("user_1", by="test")
    assert payloads(views.log) == 2
    erased = ledger.forget("user_1", by="test")
    assert erased is not None
    assert erased.claims == 1


def test_what_was_read_before_and_written_after_does_not_stay(
    views: Views, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The views meet the event in the log and make the rows again."""
    ledger = ledger_of(views)
    ledger.record([delivery(told(number)) for number in range(3)])

    def slow(*args: Any, **kwargs: Any) -> Any:
        batch = read_batch(*args, **kwargs)
        if batch is not None and batch.position == 6:
            erased = ledger.forget("user_1", by="test")
            assert erased is not None
            erase_views(views.log, views.url, erased.connections, views.store)
        return batch

    monkeypatch.setattr(running, "read_batch", slow)
    views.runner.step()
    assert CANARY in repr(dump(views.store))
    views.catch_up()
    assert CANARY not in repr(dump(views.store))
    monkeypatch.undo()
    fresh = views.open(2)
    views.catch_up(fresh)
    assert dump(fresh) == dump(views.store)


def test_views_that_are_behind_are_erased_where_they_are(views: Views) -> None:
    """Up to where they have read; what follows they read without the person."""
    ledger = ledger_of(views)
    ledger.record([delivery(told(1))])
    views.catch_up()
    ledger.record([delivery(told(2))])
    erased = ledger.forget("user_1", by="test")
    assert erased is not None
    assert CANARY in repr(dump(views.store))
    erase_views(views.log, views.url, erased.connections, views.store)
    assert CANARY not in repr(dump(views.store))
    assert set(views.questions.positions().values()) == {2}
    views.catch_up()
    fresh = views.open(2)
    views.catch_up(fresh)
    assert dump(fresh) == dump(views.store)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"a": "user/1"}', True),
        (b'{"a": "user\\/1"}', True),
        (b'{"user/1": 2}', True),
        (b"ref=user/1&x", True),
        (b'"{\\"a\\": \\"user/1\\"}"', True),
        (b'{"a": "user/12"}', False),
        (b'{"a": "a.user/1"}', False),
        (b'{"a": "7"}', True),
        (b'{"a": "{\\"b\\": \\"7\\"}"}', True),
        (b'{"a": 7, "b": "17", "c": "7 "}', False),
        ('{"a": "Ünä"}'.encode(), True),
        (b'{"a": "\\u00dcn\\u00e4"}', True),
        (b'{"a": "\\u00DCn\\u00E4"}', True),
        (b"", False),
    ],
)
def test_a_body_names_somebody_in_any_form_of_json(body: bytes, expected: bool) -> None:
    """A long text wherever it stands alone; a short one only as a whole string."""
    mentions = Mentions(["user/1", "7", "Ünä"])
    assert mentions(body) is expected
    assert any(needle in body for needle in mentions.needles) or not expected


REASON = b'{"reason":"canary-reason"}'
URL = b"https://link.ofauth.example/canary-url"


def link(views: Views, number: int, client: str | None, target: str | None = None) -> str:
    """A Link session that was asked for, with a reason, and opened; gives its stream."""
    name = f"link_{number:024x}"
    wish = asked(client=client, connection=target)
    ledger_of(views).record(
        [
            LinkStep(link=name, events=(wish,), payload=REASON, salt=b"s"),
            LinkStep(link=name, events=(opened(),), payload=URL, salt=b"s"),
        ]
    )
    return link_stream(name)


def test_what_rests_beside_the_sessions_of_a_client_is_erased(views: Views) -> None:
    """Those that name the client, and those that name nobody and one of its connections."""
    ledger = ledger_of(views)
    ledger.record([delivery(told(1)), delivery(webhook(connection="conn_2", ref="user_2"))])
    ours = [link(views, 1, "user_1"), link(views, 2, None, "conn_1")]
    others = [
        link(views, 3, "user_2"),
        link(views, 4, None, "conn_2"),
        link(views, 5, "user_2", "conn_1"),
        link(views, 6, None),
    ]
    views.catch_up()
    before = views.questions.client("user_1", now_ms=NOON)
    erased = ledger.forget("user_1", by="test")
    assert erased is not None
    assert (erased.links, erased.deliveries, erased.claims) == (2, 1, 1)
    rows = views.log.read_streams([*ours, *others])
    kept = views.log.kept([row.position for row in rows])
    assert {row.stream for row in rows if row.position in kept} == set(others)
    views.catch_up()
    after = views.questions.client("user_1", now_ms=NOON)
    assert before is not None
    assert after is not None
    assert after.value.link_sessions == before.value.link_sessions
    again = ledger.forget("user_1", by="test")
    assert again is not None
    assert (again.links, again.position) == (0, erased.position)


def test_a_client_of_whom_only_a_session_is_known_can_be_erased(views: Views) -> None:
    """Also when nothing rests beside it: then it is only said that it was asked for."""
    ledger = ledger_of(views)
    link(views, 1, "user_1")
    bare = LinkStep(link=f"link_{2:024x}", events=(asked(client="user_2"),))
    ledger.record([bare])
    first, second = (ledger.forget(client, by="test") for client in ("user_1", "user_2"))
    assert first is not None
    assert second is not None
    assert (first.links, second.links) == (1, 0)
    assert payloads(views.log) == 0
    assert len(views.log.read_log(0, 10, topics=["client.erased"])) == 2
    assert ledger.forget("user_3", by="test") is None


def test_a_session_that_comes_before_the_lock_is_taken_is_erased_too(
    views: Views, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Like a delivery."""
    link(views, 1, "user_1")
    erase, late = views.log.erase, [2]

    def erase_late(*args: Any) -> Any:
        if late:
            link(views, late.pop(), "user_1")
        return erase(*args)

    monkeypatch.setattr(views.log, "erase", erase_late)
    erased = ledger_of(views).forget("user_1", by="test")
    assert erased is not None
    assert erased.links == 2
    assert payloads(views.log) == 0
