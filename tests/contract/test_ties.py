"""Two words on the status within a second: the answer to a delivery says that they tie."""

from collections.abc import Iterator

import pytest

from ledger.application import Ledger
from tests.builders import NOON, delivery, open_ledger, webhook

SECOND = 1_000


@pytest.fixture
def ledger(sqlite_url: str) -> Iterator[Ledger]:
    """A ledger that knows an active connection."""
    ledger = open_ledger(sqlite_url)
    ledger.record([delivery(webhook("created", status="active", at=NOON - 60 * SECOND))])
    yield ledger
    ledger.log.close()


def ties(ledger: Ledger, *told: tuple[str, str | None, int]) -> list[bool]:
    """Whether each of some deliveries ties: type, status, and when after noon in milliseconds."""
    bodies = [webhook(kind, status=status, at=NOON + after) for kind, status, after in told]
    return [ledger.record([delivery(body)])[0].tied for body in bodies]


@pytest.mark.parametrize("apart", [0, 1, SECOND])
def test_two_words_within_a_second_tie(ledger: Ledger, apart: int) -> None:
    """Whichever comes first: nobody can tell which was true last."""
    told = [("expired", "expired", 0), ("updated", "active", apart)]
    assert ties(ledger, *told) == [False, True]


def test_the_earlier_of_two_that_comes_last_ties_as_well(ledger: Ledger) -> None:
    """The order of arrival says nothing."""
    told = [("updated", "active", 500), ("expired", "expired", 0)]
    assert ties(ledger, *told) == [False, True]


def test_two_words_further_apart_do_not_tie(ledger: Ledger) -> None:
    """The later one is true."""
    told = [("expired", "expired", 0), ("updated", "active", SECOND + 1)]
    assert ties(ledger, *told) == [False, False]


def test_the_same_word_twice_does_not_tie(ledger: Ledger) -> None:
    """Nor does a delivery that says nothing of the status."""
    told = [("expired", "expired", 0), ("updated", "expired", 10), ("updated", None, 20)]
    assert ties(ledger, *told) == [False, False, False]


def test_a_tie_that_something_later_settles_is_none(ledger: Ledger) -> None:
    """A word on what came after is known already."""
    told = [
        ("expired", "expired", 0),
        ("updated", "active", 5 * SECOND),
        ("updated", "awaiting_2fa", 1),
    ]
    assert ties(ledger, *told) == [False, False, False]


def test_a_deletion_ties_with_nothing(ledger: Ledger) -> None:
    """It ends the connection, and no list would settle it."""
    told = [("expired", "expired", 0), ("disconnected", "expired", 10), ("updated", "active", 20)]
    assert ties(ledger, *told) == [False, False, False]


def test_in_one_batch_the_second_ties(ledger: Ledger) -> None:
    """What is decided for one delivery is known to those after it."""
    bodies = [webhook("expired", at=NOON), webhook("updated", status="active", at=NOON + 1)]
    recorded = ledger.record([delivery(body) for body in bodies])
    assert [one.tied for one in recorded] == [False, True]
    again = ledger.record([delivery(body) for body in bodies])
    assert [one.tied for one in again] == [False, False]
