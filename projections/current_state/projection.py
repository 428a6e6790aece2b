"""One row per connection: the fold of everything ever said about it."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from ledger.domain.account import account_of, accounts_in
from ledger.domain.words import CONNECTION, account_key, short_id
from projections.answers import ConnectionView
from projections.base import Insert, Row, Statement, Table, Write
from projections.batch import Told
from projections.current_state.document import born_at, connection_view, swept_from
from projections.current_state.duplicates import is_billed

CONNECTIONS: Final = Table(
    "current_state",
    """id {text} NOT NULL,
    short_id {text} NOT NULL,
    client_ref {text},
    status {text},
    last_evidence_at BIGINT NOT NULL,
    upstream {text},
    account {text},
    born_at BIGINT NOT NULL,
    swept_from BIGINT NOT NULL,
    missing_since BIGINT,
    asked_at BIGINT,
    imported SMALLINT NOT NULL,
    document TEXT NOT NULL""",
    key=("id",),
    indexes={
        **{column: (column,) for column in ("short_id", "client_ref", "status", "asked_at")},
        "account": ("account", "born_at", "id"),
        "age": ("born_at", "id"),
    },
)
"""`upstream` is the key of the account that it is or was of, `account` the same as long as it is
billed for that, else null; `last_evidence_at` that of
its own evidence; passes that began after the position `swept_from` keep it fresh too; `asked_at` is
when the oldest command was asked for that is not proved to be done, else null."""
ACCOUNTS: Final = Table(
    "accounts",
    """account {text} NOT NULL,
    connection_id {text} NOT NULL,
    stated_at_position BIGINT NOT NULL""",
    key=("account", "connection_id"),
    indexes={"connection": ("connection_id",)},
)
"""Every account that a connection was ever said to be of: what is asked about the past needs it."""
UPSERT: Final = Insert(
    CONNECTIONS.name,
    (
        *("id", "short_id", "client_ref", "status", "last_evidence_at", "upstream", "account"),
        *("born_at", "swept_from", "missing_since", "asked_at", "imported", "document"),
    ),
    """ON CONFLICT (id) DO UPDATE SET client_ref = excluded.client_ref, status = excluded.status,
    last_evidence_at = excluded.last_evidence_at, upstream = excluded.upstream,
    account = excluded.account, born_at = excluded.born_at, swept_from = excluded.swept_from,
    missing_since = excluded.missing_since, asked_at = excluded.asked_at,
    imported = excluded.imported, document = excluded.document""",
)
FORGET: Final = "DELETE FROM accounts{g} WHERE connection_id = :connection_id"
STATE: Final = Insert(
    ACCOUNTS.name,
    ("account", "connection_id", "stated_at_position"),
    "ON CONFLICT DO NOTHING",
)
NO_ACCOUNT: Final = ""
"""Stands for the account of a connection whose first statement names none. So an erasure leaves no
table empty: PostgreSQL would keep the statistics of what was in it."""

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
    version = 8
    streams: tuple[str, ...] = (CONNECTION,)
    tables: Sequence[Table] = (CONNECTIONS, ACCOUNTS)
    statements: Sequence[Statement] = (UPSERT, FORGET, STATE)
    plain: Sequence[Insert] = (UPSERT, STATE)

    def __init__(self, key: bytes) -> None:
        """Make short forms of ids, and the keys of accounts, with the log's key."""
        self._key = key

    def writes(self, told: Told) -> Iterable[Write]:
        """See `Projection`."""
        connection = told.connection
        if connection is None:
            return
        view, upstream, accounts = connection_view(connection), account_of(connection), _named(told)
        keys = {one: account_key(one, self._key) if one else NO_ACCOUNT for one in accounts}
        key = None if upstream is None else keys[upstream]
        yield Write(
            UPSERT,
            (
                view.id,
                short_id(view.id, self._key),
                view.client_reference_id,
                view.status,
                view.last_evidence_at,
                key,
                key if is_billed(connection) else None,
                born_at(view),
                swept_from(view, told.facts[0].position),
                view.missing_since,
                view.asked_at,
                int(bool(view.imported)),
                document_of(view),
            ),
        )
        if told.fresh:
            yield Write(FORGET, {"connection_id": view.id})
        for account, position in accounts.items():
            if told.fresh or position > told.since:
                yield Write(STATE, (keys[account], view.id, position))

    def condense(self, statement: Statement, many: Sequence[Row]) -> Sequence[Row]:
        """See `Projection`."""
        return many


def _named(told: Told) -> dict[str, int]:
    """Give each account that a connection was said to be of, with the first position."""
    first: dict[str, int] = {}
    for fact, statement in told.stated:
        accounts = accounts_in(statement.claim)
        if not accounts and not first:
            accounts = (NO_ACCOUNT,)
        for account in accounts:
            if account not in first:
                first[account] = fact.position
    return first
