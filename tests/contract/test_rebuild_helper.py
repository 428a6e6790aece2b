"""What a rebuild of a long log promises, of which a second process tells a share."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ledger.recorders.base import NewRow
from projections.errors import RebuildFailed
from projections.generations import generations_of
from projections.rebuild import helper as helping
from projections.rebuild import reading
from projections.rebuild.build import build
from projections.rebuild.helper import Helper
from projections.rebuild.job import Job, Message, Share
from projections.rebuild.rebuilds import Rebuilds
from projections.registry import PROJECTIONS, all_projections
from tests.acceptance.test_rebuild import fill, is_gone
from tests.builders import delivery, open_ledger
from tests.projected import Views, dump, tangle
from tests.rebuilding import children, complete, ended, live_rows, rebuilds_of, remnants, until

ALL = tuple(PROJECTIONS)


@pytest.fixture
def helped(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Views]:
    """A log that is long enough for a helper, with views that have read it."""
    monkeypatch.setattr(reading, "HELPED_FROM", 1)
    ledger = open_ledger(database_url)
    ledger.record([delivery(b"not json %d" % i) for i in range(30)])
    ledger.log.close()
    helped = Views(database_url)
    helped.tell(*tangle(1, 60))
    for connection in ("conn_0", "conn_38", "conn_9"):
        helped.append(NewRow(f"connection:{connection}", 99, "connection.unheard_of", b'{"v":1}'))
    helped.catch_up()
    yield helped
    helped.close()


def build_here(helped: Views, tell: Callable[[Message], None]) -> None:
    """Rebuild all views in this process, with its helper as a child."""
    with closing(generations_of(helped.url)) as generations:
        job = Job(helped.url, ALL, generations.begin(), verify=False)
        try:
            build(job, tell)
            generations.publish(job.generation)
        finally:
            generations.end()


@pytest.mark.parametrize("share", [0.0, 0.4, 0.99])
def test_what_a_helper_tells_is_written_as_if_there_was_none(
    helped: Views, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    """Row by row, blocked streams too, whoever told how much of it."""
    monkeypatch.setattr(reading, "OWN_SHARE", share)
    build_here(helped, lambda _: None)
    expected = dump(helped.store)
    assert len(expected["blocked"]) == 6
    assert live_rows(helped, 2) == expected
    assert children() == []


def test_a_helper_that_dies_fails_the_rebuild(
    helped: Views, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so, and nothing is left."""
    monkeypatch.setattr(helping, "AHEAD_BYTES", 4096)  # so that it must wait to be heard
    monkeypatch.setattr(reading, "AT_ONCE", 1)
    there = remnants(helped.url)

    def kill(_: Message) -> None:
        for process in children():
            os.kill(process, signal.SIGKILL)

    with pytest.raises(RebuildFailed, match="helper"):
        build_here(helped, kill)
    assert children() == []
    assert remnants(helped.url) == there


def test_a_helper_says_what_keeps_it_from_the_log(tmp_path: Path) -> None:
    """In the words of whatever went wrong; the rebuild fails with them."""
    job = Job(f"sqlite:///{tmp_path}/none.db", ALL, 2, False, Share((("a", "b"),), 9))
    with (
        Helper(job, all_projections(b"")) as helper,
        pytest.raises(RebuildFailed, match="ledger"),
    ):
        list(helper.meant(wait=True))


@pytest.mark.parametrize("how", ["cancel", "kill"])
def test_a_helper_ends_with_the_process_that_builds(
    database_url: str, tmp_path: Path, how: str
) -> None:
    """Cancelled or killed, it leaves nothing and nobody; the next rebuild runs."""
    fill(database_url, tmp_path, reading.HELPED_FROM)
    there, rebuilds = remnants(database_url), rebuilds_of(database_url)
    rebuilds.start()
    process, helper = with_helper(rebuilds)
    if how == "cancel":
        rebuilds.cancel()
    else:
        os.kill(process, signal.SIGKILL)
    assert ended(rebuilds).state == ("cancelled" if how == "cancel" else "failed")
    until(lambda: is_gone(helper))
    assert is_gone(process)
    assert remnants(database_url) == there
    rebuilds.start()
    assert ended(rebuilds).state == "done"
    assert complete(database_url)[-1:] == [2]


def with_helper(rebuilds: Rebuilds) -> tuple[int, int]:
    """The process of a running rebuild and its helper, as soon as there is one."""
    until(lambda: bool(children()))  # for a moment after it was started it has no name
    [process] = children()
    until(lambda: bool(children(process)))
    return process, children(process)[0]
