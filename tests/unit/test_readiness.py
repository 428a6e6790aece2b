"""Readiness: asked of the store at most once a second."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from api.health import LEAST_ROOM, Readiness, look_at_store
from ledger.domain.errors import LedgerBusy, StoreUnavailable
from ledger.recorders.base import Head


class Writer:
    """A committer that passes an empty batch, or does not."""

    depth = 0

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    def submit(self, observation: Any) -> Any:
        """Take nothing."""
        raise AssertionError("a look writes nothing")

    def fence(self) -> Head:
        """Pass an empty batch."""
        if self._error is not None:
            raise self._error
        return Head(1, 1)


@pytest.mark.parametrize(
    ("error", "left", "word"),
    [
        (None, None, "ok"),
        (None, LEAST_ROOM, "ok"),
        (None, LEAST_ROOM - 1, "full"),
        (LedgerBusy("full queue"), None, "busy"),
        (StoreUnavailable("gone"), LEAST_ROOM, "unavailable"),
    ],
)
def test_a_store_without_room_is_not_ready(
    error: Exception | None, left: int | None, word: str
) -> None:
    """An empty batch writes nothing, and so passes on a full disk too."""
    assert look_at_store(Writer(error), lambda: left) == word


def test_the_store_is_asked_once_a_second() -> None:
    """Probes, which ask for no token, cannot be used to load it."""
    now, looks = [0.0], []

    def look() -> str:
        looks.append(now[0])
        return "ok"

    readiness = Readiness(look, lambda: now[0])
    assert [readiness() for _ in range(5)] == ["ok"] * 5
    now[0] = 1.0
    assert readiness() == "ok"
    assert looks == [0.0, 1.0]


def test_while_one_thread_asks_the_others_take_the_last_word() -> None:
    """A store that hangs holds one thread, not all."""
    now, asked, go = [0.0], threading.Event(), threading.Event()

    def look() -> str:
        if now[0] == 0.0:
            return "ok"
        asked.set()
        go.wait(30)
        return "unavailable"

    readiness = Readiness(look, lambda: now[0])
    assert readiness() == "ok"
    now[0] = 5.0
    slow = threading.Thread(target=readiness)
    slow.start()
    assert asked.wait(30)
    assert readiness() == "ok"
    go.set()
    slow.join(30)
    assert readiness() == "unavailable"
