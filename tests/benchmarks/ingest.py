"""Ingest: signed webhooks over HTTP until they are durable, against everything it should beat.

Every round runs each server once, for the same time, on a fresh database and on deliveries of its
own; a ratio is the median of the rounds' ratios, so that a slow minute of the machine slows both
sides of it.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from tests.benchmarks import children, load, workload
from tests.benchmarks.databases import POSTGRES, SQLITE, Place
from tests.benchmarks.effort import Effort
from tests.benchmarks.load import Load
from tests.benchmarks.table import Row

RIVALS: Final = "tests.benchmarks.rivals"
DAY_MS: Final = 86_400_000
P99_MS: Final = 250.0


@dataclass(frozen=True, slots=True)
class Server:
    """One server to measure."""

    name: str
    module: tuple[str, ...]
    least: dict[str, float]
    """By database: how many times as fast ours must be; empty when it only informs."""
    stores: bool = True


OURS: Final = Server("serve", children.OURS, {})
SERVERS: Final = (
    OURS,
    Server(
        "the same with the store taken out",
        (f"{RIVALS}.store_out",),
        {SQLITE: 0.6, POSTGRES: 0.5},
        stores=False,
    ),
    Server(
        "40-line Flask app that stores nothing",
        (f"{RIVALS}.ceiling",),
        {SQLITE: 0.5, POSTGRES: 0.4},
        stores=False,
    ),
    Server("one Application.save per request", (f"{RIVALS}.save",), {SQLITE: 1.5, POSTGRES: 2.5}),
    Server("Flask + SQLAlchemy", (f"{RIVALS}.by_sqlalchemy",), {SQLITE: 1.5, POSTGRES: 1.5}),
    Server("our app behind granian", (f"{RIVALS}.on_granian",), {}),
)


def measure(place: Place, effort: Effort) -> Iterator[Row]:
    """Measure every server on both databases.

    Raises:
        BenchError: a run must not be believed.
    """
    for database in (SQLITE, POSTGRES):
        found: dict[str, list[Load]] = {server.name: [] for server in SERVERS}
        for number in range(effort.rounds):
            count = effort.deliveries // effort.rounds
            requests = load.write_requests(
                place.folder / "requests",
                # another day for each round: no delivery occurs in two of them
                workload.deliveries(count, time.time_ns() // 1_000_000 - number * DAY_MS),
            )
            for server in SERVERS:
                found[server.name].append(_run(place, server, database, requests, effort))
        yield from _rows(database, found)


def _run(place: Place, server: Server, database: str, requests: Path, effort: Effort) -> Load:
    url = place.new_database(database)
    module = server.module if server.stores else (*server.module, str(place.folder))
    log = place.folder / "server.log"
    log.unlink(missing_ok=True)
    repeats = load.MOST_REPEATED if server.stores else float("inf")
    try:
        with children.serving(module, children.settings(url), log) as address:
            return load.run(address, requests, effort.seconds, repeats=repeats)
    finally:
        place.drop_database(url)


def _rows(database: str, found: dict[str, list[Load]]) -> Iterator[Row]:
    ours = found[OURS.name]
    measured = f"ingest, {database}"
    p99 = median(one.p99 for one in ours)
    yield Row(measured, "p99, ms", f"{p99:.0f} ms", ratio=p99, most=P99_MS)
    for server in SERVERS[1:]:
        theirs = found[server.name]
        ratio = median(our.rate / their.rate for our, their in zip(ours, theirs, strict=True))
        yield Row(
            measured,
            server.name,
            _say(ours),
            _say(theirs),
            ratio=ratio,
            least=server.least.get(database),
        )


def _say(loads: list[Load]) -> str:
    rate = median(one.rate for one in loads)
    p50, p99 = median(one.p50 for one in loads), median(one.p99 for one in loads)
    return f"{rate:,.0f}/s ({p50:.0f}/{p99:.0f} ms)"
