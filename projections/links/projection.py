"""One row per Link session: the fold of its events. The provider's address is not among them."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from ledger.domain.link_proof import AFTER_MS, BEFORE_MS
from ledger.domain.link_session import LinkSession, fold_link
from ledger.domain.words import LINK, link_of
from projections.base import Insert, Row, Statement, Table, Values, Write
from projections.batch import Told

SESSIONS: Final = Table(
    "link_sessions",
    """link_id {text} NOT NULL,
    position BIGINT NOT NULL,
    client_ref {text},
    target_id {text},
    named_id {text},
    open_from BIGINT NOT NULL,
    open_until BIGINT NOT NULL,
    proved SMALLINT NOT NULL,
    document TEXT NOT NULL""",
    key=("link_id",),
    indexes={
        "client": ("client_ref", "position"),
        "target": ("target_id",),
        "named": ("named_id",),
        "proved": ("proved",),
        "open": ("open_until",),
    },
)
"""From `open_from` to `open_until` a connection may come to life by it, milliseconds UTC: never
before the provider has opened it."""
UPSERT: Final = Insert(
    SESSIONS.name,
    (
        *("link_id", "position", "client_ref", "target_id", "named_id", "open_from", "open_until"),
        *("proved", "document"),
    ),
    """ON CONFLICT (link_id) DO UPDATE SET named_id = excluded.named_id,
    open_until = excluded.open_until, proved = excluded.proved,
    document = excluded.document""",
)

_encode: Final = msgspec.json.Encoder().encode


class Links:
    """Where each Link session stands."""

    name = "links"
    version = 2
    streams: tuple[str, ...] = (LINK,)
    tables: Sequence[Table] = (SESSIONS,)
    statements: Sequence[Statement] = (UPSERT,)
    plain: Sequence[Insert] = (UPSERT,)

    def writes(self, told: Told) -> Iterable[Write]:
        """See `Projection`."""
        session = fold_link(link_of(told.stream), (fact.event for fact in told.facts))
        if session is not None:
            yield Write(UPSERT, _row(session, told.facts[0].position))

    def condense(self, statement: Statement, many: Sequence[Row]) -> Sequence[Row]:
        """See `Projection`."""
        return many


def _row(session: LinkSession, position: int) -> Values:
    return (
        session.id,
        position,
        session.request.client,
        session.request.connection,
        session.named,
        session.request.observed - BEFORE_MS,
        0 if session.started is None else session.ends_at + AFTER_MS,
        int(session.is_proved),
        _encode(session).decode(),
    )
