"""What the rows of a pass tell that is not known: they are compared without the write lock.

Most rows of most passes say what is known, and nothing is written for them.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from ledger.application import Ledger, ListedRow, Outcome
from ledger.domain.claim import Statement
from ledger.domain.connection import TIE_MS, fold
from ledger.domain.listing import LAG_MS, USER_DATA, differences, tells_nothing, was_listed
from ledger.domain.words import connection_of, connection_stream
from ledger.ofauth.results import ListPage
from ledger.ofauth.rows import UnreadableRow, read_row
from ledger.reconcile.paging import Row
from ledger.recorders import codec
from ledger.recorders.base import Guard, Log

TOLD_BY_WEBHOOKS: Final = frozenset({"status", "clientReferenceId", "permissions"})
"""What webhooks tell of a connection, beside `userData`."""
STREAMS_AT_ONCE: Final = 500


class Compared(NamedTuple):
    """A row that tells something, and what the difference is."""

    row: ListedRow
    repairs: bool
    """Whether it tells what a webhook should have told."""
    fresh: bool
    """Whether the webhook may still be on its way."""


class Rows:
    """Compares and records the rows of one pass, and counts what they repaired."""

    def __init__(self, ledger: Ledger, evidence: str, guard: Guard) -> None:
        """Record into `ledger` under the lease `guard`; `evidence` is the stream of the pass."""
        self._ledger = ledger
        self._evidence = evidence
        self._guard = guard
        self.appended = 0
        """How many rows were recorded."""
        self.repaired: set[str] = set()
        """Ids of the connections with a difference that a webhook should have told."""
        self.fresh: set[str] = set()
        """Ids of those whose difference is so young that a webhook may still tell it."""

    def take(self, page: ListPage, rows: Sequence[Row], *, observed: int) -> bool:
        """Record the rows that tell something; give whether all of them could be read.

        `observed` is when the page reached us, milliseconds since the epoch, UTC.

        Raises:
            LeaseLost: another process sweeps now.
            StoreUnavailable: the store failed.
        """
        known = statements_of(self._ledger.log, (str(row["id"]) for row in rows))
        compared, readable = [], True
        for row in rows:
            listed = ListedRow(
                row=row, answered=page.answered, observed=observed, evidence=self._evidence
            )
            try:
                found = _compare(listed, known.get(str(row["id"]), ()))
            except UnreadableRow:
                readable = False
                continue
            if found is not None:
                compared.append(found)
        if compared:
            recorded = self._ledger.record([one.row for one in compared], guard=self._guard)
            told = zip(compared, recorded, strict=True)
            self._count(one for one, result in told if result.outcome is Outcome.NEW)
        return readable

    def _count(self, compared: Iterable[Compared]) -> None:
        for one in compared:
            self.appended += 1
            if one.repairs:
                (self.fresh if one.fresh else self.repaired).add(str(one.row.row["id"]))


def _compare(listed: ListedRow, known: Sequence[Statement]) -> Compared | None:
    """Give what a row tells; None when it may be left out.

    Raises:
        UnreadableRow: it does not have its form.
    """
    claim = read_row(listed.row, answered=listed.answered, first_seen=not was_listed(known))[0]
    connection = fold(claim.connection_id, known)
    if connection is not None and tells_nothing(connection, claim):
        return None
    names = TOLD_BY_WEBHOOKS if connection is None else differences(connection, claim)
    told = any(name in TOLD_BY_WEBHOOKS or name.startswith(USER_DATA) for name in names)
    return Compared(listed, told, claim.k > listed.answered - LAG_MS)


def statements_of(log: Log, ids: Iterable[str]) -> dict[str, list[Statement]]:
    """Give everything stated about connections, by id; those never heard of are left out."""
    streams = sorted({connection_stream(id) for id in ids})
    found: dict[str, list[Statement]] = {}
    for first in range(0, len(streams), STREAMS_AT_ONCE):
        for row in log.read_streams(streams[first : first + STREAMS_AT_ONCE]):
            statement = codec.statement_of(row)
            if statement is not None:
                found.setdefault(connection_of(row.stream), []).append(statement)
    return found


def told_since(known: Sequence[Statement], evidence: str) -> bool:
    """Tell whether a webhook told what a row of a pass said first."""
    said = [s.claim.k for s in known if s.evidence.stream == evidence and s.claim.kind.is_row]
    if not said:
        return True
    return any(s.claim.kind.is_webhook and s.claim.k >= max(said) - TIE_MS for s in known)
