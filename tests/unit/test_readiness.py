"""Readiness: asked of the store at most once a second."""

from __future__ import annotations

import threading

from api.health import Readiness


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
