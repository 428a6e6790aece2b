"""The feed: the whole log in its order, nothing left out, and a wait that costs little."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from api import arrivals, events
from api.arrivals import PLACES, Arrivals
from ledger.domain.events import TYPES
from ledger.recorders.base import NewRow
from tests.builders import NOON, SECRET, webhook
from tests.serving import ADMIN, READ, Serving

EVENTS = "/api/events"


def whole(serving: Serving, token: str = ADMIN, **query: Any) -> list[Any]:
    """Everything from the start, page by page with `nextAfter`."""
    items: list[Any] = []
    after = 0
    while True:
        answer = serving.get(EVENTS, token, after=after, minPosition=None, **query)
        assert answer.status_code == 200, answer.text
        items += answer.json["items"]
        if not answer.json["items"]:
            return items
        assert answer.json["nextAfter"] > after
        after = answer.json["nextAfter"]


def tell_some(serving: Serving) -> None:
    """A life of one connection, something parked, and a repeat."""
    serving.tell(userData={"name": "Ann"}, permissions=["profile:read"])
    serving.tell("expired", at=NOON + 1000)
    serving.tell("expired", at=NOON + 1000)
    serving.deliver(b"{")


@pytest.mark.parametrize("limit", [1, 2, 500])
def test_the_feed_is_the_log_in_its_order(serving: Serving, limit: int) -> None:
    """Every event once, by ascending position, whatever the size of a page."""
    tell_some(serving)
    items = whole(serving, limit=limit)
    assert [item["type"] for item in items] == [
        "delivery.received", "connection.created", "delivery.received", "connection.expired",
        "delivery.repeated", "delivery.received", "delivery.parked",
    ]  # fmt: skip
    positions = [item["position"] for item in items]
    assert all(a < b for a, b in pairwise(positions))
    log = serving.service.services.log
    assert positions == [row.position for row in log.read_log(0, 100)]


def test_every_time_of_every_event_is_given_as_text() -> None:
    """What else is a whole number counts something; a new one must be put to either."""
    counts = {"size", "claims", "deliveries", "appended", "connections", "live", "repairs"}
    counts |= {"requests", "rows", "transitions"}
    numbers = {
        field.name
        for cls in TYPES.values()
        for field in dataclasses.fields(cls)
        if field.type in (int, "int", "int | None", int | None)
    }
    assert numbers - counts == events._TIMES


def test_an_event_says_what_was_stated_and_on_what_evidence(serving: Serving) -> None:
    """Fields by the provider's names, times as texts, and the delivery."""
    tell_some(serving)
    received, created, *_ = whole(serving)
    assert created["stream"] == "connection:conn_1"
    assert created["version"] == 1
    assert created["occurredAt"] == "2026-01-01T12:00:00.000Z"
    assert received["occurredAt"] is None
    data = created["data"]
    assert data["evidence"].pop("observedAt") == received["data"]["observedAt"]
    assert data["evidence"] == {"deliveryId": received["stream"], "dialect": "documented"}
    assert len(data.pop("claimId")) == 32
    del data["evidence"]
    assert data == {
        "connectionId": "conn_1", "kind": "webhook.created", "status": "active",
        "clientReferenceId": "user_1", "permissions": ["profile:read"],
        "userData": {"name": "Ann"}, "flags": [],
    }  # fmt: skip
    assert received["data"]["signed"][0]["secret"] == SECRET.label
    assert "receipt" not in received["data"]


def test_the_data_of_deliveries_needs_the_scope_admin(serving: Serving) -> None:
    """A reader sees that they came; what they were is for administrators."""
    tell_some(serving)
    for item in whole(serving, READ):
        assert (item["data"] is None) is item["type"].startswith("delivery.")
    assert all(item["data"] is not None for item in whole(serving, ADMIN))


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        (["connection.expired"], ["connection.expired"]),
        (["connection."], ["connection.created", "connection.expired"]),
        (["delivery.parked", "connection.created"], ["connection.created", "delivery.parked"]),
        (["client."], []),
    ],
)
def test_types_choose_and_nothing_is_read_twice(
    serving: Serving, types: list[str], expected: list[str]
) -> None:
    """`nextAfter` also passes over what was not asked for."""
    tell_some(serving)
    assert [item["type"] for item in whole(serving, type=types, limit=1)] == expected
    head = serving.service.services.log.head().position
    assert serving.read(EVENTS, type=types, limit=500)["nextAfter"] == head


def test_a_cursor_goes_on_where_a_full_page_ended(serving: Serving) -> None:
    """As with every list; without more there is none."""
    tell_some(serving)
    first = serving.read(EVENTS, limit=4)
    second = serving.read(EVENTS, limit=4, cursor=first["nextCursor"])
    assert second["nextCursor"] is None
    assert len(first["items"] + second["items"]) == 7
    assert second["items"][0]["position"] > first["items"][-1]["position"]


@pytest.mark.parametrize(
    "query",
    [{"after": 10**6}, {"after": "x"}, {"wait": 21}, {"type": "x"}, {"limit": 501}, {"since": 1}],
)
def test_a_feed_that_cannot_be_is_refused(small: Serving, query: dict[str, Any]) -> None:
    """Above all a position beyond the end, which would wait for events of another log."""
    small.tell()
    assert small.get(EVENTS, **query).status_code == 422


def test_an_event_that_cannot_be_read_is_not_left_out(serving: Serving) -> None:
    """What a newer program wrote has its place and its type, and no data."""
    serving.tell()
    log, now = serving.service.services.log, serving.service.services.now
    row = NewRow("connection:x", 1, "connection.of_tomorrow", b'{"v":9}')
    log.transact((), (), lambda _: [row], now)
    last = whole(serving)[-1]
    assert (last["type"], last["data"]) == ("connection.of_tomorrow", None)


# waiting


def asking(ask: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """Ask in another thread; the answer is in the list once the thread has ended."""
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(ask()))
    thread.start()
    return thread, answers


def waiting_at(serving: Serving, count: int) -> None:
    """Return when so many readers wait."""
    places = serving.service.services.arrivals._places
    until = time.monotonic() + 20
    while places._value > PLACES - count:
        assert time.monotonic() < until
        threading.Event().wait(0.005)


def test_a_waiting_reader_is_answered_by_the_next_commit(serving: Serving) -> None:
    """Long before its time is over."""
    serving.tell()
    end = serving.read(EVENTS)["nextAfter"]
    began = time.monotonic()
    thread, answers = asking(lambda: serving.read(EVENTS, after=end, wait=20))
    waiting_at(serving, 1)
    serving.tell("expired", at=NOON + 1000)
    thread.join(20)
    assert time.monotonic() - began < 15
    assert answers[0]["items"][0]["type"] == "delivery.received"
    assert answers[0]["nextAfter"] > end


def test_a_waiting_reader_passes_over_what_it_does_not_want(serving: Serving) -> None:
    """It goes on waiting for its types."""
    serving.tell()
    end = serving.read(EVENTS)["nextAfter"]
    thread, answers = asking(
        lambda: serving.read(EVENTS, after=end, wait=20, type="connection.expired")
    )
    waiting_at(serving, 1)
    serving.deliver(b"{")
    serving.tell("expired", at=NOON + 1000)
    thread.join(20)
    assert [item["type"] for item in answers[0]["items"]] == ["connection.expired"]


def test_a_reader_is_not_kept_longer_than_it_asked(small: Serving) -> None:
    """An empty answer says where to go on."""
    small.tell()
    end = small.read(EVENTS)["nextAfter"]
    answer = small.read(EVENTS, after=end, wait=1)
    assert answer == {"items": [], "nextCursor": None, "nextAfter": end}


def test_only_so_many_wait_and_others_are_answered_at_once(small: Serving) -> None:
    """Half of the slots stay free for questions; the end of the service lets all go."""
    small.tell()
    end = small.read(EVENTS)["nextAfter"]
    waiting = [asking(lambda: small.read(EVENTS, after=end, wait=20)) for _ in range(PLACES)]
    waiting_at(small, PLACES)
    began = time.monotonic()
    assert small.read(EVENTS, after=end, wait=20)["items"] == []
    assert time.monotonic() - began < 10
    small.service.hang_up()
    for thread, answers in waiting:
        thread.join(10)
        assert answers[0]["items"] == []


def test_commits_of_another_process_are_noticed(postgres_url: str, tmp_path: Path) -> None:
    """On PostgreSQL a reader at one service hears what came in at another."""
    with Serving(postgres_url, tmp_path) as one, Serving(postgres_url, tmp_path) as other:
        one.tell()
        end = one.read(EVENTS)["nextAfter"]
        thread, answers = asking(lambda: one.read(EVENTS, after=end, wait=20))
        waiting_at(one, 1)
        other.tell("expired", at=NOON + 1000)
        thread.join(20)
        assert len(answers[0]["items"]) == 2


def test_however_many_wait_the_log_is_looked_at_once_in_a_while() -> None:
    """One look serves all, and none of them is a busy loop."""
    now, looks = [0.0], []

    def look() -> int:
        looks.append(now[0])
        now[0] += arrivals.LOOK_S / 2
        return 0

    waiting = Arrivals(look, lambda: now[0])
    waiting._moved.wait = lambda timeout: now.__setitem__(0, now[0] + timeout)  # type: ignore[method-assign, assignment]
    assert not waiting.wait_beyond(0, 10.0)
    assert len(looks) <= 10.0 / arrivals.LOOK_S + 1
    assert all(b - a >= arrivals.LOOK_S * 0.99 for a, b in pairwise(looks))


def test_nothing_is_missed_while_many_write(serving: Serving) -> None:
    """A consumer that follows the feed sees every event of concurrent writers, in order."""
    writers, each = 4, 15
    seen: list[int] = []

    def follow() -> None:
        after = 0
        while len(seen) < 2 * writers * each:
            answer = serving.client.get(
                f"{EVENTS}?after={after}&wait=20&limit=7", headers={"apikey": ADMIN}
            )
            assert answer.status_code == 200
            seen.extend(item["position"] for item in answer.json["items"])
            after = answer.json["nextAfter"]

    def write(number: int) -> None:
        for i in range(each):
            body = webhook("updated", f"conn_{number}", at=NOON + i)
            assert serving.deliver(body).status_code == 204

    threads = [threading.Thread(target=write, args=(n,)) for n in range(writers)]
    reader = threading.Thread(target=follow)
    for thread in (reader, *threads):
        thread.start()
    for thread in (*threads, reader):
        thread.join(60)
    log = serving.service.services.log
    assert seen == [row.position for row in log.read_log(0, 1000)]
    assert len(seen) == 2 * writers * each


def test_the_feed_is_described(small: Serving) -> None:
    """OpenAPI has the route with its parameters."""
    described = small.read("/openapi.json")["paths"][EVENTS]["get"]
    names = {one.get("name") for one in described["parameters"]}
    assert {"after", "limit", "cursor", "type", "wait"} <= names
    assert json.dumps(described)
