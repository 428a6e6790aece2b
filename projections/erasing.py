"""Making the rows of an erased client again, in every copy of the views that there is.

Views that follow the log meet `client.erased` in it and do the same there (`projections.batch`):
so what was read before the erasure and written after it does not stay either.
"""

from collections.abc import Collection
from contextlib import closing
from typing import Final

from ledger.domain.words import connection_stream
from ledger.recorders.base import Log
from projections.applying import intend, write_apart
from projections.batch import tell_streams
from projections.blocked import read_blocks
from projections.generations import generations_of
from projections.opening import lost
from projections.registry import all_projections
from projections.store import Store

DRAFT: Final = (
    "The views are being rebuilt, and the new ones may have been read before. They will not show "
    "what is erased, but their files may keep it; give the same command again after the rebuild."
)


def erase_views(
    log: Log, database_url: str, connections: Collection[str], live: Store | None = None
) -> list[str]:
    """Erase in every generation of the views of this log, and in what their files keep of it.

    `live` is the one that this process has open already. Returns a sentence for each place where
    copies may remain. Raises StoreUnavailable.
    """
    with closing(generations_of(database_url)) as generations:
        remains = [DRAFT] if generations.drafting() else []
        for generation in generations.all():
            if live is not None and live.generation == generation:
                remains += _erase(log, live, connections)
                continue
            with closing(generations.open(generation, writer=True)) as store:
                gone = lost(store)
                if not gone:
                    remains += _erase(log, store, connections)
            if gone:
                # Its rows cannot be made again by these rules, and nobody reads them any more.
                generations.remove(generation)
    return remains


def _erase(log: Log, store: Store, connections: Collection[str]) -> list[str]:
    """Replace every row of these connections by what the log still tells of them.

    That is, up to where the views have read.
    """
    projections = all_projections(log.key)
    streams = sorted(connection_stream(connection) for connection in connections)
    with store.writing() as session:
        positions = store.positions(session, [projection.name for projection in projections])
        blocks = read_blocks(session)
        for projection in projections:
            position = positions[projection.name]
            told = tell_streams(log, streams, position, position, fresh=True)
            write_apart(session, intend(projection, told, blocks))
    return store.scrub()
