"""Slots: what keeps readers from taking every thread."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

import pytest

from api.slots import REFUSED, SLOTS, THREADS, WAITERS, Slots

Environ = dict[str, Any]


def environ(path: str = "/api/clients") -> Environ:
    """A request's environment, as far as slots look at it."""
    return {"PATH_INFO": path}


def answer(environ: Environ, start_response: Any) -> Iterable[bytes]:
    """An application that says whether it was refused a slot."""
    return [b"refused" if environ.get(REFUSED) else b"served"]


def said(body: Iterable[bytes]) -> bytes:
    """Read and close an answer, as a server does."""
    content = b"".join(body)
    getattr(body, "close", lambda: None)()
    return content


def start(*_: Any) -> Any:
    """Stand for a server's start_response."""


def test_threads_always_remain_for_webhooks() -> None:
    """Readers with a slot and readers that wait for one leave a quarter of the threads."""
    assert THREADS - SLOTS - WAITERS >= 8


def test_a_slot_is_held_until_the_body_is_closed() -> None:
    """Also while a long answer is streamed."""
    slots = Slots(answer, slots=1, waiters=1, wait=0)
    first = slots(environ(), start)
    assert said(slots(environ(), start)) == b"refused"
    assert said(first) == b"served"
    first.close()  # type: ignore[attr-defined]
    assert said(slots(environ(), start)) == b"served"


def test_a_failing_application_gives_its_slot_back() -> None:
    """An error costs nothing."""

    def fail(environ: Environ, start_response: Any) -> Iterable[bytes]:
        raise RuntimeError("fails")

    slots = Slots(fail, slots=1, waiters=1, wait=0)
    for _ in range(3):
        with pytest.raises(RuntimeError):
            slots(environ(), start)


def test_probes_need_no_slot() -> None:
    """They are answered when readers crowd."""
    slots = Slots(answer, slots=1, waiters=1, wait=0)
    held = slots(environ(), start)
    assert said(slots(environ("/livez"), start)) == b"served"
    assert said(slots(environ("/readyz"), start)) == b"served"
    assert said(held) == b"served"


def test_a_reader_waits_for_a_slot_that_becomes_free() -> None:
    """It is served as soon as another ends."""
    slots = Slots(answer, slots=1, waiters=1, wait=30)
    held = slots(environ(), start)
    results: list[bytes] = []
    waiting = threading.Thread(target=lambda: results.append(said(slots(environ(), start))))
    waiting.start()
    said(held)
    waiting.join(30)
    assert results == [b"served"]


def test_only_so_many_wait() -> None:
    """The rest is refused at once, however long the wait may be."""
    slots = Slots(answer, slots=1, waiters=0, wait=30)
    held = slots(environ(), start)
    assert said(slots(environ(), start)) == b"refused"
    said(held)
