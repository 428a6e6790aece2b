"""Opening the views that belong to a log."""

from contextlib import closing

from projections.errors import ViewsDamaged, ViewsOutdated
from projections.generations import Generations, generations_of
from projections.registry import outdated, tables, unmade
from projections.store import Store


def open_store(database_url: str) -> Store:
    """Open the live views of the log at this address for writing, and make what is missing.

    Raises what `open_whole` raises.
    """
    with closing(generations_of(database_url)) as generations:
        return open_whole(generations, generations.live())


def open_whole(generations: Generations, generation: int) -> Store:
    """Open a generation for writing, and make what is missing of it.

    Raises:
        ViewsOutdated: another version of the program made it.
        StoreUnavailable: it cannot be opened.
    """
    store = generations.open(generation, writer=True)
    try:
        if store.exists() and (names := outdated(store)):
            raise ViewsOutdated(names)
        store.create(tables())
    except BaseException:
        store.close()
        raise
    return store


def lost(store: Store) -> bool:
    """Tell whether these views cannot be read: of another version of the program, or damaged."""
    try:
        return store.exists() and bool(outdated(store))
    except ViewsDamaged:
        return True


def find_store(database_url: str) -> Store | None:
    """Open the live views of the log at this address for reading only.

    None when there are none, or none that this version of the program can read. Raises
    StoreUnavailable when they cannot be opened, and ViewsDamaged.
    """
    with closing(generations_of(database_url)) as generations:
        return readable(generations)


def readable(generations: Generations) -> Store | None:
    """Open the live generation for reading only; None when there is none that can be read.

    Raises StoreUnavailable when it cannot be opened, and ViewsDamaged.
    """
    store = generations.open(generations.live(), writer=False)
    try:
        if store.exists() and not outdated(store) and not unmade(store):
            return store
    except BaseException:
        store.close()
        raise
    store.close()
    return None
