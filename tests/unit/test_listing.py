"""When a row of the provider's list tells nothing, rule by rule."""

from dataclasses import replace
from typing import Any

import pytest

from ledger.domain.claim import Claim, Kind
from ledger.domain.listing import differences, tells_nothing, was_listed
from ledger.domain.status import Status
from tests.given import (
    MINUTE,
    SECOND,
    Said,
    active,
    as_statement,
    awaiting_2fa,
    birth,
    created,
    disconnected,
    expired,
    expiry_suspected,
    first_seen,
    missing,
    not_found,
    row,
    updated,
    view,
)

FACTS: dict[str, Any] = {
    "client": "a",
    "permissions": ["profile:read"],
    "expiredAt": None,
    "user": {"id": "u", "name": "Ann", "avatar": None},
}
LATER = 20 * MINUTE


def listed(at: int = LATER, **other: Any) -> Claim:
    """A row answered `at`, as the connection is known or otherwise."""
    return row(**({"answered": at, "lastCheckedAt": at} | FACTS | other))


KNOWN = (created(at=-MINUTE, **FACTS), listed(0))


def nothing(new: Claim, *more: Said) -> bool:
    """Whether a row tells nothing after what is known and more."""
    return tells_nothing(view(*KNOWN, *more), new)


def test_a_row_as_it_is_known_tells_nothing() -> None:
    """That it was checked again is no news."""
    assert nothing(listed())
    assert differences(view(*KNOWN), listed()) == frozenset()


@pytest.mark.parametrize(
    ("other", "name"),
    [
        ({"status": Status.EXPIRED}, "status"),
        ({"client": "b"}, "clientReferenceId"),
        ({"permissions": []}, "permissions"),
        ({"expiredAt": 1}, "expiredAt"),
        ({"updatedAt": 1}, "updatedAt"),
        ({"user": {"name": "Bea"}}, "userData.name"),
        ({"user": {"avatar": "https://example.com/a.png"}}, "userData.avatar"),
    ],
)
def test_any_other_value_is_a_difference(other: dict[str, Any], name: str) -> None:
    """Of status, fields and user data by key."""
    assert not nothing(listed(**other))
    assert differences(view(*KNOWN), listed(**other)) == {name}


def test_what_a_row_does_not_carry_is_no_difference() -> None:
    """Absent means not said, and so does a null but for two names."""
    assert nothing(row(answered=LATER))
    assert nothing(row(answered=LATER, status=None))
    assert nothing(listed(client=None, user={"name": None}))


def test_a_first_row_and_a_first_name_are_news() -> None:
    """Even when the value is known: the next pass can only stand for what rows have said."""
    assert not tells_nothing(view(created(**FACTS)), listed())
    assert not tells_nothing(view(created(**FACTS), row(answered=0)), listed())
    silent = row(answered=0, status=None, client="a")
    assert not tells_nothing(view(created(client="a"), silent), row(answered=LATER, client="a"))


@pytest.mark.parametrize(
    ("open_", "settled"),
    [
        (missing(at=MINUTE), True),
        (missing(at=LATER), True),
        (not_found(at=MINUTE), True),
        (not_found(at=LATER), False),
        (expiry_suspected(at=MINUTE), True),
        (expiry_suspected(at=LATER), False),
    ],
)
def test_a_row_that_answers_what_is_open_is_news(open_: Claim, settled: bool) -> None:
    """If it is later than the question, and missing is what no list may leave standing."""
    assert nothing(listed(), open_) is not settled


def test_a_row_without_a_status_settles_no_suspicion() -> None:
    """The question is about the status."""
    assert nothing(row(answered=LATER, status=None), expiry_suspected(at=MINUTE))


def test_a_row_settles_what_is_ambiguous() -> None:
    """Two statements within a second, of which it confirms the later."""
    unsure = (awaiting_2fa(at=MINUTE), active(at=MINUTE + SECOND))
    assert not nothing(listed(), *unsure)
    assert nothing(listed(), *unsure, active(at=2 * MINUTE))


def test_of_a_deleted_connection_only_a_late_row_tells_of_its_status() -> None:
    """A list may lag ten minutes; its fields are compared as ever."""
    gone = disconnected(at=MINUTE)
    assert nothing(listed(11 * MINUTE), gone)
    assert not nothing(listed(11 * MINUTE, permissions=[]), gone)
    assert not nothing(listed(11 * MINUTE + 1), gone)
    assert differences(view(*KNOWN, gone), listed(11 * MINUTE + 1)) == {"status"}


def test_a_row_is_compared_with_what_is_true_now_not_with_the_last_row() -> None:
    """What webhooks told since is known."""
    assert nothing(listed(status=Status.EXPIRED), expired(at=MINUTE))
    assert not nothing(listed(), expired(at=MINUTE))
    assert nothing(listed(permissions=[]), updated(at=MINUTE, permissions=[]))


def test_a_connection_was_listed_when_any_row_spoke_of_it() -> None:
    """Of its present or its past."""
    assert not was_listed([as_statement(one) for one in (created(), missing(), expired())])
    for one in (birth(), row(answered=0), first_seen(Kind.ROW_UPDATED, at=0, status=Status.ACTIVE)):
        assert was_listed([as_statement(created()), as_statement(replace(one))])
