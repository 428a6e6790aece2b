"""How history entries are made from the claims of one connection."""

from dataclasses import replace
from itertools import permutations

from ledger.domain.claim import Claim, Statement
from ledger.domain.connection import fold
from ledger.domain.status import Status
from projections.answers import HistoryEntry
from projections.batch import statements
from projections.history.entries import Placed, bindings, entries_of
from tests.given import (
    CONNECTION,
    MINUTE,
    NOON,
    SECOND,
    active,
    as_statement,
    awaiting_2fa,
    birth,
    created,
    delete_requested,
    delivered,
    disconnected,
    expired,
    expiry_suspected,
    forked,
    invalidate_requested,
    missing,
    not_found,
    refused,
    row,
    stamped,
    swept,
    updated,
)
from tests.projected import facts_of


def placed(*said: Claim | Statement) -> list[Placed]:
    """The entries after these claims came in this order."""
    facts = facts_of([as_statement(one) for one in said])
    stated = statements(facts)
    connection = fold(CONNECTION, [statement for _, statement in stated])
    return entries_of(connection, stated, bindings(stated))


def entries(*said: Claim | Statement) -> list[HistoryEntry]:
    """The entries in the order of the claims."""
    return [one.entry for one in placed(*said)]


def types(found: list[HistoryEntry]) -> list[tuple[str, str | None, int]]:
    """What matters of the names: type, what it was recorded as, position."""
    return [(e.type.removeprefix("connection."), _short(e.recorded_as), e.position) for e in found]


def _short(name: str | None) -> str | None:
    return None if name is None else name.removeprefix("connection.")


def test_claims_in_order_keep_the_names_they_were_recorded_with() -> None:
    """Without late claims, what was recorded is what is answered."""
    found = entries(created(), expired(at=SECOND * 2), active(at=SECOND * 4))
    assert types(found) == [("created", None, 1), ("expired", None, 2), ("reconnected", None, 3)]
    assert [entry.late for entry in found] == [False, False, False]


def test_a_late_claim_renames_what_came_after_it() -> None:
    """The computed name is answered, with the recorded one beside it."""
    found = entries(expired(at=MINUTE), active(at=2 * MINUTE), created())
    assert types(found) == [
        ("created", None, 3),
        ("expired", "discovered", 1),
        ("reconnected", None, 2),
    ]
    assert [entry.late for entry in found] == [True, False, False]


def test_late_is_said_of_the_claim_that_arrived_after_a_greater_time() -> None:
    """Being overtaken by nobody, a claim is not late, however old it is."""
    found = entries(created(), expired(at=3 * MINUTE), updated(at=2 * MINUTE, client="a"))
    assert [(e.occurred_at - NOON, e.late) for e in found] == [
        (0, False),
        (2 * MINUTE, True),
        (3 * MINUTE, False),
    ]


def test_more_evidence_for_a_claim_is_one_entry_at_its_first_place() -> None:
    """Two deliveries of one claim are two pieces of evidence of one entry."""
    claim = expired(at=MINUTE)
    found = entries(created(), delivered(claim, "one"), delivered(claim, "two"))
    assert types(found) == [("created", None, 1), ("expired", None, 2)]
    assert [e.delivery_id for e in found[1].evidence] == ["delivery:one", "delivery:two"]


def test_more_evidence_does_not_move_an_entry_that_became_a_confirmation() -> None:
    """`connection.confirmed` of the second delivery is not taken for the first one's event."""
    claim = expired(at=2 * MINUTE)
    found = entries(created(), delivered(claim, "one"), delivered(claim, "two"), expired(at=MINUTE))
    assert types(found) == [
        ("created", None, 1),
        ("expired", None, 4),
        ("confirmed", "expired", 2),
    ]


def test_a_smaller_signature_time_takes_the_place_of_a_greater_one() -> None:
    """A delivery without a time of its own is one entry, dated by its smallest stamp."""
    found = entries(
        created(),
        stamped(expired(at=9 * MINUTE)),
        active(at=5 * MINUTE),
        stamped(expired(at=MINUTE)),
    )
    assert types(found) == [
        ("created", None, 1),
        ("expired", None, 4),
        ("reconnected", "confirmed", 3),
    ]


def test_a_change_of_client_and_of_status_in_one_claim_are_two_entries() -> None:
    """Each tells its own change, at its own position."""
    found = placed(created(client="a"), updated(at=MINUTE, client="b", status=Status.EXPIRED))
    assert types([one.entry for one in found]) == [
        ("created", None, 1),
        ("reassigned", None, 2),
        ("expired", None, 3),
    ]
    assert [one.entry.data["changes"] for one in found[1:]] == [
        {"clientReferenceId": {"from": "a", "to": "b"}},
        {"status": {"from": "active", "to": "expired"}},
    ]
    assert [one.entry.client_reference_id for one in found] == ["a", "b", "b"]


def test_two_names_that_share_a_stored_event_are_told_apart() -> None:
    """When one event turns out to be two transitions, `n` keeps both."""
    found = placed(
        created(),
        updated(at=2 * MINUTE, client="b", status=Status.EXPIRED),
        updated(at=MINUTE, client="a"),
    )
    assert [(one.entry.type, one.entry.position, one.n) for one in found[2:]] == [
        ("connection.reassigned", 2, 0),
        ("connection.expired", 2, 1),
    ]
    assert [one.entry.recorded_as for one in found[2:]] == ["connection.expired", None]


def test_three_names_are_told_apart_whichever_of_them_were_recorded() -> None:
    """The number counts those of the step that rest on the same event."""
    again = row(at=3 * MINUTE, answered=3 * MINUTE, client="b", status=Status.EXPIRED)
    late = (created(client="a"), missing(at=2 * MINUTE), expired(at=MINUTE))
    for order in permutations([again, *late]):
        numbers = [(one.position, one.n) for one in placed(*order)]
        assert len(set(numbers)) == len(numbers)
    found = placed(again, *late)
    assert [(one.type.removeprefix("connection."), one.position, one.n) for one in found[3:]] == [
        ("reassigned", 1, 0),
        ("reappeared", 1, 1),
    ]


def test_a_reference_that_was_learned_late_counts_backwards_from_then_on() -> None:
    """The whole life is the client's, but bound only since the position that said so."""
    found = placed(expired(), active(at=MINUTE), updated(at=2 * MINUTE, client="a"))
    assert {one.entry.client_reference_id for one in found} == {"a"}
    assert [(one.entry.position, one.bound_at) for one in found] == [(1, 3), (2, 3), (3, 3)]


def test_an_entry_belongs_to_the_client_of_its_time() -> None:
    """From birth to the first reassignment the first client, then the next."""
    found = entries(birth(), created(at=SECOND, client="a"), active(at=MINUTE, client="b"))
    assert [entry.client_reference_id for entry in found] == ["a", "a", "b"]


def test_source_follows_the_first_evidence() -> None:
    """Any dialect is a webhook; a pass over the list is a sweep."""
    found = entries(created(), swept(row(at=MINUTE, answered=2 * MINUTE)))
    assert [(e.source, e.evidence[0].dialect) for e in found] == [
        ("webhook", "documented"),
        ("sweep", "sweep"),
    ]


def test_data_tells_changes_status_and_what_was_carried() -> None:
    """Times among the fields are RFC 3339; keys come sorted."""
    found = entries(
        created(client="a", user={"name": "Ann", "avatar": None}, createdAt=NOON),
        updated(at=MINUTE, permissions=["profile:read"], expiredAt=None),
    )
    assert found[0].data == {
        "changes": {
            "clientReferenceId": {"from": None, "to": "a"},
            "createdAt": {"from": None, "to": "2024-01-15T12:00:00.000Z"},
            "status": {"from": None, "to": "active"},
            "userData.avatar": {"from": None, "to": None},
            "userData.name": {"from": None, "to": "Ann"},
        },
        "status": "active",
        "clientReferenceId": "a",
        "createdAt": "2024-01-15T12:00:00.000Z",
        "userData": {"avatar": None, "name": "Ann"},
    }
    assert found[1].data["permissions"] == ["profile:read"]
    assert found[1].summary == "expiredAt and permissions changed; the connection is active."


def test_every_name_has_a_sentence_without_ids() -> None:
    """A reader understands an entry without knowing the types."""
    found = entries(
        created(client="user_1"),
        expired(at=MINUTE),
        awaiting_2fa(at=2 * MINUTE),
        active(at=3 * MINUTE),
        active(at=4 * MINUTE),
        updated(at=5 * MINUTE, client="user_2"),
        disconnected(at=6 * MINUTE),
        row(at=30 * MINUTE, answered=30 * MINUTE),
        missing(at=40 * MINUTE),
        delete_requested(at=41 * MINUTE),
        invalidate_requested(at=42 * MINUTE),
        forked(at=43 * MINUTE, successorId="conn_2"),
        expiry_suspected(at=44 * MINUTE),
        refused(at=44 * MINUTE + 1, closes="command:1"),
        not_found(at=45 * MINUTE),
        row(at=50 * MINUTE, answered=50 * MINUTE),
    )
    assert [entry.type.removeprefix("connection.") for entry in found] == [
        "created",
        "expired",
        "awaiting_2fa",
        "reconnected",
        "confirmed",
        "reassigned",
        "deleted",
        "reappeared",
        "missing",
        "deletion_requested",
        "invalidation_requested",
        "forked",
        "expiry_suspected",
        "confirmed",
        "confirmed",
        "reappeared",
    ]
    assert found[-3].summary == "The provider refused what was requested; the request is closed."
    assert found[-2].summary == "The provider answered that it does not know the connection."
    assert found[7].summary == "The provider lists the connection again after its deletion."
    assert found[-1].summary == "The provider lists the connection again."
    for entry in found:
        assert entry.summary.endswith(".")
        assert "user_" not in entry.summary
        assert CONNECTION not in entry.summary
        assert "conn_2" not in entry.summary


def test_a_request_tells_who_asked_and_why_and_the_expiry_that_follows_tells_of_it() -> None:
    """The reason only where it can be erased with the request."""
    found = entries(
        created(client="a"),
        invalidate_requested(at=MINUTE, by="ops", reason="left the agency"),
        expired(at=2 * MINUTE, client="b"),
    )
    assert found[1].data == {
        "changes": {},
        "status": "active",
        "requestedBy": "ops",
        "reason": "left the agency",
    }
    assert "cause" not in found[2].data
    assert found[3].data["cause"] == {
        "request": "invalidate",
        "requestedBy": "ops",
        "requestedAt": "2024-01-15T12:01:00.000Z",
    }
    assert [types(found)[i][0] for i in (2, 3)] == ["reassigned", "expired"]


def test_a_row_that_shows_a_missing_connection_leaves_the_changes_to_the_transition() -> None:
    """Each change is told once; times that a note carries are RFC 3339."""
    found = entries(
        created(),
        missing(at=MINUTE, since=30 * SECOND),
        row(at=2 * MINUTE, answered=3 * MINUTE, status=Status.EXPIRED),
    )
    assert found[1].data["missingSince"] == "2024-01-15T12:00:30.000Z"
    assert [(entry.type, entry.data["changes"]) for entry in found[2:]] == [
        ("connection.reappeared", {}),
        ("connection.expired", {"status": {"from": "active", "to": "expired"}}),
    ]


def test_flags_of_a_claim_are_told_with_it() -> None:
    """What was odd about a claim stays visible where it acts."""
    (entry,) = entries(replace(created(), flags=("clock",)))
    assert entry.data["flags"] == ["clock"]
