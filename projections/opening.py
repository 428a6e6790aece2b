"""Opening the views that belong to a log."""

from contextlib import closing

from projections.generations import Generations, generations_of
from projections.registry import tables
from projections.store import Store


def open_store(database_url: str) -> Store:
    """Open the live views of the log at this address for writing, and make what is missing.

    Raises StoreUnavailable when they cannot be opened.
    """
    with closing(generations_of(database_url)) as generations:
        return open_whole(generations, generations.live())


def open_whole(generations: Generations, generation: int) -> Store:
    """Open a generation for writing, and make what is missing of it.

    Raises StoreUnavailable when it cannot be opened.
    """
    store = generations.open(generation, writer=True)
    try:
        store.create(tables())
    except BaseException:
        store.close()
        raise
    return store


def find_store(database_url: str) -> Store | None:
    """Open the live views of the log at this address for reading only; None when there are none.

    Raises StoreUnavailable when they cannot be opened.
    """
    with closing(generations_of(database_url)) as generations:
        store = generations.open(generations.live(), writer=False)
    try:
        if store.exists():
            return store
    except BaseException:
        store.close()
        raise
    store.close()
    return None
