"""Rebuilding both views of a long log, against a loop without any care and against the library.

Every round rebuilds once with each. A rate is in events of the log a second, of which every other
one is the receipt of a delivery, which neither view is made of.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import msgspec
import psycopg

from projections.generations import generations_of
from projections.rebuild.job import Built, Job, Message
from projections.registry import PROJECTIONS
from tests.benchmarks import logs
from tests.benchmarks.children import ROOT
from tests.benchmarks.databases import POSTGRES, SQLITE, Place
from tests.benchmarks.effort import Effort
from tests.benchmarks.load import BenchError
from tests.benchmarks.rivals.bare import TABLES
from tests.benchmarks.table import Row

BOTH: Final = ("current_state", "history")
RIVALS: Final = "tests.benchmarks.rivals"
LEAST_BARE: Final = 150_000
"""Events a second that the loop without any care must reach, or it is no rival."""
LEAST_OF_BARE: Final = 0.9
LEAST_OF_LIBRARY: Final = 50.0
MOST_GROWTH: Final = 1.15
MOST_MB: Final = 150.0
SHORTER: Final = 10
"""How many times as short the log is that memory is compared with."""


@dataclass(frozen=True, slots=True)
class Run:
    """One rebuild."""

    rate: float
    """Events of the log a second."""
    memory: float
    """MB that all its processes held, each at its peak."""


def measure(place: Place, effort: Effort) -> Iterator[Row]:
    """Measure on both databases.

    Raises:
        BenchError: a rebuild failed.
    """
    short, long = effort.replayed // SHORTER, effort.replayed
    files = [(place.new_folder() / "ledger.db", events) for events in (short, long)]
    for file, events in files:
        logs.write_sqlite(file, events)
    library = median(_library(place, effort.projected) for _ in range(effort.rounds))
    for database in (SQLITE, POSTGRES):
        urls = [_url(place, database, file) for file, _ in files]
        every = [
            run_ours(url, tuple(PROJECTIONS), n) for url, (_, n) in zip(urls, files, strict=True)
        ]
        small = run_ours(urls[0], BOTH, short)
        ours, theirs = [], []
        for _ in range(effort.rounds):
            theirs.append(_bare(place, urls[1], long))
            ours.append(run_ours(urls[1], BOTH, long))
        yield from _rows(f"rebuild, {database}", ours, theirs, small, library)
        yield Row(f"rebuild, {database}", "all three views", f"{every[1].rate:,.0f}/s")
        if database == POSTGRES:
            for url in urls:
                place.drop_database(url)
    for file, _ in files:
        shutil.rmtree(file.parent)


def _url(place: Place, database: str, file: Path) -> str:
    if database == SQLITE:
        return f"sqlite:///{file}"
    url = place.new_database(POSTGRES)
    logs.copy_to_postgres(file, url)
    return url


def _rows(
    measured: str, ours: Sequence[Run], bare: Sequence[float], small: Run, library: float
) -> Iterator[Row]:
    rate, memory = median(run.rate for run in ours), max(run.memory for run in ours)
    said = f"{rate:,.0f}/s"
    share = median(run.rate / other for run, other in zip(ours, bare, strict=True))
    loop = median(bare)
    yield Row(measured, "bare loop", said, f"{loop:,.0f}/s", ratio=share, least=LEAST_OF_BARE)
    yield Row(measured, "bare loop, events/s", "", f"{loop:,.0f}/s", ratio=loop, least=LEAST_BARE)
    # of each two events of the log one is of the kind that the library's runner was given
    ratio = rate / logs.EVENTS_PER_WEBHOOK / library
    theirs = f"{library:,.0f}/s"
    yield Row(measured, "ProjectionRunner", said, theirs, ratio=ratio, least=LEAST_OF_LIBRARY)
    growth = memory / small.memory
    said, least = f"{memory:.0f} MB", f"{small.memory:.0f} MB"
    yield Row(
        measured, "memory with a tenth of the log", said, least, ratio=growth, most=MOST_GROWTH
    )
    yield Row(measured, "memory, MB", said, ratio=memory, most=MOST_MB)


def run_ours(url: str, names: tuple[str, ...], events: int) -> Run:
    """Rebuild as `projections rebuild` does.

    Raises:
        BenchError: it failed.
    """
    with closing(generations_of(url)) as generations:
        job = Job(url, names, generations.begin(), verify=False)
        began, peak = time.monotonic(), 0.0
        process = subprocess.Popen(
            [sys.executable, "-m", "projections.rebuild"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        with process, process.stdin:
            process.stdin.write(msgspec.json.encode(job) + b"\n")
            process.stdin.flush()
            told: Message | None = None
            for line in process.stdout:
                told, peak = (
                    msgspec.json.decode(line, type=Message),
                    max(peak, _memory(process.pid)),
                )
            seconds = time.monotonic() - began
        if not isinstance(told, Built):
            raise BenchError(f"The rebuild failed: {told}")
        generations.publish(job.generation)
        generations.end()
    return Run(events / seconds, peak)


def _memory(pid: int) -> float:
    """Add up the peaks of a process and its children, in MB; 0 when it has just ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0.0
    peaks = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return sum(int(peak) / 1024 for peak in peaks) + sum(_memory(int(child)) for child in children)


def _bare(place: Place, url: str, events: int) -> float:
    folder = place.new_folder()
    seconds = _time(f"{RIVALS}.bare", url, str(folder / "views.db"))
    shutil.rmtree(folder)
    if not url.startswith("sqlite:"):
        with psycopg.connect(url) as connection:
            for table in TABLES:
                connection.execute(f"DROP TABLE {table}".encode())
    return events / seconds


def _library(place: Place, events: int) -> float:
    url = place.new_database(POSTGRES)
    found = _run(f"{RIVALS}.projection_runner", url, str(events))
    place.drop_database(url)
    return events / float(found)


def _time(*module: str) -> float:
    began = time.monotonic()
    _run(*module)
    return time.monotonic() - began


def _run(*module: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *module], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BenchError(f"{module[0]} failed:\n{done.stderr[-2000:]}")
    return done.stdout
