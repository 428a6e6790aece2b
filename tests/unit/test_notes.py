"""Notes, one rule after the other: what they do to a view, and what puts an end to them."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from ledger.domain.claim import ERASED, NOTES, Claim, not_before
from ledger.domain.notes import NAMES, Cause
from ledger.domain.orders import Order, open_orders
from ledger.domain.status import Status
from tests.given import (
    MINUTE,
    NOON,
    SECOND,
    active,
    awaiting_2fa,
    birth,
    created,
    delete_confirmed,
    delete_requested,
    deletion_proved,
    disconnected,
    expired,
    expiry_suspected,
    forked,
    given,
    invalidate_requested,
    invalidated,
    missing,
    names,
    not_found,
    refused,
    row,
    updated,
    view,
)

LATER = 20 * MINUTE
EVERY_NOTE = [
    (missing(), "missing"),
    (not_found(), "confirmed"),
    (delete_requested(), "deletion_requested"),
    (invalidate_requested(), "invalidation_requested"),
    (expiry_suspected(), "expiry_suspected"),
    (refused(closes="command:1"), "confirmed"),
    (forked(successorId="conn_2"), "forked"),
]


def test_every_kind_of_note_has_its_name_and_its_rules_here() -> None:
    """None is forgotten."""
    assert {note.kind for note, _ in EVERY_NOTE} == NOTES == NAMES.keys()


@pytest.mark.parametrize(("note", "name"), EVERY_NOTE)
def test_a_note_has_its_own_name_wherever_it_stands(note: Claim, name: str) -> None:
    """The table of names is not asked, also when nothing or the end came before."""
    given().when(note).then(f"connection.{name}")
    given(created(at=-1)).when(note).then(f"connection.{name}")
    given(created(at=-2), disconnected(at=-1)).when(note).then(f"connection.{name}")
    given(note).when(note).then_nothing()


@pytest.mark.parametrize(("note", "_"), EVERY_NOTE)
def test_a_note_changes_neither_status_nor_fields(note: Claim, _: str) -> None:
    """It states nothing of the connection's own, whatever it carries."""
    known = created(at=-1, client="a", permissions=[], user={"name": "Ann"})
    before, after = view(known), view(known, note)
    for name in ("status", "status_since", "client", "fields", "user_data", "flags", "created_at"):
        assert getattr(after, name) == getattr(before, name)
    assert not after.steps[-1].changed


@pytest.mark.parametrize(("note", "_"), EVERY_NOTE)
def test_what_is_stated_first_begins_the_history_even_after_a_note(note: Claim, _: str) -> None:
    """A connection that only a note spoke of is not known yet."""
    given(note).when(created(at=1)).then("connection.created")
    given(note).when(expired(at=1)).then("connection.discovered")
    given(note).when(row(at=1, answered=1, client="a")).then("connection.discovered")


def test_an_erased_note_changed_nothing_either() -> None:
    """The lost reason of a request was no change of the connection."""
    note = replace(delete_requested(at=MINUTE), flags=(ERASED,))
    assert not view(created(), note).steps[-1].changed


class TestMissing:
    """The list does not show it any more."""

    def test_it_is_missing_until_something_is_stated_again(self) -> None:
        """Since when, and when it was listed last."""
        known = view(created(), missing(at=LATER, since=MINUTE))
        assert (known.missing_since, known.last_listed_at) == (NOON + MINUTE, NOON)
        assert (known.status, known.live) == (Status.ACTIVE, True)

    @pytest.mark.parametrize(
        "claim",
        [
            updated(at=LATER + 1),
            expired(at=LATER + 1),
            row(at=LATER + 1, answered=LATER),
            row(at=LATER + 1, answered=LATER, status=None),
            birth(at=LATER + 1),
            disconnected(at=LATER + 1),
            deletion_proved(at=LATER + 1),
            invalidated(at=LATER + 1),
        ],
    )
    def test_any_later_statement_ends_it(self, claim: Claim) -> None:
        """Whoever states something has seen it, or knows that it is gone."""
        known = view(created(), missing(at=LATER), claim)
        assert (known.missing_since, known.last_listed_at) == (None, None)

    def test_an_earlier_statement_and_another_note_do_not(self) -> None:
        """What was true before, and what we did, says nothing of the list."""
        known = view(created(), updated(at=MINUTE), missing(at=LATER), not_found(at=LATER + 1))
        assert known.missing_since == NOON

    def test_a_row_that_ends_it_reappeared(self) -> None:
        """Only the list can show what the list did not."""
        gone = given(created(), missing(at=LATER))
        gone.when(row(at=LATER + 1, answered=LATER)).then("connection.reappeared")
        gone.when(row(at=LATER + 1, answered=LATER, permissions=[])).then("connection.reappeared")
        gone.when(active(at=LATER + 1)).then("connection.confirmed")
        gone.when(row(at=LATER - 1, answered=LATER)).then("connection.confirmed")

    def test_a_row_that_also_changes_status_or_client_makes_more_events(self) -> None:
        """Reassigned first, the status last."""
        gone = given(created(client="a"), missing(at=LATER))
        ended = row(at=LATER + 1, answered=LATER, status=Status.EXPIRED)
        gone.when(ended).then("connection.reappeared", "connection.expired")
        moved = row(at=LATER + 1, answered=LATER, client="b")
        gone.when(moved).then("connection.reassigned", "connection.reappeared")
        both = row(at=LATER + 1, answered=LATER, status=Status.EXPIRED, client="b")
        gone.when(both).then("connection.reassigned", "connection.reappeared", "connection.expired")

    def test_a_deleted_connection_is_not_missing(self) -> None:
        """It is known to be gone, so a row that reopens it reappears once."""
        before = [created(), disconnected(at=1), missing(at=2)]
        assert view(*before).missing_since is None
        given(*before).when(row(answered=LATER)).then("connection.reappeared")


class TestNotFound:
    """The provider answered that it does not know it."""

    def test_it_holds_until_something_is_stated_again(self) -> None:
        """Alone it proves nothing."""
        known = view(created(), not_found(at=1), not_found(at=2))
        assert (known.not_found_at, known.status) == (NOON + 2, Status.ACTIVE)
        assert view(created(), not_found(at=1), updated(at=2)).not_found_at is None
        assert view(created(), not_found(at=1), deletion_proved(at=2)).not_found_at is None

    def test_the_proof_of_deletion_deletes(self) -> None:
        """As a webhook or a confirmed command would."""
        given(created(), not_found(at=1)).when(deletion_proved(at=2)).then("connection.deleted")
        assert view(created(), not_found(at=1), deletion_proved(at=2)).deleted_at == NOON + 2
        given(created(), deletion_proved(at=2)).when(row(answered=LATER)).then(
            "connection.reappeared"
        )


class TestRequests:
    """What we were asked to do."""

    def test_the_newest_request_is_told_and_stays(self) -> None:
        """Also after it was fulfilled."""
        known = view(
            created(),
            delete_requested(at=1),
            delete_requested(at=2),
            invalidate_requested(at=3),
            delete_confirmed(at=4),
        )
        assert known.deletion_requested_at == NOON + 2
        assert known.invalidation_requested_at == NOON + 3

    @pytest.mark.parametrize("at", [-MINUTE, 1, MINUTE])
    @pytest.mark.parametrize("refusal", [refused, not_found, expiry_suspected])
    def test_a_refusal_closes_the_request_that_it_names(
        self, refusal: Callable[..., Claim], at: int
    ) -> None:
        """Whatever else the answer says, and where the provider's clock puts it."""
        answer = refusal(at=at, closes="command:1")
        for asked in (
            delete_requested(command="command:1"),
            invalidate_requested(command="command:1"),
        ):
            known = view(created(at=-2 * MINUTE), asked, answer)
            assert known.deletion_requested_at is known.invalidation_requested_at is None
            assert open_orders(known) == {}

    def test_other_requests_stay_open(self) -> None:
        """Those before it and after it, of the same moment, and those that nothing closes."""
        known = view(
            created(),
            delete_requested(at=1, command="command:1"),
            delete_requested(at=2, command="command:2"),
            delete_requested(at=2, command="command:3"),
            delete_requested(at=3, command="command:4"),
            invalidate_requested(at=4),
            *(refused(at=5, closes=f"command:{number}") for number in (3, 4)),
        )
        assert open_orders(known) == {Order.DELETE: NOON + 2, Order.INVALIDATE: NOON + 4}

    def test_what_was_refused_may_have_caused_an_expiry_all_the_same(self) -> None:
        """A 401 about the session can hide that it was ended."""
        asked, answer = invalidate_requested(command="c"), expiry_suspected(at=1, closes="c")
        *_, step = view(created(at=-1), asked, answer, expired(at=2)).steps
        assert step.cause == Cause("invalidate", "ops", NOON)

    def test_a_confirmed_invalidation_expires(self) -> None:
        """Whatever name an expiry would have there."""
        given(created()).when(invalidated(at=1)).then("connection.expired")
        given(created(), expired(at=1)).when(invalidated(at=2)).then("connection.confirmed")
        given(created(), disconnected(at=1)).when(invalidated(at=2)).then("connection.confirmed")
        given().when(invalidated()).then("connection.discovered")
        known = view(created(), disconnected(at=MINUTE), invalidated(at=LATER))
        assert (known.status, known.flags) == (Status.DELETED, ())

    @pytest.mark.parametrize(
        ("request_", "expiry", "found"),
        [
            (invalidate_requested(), expired(at=SECOND), True),
            (invalidate_requested(), invalidated(at=SECOND), True),
            (delete_requested(), row(at=1, answered=1, status=Status.EXPIRED), True),
            (invalidate_requested(), expired(at=10 * MINUTE), True),
            (invalidate_requested(), expired(at=10 * MINUTE + 1), False),
            (invalidate_requested(at=2 * SECOND), expired(), True),
            (invalidate_requested(at=2 * SECOND + 1), expired(), False),
        ],
    )
    def test_an_expiry_soon_after_a_request_names_it_as_its_cause(
        self, request_: Claim, expiry: Claim, found: bool
    ) -> None:
        """A provider that dates in whole seconds can date it a little before."""
        steps = view(created(at=-MINUTE), request_, expiry).steps
        (step,) = (step for step in steps if step.claim == expiry)
        what = "delete" if "delete" in request_.kind else "invalidate"
        assert step.cause == (Cause(what, "ops", request_.k) if found else None)

    def test_the_newest_request_before_it_is_the_cause(self) -> None:
        """Of several."""
        known = view(
            created(),
            delete_requested(at=1, by="a"),
            invalidate_requested(at=2, by="b"),
            expired(at=3),
            delete_requested(at=MINUTE, by="c"),
        )
        assert [step.cause for step in known.steps if step.cause] == [
            Cause("invalidate", "b", NOON + 2)
        ]

    def test_only_what_turns_to_expired_has_a_cause(self) -> None:
        """Neither a confirmation of it nor another status."""
        known = view(
            created(at=-LATER),
            expired(at=-MINUTE),
            invalidate_requested(),
            expired(at=1),
            awaiting_2fa(at=2),
            disconnected(at=3),
        )
        assert [step.cause for step in known.steps] == [None] * 6


class TestSuspicion:
    """A call that names it was refused for want of a session."""

    def test_it_is_suspected_since_the_first_until_a_status_is_stated(self) -> None:
        """A statement without a status does not answer it."""
        known = view(created(), expiry_suspected(at=1), expiry_suspected(at=2), updated(at=3))
        assert (known.expiry_suspected_at, known.status) == (NOON + 1, Status.ACTIVE)
        for answer in (active(at=2), expired(at=2), disconnected(at=2)):
            assert view(created(), expiry_suspected(at=1), answer).expiry_suspected_at is None

    @pytest.mark.parametrize("before", [expired(), awaiting_2fa(), disconnected(), birth()])
    def test_only_an_active_connection_is_suspected(self, before: Claim) -> None:
        """Of any other a refusal tells nothing new."""
        assert view(before, expiry_suspected(at=1)).expiry_suspected_at is None


def test_a_fork_links_both_connections() -> None:
    """Each stream tells its own side."""
    assert view(created(), forked(at=1, successorId="conn_2")).successor_id == "conn_2"
    assert view(created(), forked(at=1, predecessorId="conn_0")).predecessor_id == "conn_0"
    twice = view(created(), forked(at=1, successorId="conn_2"), forked(at=2, successorId="conn_3"))
    assert twice.successor_id == "conn_3"


def test_a_note_stands_in_its_place_of_the_history() -> None:
    """With the status and the client of that place."""
    known = view(created(client="a"), missing(at=1), expired(at=2, client="b"))
    assert names(known)[1] == ("connection.missing",)
    assert (known.steps[1].status, known.steps[1].client) == (Status.ACTIVE, "a")


@pytest.mark.parametrize(
    ("moment", "answered", "dated"),
    [
        (1_999, 1_000, 1_999),
        (2_000, 1_000, 2_000),
        (2_001, 1_000, 1_000),
        (1_000, 1_000, 1_000),
        (1_000, 2_000, 2_000),
    ],
)
def test_an_answer_is_not_dated_before_what_came_before_it(
    moment: int, answered: int, dated: int
) -> None:
    """As far as rounding to whole seconds explains it, and no further."""
    assert not_before(moment, answered) == dated
