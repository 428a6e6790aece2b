"""One row per connection: the fold of everything ever said about it."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from ledger.domain.words import CONNECTION, short_id
from projections.answers import ConnectionView
from projections.base import Params, Table, Write
from projections.batch import Told
from projections.current_state.document import connection_view

CONNECTIONS: Final = Table(
    "current_state",
    """id {text} NOT NULL,
    short_id {text} NOT NULL,
    client_ref {text},
    status {text},
    last_evidence_at BIGINT NOT NULL,
    document TEXT NOT NULL""",
    key=("id",),
    indexes={column: (column,) for column in ("short_id", "client_ref", "status")},
)
UPSERT: Final = """INSERT INTO current_state{g}
    (id, short_id, client_ref, status, last_evidence_at, document)
    VALUES (:id, :short_id, :client_ref, :status, :last_evidence_at, :document)
    ON CONFLICT (id) DO UPDATE SET client_ref = excluded.client_ref, status = excluded.status,
    last_evidence_at = excluded.last_evidence_at, document = excluded.document"""

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(ConnectionView).decode


def document_of(view: ConnectionView) -> str:
    """Write a view as JSON that can be read again.

    Raises msgspec.ValidationError when a field has another type than answers promise.
    """
    document = _encode(view)
    _decode(document)
    return document.decode()


class CurrentState:
    """What is true of each connection now."""

    name = "current_state"
    version = 2
    streams: tuple[str, ...] = (CONNECTION,)
    tables: Sequence[Table] = (CONNECTIONS,)
    statements: Sequence[str] = (UPSERT,)
    plain: Sequence[str] = (UPSERT,)

    def __init__(self, key: bytes) -> None:
        """Make short forms of ids with the log's key."""
        self._key = key

    def writes(self, told: Told) -> Iterable[Write]:
        """See `Projection`."""
        connection = told.connection
        if connection is None:
            return
        view = connection_view(connection)
        yield Write(
            UPSERT,
            {
                "id": view.id,
                "short_id": short_id(view.id, self._key),
                "client_ref": view.client_reference_id,
                "status": view.status,
                "last_evidence_at": view.last_evidence_at,
                "document": document_of(view),
            },
        )

    def condense(self, sql: str, many: Sequence[Params]) -> Sequence[Params]:
        """See `Projection`."""
        return many
