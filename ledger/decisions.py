"""What to append for what came in: decided under the write lock, from what the log holds then.

Everything here is a function of the observations and of the rows seen; nothing is written and
nothing is remembered between two batches, so a batch whose commit is in doubt can be decided again.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from ledger.domain.claim import Evidence, Statement
from ledger.domain.connection import fold
from ledger.domain.errors import LedgerError
from ledger.domain.events import (
    DeliveryParked,
    DeliveryReceived,
    DeliveryRepeated,
    DeliveryResolved,
    Event,
)
from ledger.domain.link_session import admitted
from ledger.domain.listing import tells_nothing, was_listed
from ledger.domain.words import connection_stream
from ledger.drawing import claim_of, cut, drawn, is_parked, signed_by, stamps_of
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
from ledger.ofauth.payloads import Problem, Reading
from ledger.ofauth.rows import read_row
from ledger.recorders import codec
from ledger.recorders.base import NewRow
from ledger.streams import SALT_BYTES, Named, Streams

REPEATS_KEPT: Final = 16
"""How many repeats of one delivery are written down; later ones are only acknowledged."""


@dataclass(slots=True)
class _Account:
    """Where one observation's outcome will be read from, once positions are known."""

    outcome: Outcome
    stream: str
    last: int | None = None
    """Index of its last new row; None when nothing was appended for it."""
    position: int = 0
    """The position to report when nothing was appended, or the original's."""
    tied: bool = False


@dataclass(slots=True)
class Decisions:
    """The decisions of one batch, in order; `rows` is what to append."""

    streams: Streams
    accounts: list[_Account] = field(default_factory=list)
    _messages: dict[str, set[str]] = field(default_factory=dict)
    _originals: dict[str, int] = field(default_factory=dict)
    """By stream: the index of the last new row of a delivery that is new in this batch."""

    def __post_init__(self) -> None:
        for message_id, stream in self.streams.seen.message_streams:
            self._messages.setdefault(message_id, set()).add(stream)

    @property
    def rows(self) -> list[NewRow]:
        """What is to be appended."""
        return self.streams.rows

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
                account.tied,
            )
            for account in self.accounts
        ]

    # deliveries

    def _delivery(self, prepared: Prepared, delivery: Delivery) -> _Account:
        try:
            history = self.streams.events(prepared.stream)
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
        salt = self.streams.entropy(SALT_BYTES)
        named, problem = self._draw(prepared, reading, delivery.verdict.stamp)
        received = DeliveryReceived(
            receipt=prepared.receipt,
            observed=delivery.observed,
            size=len(delivery.body),
            digest=codec.digest(salt, delivery.body),
            signed=signed_by(delivery.verdict),
            type=reading.type,
            kept=reading.kept,
            flags=self._flags(prepared, delivery, reading),
            drawn=drawn(prepared.stream, (statement for statement, _ in named)),
        )
        self.streams.append(
            prepared.stream,
            received,
            payload=delivery.body if reading.kept else None,
            salt=salt if reading.kept else None,
            message_id=prepared.message_id,
        )
        if problem is not None:
            parked = DeliveryParked(reason=problem.reason, detail=problem.detail)
            self.streams.append(prepared.stream, parked)
            return self._account(Outcome.PARKED, prepared)
        tied = self.streams.ties(named)
        self.streams.state(named)
        return self._account(Outcome.NEW, prepared, tied=tied)

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
            signed=signed_by(delivery.verdict),
        )
        self.streams.append(prepared.stream, repeated)
        if not earlier and not is_parked(history):
            named, _ = self._draw(prepared, _reading(prepared), stamp)
            if named and named[-1][0].claim.stamped:
                self.streams.state(named)
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
        own = self.streams.stored(prepared.stream)
        positions = [row.position for row in own if row.topic != DeliveryRepeated.NAME]
        if prepared.connection is not None and positions:
            stored = self.streams.stored(connection_stream(prepared.connection))
            with contextlib.suppress(LedgerError):
                positions += [
                    row.position
                    for row, statement in zip(
                        stored, self.streams.known(prepared.connection), strict=False
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
        history = self.streams.events(prepared.stream)
        if not is_parked(history):
            return self._original(prepared, Outcome.UNCHANGED)
        reading = _reading(prepared)
        named, problem = self._draw(prepared, reading, min(stamps_of(history)))
        if problem is not None:
            return self._original(prepared, Outcome.STILL_PARKED)
        received = history[0]
        assert isinstance(received, DeliveryReceived)
        resolved = DeliveryResolved(
            observed=received.observed,
            type=reading.type,
            flags=("test",) if reading.test else (),
            drawn=drawn(prepared.stream, (statement for statement, _ in named)),
        )
        self.streams.append(prepared.stream, resolved)
        self.streams.state(named)
        return self._account(Outcome.RESOLVED, prepared)

    # rows of the provider's list

    def _listed(self, prepared: Prepared, listed: ListedRow) -> _Account:
        connection = prepared.connection
        assert connection is not None
        known = self.streams.known(connection)
        read = read_row(listed.row, answered=listed.answered, first_seen=not was_listed(known))
        claims = [cut(claim, listed.observed) for claim in read]
        folded = fold(connection, known)
        if folded is not None and tells_nothing(folded, claims[0]):
            return self._unchanged(prepared)
        evidence, before = Evidence(listed.evidence, "sweep", listed.observed), len(self.rows)
        for claim in sorted(claims, key=lambda claim: claim.order):
            self.streams.state(self.streams.name(Statement(claim, evidence)))
        return self._unchanged(prepared) if len(self.rows) == before else self._new(prepared)

    # what the ledger itself says

    def _noted(self, prepared: Prepared, noted: Noted) -> _Account:
        claim = cut(noted.claim.identified(), noted.evidence.observed)
        named = self.streams.name(Statement(claim, noted.evidence))
        self.streams.state(named)
        _, names = named[-1]
        return self._new(prepared) if names else self._unchanged(prepared)

    def _happened(self, prepared: Prepared, happened: Happened) -> _Account:
        if happened.event in self.streams.events(happened.stream):
            return self._unchanged(prepared)
        salt = None if happened.payload is None else self.streams.entropy(SALT_BYTES)
        self.streams.append(happened.stream, happened.event, payload=happened.payload, salt=salt)
        return self._new(prepared)

    def _new(self, prepared: Prepared) -> _Account:
        return _Account(Outcome.NEW, prepared.stream, len(self.rows) - 1)

    def _unchanged(self, prepared: Prepared) -> _Account:
        position = self.streams.seen.head.position
        return _Account(Outcome.UNCHANGED, prepared.stream, position=position)

    # Link sessions

    def _link(self, prepared: Prepared, step: LinkStep) -> _Account:
        taken = admitted(step.link, self.streams.events(prepared.stream), step.events)
        for event in taken:
            beside = step.beside if event is step.events[0] else {}
            self.streams.append(prepared.stream, event, **beside)
        if taken:
            return self._account(Outcome.NEW, prepared)
        position = max((row.position for row in self.streams.stored(prepared.stream)), default=0)
        original = self._originals.get(prepared.stream)
        return _Account(Outcome.UNCHANGED, prepared.stream, original, position)

    # claims

    def _draw(
        self, prepared: Prepared, reading: Reading, stamp: int
    ) -> tuple[list[Named], Problem | None]:
        """Draw the claims of a delivery and name them; a failure is a problem, never an error."""
        if reading.problem is not None or reading.said is None:
            return [], reading.problem
        try:
            evidence = self._evidence(prepared)
            claim = claim_of(reading.said, reading.dated, stamp, evidence.observed)
            return self.streams.name(Statement(claim, evidence)), None
        except Exception as error:  # noqa: BLE001 - the receipt must survive whatever this is
            return [], Problem(reason="failed", detail=type(error).__name__)

    def _evidence(self, prepared: Prepared) -> Evidence:
        if isinstance(prepared.observation, Delivery):
            verdict = prepared.observation.verdict
            return Evidence(prepared.stream, verdict.dialect.value, prepared.observation.observed)
        received = self.streams.events(prepared.stream)[0]
        assert isinstance(received, DeliveryReceived)
        return Evidence(prepared.stream, received.signed[0].dialect, received.observed)

    def _account(self, outcome: Outcome, prepared: Prepared, *, tied: bool = False) -> _Account:
        last = len(self.rows) - 1
        self._originals[prepared.stream] = last
        return _Account(outcome, prepared.stream, last, tied=tied)


def _reading(prepared: Prepared) -> Reading:
    assert prepared.reading is not None
    return prepared.reading
