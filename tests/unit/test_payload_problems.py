"""Bodies that say nothing of a connection, and why one cannot be read."""

from typing import Any

import pytest

from ledger.ofauth.payloads import Reading, read
from ledger.ofauth.text import MAX_BYTES
from tests.hostile import encoded
from tests.told_bodies import DATED, STAMP, documented, reason, said

WITHHELD = ("rules.updated", "realtime.message", "of.websocket.event.received")


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
