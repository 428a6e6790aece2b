"""A SQLite file's WAL stays short on a service that is always read."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from eventsourcing.sqlite import SQLiteConnection

from ledger.application import Ledger
from ledger.recorders import sqlite_wal
from projections.registry import tables
from projections.sqlite_store import SQLiteStore
from tests.builders import delivery, open_ledger, webhook

LONG = 200_000
WRITES = 60
NEVER = 1_000_000
PATIENCE_S = 30


def begin(connection: sqlite3.Connection) -> None:
    """Begin to read."""
    connection.execute("BEGIN")
    connection.execute("SELECT * FROM sqlite_master").fetchall()


def record(ledger: Ledger, batch: int) -> None:
    """Record deliveries that are new."""
    ledger.record([delivery(webhook(connection=f"conn_{batch}_{n}")) for n in range(10)])


@contextmanager
def always_read(path: Path) -> Iterator[None]:
    """Read a database all the time: the next reading begins before the last one ends."""
    stop, reading = threading.Event(), threading.Event()

    def read() -> None:
        address = f"{path.as_uri()}?mode=ro"
        with (
            closing(sqlite3.connect(address, uri=True, isolation_level=None)) as one,
            closing(sqlite3.connect(address, uri=True, isolation_level=None)) as other,
        ):
            last, following = one, other
            begin(last)
            while not stop.is_set():
                begin(following)
                reading.set()
                last.execute("COMMIT")
                last, following = following, last

    with ThreadPoolExecutor(1) as threads:
        reader = threads.submit(read)
        try:
            assert reading.wait(PATIENCE_S)
            yield
        finally:
            stop.set()
        reader.result()


def write_log(path: Path) -> None:
    """Record deliveries while the log is read."""
    ledger = open_ledger(f"sqlite:///{path}")
    with closing(ledger.log), always_read(path):
        for batch in range(WRITES):
            record(ledger, batch)
        check(path)


def write_views(path: Path) -> None:
    """Write rows while the views are read."""
    with closing(SQLiteStore(path, writer=True)) as store:
        store.create(tables())
        with always_read(path):
            for batch in range(WRITES):
                with store.writing() as session:
                    for n in range(100):
                        session.run(
                            "INSERT INTO accounts VALUES (:account, :id, 1)",
                            {"account": f"{batch} {n}", "id": "x" * 200},
                        )
            check(path)


def check(path: Path) -> None:
    """Look how long the WAL is; one commit more may have come to what is too long."""
    assert path.with_name(f"{path.name}-wal").stat().st_size < 2 * LONG


@pytest.mark.parametrize("write", [write_log, write_views])
def test_a_wal_is_emptied_though_somebody_always_reads(
    write: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left to itself it would grow as long as that goes on."""
    monkeypatch.setattr(sqlite_wal, "LONG", LONG)
    monkeypatch.setattr(sqlite_wal, "COMMITS", 1)
    write(tmp_path / "some.db")


@pytest.mark.parametrize("write", [write_log, write_views])
def test_without_that_it_grows(
    write: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: what is checked above does not come by itself."""
    monkeypatch.setattr(sqlite_wal, "COMMITS", NEVER)
    with pytest.raises(AssertionError):
        write(tmp_path / "some.db")


def test_a_reader_that_stays_lets_the_writer_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export of hours is waited for a moment, and then not at each commit."""
    monkeypatch.setattr(sqlite_wal, "LONG", LONG)
    monkeypatch.setattr(sqlite_wal, "COMMITS", 1)
    tries: list[bool] = []
    emptied = sqlite_wal._emptied

    def try_it(connection: SQLiteConnection) -> bool:
        tries.append(emptied(connection))
        return tries[-1]

    monkeypatch.setattr(sqlite_wal, "_emptied", try_it)
    path = tmp_path / "some.db"
    ledger = open_ledger(f"sqlite:///{path}")
    with closing(ledger.log), closing(sqlite3.connect(path, isolation_level=None)) as export:
        begin(export)
        for batch in range(WRITES):
            record(ledger, batch)
        assert 1 < len(tries) < WRITES / 2
        assert not any(tries)
        export.execute("COMMIT")
        for batch in range(WRITES, 2 * WRITES):
            record(ledger, batch)
        check(path)
    assert any(tries)
