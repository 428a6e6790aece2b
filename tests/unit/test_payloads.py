"""The reading of webhook bodies: what each says, and why one cannot be read."""

from typing import Any

import pytest

from ledger.domain.claim import Kind
from ledger.domain.status import Status
from ledger.ofauth.payloads import Reading, Said, read
from ledger.ofauth.text import MAX_BYTES
from tests.hostile import encoded

STAMP = "2024-01-15T10:30:00Z"
DATED = 1_705_314_600_000
TYPES = {
    "connection.created": Kind.CREATED,
    "connection.updated": Kind.UPDATED,
    "connection.expired": Kind.EXPIRED,
    "connection.disconnected": Kind.DISCONNECTED,
}
WITHHELD = ("rules.updated", "realtime.message", "of.websocket.event.received")


def documented(kind: str = "connection.updated", **connection: Any) -> dict[str, Any]:
    """A body of the documented shape; the keywords are members of its connection."""
    return {
        "type": kind,
        "timestamp": STAMP,
        "data": {"connection": {"id": "conn_1", **connection}},
    }


def said(body: dict[str, Any]) -> Said:
    """What a readable body says."""
    reading = read(encoded(body))
    assert reading.problem is None
    assert reading.said is not None
    return reading.said


def reason(body: bytes | dict[str, Any]) -> str | None:
    """Why a body cannot be read; None when it can."""
    reading = read(body if isinstance(body, bytes) else encoded(body))
    assert reading.problem is None or reading.said is None
    return reading.problem.reason if reading.problem else None


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


class TestOtherBodies:
    """Bodies that are about no connection, or only a test."""

    @pytest.mark.parametrize("kind", WITHHELD)
    @pytest.mark.parametrize(
        "inside",
        [b"{}", b'"\\u0000"', b"NaN", b"1e999", b'{"a":1,"a":2}', b'"\xff"', b"[" * 40 + b"]" * 40],
    )
    def test_a_body_that_must_not_be_kept_is_never_parked(self, kind: str, inside: bytes) -> None:
        """Of system and relayed events only the type is looked at, whatever is inside."""
        body = b'{"type":"%s","timestamp":"%s","data":%s}'
        body = body % (kind.encode(), STAMP.encode(), inside)
        assert read(body) == Reading(type=kind, dated=DATED, kept=False)

    @pytest.mark.parametrize("kind", ["foo.bar", "connection", "Connection.created", "rules"])
    def test_other_types_are_kept_without_alarm(self, kind: str) -> None:
        """A readable type that is not about a connection is no problem and says nothing."""
        body = {"eventType": kind, "timestamp": STAMP, "data": 7}
        assert read(encoded(body)) == Reading(type=kind, dated=DATED)

    @pytest.mark.parametrize("kind", ["connection.created", "connection.other", "foo.bar"])
    def test_a_test_event_draws_nothing(self, kind: str) -> None:
        """`live: false` is kept as a receipt and says nothing, whatever else it holds."""
        body = {"eventType": kind, "live": False, "timestamp": STAMP, "data": None}
        assert read(encoded(body)) == Reading(type=kind, dated=DATED, test=True)

    def test_a_long_type_is_cut(self) -> None:
        """At most 128 characters of a type are kept."""
        assert read(encoded({"type": "é" * 1_000})) == Reading(type="é" * 128, dated=None)

    def test_a_null_type_counts_as_absent(self) -> None:
        """The first name of the type that is not null is taken."""
        body = {"type": None, "event": "foo.bar"}
        assert read(encoded(body)) == Reading(type="foo.bar", dated=None)


class TestProblems:
    """Why a body cannot be read, and what is told of it."""

    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            (b"", "not_json"),
            (b'\xef\xbb\xbf{"type": "foo.bar"}', "not_json"),
            (b'{"type": "a\x00"}', "not_json"),
            (b'{"type": "foo.bar", "a": NaN}', "not_json"),
            (b'{"type": "foo.bar", "a": -Infinity}', "not_json"),
            (b'{"type": "foo.bar", "a": 1e400}', "not_json"),
            (b'{"type": "foo.bar", "a": {"b": 1, "b": 1}}', "not_json"),
            (b'{"type": "foo.bar", "a": -9999999999999999999}', None),
            (b'{"type": "foo.bar", "a": 10000000000000000000}', "not_json"),
            (b'{"type": "foo.bar", "a": 0.0000001234567890123456789}', None),
            (b'{"type": "foo.bar", "a": 1.2345678901234567890}', "not_json"),
            (b'{"type": "foo.bar", "a": "\xff"}', "not_utf8"),
            (b'{"type": "foo.bar", "a": "\xed\xa0\x80"}', "not_utf8"),
            (b'{"type": "foo.bar", "a": "\\u0000"}', "bad_text"),
            (b'{"type": "foo.bar", "\\u0000": 1}', "bad_text"),
            (b'{"type": "foo.bar", "a": [["\\uDABC"]]}', "bad_text"),
            (b'{"type": "foo.bar", "a": "\\udc00\\ud800"}', "bad_text"),
            (b'{"type": "foo.bar", "a": "\\ud83d\\ude00 \\\\u0000"}', None),
            (b'{"type": "rules.\\u0000"}', "bad_text"),
            (b"[]", "bad_shape"),
            (b"{}", "bad_shape"),
            (b'{"type": ""}', "bad_shape"),
            (b'{"type": 7, "event": "foo.bar"}', "bad_shape"),
            (b'{"type": "connection.revoked"}', "unknown_type"),
            (b'{"type": "connection.created"}', "bad_shape"),
            (b'{"type": "connection.created", "data": {}}', "bad_shape"),
            (b'{"type": "connection.created", "data": {"connection": "conn_1"}}', "bad_shape"),
        ],
    )
    def test_why_a_body_is_not_read(self, body: bytes, expected: str | None) -> None:
        """Each kind of unreadable body has its one reason."""
        assert reason(body) == expected

    @pytest.mark.parametrize(
        ("member", "value", "path"),
        [
            ("id", "", "data.connection.id"),
            ("id", None, "data.connection.id"),
            ("id", 7, "data.connection.id"),
            ("id", "c" * 257, "data.connection.id"),
            ("status", 7, "data.connection.status"),
            ("status", "s" * 513, "data.connection.status"),
            ("permissions", "profile:read", "data.connection.permissions"),
            ("permissions", ["a", None], "data.connection.permissions"),
            ("permissions", {"a": 1}, "data.connection.permissions"),
            ("platformUserId", 7, "data.connection.platformUserId"),
            ("userData", [], "data.connection.userData"),
        ],
    )
    def test_a_wrong_member_is_named(self, member: str, value: Any, path: str) -> None:
        """A member of the wrong kind parks the body; the detail says which, not what it was."""
        reading = read(encoded(documented(**{member: value})))
        assert reading.problem is not None
        assert reading.problem.reason == "bad_shape"
        assert reading.problem.detail.startswith(f"{path}: ")
        assert (reading.type, reading.dated) == ("connection.updated", DATED)

    @pytest.mark.parametrize("value", [7, [], "r" * 513])
    def test_a_wrong_reference_is_named(self, value: Any) -> None:
        """A reference is a string of at most 512 characters."""
        body = documented()
        body["data"]["clientReferenceId"] = value
        reading = read(encoded(body))
        assert reading.problem is not None
        assert reading.problem.detail.startswith("data.clientReferenceId: ")

    def test_the_longest_id_and_reference_are_read(self) -> None:
        """256 characters of an id and 512 of a reference are fine, in two bytes each."""
        body = documented(id="é" * 256)
        body["data"]["clientReferenceId"] = "é" * 512
        assert said(body).fields == {"clientReferenceId": "é" * 512}

    def test_an_id_too_long_in_bytes_is_parked(self) -> None:
        """A key of a database index has a bound in bytes, whatever the script."""
        assert reason(documented(id="\U0001d554" * 129)) == "bad_shape"

    @pytest.mark.parametrize("value", ["false", 0, 1, []])
    def test_live_is_true_or_false(self, value: Any) -> None:
        """What only resembles false is neither a test nor live."""
        assert reason({**documented(), "live": value}) == "bad_shape"

    def test_exactly_32_levels_are_read(self) -> None:
        """32 levels are fine, 33 are not, and brackets in strings are none."""
        for levels, expected in ((32, None), (33, "too_deep"), (100_000, "too_deep")):
            inside = b"[" * (levels - 1) + b"]" * (levels - 1)
            assert reason(b'{"type": "foo.bar", "a": %s}' % inside) == expected
        assert reason({"type": "foo.bar", "a": '["' * 99}) is None
        assert reason({"type": "foo.bar", "a": [[]] * 99}) is None

    def test_a_body_over_256_kib_is_not_read(self) -> None:
        """One byte over 256 KiB is too big, whatever it holds."""
        body = encoded(documented())
        assert reason(body + b" " * (MAX_BYTES - len(body))) is None
        assert reason(body + b" " * (MAX_BYTES - len(body) + 1)) == "too_big"
        assert reason(b"\xff" * (MAX_BYTES + 1)) == "too_big"

    def test_a_big_body_of_private_traffic_is_not_kept(self) -> None:
        """What is too big to be read may still be recognised as nothing that we keep."""
        body = encoded({"type": "realtime.message", "data": "x" * MAX_BYTES})
        assert (read(body).kept, read(body).problem) == (False, None)

    @pytest.mark.parametrize(
        "inside", [b'"\\u0000"', b"NaN", b'{"a":1,"a":2}', b"[" * 33 + b"]" * 33]
    )
    def test_a_problem_still_tells_type_time_and_test(self, inside: bytes) -> None:
        """What the top level states is given though something inside cannot be read."""
        body = b'{"type":"connection.created","live":false,"timestamp":"%s","data":%s}'
        reading = read(body % (STAMP.encode(), inside))
        assert reading.problem is not None
        assert (reading.type, reading.dated, reading.test) == ("connection.created", DATED, True)
