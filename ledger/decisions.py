"""What to append for what came in: decided under the write lock, from what the log holds then.

Everything here is a function of the observations and of the rows seen; nothing is written and
nothing is remembered between two batches, so a batch whose commit is in doubt can be decided again.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ledger.domain.claim import CLOCK_TOLERANCE_MS, Claim, Evidence, Statement
from ledger.domain.connection import names_of
from ledger.domain.errors import LedgerError
from ledger.domain.events import (
    CONNECTION_TYPES,
    DeliveryParked,
    DeliveryReceived,
    DeliveryRepeated,
    DeliveryResolved,
    Drawn,
    Event,
    Signed,
)
from ledger.domain.link_session import admitted
from ledger.domain.words import connection_stream, message_label
from ledger.observations import (
    Delivery,
    Happened,
    LinkStep,
    ListedRow,
    Noted,
    Outcome,
    Prepared,
    Recorded,
    Retry,
)
from ledger.ofauth.payloads import Problem, Reading, Said
from ledger.ofauth.rows import read_row
from ledger.ofauth.signatures import Verdict
from ledger.recorders import codec
from ledger.recorders.base import NewRow, Seen, StoredRow

REPEATS_KEPT: Final = 16
"""How many repeats of one delivery are written down; later ones are only acknowledged."""
SALT_BYTES: Final = 16


@dataclass(slots=True)
class _Account:
    """Where one observation's outcome will be read from, once positions are known."""

    outcome: Outcome
    stream: str
    last: int | None = None
    """Index of its last new row; None when nothing was appended for it."""
    position: int = 0
    """The position to report when nothing was appended, or the original's."""


@dataclass(slots=True)
class Decisions:
    """The decisions of one batch, in order; `rows` is what to append."""

    seen: Seen
    entropy: Callable[[int], bytes]
    rows: list[NewRow] = field(default_factory=list)
    accounts: list[_Account] = field(default_factory=list)
    _stored: dict[str, list[StoredRow]] = field(default_factory=dict)
    _written: dict[str, list[tuple[int, Event]]] = field(default_factory=dict)
    _statements: dict[str, list[Statement]] = field(default_factory=dict)
    _messages: dict[str, set[str]] = field(default_factory=dict)
    _originals: dict[str, int] = field(default_factory=dict)
    """By stream: the index of the last new row of a delivery that is new in this batch."""

    def __post_init__(self) -> None:
        for row in self.seen.rows:
            self._stored.setdefault(row.stream, []).append(row)
        for message_id, stream in self.seen.message_streams:
            self._messages.setdefault(message_id, set()).add(stream)

    def take(self, prepared: Prepared) -> None:
        """Decide one observation against the log and against those before it in the batch."""
        match prepared.observation:
            case Delivery() as delivery:
                self.accounts.append(self._delivery(prepared, delivery))
            case Retry():
                self.accounts.append(self._retry(prepared))
            case ListedRow() as row:
                self.accounts.append(self._listed(prepared, row))
            case Noted() as noted:
                self.accounts.append(self._noted(prepared, noted))
            case Happened() as happened:
                self.accounts.append(self._happened(prepared, happened))
            case LinkStep() as step:
                self.accounts.append(self._link(prepared, step))

    def results(self, positions: Sequence[int]) -> list[Recorded]:
        """Give each observation's outcome, with the positions that the log assigned."""
        return [
            Recorded(
                account.outcome,
                account.position if account.last is None else positions[account.last],
                account.stream,
            )
            for account in self.accounts
        ]

    # deliveries

    def _delivery(self, prepared: Prepared, delivery: Delivery) -> _Account:
        try:
            history = self._events(prepared.stream)
        except LedgerError:
            # A later program wrote about this delivery, so it rests in the log already.
            return self._original(prepared, Outcome.REPEATED)
        if not history:
            return self._first(prepared, delivery)
        ours = [e for e in history if getattr(e, "receipt", None) == prepared.receipt]
        if ours:
            outcome = Outcome.NEW if isinstance(ours[0], DeliveryReceived) else Outcome.REPEATED
            return self._original(prepared, outcome)
        return self._again(prepared, delivery, history)

    def _first(self, prepared: Prepared, delivery: Delivery) -> _Account:
        reading = _reading(prepared)
        salt = self.entropy(SALT_BYTES)
        statements, problem = self._draw(prepared, reading, delivery.verdict.stamp)
        received = DeliveryReceived(
            receipt=prepared.receipt,
            observed=delivery.observed,
            size=len(delivery.body),
            digest=codec.digest(salt, delivery.body),
            signed=_signed(delivery.verdict),
            type=reading.type,
            kept=reading.kept,
            flags=self._flags(prepared, delivery, reading),
            drawn=_drawn(statements),
        )
        self._append(
            prepared.stream,
            received,
            payload=delivery.body if reading.kept else None,
            salt=salt if reading.kept else None,
            message_id=prepared.message_id,
        )
        if problem is not None:
            parked = DeliveryParked(reason=problem.reason, detail=problem.detail)
            self._append(prepared.stream, parked)
            return self._account(Outcome.PARKED, prepared)
        self._state(statements)
        return self._account(Outcome.NEW, prepared)

    def _again(self, prepared: Prepared, delivery: Delivery, history: Sequence[Event]) -> _Account:
        stamp = delivery.verdict.stamp
        earlier = min(stamps_of(history)) <= stamp
        repeats = sum(isinstance(event, DeliveryRepeated) for event in history)
        account = self._original(prepared, Outcome.REPEATED)
        if earlier and repeats >= REPEATS_KEPT:
            return account
        repeated = DeliveryRepeated(
            receipt=prepared.receipt,
            observed=delivery.observed,
            signed=_signed(delivery.verdict),
        )
        self._append(prepared.stream, repeated)
        if not earlier and not _is_parked(history):
            statements, _ = self._draw(prepared, _reading(prepared), stamp)
            self._state([s for s in statements if s[0].claim.stamped])
        return account

    def _original(self, prepared: Prepared, outcome: Outcome) -> _Account:
        """Account for a delivery that is in the log (or earlier in this batch) already."""
        return _Account(
            outcome,
            prepared.stream,
            self._originals.get(prepared.stream),
            self._position_of(prepared),
        )

    def _position_of(self, prepared: Prepared) -> int:
        """Give the last position that the original delivery wrote; 0 when not yet in the log."""
        own = self._stored.get(prepared.stream, [])
        positions = [row.position for row in own if row.topic != DeliveryRepeated.NAME]
        if prepared.connection is not None and positions:
            stored = self._stored.get(connection_stream(prepared.connection), [])
            with contextlib.suppress(LedgerError):
                positions += [
                    row.position
                    for row, statement in zip(
                        stored, self._known(prepared.connection), strict=False
                    )
                    if statement.evidence.stream == prepared.stream
                ]
        return max(positions, default=0)

    def _flags(self, prepared: Prepared, delivery: Delivery, reading: Reading) -> tuple[str, ...]:
        flags = []
        if delivery.verdict.delayed:
            flags.append("delayed")
        if reading.test:
            flags.append("test")
        if prepared.message_id is not None:
            streams = self._messages.setdefault(prepared.message_id, set())
            if streams - {prepared.stream}:
                flags.append("id_reuse")
            streams.add(prepared.stream)
        return tuple(flags)

    # parked deliveries

    def _retry(self, prepared: Prepared) -> _Account:
        history = self._events(prepared.stream)
        if not _is_parked(history):
            return self._original(prepared, Outcome.UNCHANGED)
        reading = _reading(prepared)
        statements, problem = self._draw(prepared, reading, min(stamps_of(history)))
        if problem is not None:
            return self._original(prepared, Outcome.STILL_PARKED)
        received = history[0]
        assert isinstance(received, DeliveryReceived)
        resolved = DeliveryResolved(
            observed=received.observed,
            type=reading.type,
            flags=("test",) if reading.test else (),
            drawn=_drawn(statements),
        )
        self._append(prepared.stream, resolved)
        self._state(statements)
        return self._account(Outcome.RESOLVED, prepared)

    # rows of the provider's list

    def _listed(self, prepared: Prepared, listed: ListedRow) -> _Account:
        connection = prepared.connection
        assert connection is not None
        known = self._known(connection)
        first_seen = not any(statement.claim.kind.is_row for statement in known)
        evidence = Evidence(listed.evidence, "sweep", listed.observed)
        claims = read_row(listed.row, answered=listed.answered, first_seen=first_seen)
        ordered = sorted((_cut(c, listed.observed) for c in claims), key=lambda c: c.order)
        statements = [Statement(claim, evidence) for claim in ordered]
        before = len(self.rows)
        for statement in statements:
            self._state([(statement, self._names(statement))])
        if len(self.rows) == before:
            return _Account(Outcome.UNCHANGED, listed.evidence, position=self.seen.head.position)
        return self._account(Outcome.NEW, prepared)

    # what the ledger itself says

    def _noted(self, prepared: Prepared, noted: Noted) -> _Account:
        statement = Statement(_cut(noted.claim, noted.evidence.observed), noted.evidence)
        names = self._names(statement)
        self._state([(statement, names)])
        if not names:
            return _Account(Outcome.UNCHANGED, prepared.stream, position=self.seen.head.position)
        return self._account(Outcome.NEW, prepared)

    def _happened(self, prepared: Prepared, happened: Happened) -> _Account:
        if happened.event in self._events(happened.stream):
            return _Account(Outcome.UNCHANGED, prepared.stream, position=self.seen.head.position)
        salt = None if happened.payload is None else self.entropy(SALT_BYTES)
        self._append(happened.stream, happened.event, payload=happened.payload, salt=salt)
        return self._account(Outcome.NEW, prepared)

    # Link sessions

    def _link(self, prepared: Prepared, step: LinkStep) -> _Account:
        taken = admitted(step.link, self._events(prepared.stream), step.events)
        for event in taken:
            beside = step.beside if event is step.events[0] else {}
            self._append(prepared.stream, event, **beside)
        if taken:
            return self._account(Outcome.NEW, prepared)
        position = max((row.position for row in self._stored.get(prepared.stream, [])), default=0)
        original = self._originals.get(prepared.stream)
        return _Account(Outcome.UNCHANGED, prepared.stream, original, position)

    # claims

    def _draw(
        self, prepared: Prepared, reading: Reading, stamp: int
    ) -> tuple[list[tuple[Statement, tuple[str, ...]]], Problem | None]:
        """Draw the claims of a delivery and name them; a failure is a problem, never an error."""
        if reading.problem is not None or reading.said is None:
            return [], reading.problem
        try:
            evidence = self._evidence(prepared)
            claim = _claim(reading.said, reading.dated, stamp, evidence.observed)
            statement = Statement(claim, evidence)
            return [(statement, self._names(statement))], None
        except Exception as error:  # noqa: BLE001 - the receipt must survive whatever this is
            return [], Problem(reason="failed", detail=type(error).__name__)

    def _evidence(self, prepared: Prepared) -> Evidence:
        if isinstance(prepared.observation, Delivery):
            verdict = prepared.observation.verdict
            return Evidence(prepared.stream, verdict.dialect.value, prepared.observation.observed)
        received = self._events(prepared.stream)[0]
        assert isinstance(received, DeliveryReceived)
        return Evidence(prepared.stream, received.signed[0].dialect, received.observed)

    def _names(self, statement: Statement) -> tuple[str, ...]:
        return names_of(
            statement.claim.connection_id, self._known(statement.claim.connection_id), statement
        )

    def _known(self, connection: str) -> list[Statement]:
        """Give every statement about a connection, in the order of its stream."""
        if connection not in self._statements:
            rows = self._stored.get(connection_stream(connection), [])
            decoded = [codec.statement_of(row) for row in rows]
            self._statements[connection] = [s for s in decoded if s is not None]
        return self._statements[connection]

    def _state(self, named: Sequence[tuple[Statement, tuple[str, ...]]]) -> None:
        for statement, names in named:
            connection = statement.claim.connection_id
            for name in names:
                event = CONNECTION_TYPES[name](statement=statement)
                self._append(connection_stream(connection), event, salt=self.entropy(SALT_BYTES))
            if names:
                self._known(connection).append(statement)

    # rows to append

    def _events(self, stream: str) -> list[Event]:
        stored = [codec.to_event(row) for row in self._stored.get(stream, [])]
        return stored + [event for _, event in self._written.get(stream, [])]

    def _append(self, stream: str, event: Event, **payload: Any) -> None:
        stored = self._stored.get(stream)
        written = self._written.setdefault(stream, [])
        version = (stored[-1].version if stored else 0) + len(written) + 1
        self.rows.append(codec.to_row(stream, version, event, **payload))
        written.append((len(self.rows) - 1, event))

    def _account(self, outcome: Outcome, prepared: Prepared) -> _Account:
        last = len(self.rows) - 1
        self._originals[prepared.stream] = last
        return _Account(outcome, prepared.stream, last)


def stamps_of(history: Sequence[Event]) -> list[int]:
    """Give all signature times (seconds, UTC) under which a delivery came."""
    return [
        signed.stamp
        for event in history
        if isinstance(event, DeliveryReceived | DeliveryRepeated)
        for signed in event.signed
    ]


def _is_parked(history: Sequence[Event]) -> bool:
    parked = any(isinstance(event, DeliveryParked) for event in history)
    return parked and not any(isinstance(event, DeliveryResolved) for event in history)


def _reading(prepared: Prepared) -> Reading:
    assert prepared.reading is not None
    return prepared.reading


def _signed(verdict: Verdict) -> tuple[Signed, ...]:
    return tuple(
        Signed(v.dialect.value, v.stamp, v.secret, v.message_id and message_label(v.message_id))
        for v in verdict.verifications
    )


def _drawn(named: Sequence[tuple[Statement, tuple[str, ...]]]) -> tuple[Drawn, ...]:
    return tuple(Drawn(s.claim.connection_id, s.claim.id) for s, _ in named)


def _claim(said: Said, dated: int | None, stamp: int, observed: int) -> Claim:
    claim = Claim(
        connection_id=said.connection_id,
        kind=said.kind,
        k=stamp * 1000 if dated is None else dated,
        status=said.status,
        fields=said.fields,
        personal=said.personal,
        flags=said.flags,
        stamped=dated is None,
    )
    return _cut(claim, observed).identified()


def _cut(claim: Claim, observed: int) -> Claim:
    """Cut a time that lies too far after the observation, and say so."""
    if claim.k <= observed + CLOCK_TOLERANCE_MS:
        return claim
    return claim.dated(observed, "clock")
