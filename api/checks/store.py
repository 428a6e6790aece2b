"""Whether the store is there, and keeps what it promises."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from api.checks.finding import Finding, failed, warning, well
from ledger.domain.errors import LedgerError
from ledger.recorders import sqlite_path
from ledger.recorders.condition import (
    PostgresCondition,
    SQLiteCondition,
    postgres_condition,
    sqlite_condition,
)

CHECK: Final = "store"
OLDEST_POSTGRES: Final = 13
LITTLE_ROOM: Final = 256 * 1024 * 1024
"""With fewer bytes free it is time to make room."""


def check_store(url: str) -> list[Finding]:
    """Check the database itself; nothing is written to it."""
    path = sqlite_path(url)
    try:
        if path is None:
            return list(judge_postgres(postgres_condition(url)))
        if not path.exists():
            advice = "Check LEDGER_DATABASE_URL; `connection-ledger serve` makes a new ledger."
            return [failed(CHECK, f"There is no ledger at {path}.", advice)]
        return list(judge_sqlite(path, sqlite_condition(path)))
    except OSError as error:
        advice = "Run this as the service's user."
        return [failed(CHECK, f"The ledger cannot be reached ({type(error).__name__}).", advice)]
    except LedgerError as error:
        return [failed(CHECK, "The store does not answer.", str(error))]


def judge_sqlite(path: Path, found: SQLiteCondition) -> Iterator[Finding]:
    """Say what is good and bad about a SQLite ledger."""
    holder = "a process writes it" if found.held else "no process writes it now"
    yield well(CHECK, f"SQLite {found.version}, {holder}")
    if not found.mended:
        yield warning(
            CHECK,
            f"SQLite {found.version} can damage a database that two connections write at once.",
            "The ledger writes with one connection only, and so should you: never open the file "
            "for writing with another program. SQLite 3.51.3 (or 3.50.7, 3.44.6) has it mended.",
        )
    if found.journal_mode != "wal":
        advice = "Start `serve` once: it turns WAL on. A backup has it off until then."
        yield warning(CHECK, f"The journal mode is {found.journal_mode}, not WAL.", advice)
    if not found.synchronous_full:
        advice = "Use another build of SQLite: acknowledged deliveries could be lost."
        yield failed(CHECK, "SQLite does not take synchronous=FULL.", advice)
    if not found.private:
        yield failed(CHECK, "Others may read the ledger's file.", f"chmod 600 {path.name}*")
    if found.free < LITTLE_ROOM:
        advice = f"Make room in {path.absolute().parent}: deliveries will be answered 503."
        yield failed(CHECK, f"Only {_megabytes(found.free)} are free.", advice)
    elif found.free < found.size:
        advice = (
            "Make room: a rebuild of the views, and a backup, take about as much as the ledger."
        )
        what = f"{_megabytes(found.free)} are free, and the ledger has {_megabytes(found.size)}."
        yield warning(CHECK, what, advice)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"


def judge_postgres(found: PostgresCondition) -> Iterator[Finding]:
    """Say what is good and bad about a PostgreSQL server."""
    major = found.version // 10_000
    off = found.synchronous_commit == "off"
    commits = "local for the ledger's own commits" if off else found.synchronous_commit
    yield well(CHECK, f"PostgreSQL {major}, synchronous_commit={commits}")
    if major < OLDEST_POSTGRES:
        advice = f"Use PostgreSQL {OLDEST_POSTGRES} or later."
        yield failed(CHECK, f"PostgreSQL {major} is too old.", advice)
    for name, on in (("fsync", found.fsync), ("full_page_writes", found.full_page_writes)):
        if not on:
            advice = f"Set {name} = on: a crash of the machine can destroy the database."
            yield failed(CHECK, f"{name} is off.", advice)
    if found.has_functions:
        yield warning(
            CHECK,
            "The database has the eventsourcing library's insert functions (es_insert_events_…).",
            "Drop them if nothing else uses them: who inserts by them makes readers skip events.",
        )
