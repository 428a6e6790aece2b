"""The streams that a batch decides on: what the log holds of them, and what is to be appended.

Everything is seen under the write lock. What is decided for one observation is known to those
after it in the batch.
"""

from bisect import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from ledger.domain.claim import Claim, Evidence, Statement
from ledger.domain.connection import names_of, ties
from ledger.domain.errors import LedgerError
from ledger.domain.event import Event
from ledger.domain.events import CONNECTION_TYPES
from ledger.domain.listing import LAG_MS, last_row_at, standing, was_listed
from ledger.domain.sweep_events import SweepCompleted, SweepStarted
from ledger.domain.words import connection_stream
from ledger.recorders import codec
from ledger.recorders.base import NewRow, Seen, StoredRow

SALT_BYTES: Final = 16
PASSES_SEEN: Final = 24
"""How many of the newest events of passes are looked through for one that listed a connection."""

Named = tuple[Statement, tuple[str, ...]]
"""A statement, and the names of the events that it makes."""


class _Pass(NamedTuple):
    """A valid pass, as far as it stands for claims."""

    began: int
    """The position of its beginning."""
    ended: int
    """The position of its end."""
    evidence: Evidence
    k: int
    """The time of what it stands for: when the provider answered its first page (not later than
    its end by our clock), less how far the list may trail."""
    unlisted: frozenset[str]
    """Ids of connections that it did not list."""


@dataclass(slots=True)
class Streams:
    """What one batch sees of the log, and `rows`, what it appends."""

    seen: Seen
    entropy: Callable[[int], bytes]
    rows: list[NewRow] = field(default_factory=list)
    _stored: dict[str, list[StoredRow]] = field(default_factory=dict)
    _written: dict[str, list[Event]] = field(default_factory=dict)
    _statements: dict[str, list[Statement]] = field(default_factory=dict)
    _passes: list[_Pass] | None = None
    _settled: int = 0
    """No pass stands for a claim later than this."""

    def __post_init__(self) -> None:
        for row in self.seen.rows:
            self._stored.setdefault(row.stream, []).append(row)
        self._settled = self.seen.head.recorded_at // 1000 - LAG_MS

    def stored(self, stream: str) -> Sequence[StoredRow]:
        """Give the events of a stream that the log holds."""
        return self._stored.get(stream, ())

    def events(self, stream: str) -> list[Event]:
        """Give the events of a stream, those of this batch too.

        Raises LedgerError when one cannot be read.
        """
        return [*map(codec.to_event, self.stored(stream)), *self._written.get(stream, ())]

    def known(self, connection: str) -> list[Statement]:
        """Give every statement about a connection, in the order of its stream.

        Raises LedgerError when one cannot be read.
        """
        if connection not in self._statements:
            decoded = map(codec.statement_of, self.stored(connection_stream(connection)))
            self._statements[connection] = [s for s in decoded if s is not None]
        return self._statements[connection]

    def name(self, statement: Statement) -> list[Named]:
        """Name the events that a statement makes.

        Before it comes what passes stand for, when that is later by the provider's clock and not
        yet written out. Raises LedgerError when the stream cannot be read.
        """
        stands = self._standing(statement.claim) if statement.claim.k < self._settled else ()
        return [(each, self._names(each)) for each in (*stands, statement)]

    def ties(self, named: Sequence[Named]) -> bool:
        """Tell whether the last of some statements ties with one that is known."""
        if not named:
            return False
        claim = named[-1][0].claim
        return claim.status is not None and ties(claim, self.known(claim.connection_id))

    def state(self, named: Sequence[Named]) -> None:
        """Append the events of statements."""
        for statement, names in named:
            connection = statement.claim.connection_id
            for name in names:
                event = CONNECTION_TYPES[name](statement=statement)
                self.append(connection_stream(connection), event, salt=self.entropy(SALT_BYTES))
            if names:
                self.known(connection).append(statement)

    def append(self, stream: str, event: Event, **payload: Any) -> None:
        """Append an event to a stream; `payload` as `codec.to_row` takes it."""
        stored, written = self.stored(stream), self._written.setdefault(stream, [])
        version = (stored[-1].version if stored else 0) + len(written) + 1
        self.rows.append(codec.to_row(stream, version, event, **payload))
        written.append(event)

    def _names(self, statement: Statement) -> tuple[str, ...]:
        return names_of(self.known(statement.claim.connection_id), statement)

    def _standing(self, late: Claim) -> list[Statement]:
        """Give the claim of the newest valid pass that listed the connection unchanged, if it is
        later than a claim that comes now and no row that is written outweighs it.

        One that says no status, since the provider's is not known here, comes with the one before.
        """
        connection, known = late.connection_id, self.known(late.connection_id)
        if not was_listed(known) or any(statement.claim.id == late.id for statement in known):
            return []
        found: list[Statement] = []
        least = max(late.k, last_row_at(known))
        positions = [row.position for row in self.stored(connection_stream(connection))]
        for one in self._valid_passes():
            began, ended = bisect(positions, one.began), bisect(positions, one.ended)
            if one.k <= least or (found and found[-1].claim.status is not None):
                break
            if connection not in one.unlisted:
                claim = standing(known[:began], known[began:ended], one.evidence, one.k)
                found += [] if claim is None else [claim]
        return found

    def _valid_passes(self) -> list[_Pass]:
        """Give the newest valid passes, newest first; what a later program wrote is left out."""
        if self._passes is None:
            rows = self.seen.passes(PASSES_SEEN)
            began = {row.stream: row.position for row in rows if row.topic == SweepStarted.NAME}
            ended = [row for row in rows if row.topic == SweepCompleted.NAME]
            passes = [_pass(row, began[row.stream]) for row in ended if row.stream in began]
            self._passes = [one for one in passes if one is not None]
        return self._passes


def _pass(row: StoredRow, began: int) -> _Pass | None:
    try:
        completed = codec.to_event(row)
    except LedgerError:
        return None
    assert isinstance(completed, SweepCompleted)
    if not completed.valid or completed.braked:
        return None
    return _Pass(
        began,
        row.position,
        Evidence(row.stream, "sweep", completed.observed),
        min(completed.answered_from, row.recorded_at // 1000) - LAG_MS,
        frozenset(completed.absent) | frozenset(completed.unseen),
    )
