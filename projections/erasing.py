"""Making the rows of an erased client again, in views that may not read the log any more.

Views that follow the log meet `client.erased` in it and do the same there (`projections.batch`):
so what was read before the erasure and written after it does not stay either.
"""

from collections.abc import Collection

from ledger.domain.words import connection_stream
from ledger.recorders.base import Log
from projections.applying import intend, write_apart
from projections.batch import tell_streams
from projections.blocked import read_blocks
from projections.registry import all_projections
from projections.store import Store


def erase(log: Log, store: Store, connections: Collection[str]) -> None:
    """Replace every row of these connections by what the log still tells, up to where the views
    have read.

    Raises StoreUnavailable when nothing was replaced.
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
