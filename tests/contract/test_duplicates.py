"""Live connections of one upstream account name each other, now and at every earlier moment."""

from random import Random
from typing import Any

import pytest

from ledger.domain.claim import Claim
from ledger.domain.words import account_key
from ledger.recorders.base import Change
from ledger.recorders.codec import statement_of
from projections.answers import Cursor, DuplicateGroup
from projections.current_state import view as current
from projections.erasing import erase_views
from projections.log_questions import LogQuestions
from tests import accounts as model
from tests.given import (
    MINUTE,
    NOON,
    as_statement,
    birth,
    created,
    disconnected,
    expired,
    row,
    updated,
)
from tests.projected import DAY_MS, Views, about, dump
from tests.rebuilding import ended, rebuilds_of

ANN = {"id": "account_ann"}
BEA = {"id": "account_bea"}


def tell(views: Views, **claims: Claim) -> int:
    """Record a claim about each of these connections; gives when the last one was recorded."""
    views.tell(*(about(f"conn_{name}", as_statement(claim)) for name, claim in claims.items()))
    views.catch_up()
    return views.log.head().recorded_at


def pairs(views: Views, **moment: Any) -> dict[str, str | None]:
    """Whose duplicate each connection is; whoever is asked must say the same."""
    with views.store.reading() as session:
        ids = [row["id"] for row in session.rows("SELECT id FROM current_state{g} ORDER BY id")]
    without = LogQuestions(views.log, None, stale_after_ms=DAY_MS)
    asked = [views.questions, views.from_log, without]
    if not moment:
        moment_now = {"as_of_us": views.log.head().recorded_at}
        assert answers(views.questions, ids, **moment_now) == answers(views.questions, ids)
    first, *others = [answers(one, ids, **moment) for one in asked]
    assert [first] * len(others) == others
    return {name.removeprefix("conn_"): other for name, other in first.items()}


def answers(questions: Any, ids: list[str], **moment: Any) -> dict[str, str | None]:
    """What one of those who can be asked says of each connection that it knows."""
    found = {}
    for one in ids:
        answer = questions.connection(one, now_ms=NOON, **moment)
        if answer is not None:
            other = answer.value.duplicate_of
            found[one] = None if other is None else other.removeprefix("conn_")
    return found


def groups(views: Views, limit: int = 50) -> list[DuplicateGroup]:
    """All groups of duplicates, page by page."""
    found: list[DuplicateGroup] = []
    after: Cursor | None = None
    while True:
        page = views.questions.duplicates(now_ms=NOON, after=after, limit=limit).value
        assert len(page.items) <= limit
        found += page.items
        after = page.next
        if after is None:
            return found


def test_two_live_connections_of_one_account_are_duplicates_of_each_other(views: Views) -> None:
    """Whoever has them; one of another account is not concerned."""
    tell(views, a=created(client="1", user=ANN), b=created(client="2", user=ANN))
    tell(views, c=created(client="1", user=BEA), d=created(client="1"))
    assert pairs(views) == {"a": "b", "b": "a", "c": None, "d": None}


def test_of_several_the_oldest_other_one_is_named(views: Views) -> None:
    """By when it was created, then by id; one whose beginning is unknown comes last."""
    tell(views, c=created(at=MINUTE, user=ANN), b=created(at=MINUTE, user=ANN))
    tell(views, a=updated(at=-MINUTE, user=ANN), d=created(at=9 * MINUTE, user=ANN))
    assert pairs(views) == {"a": "b", "b": "c", "c": "b", "d": "b"}
    tell(views, d=updated(at=10 * MINUTE, createdAt=NOON))
    assert pairs(views) == {"a": "d", "b": "d", "c": "d", "d": "b"}
    tell(views, a=birth(at=-1, user=ANN))
    assert pairs(views) == {"a": "d", "b": "a", "c": "a", "d": "a"}


def test_one_that_is_deleted_or_imported_does_not_count(views: Views) -> None:
    """Neither is billed; an expired one is."""
    tell(views, a=created(user=ANN), b=created(user=ANN), c=created(user=ANN))
    tell(views, a=disconnected(at=MINUTE), b=expired(at=MINUTE))
    assert pairs(views) == {"a": None, "b": "c", "c": "b"}
    tell(views, b=row(at=2 * MINUTE, answered=3 * MINUTE, imported=True))
    assert pairs(views) == {"a": None, "b": None, "c": None}
    tell(views, b=row(at=4 * MINUTE, answered=5 * MINUTE, imported=False))
    assert pairs(views) == {"a": None, "b": "c", "c": "b"}
    tell(views, a=row(at=20 * MINUTE, answered=20 * MINUTE))
    assert pairs(views) == {"a": "b", "b": "a", "c": "a"}


def test_the_account_is_said_in_one_of_two_fields(views: Views) -> None:
    """`userData.id` counts before `platformUserId`, and a number is the same as its digits."""
    tell(views, a=created(user={"id": 7}), b=created(platformUserId="7"))
    tell(views, c=created(platformUserId="7", user={"id": "8"}), d=created(user={"name": "7"}))
    tell(views, e=created(user={"id": True}), f=created(user={"id": "True"}))
    tell(views, g=created(user={"id": ["7"]}), h=created(user={"id": {}}, platformUserId="9"))
    tell(views, i=created(user={"id": ""}, platformUserId="9"), j=created(user={"id": 8}))
    found = pairs(views)
    assert found == {**dict.fromkeys("defg"), "a": "b", "b": "a", "c": "j", "j": "c", "h": "i",
                     "i": "h"}  # fmt: skip


def test_the_past_knows_the_account_that_was_said_then(views: Views) -> None:
    """`asOf` by what was recorded, `validAt` by what had occurred; both without the other's."""
    first = tell(views, a=created(user=ANN), b=created(at=MINUTE))
    second = tell(views, b=updated(at=3 * MINUTE, user=ANN))
    third = tell(views, a=updated(at=5 * MINUTE, user=BEA), c=created(at=6 * MINUTE, user=ANN))
    last = tell(views, a=disconnected(at=8 * MINUTE))
    shared = {"a": "b", "b": "a"}
    assert pairs(views, as_of_us=first) == {"a": None, "b": None}
    assert pairs(views, as_of_us=second) == shared
    assert pairs(views, as_of_us=third) == {"a": None, "b": "c", "c": "b"}
    assert pairs(views, as_of_us=last) == pairs(views)
    assert pairs(views, valid_at_ms=NOON + 2 * MINUTE) == {"a": None, "b": None}
    assert pairs(views, valid_at_ms=NOON + 4 * MINUTE) == shared
    assert pairs(views, as_of_us=second, valid_at_ms=NOON + 9 * MINUTE) == shared
    assert pairs(views, valid_at_ms=NOON) == {"a": None}


def test_lists_and_clients_say_the_same_as_each_connection(views: Views) -> None:
    """With every condition; and those of a client also when the others are not the client's."""
    views.tell(*model.crowd(3, 30))
    views.catch_up()
    expected = {f"conn_{name}": other and f"conn_{other}" for name, other in pairs(views).items()}
    assert len(set(expected.values())) > 4
    for conditions in ({}, {"status": "active"}, {"client": "user_1"}, {"stale": False}):
        page = views.questions.connections(now_ms=NOON, limit=500, **conditions)  # type: ignore[arg-type]
        assert page.value.items
        for one in page.value.items:
            assert one.duplicate_of == expected[one.id], conditions
    end = views.log.head().recorded_at
    for moment in ({}, {"as_of_us": end}):
        for client in ("user_1", "user_2"):
            answer = views.questions.client(client, now_ms=NOON, **moment)
            assert answer is not None
            found = {one.id: one.duplicate_of for one in answer.value.connections}
            assert found == {one: expected[one] for one in found}


def test_groups_hold_everyone_who_is_a_duplicate_once(views: Views) -> None:
    """Oldest first in each; pages of any size make the same list."""
    views.tell(*model.crowd(4, 60))
    views.catch_up()
    found = groups(views)
    assert len(found) > 2
    assert views.questions.counts().duplicates == len(found)
    for limit in (1, 2):
        assert groups(views, limit) == found
    named = {one.id: one.duplicate_of for group in found for one in group.connections}
    everyone = {f"conn_{name}": f"conn_{other}" for name, other in pairs(views).items() if other}
    assert named == everyone
    for group in found:
        first, *others = group.connections
        assert group.count == len(group.connections) == len(others) + 1
        assert {one.duplicate_of for one in others} == {first.id}
        ages = [(one.created_at or 2**62, one.id) for one in group.connections]
        assert ages == sorted(ages)


def test_a_group_of_very_many_names_the_oldest_and_how_many_there_are(
    views: Views, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One account can not make an answer as long as the ledger."""
    monkeypatch.setattr(current, "OF_A_GROUP", 3)
    tell(views, **{f"x{i}": created(at=MINUTE * (9 - i), user=ANN) for i in range(8)})
    tell(views, a=created(user=BEA), b=created(user=BEA))
    small, large = sorted(groups(views), key=lambda group: group.count)
    assert [one.id for one in large.connections] == ["conn_x7", "conn_x6", "conn_x5"]
    assert large.count == 8
    assert [one.id for one in small.connections] == ["conn_a", "conn_b"]


def test_without_duplicates_there_are_no_groups(views: Views) -> None:
    """An empty list, and zero."""
    tell(views, a=created(user=ANN), b=created(user=BEA), c=created())
    assert groups(views) == []
    assert views.questions.counts().duplicates == 0


def test_duplicates_are_those_of_comparing_everyone_with_everyone(views: Views) -> None:
    """At 20 moments of both clocks, in views that were read in any portions, and made anew."""
    random = Random(5)
    told = model.crowd(9, 25)
    for i in range(0, len(told), 7):
        views.tell(*told[i : i + 7])
        views.catch_up()
    rows = views.log.read_log(0, 10_000, payloads=True)
    said = [(r, s) for r in rows if (s := statement_of(r)) is not None]
    checked: set[str | None] = set()
    for number in range(20):
        head, _ = random.choice(said)
        valid_at_ms = random.choice((None, random.choice(told).claim.k))
        known = [s for r, s in said if r.position <= head.position]
        expected = model.duplicates(known, valid_at_ms=valid_at_ms)
        moment = {"as_of_us": head.recorded_at, "valid_at_ms": valid_at_ms}
        asked = (views.questions, views.from_log)[number % 2]
        ids = sorted({s.claim.connection_id for _, s in said})
        found = {
            one: answer.value.duplicate_of
            for one in ids
            if (answer := asked.connection(one, now_ms=NOON, **moment)) is not None
        }
        assert found == expected, moment
        checked.update(expected.values())
    assert len(checked) > 8
    now = {f"conn_{name}": other and f"conn_{other}" for name, other in pairs(views).items()}
    assert now == model.duplicates(s for _, s in said)
    whole = dump(views.store)
    assert len(whole["accounts"]) > 25
    other_store = views.open(5)
    views.catch_up(other_store, 3)
    assert dump(other_store) == whole


def test_rebuilt_views_hold_the_same_accounts(views: Views) -> None:
    """Compared row by row with the live ones."""
    views.tell(*model.crowd(2, 20))
    views.catch_up()
    rebuilds = rebuilds_of(views.url)
    rebuilds.start(["current_state"], verify=True)
    assert (ended(rebuilds).state, ended(rebuilds).differences) == ("done", ())


def test_an_erasure_takes_the_accounts_of_its_connections_only(views: Views) -> None:
    """Of every name that they ever had; what is told later is found again."""
    tell(views, a=created(user=ANN), b=created(user=ANN), c=created(user=ANN))
    tell(views, a=updated(at=MINUTE, user=BEA, platformUserId="platform"))
    tell(views, a=updated(at=2 * MINUTE, user=ANN))
    keys = {account_key(one, views.log.key) for one in ("account_ann", "account_bea", "platform")}
    assert keys <= set(repr(dump(views.store)).split("'"))
    erase_payloads(views, "connection:conn_a")
    erase_views(views.log, views.url, ["conn_a"], views.store)
    held = dump(views.store)
    assert [one[0] for one in held["accounts"] if one[1] == "conn_a"] == [""]
    left = keys & set(repr(held).split("'"))
    assert left == {account_key("account_ann", views.log.key)}
    assert pairs(views) == {"a": None, "b": "c", "c": "b"}
    fresh = views.open(4)
    views.catch_up(fresh)
    assert dump(fresh) == held
    tell(views, a=updated(at=3 * MINUTE, user=ANN))
    assert pairs(views) == {"a": "b", "b": "a", "c": "a"}


def erase_payloads(views: Views, stream: str) -> None:
    """Delete what a stream of the log keeps apart."""
    positions = [row.position for row in views.log.read_streams([stream])]
    views.log.erase([stream], lambda _: Change([], positions), views.clock)


def test_the_key_of_an_account_needs_the_stores_key(views: Views) -> None:
    """Who has the views alone cannot test a guess."""
    key = account_key("account_ann", views.log.key)
    assert len(key) == 32
    assert key != account_key("account_ann", b"\0" * 32)
    assert key != account_key("account_bea", views.log.key)
    tell(views, a=created(user=ANN))
    whole = dump(views.store)
    assert [one[0] for one in whole["accounts"]] == [key]
    assert "account_ann" not in repr(whole["accounts"])
