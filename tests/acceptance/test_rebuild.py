"""A rebuild beside a service that is used: nobody waits, nobody is told anything wrong."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from ledger.recorders import sqlite_path
from projections.generations import generations_of
from tests.acceptance.reading import Answered, Asking, Oracle, goes_back, stories
from tests.acceptance.service import TOKEN, Service, service_on
from tests.benchmarks import logs, workload
from tests.projected import dump
from tests.rebuilding import children, complete, ended, rebuilds_of, remnants, until

EVENTS = 20_000
RATE = 40
"""Deliveries a second; the soak has 200."""
PATH = "/api/projections"


def fill(url: str, folder: Path, events: int) -> None:
    """Write a log of so many events, as a service would have."""
    path = sqlite_path(url)
    if path is not None:
        logs.write_sqlite(path, events)
        return
    source = folder / "source.db"
    logs.write_sqlite(source, events)
    logs.copy_to_postgres(source, url)
    source.unlink()


def ask(service: Service, method: str, path: str, **content: Any) -> requests.Response:
    """Ask the service as its administrator."""
    return requests.request(
        method,
        f"http://127.0.0.1:{service.port}{path}",
        headers={"Authorization": f"Bearer {TOKEN}"},
        timeout=120,
        **content,
    )


def rebuild(service: Service, **body: Any) -> Callable[[], dict[str, Any]]:
    """Start a rebuild; gives what tells how far it is."""
    assert ask(service, "POST", f"{PATH}/rebuild", json=body).status_code == 202

    def look() -> dict[str, Any]:
        found: dict[str, Any] = ask(service, "GET", PATH).json()["rebuild"]
        return found

    return look


def ended_of(look: Callable[[], dict[str, Any]], patience: float = 60) -> dict[str, Any]:
    """How the rebuild ends of which `look` tells how far it is."""
    until(lambda: look()["state"] != "running", patience)
    return look()


@contextmanager
def serving(url: str, folder: Path, events: int, patience: float = 60) -> Iterator[Service]:
    """Lend a service on a log of so many events, whose views have read all of it."""
    fill(url, folder, events)
    service = service_on(url, folder)
    service.start()
    try:
        question = f"/api/connections?limit=1&minPosition={events}"
        until(lambda: ask(service, "GET", question).status_code == 200, patience)
        yield service
        assert service.stop() == 0
    finally:
        service.kill()


def rebuild_under_load(
    url: str, folder: Path, events: int, rate: int, seconds: float
) -> tuple[Asking, dict[str, Any]]:
    """Rebuild while somebody sends and others ask; then hold every answer against the model."""
    known = {logs.client(n): workload.connection_id(n) for n in range(rate // 2)}
    work = stories(list(known), round(rate * seconds), int(time.time()))
    with serving(url, folder, events, seconds) as service:
        asking = Asking(service, known, work, rate)
        with asking.running():
            until(lambda: asking.count(1) >= 30 or bool(asking.failures))
            began = time.monotonic()
            result, over = ended_of(rebuild(service), seconds), time.monotonic()
            assert (result["state"], result["detail"]) == ("done", None)
            until(lambda: asking.count(2) >= 60 or bool(asking.failures))
        assert asking.failures == []
        again = ended_of(rebuild(service, verify=True), seconds)
        assert (again["state"], again["differences"]) == ("done", [])
        items = ask(service, "GET", PATH).json()["items"]
        assert {item["generation"] for item in items} == {3}
    assert sum(began <= one.asked <= over for one in asking.answers) >= 20
    check(url, asking.answers)
    assert asking.statuses == {204}
    assert asking.read_back >= 10
    assert complete(url) == [2, 3]
    assert rows(url, 2) == rows(url, 3)
    return asking, result


def check(url: str, answers: list[Answered]) -> None:
    """Each is a 200 that names position and generation, and says what the model says there."""
    assert {one.status for one in answers} == {200}
    assert {one.generation for one in answers} == {1, 2}
    assert goes_back(answers) == []
    oracle = Oracle(url)
    for answer in answers:
        oracle.check(answer)


def rows(url: str, generation: int) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that a generation holds."""
    with (
        closing(generations_of(url)) as generations,
        closing(generations.open(generation, writer=False)) as store,
    ):
        return dump(store)


@pytest.mark.timeout(300)
def test_a_rebuild_disturbs_nobody(
    database_url: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Every read names generation and position and equals the model there; nothing fails."""
    asking, result = rebuild_under_load(database_url, tmp_path, EVENTS, RATE, 120)
    record_property("acknowledgement_p99_seconds", asking.p99())
    record_property("rebuild_seconds", result["seconds"])


@pytest.mark.soak
@pytest.mark.timeout(3_000)
def test_a_long_rebuild_under_200_deliveries_a_second_disturbs_nobody(
    database_url: str, tmp_path: Path
) -> None:
    """500,000 events; acknowledgements stay under a second (p99)."""
    asking, result = rebuild_under_load(database_url, tmp_path, 500_000, 200, 600)
    sent, read = len(asking.seconds), len(asking.answers)
    print(f"rebuilt in {result['seconds']:.1f} s; p99 {asking.p99():.3f} s of {sent} deliveries,")
    print(
        f"{sent / asking.lasted:.0f} a second; {read} answers, {read / asking.lasted:.0f} a second"
    )
    assert asking.p99() < 1


@pytest.mark.timeout(300)
def test_a_killed_service_leaves_its_live_views_and_no_process(
    database_url: str, tmp_path: Path
) -> None:
    """Kill -9 of the rebuilding process, then of the service; the next start tidies up."""
    with serving(database_url, tmp_path, EVENTS) as service:
        there, question = remnants(database_url), "/api/connections?limit=500"
        before = ask(service, "GET", question).json()
        look = rebuild(service)
        os.kill(child_of(service), signal.SIGKILL)
        assert ended_of(look)["state"] == "failed"
        assert remnants(database_url) == there
        assert ask(service, "GET", question).json() == before
        look = rebuild(service)
        process = child_of(service)
        os.kill(process, signal.SIGSTOP)
        helpers = children(process)
        assert look()["state"] == "running"
        service.kill()
        os.kill(process, signal.SIGCONT)
        until(lambda: all(map(is_gone, (process, *helpers))))
        service.start()
        assert remnants(database_url) == there
        answer = ask(service, "GET", question)
        assert answer.json() == before
        assert answer.headers["Ledger-Projection"].endswith("generation=1")
        assert ended_of(rebuild(service))["state"] == "done"
        assert ask(service, "GET", question).json() == before


def child_of(service: Service) -> int:
    """The process that rebuilds for a service."""
    assert service.child is not None
    parent = service.child.pid
    until(lambda: bool(children(parent)))
    [process] = children(parent)
    return process


def is_gone(process: int) -> bool:
    """Whether a process has ended, whoever is to bury it."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


@pytest.mark.soak
@pytest.mark.timeout(3_000)
def test_memory_does_not_grow_with_the_log(database_url: str, tmp_path: Path) -> None:
    """The peak at ten times as many events and connections: within 15 %, under 150 MB."""
    peaks = []
    for events in (50_000, 500_000):
        folder = tmp_path / str(events)
        folder.mkdir()
        url = database_url
        if sqlite_path(url) is not None:
            url = f"sqlite:///{folder}/ledger.db"
        else:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("DROP SCHEMA public CASCADE")
                connection.execute("CREATE SCHEMA public")
        fill(url, folder, events)
        peaks.append(peak_of_a_rebuild(url))
    print(f"peaks in MB: {[round(peak / 1e6, 1) for peak in peaks]}")
    assert peaks[1] < 150e6
    assert peaks[1] <= 1.15 * peaks[0]


def peak_of_a_rebuild(url: str) -> int:
    """The most memory that the rebuilding process and its helper held, in bytes, as last seen."""
    rebuilds = rebuilds_of(url)
    rebuilds.start()
    peaks: dict[int, int] = {}
    while (last := rebuilds.wait(0.02)) is not None and last.state == "running":
        for process in children():
            for one in (process, *children(process)):
                with suppress(OSError):  # it has ended meanwhile
                    status = Path(f"/proc/{one}/status").read_text().splitlines()
                    for line in (line for line in status if line.startswith("VmHWM:")):
                        peaks[one] = int(line.split()[1]) * 1024
    assert ended(rebuilds).state == "done"
    return sum(peaks.values())
