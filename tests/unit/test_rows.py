"""The reading of list rows: the claims that a row of the provider's list makes."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.domain.claim import Claim, Kind, canonical_json
from ledger.domain.status import Status
from ledger.ofauth.rows import UnreadableRow, read_row
from tests.any_json import JSON, NAMES, assert_storable
from tests.builders import iso

ANSWERED = 1_705_400_000_000
CREATED, CREATED_MS = "2024-01-10T00:00:00Z", 1_704_844_800_000
UPDATED, UPDATED_MS = "2024-01-12T00:00:00.250Z", 1_705_017_600_250
EXPIRED, EXPIRED_MS = "2024-01-11T00:00:00+00:00", 1_704_931_200_000
USER = {"id": "9", "name": "Ann", "username": "ann", "avatar": None}


def row(**members: Any) -> dict[str, Any]:
    """A full row of the newer path; a keyword replaces a member, or removes it by `...`."""
    full = {
        "id": "conn_1",
        "status": "active",
        "userData": USER,
        "permissions": ["b", "a"],
        "createdAt": CREATED,
        "updatedAt": UPDATED,
        "expiredAt": None,
        "clientReferenceId": "user_1",
        "imported": False,
        "lastCheckedAt": UPDATED,
    } | members
    return {name: value for name, value in full.items() if value is not ...}


ALL_FIELDS = {
    "permissions": ["b", "a"],
    "createdAt": CREATED_MS,
    "updatedAt": UPDATED_MS,
    "expiredAt": None,
    "clientReferenceId": "user_1",
    "imported": False,
    "lastCheckedAt": UPDATED_MS,
}


def claims(sent: dict[str, Any], *, first_seen: bool = False) -> dict[Kind, Claim]:
    """The claims of a row by their kind, none twice."""
    found = read_row(sent, answered=ANSWERED, first_seen=first_seen)
    by_kind = {claim.kind: claim for claim in found}
    assert len(by_kind) == len(found)
    assert found[0].kind is Kind.ROW
    return by_kind


def test_a_known_row_makes_one_claim_with_all_it_says() -> None:
    """A row that was seen before makes one claim, dated two minutes before the answer."""
    expected = Claim(
        connection_id="conn_1",
        kind=Kind.ROW,
        k=ANSWERED - 120_000,
        status=Status.ACTIVE,
        fields=ALL_FIELDS,
        personal={"userData": USER},
        answered=ANSWERED,
    ).identified()
    assert claims(row()) == {Kind.ROW: expected}


@pytest.mark.parametrize(
    ("updated", "k"),
    [
        ("2024-01-16T10:11:20Z", ANSWERED - 120_000),
        ("2024-01-16T10:13:00Z", ANSWERED - 20_000),
        ("2024-01-16T10:20:00Z", ANSWERED + 400_000),
        (..., ANSWERED - 120_000),
        (None, ANSWERED - 120_000),
    ],
)
def test_a_row_is_dated_by_its_last_change_or_two_minutes_ago(updated: Any, k: int) -> None:
    """The later of `updatedAt` and two minutes before the answer is the time of a row."""
    assert claims(row(updatedAt=updated))[Kind.ROW].k == k


def test_a_new_row_tells_of_its_birth_and_last_change() -> None:
    """A row seen for the first time is also a birth without status and a claim at `updatedAt`."""
    found = claims(row(), first_seen=True)
    assert set(found) == {Kind.ROW, Kind.BIRTH, Kind.ROW_UPDATED}
    assert found[Kind.ROW] == claims(row())[Kind.ROW]
    assert (
        found[Kind.BIRTH]
        == Claim(
            connection_id="conn_1",
            kind=Kind.BIRTH,
            k=CREATED_MS,
            fields={"clientReferenceId": "user_1", "createdAt": CREATED_MS},
        ).identified()
    )
    assert (
        found[Kind.ROW_UPDATED]
        == Claim(
            connection_id="conn_1",
            kind=Kind.ROW_UPDATED,
            k=UPDATED_MS,
            status=Status.ACTIVE,
            fields=ALL_FIELDS,
            personal={"userData": USER},
        ).identified()
    )


def test_a_new_row_without_times_is_only_a_row() -> None:
    """Without `createdAt` there is no birth, without `updatedAt` no earlier change."""
    assert set(claims(row(createdAt=..., updatedAt=None), first_seen=True)) == {Kind.ROW}


def test_a_birth_without_reference_carries_none() -> None:
    """A null reference is not carried by the birth either."""
    birth = claims(row(clientReferenceId=None), first_seen=True)[Kind.BIRTH]
    assert birth.fields == {"createdAt": CREATED_MS}


@pytest.mark.parametrize(
    ("expired", "k"),
    [
        (EXPIRED, EXPIRED_MS),
        ("2031-01-01T00:00:00Z", ANSWERED),
        (iso(ANSWERED + 999), ANSWERED + 999),
        (iso(ANSWERED + 1_000), ANSWERED),
    ],
)
def test_a_new_expired_row_tells_when_it_expired(expired: str, k: int) -> None:
    """An expired row also claims its expiry at `expiredAt`, but never after the answer.

    The answer's `Date` is in whole seconds: what happened in its second is not after it.
    """
    found = claims(row(status="expired", expiredAt=expired), first_seen=True)
    assert (
        found[Kind.ROW_EXPIRED]
        == Claim(
            connection_id="conn_1", kind=Kind.ROW_EXPIRED, k=k, status=Status.EXPIRED
        ).identified()
    )


@pytest.mark.parametrize(
    ("status", "expired"),
    [("active", EXPIRED), ("awaiting_2fa", EXPIRED), ("paused", EXPIRED), (..., EXPIRED),
     ("expired", None), ("expired", ...)],
)  # fmt: skip
def test_an_expiry_date_alone_is_a_field(status: Any, expired: Any) -> None:
    """Only an expired row with a date claims an expiry."""
    found = claims(row(status=status, expiredAt=expired), first_seen=True)
    assert Kind.ROW_EXPIRED not in found


def test_a_null_expiry_is_carried_and_an_absent_one_is_not() -> None:
    """Null is a value for `expiredAt`: it says that the connection is not expired."""
    assert claims(row())[Kind.ROW].fields["expiredAt"] is None
    assert "expiredAt" not in claims(row(expiredAt=...))[Kind.ROW].fields


def test_every_other_null_is_absent() -> None:
    """Null says nothing, but for `avatar` and `expiredAt`."""
    nulls = dict.fromkeys(row(), None) | {"id": "conn_1"}
    claim = claims(nulls, first_seen=True)[Kind.ROW]
    assert (claim.status, claim.fields, claim.personal) == (None, {"expiredAt": None}, {})


def test_a_row_of_the_older_path_is_read() -> None:
    """`imported`, `lastCheckedAt` and whatever may be absent are not carried."""
    claim = claims({"id": "conn_1", "status": "active"})[Kind.ROW]
    assert (claim.status, claim.fields, claim.personal) == (Status.ACTIVE, {}, {})


@pytest.mark.parametrize("text", ["deleted", "pending", "paused"])
def test_an_unknown_status_of_a_row_is_no_status(text: str) -> None:
    """A status that is none of the provider's three is kept as text and flagged."""
    found = claims(row(status=text), first_seen=True)
    for kind in (Kind.ROW, Kind.ROW_UPDATED):
        assert found[kind].status is None
        assert found[kind].fields["providerStatus"] == text
        assert found[kind].flags == ("unknown_status",)
    assert found[Kind.BIRTH].flags == ()


def test_unknown_members_of_a_row_are_kept() -> None:
    """Unknown members rest apart with what may have to be forgotten."""
    claim = claims(row(plan={"a": 1}, note=None))[Kind.ROW]
    assert claim.personal == {"userData": USER, "extra": {"plan": {"a": 1}, "note": None}}


def test_a_row_says_the_same_fields_as_a_webhook() -> None:
    """The SDK's `userId` and `platformUserId` are read from rows alike."""
    claim = claims(row(userData={"userId": "9"}, platformUserId="9"))[Kind.ROW]
    assert claim.personal == {"userData": {"id": "9"}}
    assert claim.fields["platformUserId"] == "9"


@pytest.mark.parametrize(
    ("sent", "detail"),
    [
        ([], "the row: not an object"),
        ("conn_1", "the row: not an object"),
        (None, "the row: not an object"),
        ({}, "id: missing or empty"),
        (row(id=""), "id: missing or empty"),
        (row(id=7), "id: not a string"),
        (row(id="c" * 257), "id: over 256 characters"),
        (row(status=7), "status: not a string"),
        (row(clientReferenceId="r" * 513), "clientReferenceId: over 512 characters"),
        (row(permissions=[1]), "permissions: not a list of strings"),
        (row(userData="Ann"), "userData: not an object"),
        (row(imported="false"), "imported: not true or false"),
        (row(createdAt="yesterday"), "createdAt: not an RFC 3339 time from 1970 to 9999"),
        (row(updatedAt=1705314600), "updatedAt: not an RFC 3339 time from 1970 to 9999"),
        (row(expiredAt=""), "expiredAt: not an RFC 3339 time from 1970 to 9999"),
        (row(userData={"name": "a\0"}), "NUL in a string or key"),
        (row(userData={"\ud800": 1}), "a lone surrogate in a string or key"),
        (row(plan=float("nan")), "a value that JSON does not have, or too long a number"),
        (row(plan=10**19), "a value that JSON does not have, or too long a number"),
        (row(plan={1: 2}), "a key is not a string"),
        (row(plan=json.loads("[" * 32 + "]" * 32)), "more than 32 levels"),
    ],
)
def test_an_unreadable_row_says_which_part(sent: Any, detail: str) -> None:
    """A row of another form is refused with the part, never with its text."""
    with pytest.raises(UnreadableRow) as caught:
        read_row(sent, answered=ANSWERED, first_seen=True)
    assert caught.value.detail == detail
    assert detail in str(caught.value)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(NAMES | st.sampled_from(sorted(row())), JSON), max_size=3), JSON)
def test_any_row_is_read_or_refused(changes: list[tuple[str, Any]], whole: Any) -> None:
    """Any JSON as a row gives storable claims or the one error."""
    for sent in (row(**dict(changes)), whole):
        try:
            found = read_row(sent, answered=ANSWERED, first_seen=True)
        except UnreadableRow as error:
            assert_storable(str(error))
            continue
        for claim in found:
            assert claim.id
            assert_storable([claim.connection_id, claim.fields, claim.personal])
            json.loads(canonical_json([claim.fields, claim.personal]), parse_constant=pytest.fail)
