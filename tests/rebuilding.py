"""Rebuilds in tests: followed without a clock, stopped where they are, and what they leave."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg

from ledger.recorders import sqlite_path
from projections.generations import generations_of
from projections.rebuild.rebuilds import Rebuild, Rebuilds
from tests.projected import Views, dump

PATIENCE_S = 60.0
"""After how long a test gives up."""


def rebuilds_of(url: str) -> Rebuilds:
    """Rebuilds of the views of a log that nobody serves."""
    return Rebuilds(url, monotonic=time.monotonic)


def ended(rebuilds: Rebuilds) -> Rebuild:
    """How the running rebuild ends."""
    last = rebuilds.wait(PATIENCE_S)
    assert last is not None
    assert last.state != "running", last
    return last


def until(happened: Callable[[], bool], patience: float = PATIENCE_S) -> None:
    """Look again and again until something has happened elsewhere, at most so many seconds."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if happened():
            return
        threading.Event().wait(0.005)
    raise AssertionError("it did not happen")


def children(parent: int | None = None) -> list[int]:
    """The processes of rebuilds that a process has started."""
    parent = parent or os.getpid()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            (stat, command) = (process / "stat").read_text(), (process / "cmdline").read_bytes()
        except OSError:
            continue  # it has ended meanwhile
        state, owner = stat.rpartition(")")[2].split()[:2]
        if int(owner) == parent and state != "Z" and b"projections.rebuild" in command:
            found.append(int(process.name))
    return found


@contextmanager
def stopped(rebuilds: Rebuilds, phase: str = "reading") -> Iterator[int]:
    """Hold the running rebuild where it is, from the time when it has come to a phase."""

    def come() -> bool:
        last = rebuilds.last
        assert last is not None
        assert last.state == "running", last
        return last.phase == phase

    until(come)
    [process] = children()
    os.kill(process, signal.SIGSTOP)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGCONT)


def complete(url: str) -> list[int]:
    """The generations that there are."""
    with closing(generations_of(url)) as generations:
        return generations.all()


def remnants(url: str) -> list[str]:
    """The files or tables of views by name, without what the database itself keeps beside them."""
    path = sqlite_path(url)
    if path is not None:
        found = [file.name for file in path.parent.glob(f"{path.stem}.views-*")]
        return sorted(name for name in found if not name.endswith(("-wal", "-shm")))
    with psycopg.connect(url, autocommit=True) as connection:
        rows = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'i') AND relname ~ '_[0-9]+(_|$)' "
            "AND relnamespace = current_schema()::regnamespace ORDER BY 1"
        )
        return [row[0] for row in rows.fetchall()]


def live_rows(views: Views, generation: int) -> dict[str, list[tuple[object, ...]]]:
    """Everything that a generation holds."""
    with closing(generations_of(views.url)) as generations:
        assert generations.live() == generation
        with closing(generations.open(generation, writer=False)) as store:
            return dump(store)
