"""Cursors: opaque, bound to one question and one store."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import Problem
from api.pagination import make_cursor, read_cursor, through
from projections.answers import Page

KEY = b"k" * 32
ENDS = st.lists(st.one_of(st.integers(0, 2**53), st.text(max_size=20)), max_size=4).map(tuple)


@given(ENDS, st.binary(max_size=40))
def test_a_cursor_reads_back_as_the_end_it_was_made_of(
    end: tuple[int | str, ...], q: bytes
) -> None:
    """And can stand in an address as it is."""
    cursor = make_cursor(end, q, KEY)
    assert read_cursor(cursor, q, KEY) == end
    assert cursor.replace("-", "").replace("_", "").isalnum()


@given(st.text(max_size=80))
def test_nothing_made_up_is_read(text: str) -> None:
    """Whatever the text: a problem of the parameter, never another error."""
    with pytest.raises(Problem) as caught:
        read_cursor(text, b"question", KEY)
    assert caught.value.kind.status == 422


def test_a_cursor_is_of_no_use_with_another_question_or_store() -> None:
    """It would skip or repeat items in silence."""
    cursor = make_cursor((7,), b"question", KEY)
    for question, key in ((b"other", KEY), (b"question", b"o" * 32), (b"question[7]", KEY)):
        with pytest.raises(Problem):
            read_cursor(cursor, question, key)


def test_all_pages_are_gone_through_lazily() -> None:
    """A page is fetched when the one before it is used up."""
    fetched: list[tuple[int | str, ...]] = []

    def fetch(end: tuple[int | str, ...]) -> Page[int]:
        fetched.append(end)
        return Page((3,), None) if end == (2,) else Page((2,), (2,))

    items = through(Page((1,), (1,)), fetch)
    assert next(items) == 1
    assert fetched == []
    assert list(items) == [2, 3]
    assert fetched == [(1,), (2,)]
