"""A consistent copy of a SQLite ledger while somebody writes it."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ledger.domain.errors import LedgerError, StoreUnavailable


class BackupExists(LedgerError):
    """The file that a backup should be written to is there already."""

    def __init__(self, file: Path) -> None:
        super().__init__(f"{file} exists and is not overwritten. Name another file, or remove it.")


@dataclass(frozen=True, slots=True)
class Copied:
    """A backup that was read back and found whole."""

    position: int
    """The last event that is in it."""
    events: int
    size: int
    """Bytes."""


def back_up(source: Path, target: Path) -> Copied:
    """Copy a ledger to a file that does not exist yet, readable by its owner only.

    The copy is one moment of the ledger. It is read in one transaction on a read-only connection,
    which neither waits for the writer nor lets it wait, and neither writes nor checkpoints.

    Raises:
        BackupExists: the file is there already.
        StoreUnavailable: the ledger cannot be read, or the copy not be written or is not whole.
    """
    partial = target.with_name(f"{target.name}.partial")
    try:
        with _new_file(partial, target):
            _copy(source, partial)
            copied = _verify(partial)
            # A link is refused where a name is taken, a rename would replace it.
            os.link(partial, target)
            _sync_folder(target)
    except FileExistsError as error:
        raise BackupExists(target) from error
    except (OSError, sqlite3.Error) as error:
        raise StoreUnavailable(
            f"The backup was not made ({error}). See that the ledger can be read, and that there "
            "is room for its copy where it is to be written."
        ) from error
    return copied


@contextmanager
def _new_file(partial: Path, target: Path) -> Iterator[None]:
    if target.exists():
        raise FileExistsError(target)
    with contextlib.suppress(FileNotFoundError):
        partial.unlink()
    os.close(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        yield
    finally:
        for file in (partial, *(partial.with_name(partial.name + end) for end in ("-wal", "-shm"))):
            with contextlib.suppress(FileNotFoundError):
                file.unlink()


def _copy(source: Path, partial: Path) -> None:
    address = f"{source.absolute().as_uri()}?mode=ro"
    with (
        closing(sqlite3.connect(address, uri=True)) as ledger,
        closing(sqlite3.connect(partial)) as copy,
    ):
        # All pages in one step: a copy in several begins again whenever the ledger grows.
        ledger.backup(copy, pages=-1)
        # One file, without a WAL beside it; `serve` turns it on again.
        copy.execute("PRAGMA journal_mode=DELETE")
    descriptor = os.open(partial, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _verify(partial: Path) -> Copied:
    """Read the copy back.

    Raises:
        StoreUnavailable: it is not whole.
    """
    with closing(sqlite3.connect(f"{partial.absolute().as_uri()}?mode=ro", uri=True)) as copy:
        found = [row[0] for row in copy.execute("PRAGMA integrity_check(1)")]
        if found != ["ok"]:
            raise StoreUnavailable(
                "The copy is damaged, and so is perhaps the ledger: run `connection-ledger doctor`."
            )
        events, position = copy.execute(
            "SELECT COUNT(*), COALESCE(MAX(notification_id), 0) FROM stored_events"
        ).fetchone()
    return Copied(position, events, partial.stat().st_size)


def _sync_folder(file: Path) -> None:
    descriptor = os.open(file.absolute().parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
