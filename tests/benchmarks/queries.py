"""One client's history, a page of 100 over HTTP, against raw SQL behind bare Flask.

One question at a time: what is measured is how long an answer takes, not how many fit into a
second. The clients have 60 events each: 1,000 of the large log, chosen at random; the small one has
no more than 25 of them, which are asked for again and again. The views are as a rebuild makes them,
and the rival's rows lie as ours do.
"""

import random
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any, Final

import requests

from api.history import HistoryPage
from ledger.recorders import open_log, sqlite_path
from projections.opening import find_store
from projections.questions import Questions
from projections.registry import PROJECTIONS
from tests.benchmarks import children, load, logs, rebuild
from tests.benchmarks.databases import POSTGRES, SQLITE, Place
from tests.benchmarks.effort import Effort
from tests.benchmarks.load import BenchError, Load
from tests.benchmarks.rivals import raw_sql
from tests.benchmarks.table import Row

CLIENTS: Final = 1_000
"""How many clients are asked for, where there are as many."""
PAGE: Final = 100
COMPARED: Final = 20
"""For how many clients the rival must answer what ours does."""
MOST_OF_SMALL: Final = 1.5
MOST_OF_RAW: Final = 3.0
RAW: Final = ("tests.benchmarks.rivals.raw_sql",)
BEARER: Final = f"Bearer {children.TOKEN}"


@dataclass(frozen=True, slots=True)
class Asked:
    """A server with its database, and about whom it is asked."""

    module: tuple[str, ...]
    url: str
    clients: Sequence[str]
    folder: Path

    def run(self, seconds: float) -> Load:
        """Ask for some seconds.

        Raises:
            BenchError: the run must not be believed.
        """
        file = load.write_requests(self.folder / "questions", map(_request, self.clients))
        with self._serving() as address:
            return load.run(address, file, seconds, connections=1, repeats=float("inf"))

    def answers(self) -> list[Any]:
        """Give what it answers about some of them."""
        paths = map(_path, self.clients[:COMPARED])
        with self._serving() as address:
            return [_get(f"{address}{path}")["items"] for path in paths]

    def _serving(self) -> Any:
        log = self.folder / "server.log"
        return children.serving(self.module, children.settings(self.url), log)


def measure(place: Place, effort: Effort) -> Iterator[Row]:
    """Measure on both databases.

    Raises:
        BenchError: a run must not be believed.
    """
    sizes = (effort.small, effort.large)
    files = [place.new_folder() / "ledger.db" for _ in sizes]
    for file, events in zip(files, sizes, strict=True):
        logs.write_sqlite(file, events, logs.whole_lives(events))
    for database in (SQLITE, POSTGRES):
        small, large = (
            _ours(place, database, file, events) for file, events in zip(files, sizes, strict=True)
        )
        raw = _raw(place, database, large)
        found: dict[str, list[Load]] = {asked.url: [] for asked in (small, large, raw)}
        for _ in range(effort.rounds):
            for asked in (small, large, raw):
                found[asked.url].append(asked.run(effort.seconds))
        yield from _rows(f"history, {database}", effort, *found.values())
        for url in found:
            place.drop_database(url)
    for file in files:
        shutil.rmtree(file.parent)


def _ours(place: Place, database: str, file: Path, events: int) -> Asked:
    """Give our service on a log, whose views have read all of it."""
    url = place.new_database(database)
    path = sqlite_path(url)
    if path is None:
        logs.copy_to_postgres(file, url)
    else:
        shutil.copyfile(file, path)
    known = logs.longest_lived(events)
    clients = random.Random(events).sample(known, min(CLIENTS, len(known)))
    rebuild.run_ours(url, tuple(PROJECTIONS), events)
    return Asked(children.OURS, url, clients, place.new_folder())


def _raw(place: Place, database: str, ours: Asked) -> Asked:
    """Give the rival with everything that ours has.

    Raises:
        BenchError: it does not answer what ours does.
    """
    raw = Asked(RAW, place.new_database(database), ours.clients, place.new_folder())
    raw_sql.write(raw.url, _everything(ours.url))
    if raw.answers() != ours.answers():
        raise BenchError("Raw SQL does not answer what ours does: compare their answers.")
    return raw


def _everything(url: str) -> Iterator[dict[str, Any]]:
    """Give every client's history as ours answers it."""
    store = find_store(url)
    assert store is not None
    with (
        closing(store),
        closing(open_log(url, writer=False, entropy=bytes, now=lambda: 0)) as log,
    ):
        questions = Questions(log, store, stale_after_ms=1)
        for number in count():
            answer = questions.client_history(logs.client(number), limit=logs.MOST)
            if answer is None:
                return
            yield from HistoryPage.dump(answer.value)["items"]


def _rows(
    measured: str, effort: Effort, small: list[Load], large: list[Load], raw: list[Load]
) -> Iterator[Row]:
    for against, theirs, most in (
        (f"{effort.small:,} events instead of {effort.large:,}", small, MOST_OF_SMALL),
        ("raw SQL behind bare Flask", raw, MOST_OF_RAW),
    ):
        ratio = median(our.p50 / their.p50 for our, their in zip(large, theirs, strict=True))
        yield Row(measured, against, _say(large), _say(theirs), ratio=ratio, most=most)


def _say(loads: list[Load]) -> str:
    p50, p99 = median(one.p50 for one in loads), median(one.p99 for one in loads)
    return f"{p50:.2f}/{p99:.2f} ms"


def _path(client: str) -> str:
    return f"/api/clients/{client}/history?limit={PAGE}"


def _request(client: str) -> bytes:
    head = (f"GET {_path(client)} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: {BEARER}")
    return "\r\n".join((*head, "", "")).encode()


def _get(url: str) -> Any:
    answer = requests.get(url, headers={"Authorization": BEARER}, timeout=60)
    answer.raise_for_status()
    return answer.json()
