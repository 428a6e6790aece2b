"""What can be told of a store from outside, beside whoever writes it: facts, no judgement."""

import fcntl
import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from ledger.domain.errors import StoreUnavailable
from ledger.recorders.postgres_connections import DOWN

_MENDED: Final = ((3, 44, 6), (3, 50, 7), (3, 51, 3))
"""The releases in which two connections can no longer damage a WAL database together."""


@dataclass(frozen=True, slots=True)
class SQLiteCondition:
    """The condition of a SQLite ledger's file."""

    version: str
    """Of the SQLite library that this program uses."""
    mended: bool
    """Whether that version has https://sqlite.org/wal.html#walresetbug mended."""
    journal_mode: str
    synchronous_full: bool
    """Whether this SQLite takes `synchronous=FULL`."""
    private: bool
    """Whether only the owner may read the file."""
    held: bool
    """Whether a process holds the writer's lock now."""
    size: int
    """Bytes of the file."""
    free: int
    """Bytes that are free where it lies."""


def is_mended(version: tuple[int, ...]) -> bool:
    """Tell whether this SQLite version, or the branch it is of, has the WAL bug mended."""
    return version >= _MENDED[-1] or any(
        version[:2] == mended[:2] and version >= mended for mended in _MENDED
    )


def free_room(path: Path) -> int:
    """Give how many bytes are free where a SQLite ledger lies; raises OSError."""
    return shutil.disk_usage(path.absolute().parent).free


def sqlite_condition(path: Path) -> SQLiteCondition:
    """Look at a SQLite ledger without writing to it.

    Raises:
        StoreUnavailable: it cannot be read.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as ledger:
            journal_mode = ledger.execute("PRAGMA journal_mode").fetchone()[0]
            ledger.execute("PRAGMA synchronous=FULL")
            synchronous = ledger.execute("PRAGMA synchronous").fetchone()[0]
        return SQLiteCondition(
            version=sqlite3.sqlite_version,
            mended=is_mended(sqlite3.sqlite_version_info),
            journal_mode=journal_mode,
            synchronous_full=synchronous == 2,
            private=path.stat().st_mode & 0o077 == 0,
            held=_is_held(Path(f"{path}.lock")),
            size=path.stat().st_size,
            free=free_room(path),
        )
    except (OSError, sqlite3.Error) as error:
        raise StoreUnavailable(
            f"{path.name} cannot be read ({type(error).__name__}); run this as the service's user."
        ) from error


def _is_held(lock: Path) -> bool:
    try:
        descriptor = os.open(lock, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@dataclass(frozen=True, slots=True)
class PostgresCondition:
    """The settings of a PostgreSQL server that durability rests on."""

    version: int
    """As `server_version_num` has it: 150004 for 15.4."""
    fsync: bool
    full_page_writes: bool
    synchronous_commit: str
    has_functions: bool
    """Whether the eventsourcing library's insert function is there: who inserts by it takes no
    lock, so that readers pass over events."""


def postgres_condition(url: str) -> PostgresCondition:
    """Look at the server of a ledger.

    Raises:
        StoreUnavailable: it cannot be reached.
    """
    try:
        with psycopg.connect(url, connect_timeout=5, autocommit=True) as connection:
            found = connection.execute(
                "SELECT current_setting('server_version_num')::int, current_setting('fsync'), "
                "current_setting('full_page_writes'), current_setting('synchronous_commit'), "
                "EXISTS (SELECT 1 FROM pg_proc WHERE proname LIKE 'es_insert_events%')"
            ).fetchone()
    except psycopg.Error as error:
        raise StoreUnavailable(DOWN.format(type(error).__name__)) from error
    assert found is not None
    version, fsync, full_page_writes, synchronous_commit, functions = found
    return PostgresCondition(
        version, fsync == "on", full_page_writes == "on", synchronous_commit, functions
    )
