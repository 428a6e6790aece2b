"""Opening the views that belong to a log."""

from typing import Final

from ledger.recorders import sqlite_path
from projections.registry import tables
from projections.store import Store

GENERATION: Final = 1


def open_store(database_url: str) -> Store:
    """Open the views of the log at this address for writing and reading, and make what is missing.

    Raises StoreUnavailable when they cannot be opened.
    """
    store = _store(database_url, writer=True)
    try:
        store.create(tables())
    except BaseException:
        store.close()
        raise
    return store


def find_store(database_url: str) -> Store | None:
    """Open the views of the log at this address for reading only; None when there are none.

    Raises StoreUnavailable when they cannot be opened.
    """
    store = _store(database_url, writer=False)
    try:
        if store.exists():
            return store
    except BaseException:
        store.close()
        raise
    store.close()
    return None


def generations(database_url: str) -> list[int]:
    """Give the number of every copy of the views of this log that there is.

    Raises StoreUnavailable.
    """
    path = sqlite_path(database_url)
    if path is not None:
        from projections.sqlite_store import found_generations

        return found_generations(path)
    from projections.postgres_store import PostgresStore

    store = PostgresStore(database_url)
    try:
        return store.generations()
    finally:
        store.close()


def open_generation(database_url: str, generation: int) -> Store:
    """Open a copy of the views for writing, as it is.

    Raises StoreUnavailable when it cannot be opened.
    """
    path = sqlite_path(database_url)
    if path is not None:
        from projections.sqlite_store import SQLiteStore, views_path

        return SQLiteStore(views_path(path, generation), writer=True, generation=generation)
    from projections.postgres_store import PostgresStore

    return PostgresStore(database_url, generation=generation)


def _store(database_url: str, *, writer: bool) -> Store:
    path = sqlite_path(database_url)
    if path is not None:
        from projections.sqlite_store import SQLiteStore, views_path

        return SQLiteStore(views_path(path, GENERATION), writer=writer, generation=GENERATION)
    from projections.postgres_store import PostgresStore

    return PostgresStore(database_url, generation=GENERATION)
