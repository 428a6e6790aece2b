"""The reading of any bytes at all: never an exception, never a text that a store cannot keep."""

import itertools
import json
import random
from dataclasses import fields as fields_of
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ledger.domain.claim import canonical_json
from ledger.ofauth.payloads import Reading, Said, read
from ledger.ofauth.text import MAX_BYTES, Reason, parse
from tests.any_json import JSON, NAMES, assert_storable
from tests.hostile import bodies, encoded, plain


def check(body: bytes) -> Reading:
    """Read any bytes and check all that is promised of the result."""
    reading = read(body)
    assert reading.problem is None or reading.said is None
    assert reading.kept or reading.said is None
    assert reading.type is None or 0 < len(reading.type) <= 128
    if reading.problem is not None:
        assert reading.problem.reason in get_args(Reason)
    assert_storable([reading.type, reading.problem.detail if reading.problem else None])
    if reading.said is not None:
        assert not reading.test
        stated = {one.name: getattr(reading.said, one.name) for one in fields_of(Said)}
        assert 0 < len(reading.said.connection_id) <= 256
        assert_storable(stated)
        for part in (reading.said.fields, reading.said.personal):
            assert msgspec.json.decode(canonical_json(part)) == part
            assert json.loads(msgspec.json.encode(part), parse_constant=pytest.fail) == part
    return reading


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=300))
@example(b'"' * 300)
@example(b'"\\' * 150)
def test_any_bytes_are_read_without_an_error(body: bytes) -> None:
    """No bytes make the reader raise."""
    assert check(body).said is None


@settings(max_examples=600, deadline=None)
@given(JSON, st.booleans())
def test_any_json_is_read_without_an_error(value: Any, escaped: bool) -> None:
    """No JSON makes the reader raise or say what cannot be stored."""
    text = json.dumps(value, ensure_ascii=escaped)
    check(text.encode("utf-8", "surrogatepass"))


@settings(max_examples=800, deadline=None)
@given(st.randoms(use_true_random=False), st.lists(st.tuples(NAMES, JSON), max_size=3))
def test_any_change_of_a_real_body_is_read_without_an_error(
    rng: random.Random, changes: list[tuple[str, Any]]
) -> None:
    """A real body with members replaced by anything, anywhere, never makes it raise."""
    body = plain(rng)
    for name, value in changes:
        data = body["data"] if isinstance(body["data"], dict) else {}
        inner = data.get("connection")
        holder = rng.choice([body, data, inner if isinstance(inner, dict) else data])
        holder[name] = value
    check(encoded(body))


@settings(max_examples=600, deadline=None)
@given(st.randoms(use_true_random=False), st.binary(min_size=1, max_size=8), st.integers(0, 5))
def test_any_damage_to_a_real_body_is_read_without_an_error(
    rng: random.Random, junk: bytes, cut: int
) -> None:
    """A real body with some bytes replaced never makes it raise."""
    body = encoded(plain(rng))
    at = rng.randrange(len(body))
    check(body[:at] + junk + body[at + cut :])


def test_hostile_bodies_are_parked_for_their_reason() -> None:
    """Each generated hostile body is parked for the reason it was made for, or is not."""
    seen = set()
    for hostile in itertools.islice(bodies(random.Random(2), big=True), 1_500):
        reading = check(hostile.body)
        found = reading.problem.reason if reading.problem else None
        assert (hostile.name, found) == (hostile.name, hostile.reason)
        seen.add(found)
    assert seen == {None, *get_args(Reason)}


def test_a_detail_never_quotes_the_body() -> None:
    """Nothing that only the body holds appears in a problem's words."""
    rng = random.Random(3)
    for hostile in itertools.islice(bodies(rng), 1_500):
        marked = hostile.body.replace(b"conn_", b"zqx_").replace(b'"a"', b'"zqx"')
        problem = read(marked).problem
        assert problem is None or "zqx" not in problem.detail
        assert problem is None or len(problem.detail) < 300


@pytest.mark.timeout(30)
def test_no_body_takes_quadratic_time() -> None:
    """The largest bodies of the worst forms take a fraction of a second, not minutes."""
    for piece in (b'"', b'\\"', b'"\\', b"[", b"{", b'{"":', b"[]", b'"[', b"\\u0000", b"9"):
        body = (b'{"type":' + piece * MAX_BYTES)[:MAX_BYTES]
        check(body)


def test_plain_bodies_are_all_readable() -> None:
    """The generator's well-formed bodies are read and say something."""
    rng = random.Random(4)
    for _ in range(300):
        assert check(encoded(plain(rng))).said is not None


def test_a_parsed_number_is_the_number_that_was_sent() -> None:
    """Numbers of up to 19 digits are not changed on the way."""
    for number in (0, -1, 2**53 + 1, 2**63, 9_999_999_999_999_999_999, 0.1, 1e300):
        assert parse(json.dumps(number).encode()) == number
