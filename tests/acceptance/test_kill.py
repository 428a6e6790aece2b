"""An acknowledged delivery is on disk, whatever kills the service."""

import os
import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from ledger.domain.events import ConnectionEvent, DeliveryReceived
from ledger.recorders import codec, open_log, sqlite_path
from ledger.recorders.base import Log, StoredRow
from tests.acceptance.crash import LEAST_IN_FLIGHT, Senders, Signed, deliveries, run, thrice
from tests.acceptance.service import Service, service_on
from tests.builders import Clock

DISTINCT = 6_000
SEED = 20260101
NEVER = 0
"""A commit that does not come, because they are counted from 1."""


def whole_log(log: Log) -> list[StoredRow]:
    """Every event of the log, in order."""
    rows: list[StoredRow] = []
    while batch := log.read_log(rows[-1].position if rows else 0, 5_000):
        rows += batch
    return rows


def check_every_204(log: Log, senders: Senders) -> None:
    """What was acknowledged is in the log byte for byte, and every fact once."""
    rows = whole_log(log)
    received = [row for row in rows if row.topic == DeliveryReceived.NAME]
    bodies = Counter(log.body(row.position) for row in received)
    evidence = {row.position: row.stream for row in received}
    assert {delivery.body for delivery, _ in senders.journal} <= set(bodies)
    assert max(bodies.values()) == 1
    said = {
        row.position: event.statement
        for row in rows
        if isinstance(event := codec.to_event(row), ConnectionEvent)
    }
    facts = Counter(
        (statement.claim.connection_id, statement.claim.id) for statement in said.values()
    )
    assert len(facts) == len(bodies)
    assert max(facts.values()) == 1
    # A copy that came later must not hide that an acknowledged one was lost: the position of each
    # 204 is that of the very delivery it was given for.
    evidence |= {position: statement.evidence.stream for position, statement in said.items()}
    streams = {log.body(row.position): row.stream for row in received}
    wrong = [at for delivery, at in senders.journal if evidence.get(at) != streams[delivery.body]]
    assert not wrong, f"{len(wrong)} acknowledged positions do not hold their delivery"
    versions: dict[str, list[int]] = {}
    for row in rows:
        versions.setdefault(row.stream, []).append(row.version)
    assert all(found == list(range(1, len(found) + 1)) for found in versions.values())
    times = [row.recorded_at for row in rows]
    assert times == sorted(set(times))


def crash(url: str, folder: Path, distinct: int, kills: int) -> None:
    """Send, kill, start again; then hold the log against the sender's journal."""
    work = thrice(deliveries(distinct, int(time.time()), SEED), SEED)
    with service_on(url, folder) as service:
        senders = run(service, work, kills, SEED)
        assert service.stop() == 0
    assert len(senders.in_flight_at_kills) == kills
    assert min(senders.in_flight_at_kills) >= LEAST_IN_FLIGHT
    assert set(senders.refused) <= {503}
    assert len(senders.journal) == 3 * distinct
    assert len({delivery.body for delivery, _ in senders.journal}) == distinct
    log = open_log(url, writer=False, entropy=os.urandom, now=Clock())
    check_every_204(log, senders)
    log.close()
    path = sqlite_path(url)
    if path is not None:
        with sqlite3.connect(path) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.timeout(400)
def test_on_sqlite_every_204_outlives_twenty_kills(sqlite_url: str, tmp_path: Path) -> None:
    """6,000 deliveries sent three times over, 20 kills, half of them inside a commit."""
    crash(sqlite_url, tmp_path, DISTINCT, 20)


@pytest.mark.timeout(400)
def test_on_postgres_every_204_outlives_eight_kills(postgres_url: str, tmp_path: Path) -> None:
    """6,000 deliveries sent three times over, 8 kills, half of them inside a commit."""
    crash(postgres_url, tmp_path, DISTINCT, 8)


def test_a_service_that_acknowledges_before_the_commit_is_caught(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: the same check finds that a delivery was answered 204 and is gone."""
    work = deliveries(100, int(time.time()), SEED)
    monkeypatch.setenv("COMMIT_TOO_LATE", "1")
    with service_on(sqlite_url, tmp_path) as service:
        service.start(kill_at_commit=NEVER)
        before = send(service, work)
        service.kill()
        service.start()
        after = send(service, work * 2)
        assert service.stop() == 0
    after.journal += before.journal
    log = open_log(sqlite_url, writer=False, entropy=os.urandom, now=Clock())
    with pytest.raises(AssertionError, match="do not hold their delivery"):
        check_every_204(log, after)
    log.close()


def send(service: Service, work: Sequence[Signed]) -> Senders:
    """Send all of `work` to a service that nobody kills meanwhile."""
    senders = Senders(service.port, work)
    senders.start()
    senders.wait()
    return senders


@pytest.mark.soak
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("kills", [50])
def test_every_204_outlives_fifty_kills(database_url: str, tmp_path: Path, kills: int) -> None:
    """100,000 deliveries sent three times over, 50 kills, on both databases."""
    crash(database_url, tmp_path, 100_000, kills)
