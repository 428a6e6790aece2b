"""The rules of the fold, one by one: the table of names, deletion, fields, ties."""

from dataclasses import replace
from itertools import permutations

import pytest

from ledger.domain.claim import Claim, Kind
from ledger.domain.connection import fold
from ledger.domain.status import Status
from tests.given import (
    CONNECTION,
    MINUTE,
    NOON,
    SECOND,
    Said,
    active,
    awaiting_2fa,
    birth,
    created,
    delete_confirmed,
    delivered,
    disconnected,
    expired,
    first_seen,
    flagged,
    given,
    names,
    row,
    stamped,
    swept,
    updated,
    view,
)

LATER = 20 * MINUTE


class TestFirstClaim:
    """No claim yet."""

    @pytest.mark.parametrize("status", [*Status][:3])
    def test_a_created_webhook_creates_whatever_its_status(self, status: Status) -> None:
        """`created` carries its own status: no second event tells it."""
        given().when(created(status=status)).then("connection.created")
        assert view(created(status=status)).status is status

    def test_a_birth_from_a_row_creates(self) -> None:
        """The beginning may be learned from the list."""
        given().when(birth()).then("connection.created")

    @pytest.mark.parametrize(
        "claim", [updated(), active(), awaiting_2fa(), expired(), row(answered=0)]
    )
    def test_any_other_first_evidence_discovers(self, claim: Claim) -> None:
        """A connection that is first heard of in the middle of its life is discovered."""
        given().when(claim).then("connection.discovered")

    @pytest.mark.parametrize("claim", [disconnected(), delete_confirmed()])
    def test_a_first_claim_that_ends_discovers_and_deletes(self, claim: Claim) -> None:
        """Two events: it was there, and it is gone."""
        given().when(claim).then("connection.discovered", "connection.deleted")

    def test_the_first_in_time_counts_not_the_first_to_arrive(self) -> None:
        """A creation that arrives after the expiry it precedes still creates."""
        given(expired(at=MINUTE)).when(created()).then("connection.created")

    def test_a_creation_that_is_not_the_first_in_time_is_named_by_its_status(self) -> None:
        """Only the first claim in the order begins a history."""
        given(updated()).when(created(at=1)).then("connection.updated")
        given(expired()).when(created(at=1)).then("connection.reconnected")

    def test_nothing_said_is_no_connection(self) -> None:
        """The fold of no statements is None."""
        assert fold(CONNECTION, []) is None


ACTIVE = created()
NO_STATUS = birth()
EXPIRED = created(status=Status.EXPIRED)
AWAITING = created(status=Status.AWAITING_2FA)


class TestTransitions:
    """The status before a claim and what it says make its name."""

    @pytest.mark.parametrize(
        ("before", "claim", "name"),
        [
            (ACTIVE, expired(at=1), "expired"),
            (NO_STATUS, expired(at=1), "expired"),
            (ACTIVE, awaiting_2fa(at=1), "awaiting_2fa"),
            (NO_STATUS, awaiting_2fa(at=1), "awaiting_2fa"),
            (NO_STATUS, active(at=1), "updated"),
            (EXPIRED, awaiting_2fa(at=1), "awaiting_2fa"),
            (EXPIRED, active(at=1), "reconnected"),
            (EXPIRED, created(at=1), "reconnected"),
            (EXPIRED, row(at=1, answered=1), "reconnected"),
            (AWAITING, expired(at=1), "expired"),
            (AWAITING, active(at=1), "activated"),
            (AWAITING, row(at=1, answered=1), "activated"),
            (ACTIVE, disconnected(at=1), "deleted"),
            (NO_STATUS, disconnected(at=1), "deleted"),
            (EXPIRED, disconnected(at=1), "deleted"),
            (AWAITING, delete_confirmed(at=1), "deleted"),
        ],
    )
    def test_a_change_of_status_has_its_name(self, before: Claim, claim: Claim, name: str) -> None:
        """Which channel says it does not matter."""
        given(before).when(claim).then(f"connection.{name}")

    @pytest.mark.parametrize("earlier", [ACTIVE, EXPIRED])
    def test_passing_2fa_again_reconnects(self, earlier: Claim) -> None:
        """Only a connection that never was authenticated is activated."""
        given(earlier, awaiting_2fa(at=1)).when(active(at=2)).then("connection.reconnected")

    def test_an_earlier_claim_counts_even_if_its_status_did_not(self) -> None:
        """What was said after a deletion is no status, but it was said."""
        again = row(answered=LATER, status=Status.AWAITING_2FA)
        given(AWAITING, disconnected(at=1), active(at=2), again).when(active(at=LATER)).then(
            "connection.reconnected"
        )

    @pytest.mark.parametrize("before", [ACTIVE, NO_STATUS])
    def test_other_fields_update(self, before: Claim) -> None:
        """Same status, other fields."""
        given(before).when(updated(at=1, permissions=["profile:read"])).then("connection.updated")
        given(before).when(updated(at=1, user={"name": "Ann"})).then("connection.updated")

    def test_nothing_new_confirms(self) -> None:
        """A later claim that changes nothing known is still an event: it may count one day."""
        known = created(permissions=["profile:read"], user={"name": "Ann"})
        same = active(at=1, permissions=["profile:read"], user={"name": "Ann"})
        given(known).when(same).then("connection.confirmed")
        given(known).when(expired(at=2)).then("connection.expired")
        given(known, expired(at=2)).when(expired(at=3)).then("connection.confirmed")

    def test_a_late_claim_is_named_by_what_was_before_it(self) -> None:
        """Claims with a greater time do not change the name of an earlier one."""
        given(ACTIVE, disconnected(at=9)).when(expired(at=5)).then("connection.expired")


class TestClients:
    """Whose it is, and whose history."""

    def test_another_reference_reassigns(self) -> None:
        """The status did not change: one event."""
        given(created(client="a")).when(active(at=1, client="b")).then("connection.reassigned")

    def test_another_reference_and_another_status_make_two_events(self) -> None:
        """Reassigned first, then the transition."""
        given(created(client="a")).when(expired(at=1, client="b")).then(
            "connection.reassigned", "connection.expired"
        )

    def test_a_first_reference_updates_and_counts_backwards(self) -> None:
        """A reference learned late tells whose it was since its birth."""
        given(created()).when(updated(at=1, client="a")).then("connection.updated")
        assert [s.client for s in view(created(), updated(at=1, client="a")).steps] == ["a", "a"]

    def test_history_belongs_to_the_first_client_until_the_reassignment(self) -> None:
        """Later claims belong to the next."""
        known = view(created(), updated(at=1, client="a"), active(at=2, client="b"), expired(at=3))
        assert [step.client for step in known.steps] == ["a", "a", "b", "b"]
        assert known.client == "b"

    def test_a_null_reference_never_unbinds(self) -> None:
        """Null states nothing about the client."""
        given(created(client="a")).when(active(at=1, client=None)).then("connection.confirmed")
        assert view(created(client="a"), active(at=1, client=None)).client == "a"
        given(created(client="a"), active(at=1, client=None)).when(active(at=2, client="b")).then(
            "connection.reassigned"
        )


class TestFields:
    """Each field is the value in the last claim that carries it."""

    def test_an_absent_field_leaves_the_known_one(self) -> None:
        """`expired` carries hardly anything and unlearns nothing."""
        known = view(created(client="a", permissions=["profile:read"]), expired(at=1))
        assert known.fields == {"clientReferenceId": "a", "permissions": ["profile:read"]}

    def test_user_data_merges_key_by_key(self) -> None:
        """A part of it replaces only its own keys."""
        known = view(created(user={"id": "u", "name": "Ann"}), updated(at=1, user={"name": "Bea"}))
        assert known.user_data == {"id": "u", "name": "Bea"}

    def test_null_is_a_value_for_avatar_and_expired_at_only(self) -> None:
        """Any other null is as good as absent."""
        known = view(
            created(expiredAt="x", permissions=[], user={"avatar": "y", "name": "Ann"}),
            updated(at=1, expiredAt=None, permissions=None, user={"avatar": None, "name": None}),
        )
        assert known.fields == {"expiredAt": None, "permissions": []}
        assert known.user_data == {"avatar": None, "name": "Ann"}

    def test_an_older_value_that_arrives_later_does_not_replace(self) -> None:
        """Time decides, not arrival."""
        assert view(updated(at=1, permissions=[]), created(permissions=["x"])).fields == {
            "permissions": []
        }


class TestStatusSince:
    """The first claim of the unbroken run."""

    def test_confirmations_do_not_move_it(self) -> None:
        """Nor do claims without a status."""
        known = view(created(), expired(at=1), updated(at=2), expired(at=3))
        assert known.status_since == NOON + 1

    def test_another_status_breaks_the_run(self) -> None:
        """Expired again counts from the second expiry."""
        known = view(expired(), active(at=1), expired(at=2), expired(at=3))
        assert known.status_since == NOON + 2

    def test_no_status_is_inferred_and_has_no_since(self) -> None:
        """Between birth and the first claim with a status nothing is known."""
        known = view(birth(), updated(at=1, permissions=[]))
        assert (known.status, known.status_since, known.flags) == (None, None, ("inferred",))
        assert known.created_at == NOON


class TestDeletion:
    """Deleted ends the status."""

    def test_a_later_webhook_changes_fields_only_and_is_flagged(self) -> None:
        """It cannot bring the connection back."""
        known = view(created(), disconnected(at=1), active(at=LATER, permissions=["x"]))
        assert (known.status, known.deleted_at) == (Status.DELETED, NOON + 1)
        assert known.fields == {"permissions": ["x"]}
        assert "after_deletion" in known.flags
        assert not known.live

    def test_a_later_webhook_updates_or_confirms(self) -> None:
        """Its name is that of its fields."""
        gone = given(created(client="a"), disconnected(at=1))
        gone.when(active(at=2)).then("connection.confirmed")
        gone.when(active(at=2, permissions=[])).then("connection.updated")
        gone.when(active(at=2, client="b")).then("connection.reassigned")

    def test_an_earlier_claim_that_arrives_later_fills_fields(self) -> None:
        """It is in its place before the end, and not flagged."""
        known = view(disconnected(at=LATER), created(permissions=["x"]))
        assert known.fields == {"permissions": ["x"]}
        assert (known.status, known.flags) == (Status.DELETED, ())

    def test_deleted_again_confirms_and_keeps_the_first_time(self) -> None:
        """The webhook after our own confirmed command is only more proof."""
        given(created(), delete_confirmed(at=1)).when(disconnected(at=2)).then(
            "connection.confirmed"
        )
        known = view(created(), delete_confirmed(at=1), disconnected(at=LATER))
        assert (known.deleted_at, known.status_since) == (NOON + 1, NOON + 1)
        assert "after_deletion" not in known.flags

    @pytest.mark.parametrize("status", [*Status][:3])
    def test_a_row_answered_over_ten_minutes_later_reopens(self, status: Status) -> None:
        """The provider still lists it, so it still bills it."""
        seen = row(answered=10 * MINUTE + 1, status=status)
        given(created(), disconnected()).when(seen).then("connection.reappeared")
        known = view(created(at=-MINUTE), disconnected(), seen)
        assert (known.status, known.deleted_at) == (status, None)
        assert (known.status_since, known.flags) == (seen.k, ("still_billed",))

    @pytest.mark.parametrize(
        "claim",
        [
            row(answered=10 * MINUTE),
            row(at=LATER, answered=10 * MINUTE),
            row(answered=LATER, status=None),
            first_seen(Kind.ROW_UPDATED, at=LATER, status=Status.ACTIVE),
            first_seen(Kind.ROW_EXPIRED, at=LATER, status=Status.EXPIRED),
            birth(at=LATER),
        ],
    )
    def test_no_other_row_reopens(self, claim: Claim) -> None:
        """A list may lag ten minutes; what a row says of the past proves nothing of now."""
        known = view(created(), disconnected(at=0), claim)
        assert known.status is Status.DELETED
        assert not {"after_deletion", "still_billed"} & {*known.flags}
        given(created(), disconnected()).when(claim).then("connection.confirmed")

    def test_reappeared_under_another_reference_makes_two_events(self) -> None:
        """Reassigned first."""
        given(created(client="a"), disconnected(at=1)).when(row(answered=LATER, client="b")).then(
            "connection.reassigned", "connection.reappeared"
        )

    def test_the_ten_minutes_count_from_the_deletion_that_ended_it(self) -> None:
        """Further proof of the same deletion does not start them again."""
        known = (created(), disconnected(at=MINUTE), delete_confirmed(at=5 * MINUTE))
        given(*known).when(row(answered=12 * MINUTE)).then("connection.reappeared")

    def test_deleted_once_more_after_reappearing(self) -> None:
        """The alarm ends, and the new deletion is the one that counts."""
        before = [created(), disconnected(at=1), active(at=2)]
        known = view(*before, row(answered=LATER), disconnected(at=LATER))
        assert names(known)[-2:] == [("connection.reappeared",), ("connection.deleted",)]
        assert (known.deleted_at, known.flags) == (NOON + LATER, ())


class TestEvidence:
    """One claim may rest on many deliveries."""

    def test_the_same_twice_is_nothing(self) -> None:
        """The same delivery, the same claim."""
        given(created()).when(created()).then_nothing()
        given(swept(row(answered=0))).when(swept(row(answered=0))).then_nothing()

    def test_other_evidence_for_a_known_claim_confirms(self) -> None:
        """A second delivery or dialect adds evidence, and no second claim."""
        given(created()).when(delivered(created(), "another")).then("connection.confirmed")
        both = view(created(), delivered(created(), "another"))
        assert [len(step.evidence) for step in both.steps] == [2]

    def test_an_earlier_stamp_dates_the_claim_anew(self) -> None:
        """Of the signature times of one delivery the smallest counts."""
        retry, first = stamped(created(at=60 * MINUTE)), stamped(created())
        arrivals: list[Said] = [retry, first, expired(at=MINUTE)]
        for order in permutations(arrivals):
            known = view(*order)
            assert (known.created_at, known.status) == (NOON, Status.EXPIRED)
            assert len(known.steps) == 2

    def test_a_later_stamp_is_nothing(self) -> None:
        """A retry that was stamped again says nothing new."""
        given(stamped(created())).when(stamped(created(at=MINUTE))).then_nothing()

    def test_stamps_of_another_delivery_do_not_count(self) -> None:
        """Two deliveries with equal words at different times are two claims."""
        given(stamped(active())).when(stamped(active(at=1), delivery="other")).then(
            "connection.confirmed"
        )
        assert len(view(stamped(active()), stamped(active(at=1), delivery="other")).steps) == 2

    def test_a_claims_own_flags_reach_the_view(self) -> None:
        """Of all its evidence."""
        known = view(flagged(created(), "test"), delivered(flagged(created(), "clock"), "other"))
        assert known.flags == ("clock", "test")


class TestTies:
    """Equal times have a fixed order."""

    @pytest.mark.parametrize(
        ("claims", "status"),
        [
            ((created(), expired()), Status.EXPIRED),
            ((created(status=Status.EXPIRED), active()), Status.ACTIVE),
            ((active(), awaiting_2fa()), Status.AWAITING_2FA),
            ((awaiting_2fa(), expired()), Status.EXPIRED),
            ((created(), expired(), disconnected()), Status.DELETED),
            ((birth(), updated(), delete_confirmed()), Status.DELETED),
        ],
    )
    def test_creation_is_first_and_the_end_last(
        self, claims: tuple[Claim, ...], status: Status
    ) -> None:
        """Between them the graver status is the later word."""
        for order in permutations(claims):
            known = view(*order)
            assert known.status is status
            assert [step.claim for step in known.steps] == [*claims]

    def test_claims_alike_but_for_their_fields_are_ordered_by_their_digest(self) -> None:
        """So that the last of them is the same everywhere."""
        claims = [updated(permissions=[name]) for name in "abc"]
        last = max(claims, key=lambda claim: claim.id)
        for order in permutations(claims):
            assert view(*order).fields == last.fields

    @pytest.mark.parametrize(
        ("claims", "ambiguous"),
        [
            ((active(), expired(at=SECOND)), True),
            ((active(), expired(at=SECOND + 1)), False),
            ((active(), expired()), True),
            ((expired(), expired(at=SECOND)), False),
            ((active(), expired(at=1), updated(at=2)), True),
            ((active(), expired(at=1), row(at=MINUTE, answered=MINUTE)), False),
            ((active(), expired(at=500), expired(at=SECOND)), True),
            ((created(), disconnected(at=SECOND)), True),
            ((disconnected(), active(at=SECOND)), False),
        ],
    )
    def test_disagreement_within_a_second_of_the_last_word_is_ambiguous(
        self, claims: tuple[Said, ...], ambiguous: bool
    ) -> None:
        """A later word settles it; what is said after the end is no word."""
        assert ("ambiguous" in view(*claims).flags) is ambiguous


def test_the_identity_of_a_claim_is_what_it_states() -> None:
    """Flags and the way it was dated do not count."""
    claim = created(client="a")
    assert replace(claim, flags=("test",), stamped=True).identified().id == claim.id
    assert replace(claim, k=claim.k + 1).identified().id != claim.id
    assert replace(claim, answered=1).identified().id != claim.id
