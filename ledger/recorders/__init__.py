"""Where events rest: our promise on top of eventsourcing's recorders, on SQLite and PostgreSQL."""

from collections.abc import Callable
from pathlib import Path

from ledger.domain.errors import LedgerError
from ledger.recorders.base import Log

SQLITE = "sqlite:///"


class BadDatabaseUrl(LedgerError):
    """The database's address has a form that is not known."""

    def __init__(self) -> None:
        super().__init__(
            "LEDGER_DATABASE_URL must be sqlite:///<file> (four slashes before an absolute path) "
            "or postgresql://user:password@host:port/database."
        )


def sqlite_path(url: str) -> Path | None:
    """Give the file of a SQLite address; None for an address of another database."""
    return Path(url.removeprefix(SQLITE)) if url.startswith(SQLITE) and url != SQLITE else None


def open_log(
    url: str, *, writer: bool, entropy: Callable[[int], bytes], now: Callable[[], int]
) -> Log:
    """Open the log that a database URL names; only a writer creates what is missing.

    Raises:
        BadDatabaseUrl: the address has no known form.
        WriterLocked: another process writes this SQLite ledger.
        StoreUnavailable: the store cannot be opened.
    """
    path = sqlite_path(url)
    if path is not None:
        from ledger.recorders.sqlite import SQLiteLog

        return SQLiteLog(path, writer=writer, entropy=entropy, now=now)
    if url.startswith(("postgresql://", "postgres://")):
        from ledger.recorders.postgres import PostgresLog

        return PostgresLog(url, writer=writer, entropy=entropy)
    raise BadDatabaseUrl
