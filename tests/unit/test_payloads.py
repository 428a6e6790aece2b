"""The reading of webhook bodies: what each says."""

from typing import Any

import pytest

from ledger.domain.claim import Kind
from ledger.domain.status import Status
from ledger.ofauth.payloads import Reading, Said, read
from tests.hostile import encoded
from tests.told_bodies import DATED, STAMP, documented, reason, said

TYPES = {
    "connection.created": Kind.CREATED,
    "connection.updated": Kind.UPDATED,
    "connection.expired": Kind.EXPIRED,
    "connection.disconnected": Kind.DISCONNECTED,
}
WITHHELD = ("rules.updated", "realtime.message", "of.websocket.event.received")


class TestShapes:
    """What bodies of the published shapes say."""

    def test_the_documented_shape(self) -> None:
        """The documented shape gives its time, ids, status, permissions and user data."""
        user = {"id": "9", "name": "Ann", "username": "ann", "avatar": "https://a.example/1"}
        body = documented("connection.created", status="active", permissions=["b", "a"])
        body["data"]["clientReferenceId"] = "user_456"
        body["data"]["connection"]["userData"] = user
        assert read(encoded(body)) == Reading(
            type="connection.created",
            dated=DATED,
            said=Said(
                connection_id="conn_1",
                kind=Kind.CREATED,
                status=Status.ACTIVE,
                fields={"clientReferenceId": "user_456", "permissions": ["b", "a"]},
                personal={"userData": user},
                flags=(),
            ),
        )

    def test_the_sdk_shape(self) -> None:
        """The SDK's shape has no time; its `userId` is the documented `id`."""
        connection = {
            "id": "conn_2",
            "platformUserId": "9",
            "status": "awaiting_2fa",
            "userData": {"userId": "9", "name": "Ann", "username": "ann", "avatar": None},
            "permissions": [],
        }
        data = {"connection": connection, "clientReferenceId": "user_7"}
        body = {"eventType": "connection.updated", "live": True, "data": data}
        assert read(encoded(body)) == Reading(
            type="connection.updated",
            dated=None,
            said=Said(
                connection_id="conn_2",
                kind=Kind.UPDATED,
                status=Status.AWAITING_2FA,
                fields={"clientReferenceId": "user_7", "platformUserId": "9", "permissions": []},
                personal={
                    "userData": {"id": "9", "name": "Ann", "username": "ann", "avatar": None}
                },
                flags=(),
            ),
        )

    def test_the_older_shape(self) -> None:
        """The older shape has its ids and status in `data`; its `userId` is user data."""
        data = {"connectionId": "conn_3", "userId": "9", "status": "expired"}
        body = {"event": "connection.expired", "timestamp": STAMP, "data": data}
        assert read(encoded(body)) == Reading(
            type="connection.expired",
            dated=DATED,
            said=Said(
                connection_id="conn_3",
                kind=Kind.EXPIRED,
                status=Status.EXPIRED,
                fields={},
                personal={"userData": {"id": "9"}},
                flags=(),
            ),
        )

    def test_an_expiry_carries_only_what_it_states(self) -> None:
        """A body with id and status alone carries no field at all."""
        stated = said(documented("connection.expired", status="expired"))
        assert (stated.fields, stated.personal, stated.flags) == ({}, {}, ())

    def test_a_null_connection_is_the_older_shape(self) -> None:
        """A null `connection` counts as absent."""
        body = {"type": "connection.updated", "data": {"connection": None, "connectionId": "c"}}
        assert said(body).connection_id == "c"
        assert said(body).personal == {}

    def test_two_different_ids_are_not_guessed_between(self) -> None:
        """A body that names two connections is parked; the same one twice is fine."""
        body = documented()
        body["data"]["connectionId"] = "conn_2"
        assert reason(body) == "bad_shape"
        body["data"]["connectionId"] = "conn_1"
        assert said(body).connection_id == "conn_1"
        assert said(body).personal == {}

    @pytest.mark.parametrize("key", ["type", "eventType", "event"])
    @pytest.mark.parametrize("kind", TYPES)
    def test_each_name_of_the_type_goes_with_each_shape(self, key: str, kind: str) -> None:
        """The three names of the type mean the same in every shape."""
        flat = {"timestamp": STAMP, "data": {"connectionId": "conn_1"}}
        for body in (documented(), flat):
            others = {name: value for name, value in body.items() if name != "type"}
            assert said({key: kind, **others}).kind is TYPES[kind]


class TestStatus:
    """The type against the status of the body."""

    @pytest.mark.parametrize(
        ("kind", "sent", "expected"),
        [
            ("created", "active", Status.ACTIVE),
            ("created", "awaiting_2fa", Status.AWAITING_2FA),
            ("created", "expired", Status.EXPIRED),
            ("created", None, Status.ACTIVE),
            ("updated", "active", Status.ACTIVE),
            ("updated", "awaiting_2fa", Status.AWAITING_2FA),
            ("updated", "expired", Status.EXPIRED),
            ("updated", None, None),
            ("expired", "active", Status.EXPIRED),
            ("expired", "paused", Status.EXPIRED),
            ("expired", None, Status.EXPIRED),
            ("disconnected", "active", Status.DELETED),
            ("disconnected", "disconnected", Status.DELETED),
            ("disconnected", None, Status.DELETED),
        ],
    )
    def test_the_type_wins_where_it_decides(
        self, kind: str, sent: str | None, expected: Status | None
    ) -> None:
        """Expired and disconnected win over the body; created is active unless it says other."""
        stated = said(documented(f"connection.{kind}", status=sent))
        assert stated.status is expected
        assert (stated.fields, stated.flags) == ({}, ())
        if sent is None:
            assert said(documented(f"connection.{kind}")) == stated

    @pytest.mark.parametrize("text", ["paused", "deleted", "pending", "failed", "ACTIVE", ""])
    @pytest.mark.parametrize("kind", ["created", "updated"])
    def test_an_unknown_status_is_no_status(self, kind: str, text: str) -> None:
        """A status that is none of the provider's three is kept as text and flagged."""
        stated = said(documented(f"connection.{kind}", status=text))
        assert stated.status is None
        assert stated.fields == {"providerStatus": text}
        assert stated.flags == ("unknown_status",)


class TestFields:
    """What is carried, kept apart or left out."""

    @pytest.mark.parametrize("value", [None, ""])
    @pytest.mark.parametrize("name", ["clientReferenceId", "platformUserId"])
    def test_null_and_empty_texts_are_not_carried(self, name: str, value: str | None) -> None:
        """A null or empty reference never unbinds a connection."""
        body = documented()
        body["data"]["connection" if name == "platformUserId" else name] = (
            {"id": "conn_1", name: value} if name == "platformUserId" else value
        )
        assert said(body).fields == {}

    def test_null_is_a_value_for_the_avatar_only(self) -> None:
        """A null avatar says that there is none; any other null says nothing."""
        user = {"id": None, "name": None, "username": None, "avatar": None, "new": None}
        stated = said(documented(userData=user, permissions=None, platformUserId=None))
        assert (stated.fields, stated.personal) == ({}, {"userData": {"avatar": None}})

    @pytest.mark.parametrize("user", [None, {}, {"name": None}])
    def test_empty_user_data_is_left_out(self, user: Any) -> None:
        """Without any value the mapping has no `userData`."""
        assert said(documented(userData=user)).personal == {}

    def test_unknown_user_data_is_kept(self) -> None:
        """Unknown keys and kinds in user data are kept as they came."""
        user = {"id": 9, "badges": [{"a": 1.5}], "name": {"first": "Ann"}}
        assert said(documented(userData=user)).personal == {"userData": user}

    @pytest.mark.parametrize(
        ("user", "expected"),
        [
            ({"userId": "9"}, {"id": "9"}),
            ({"userId": "9", "id": "9"}, {"id": "9"}),
            ({"userId": "9", "id": None}, {"id": "9"}),
            ({"userId": None, "id": "9"}, {"id": "9"}),
            ({"userId": "8", "id": "9"}, {"id": "9", "userId": "8"}),
        ],
    )
    def test_both_names_of_the_user_id(self, user: Any, expected: Any) -> None:
        """`userId` becomes `id`, unless `id` says something else."""
        assert said(documented(userData=user)).personal == {"userData": expected}

    def test_user_data_of_the_older_shape_wins_over_its_user_id(self) -> None:
        """`data.userId` fills in the id only when the user data has none."""
        data = {"connectionId": "c", "userId": "8", "userData": {"userId": "9"}}
        assert said({"event": "connection.updated", "data": data}).personal == {
            "userData": {"id": "9"}
        }

    def test_unknown_fields_are_kept_as_extra(self) -> None:
        """Unknown members of `data` and of the connection are kept; the inner one of two stays."""
        body = documented(plan={"a": [None]}, twice=1, note=None)
        body["data"] |= {"twice": 2, "userId": "9", "region": "eu"}
        assert said(body).personal == {
            "extra": {
                "plan": {"a": [None]},
                "twice": 1,
                "note": None,
                "userId": "9",
                "region": "eu",
            }
        }

    def test_unknown_fields_of_the_older_shape_are_kept_as_extra(self) -> None:
        """In the older shape `data.id` has no meaning and is kept too."""
        data = {"connectionId": "c", "id": "x", "plan": 1}
        assert said({"event": "connection.updated", "data": data}).personal == {
            "extra": {"id": "x", "plan": 1}
        }
