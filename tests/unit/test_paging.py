"""Reading a list that moves: every row that stays is met, and doubt is told."""

from dataclasses import replace
from random import Random

import pytest

from ledger.ofauth.results import ListPage
from ledger.reconcile import paging
from ledger.reconcile.paging import Walk
from tests.builders import NOON
from tests.listing import ListedProvider


def provider(size: int, *, most: int = 100) -> ListedProvider:
    """A list of so many rows, the newest first."""
    made = ListedProvider(lambda: NOON, most=most)
    for number in range(size):
        made.add(f"conn_{number}")
    return made


def walk(made: ListedProvider) -> Walk:
    """Read the whole list."""
    reading = Walk(made, lambda page, rows: True)
    reading.run()
    return reading


def ids(made: ListedProvider) -> set[str]:
    """What is listed now."""
    return {row["id"] for row in made.rows}


@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 190, 1_000, 1_234])
def test_a_quiet_list_is_read_whole(size: int) -> None:
    """With three requests more than its overlapping pages, one of which asks whose list it is."""
    made = provider(size)
    reading = walk(made)
    assert reading.stamps.keys() == ids(made)
    assert reading.reasons == set()
    assert reading.requests + 1 <= -(-size // 90) + 3


def test_a_hundred_thousand_rows_take_few_requests() -> None:
    """As many as overlapping pages need, and three."""
    made = provider(100_000)
    assert walk(made).requests + 1 <= -(-100_000 // 90) + 3


@pytest.mark.parametrize("says", [True, False])
def test_what_has_more_says_is_not_believed(says: bool) -> None:
    """A list that always says it goes on, or never does, is read to its end all the same."""
    made = provider(457)
    made.more = lambda number, more: says
    reading = walk(made)
    assert reading.stamps.keys() == ids(made)
    assert reading.reasons == set()


def test_a_list_that_never_ends_is_left() -> None:
    """The same page again and again brings nothing new, and nothing is inferred."""
    made = provider(457)
    full = made.rows[:100]

    class Endless(ListedProvider):
        def connections(self, *, limit: int, offset: int) -> ListPage:
            self.asked.append(offset)
            return ListPage(rows=list(full), has_more=True, answered=NOON, dated=True)

    reading = walk(Endless(lambda: NOON))
    assert reading.reasons == {paging.ENDLESS}
    assert reading.requests < 10


def test_pages_that_have_no_row_in_common_prove_nothing() -> None:
    """More rows than the overlap vanished between two pages."""
    made = provider(500)

    def shrink(number: int) -> None:
        if number == 2:
            del made.rows[:40]

    made.before_page = shrink
    assert walk(made).reasons == {paging.NO_OVERLAP}


def test_a_row_that_was_pushed_out_by_a_doubled_one_is_met() -> None:
    """A row that stands twice in a page takes the place of the last one."""
    made = provider(13, most=4)

    class Doubling(ListedProvider):
        def connections(self, *, limit: int, offset: int) -> ListPage:
            page = made.connections(limit=limit, offset=offset)
            rows = list(page.rows)
            return replace(page, rows=[*rows[:-1], rows[-2]] if len(rows) == 4 else rows)

    doubling = walk(Doubling(lambda: NOON))
    assert doubling.reasons == set()
    assert doubling.stamps.keys() == ids(made)


def test_a_page_without_rows_where_some_are_expected_proves_nothing() -> None:
    """Rows of the last page should stand in it again."""
    made = provider(10, most=4)

    def leave(number: int) -> None:
        if number == 3:
            del made.rows[5:]

    made.before_page = leave
    assert walk(made).reasons == {paging.NO_OVERLAP}


def test_pages_too_short_to_overlap_prove_nothing() -> None:
    """A provider that gives at most three rows a page."""
    reading = walk(provider(10, most=3))
    assert reading.reasons == {paging.SHORT_PAGES}
    assert len(reading.stamps) == 10


def test_a_page_that_cannot_be_had_ends_the_reading() -> None:
    """What was read until then stays told."""
    made = provider(500)
    made.failing = {2}
    reading = walk(made)
    assert reading.reasons == {paging.PAGE_FAILED}
    assert len(reading.stamps) == 190


def test_a_row_that_cannot_be_read_proves_nothing() -> None:
    """The reading goes on, for the sake of the others."""
    made = provider(200)
    reading = Walk(made, lambda page, rows: False)
    reading.run()
    assert reading.reasons == {paging.UNREADABLE_ROW}
    assert len(reading.stamps) == 200


def test_a_row_is_handed_over_again_only_when_it_changed() -> None:
    """Overlaps and the second reading bring most rows twice."""
    made = provider(150)
    handed: list[str] = []
    reading = Walk(made, lambda page, rows: handed.extend(row["id"] for row in rows) is None)

    def change(number: int) -> None:
        if number == 2:
            made.change("conn_149", status="expired")

    made.before_page = change
    reading.run()
    assert sorted(handed) == sorted([*ids(made), "conn_149"])


@pytest.mark.parametrize("order", ["created", "updated", "shuffled"])
@pytest.mark.parametrize("seed", range(20))
def test_whoever_stays_is_met_in_a_moving_list(order: str, seed: int) -> None:
    """Up to three connections come, go or change between two pages, in each order of the list.

    When nothing is doubted, every connection that was there all the time was met.
    """
    random = Random(seed)
    made = provider(700)
    stays = ids(made)

    def move(number: int) -> None:
        for _ in range(random.randint(0, 3)):
            happening = random.choice(("come", "go", "change"))
            if happening == "come":
                row = made.add(f"conn_{number}_{random.random()}")
                if order == "shuffled":
                    made.rows.insert(random.randrange(len(made.rows)), made.rows.pop(0))
                assert row["id"] not in stays
            elif happening == "go":
                gone = made.rows.pop(random.randrange(len(made.rows)))
                stays.discard(gone["id"])
            elif order == "updated":
                made.rows.insert(0, made.rows.pop(random.randrange(len(made.rows))))

    made.before_page = move
    reading = walk(made)
    assert reading.reasons == set()
    assert stays <= reading.stamps.keys()


def test_without_overlap_somebody_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: pages that only touch lose the row that moves from one to the other."""
    monkeypatch.setattr(paging, "_overlap", lambda rows: 0)
    made = provider(700)
    made.before_page = lambda number: made.rows.pop(0) if number == 3 else None
    reading = walk(made)
    assert reading.reasons == set()
    assert ids(made) - reading.stamps.keys() != set()
