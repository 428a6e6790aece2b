"""The ledger: what came in, remembered for ever, through one write path.

`record` takes a batch of observations, reads the streams that it needs in one query under the
write lock, decides, and appends everything in one transaction (semantics, section 11).
"""

from collections.abc import Callable, Sequence

from ledger.decisions import Decisions
from ledger.domain.errors import LedgerError
from ledger.domain.words import link_stream
from ledger.erasure import Erased, Erasure
from ledger.observations import (
    Delivery,
    Happened,
    LinkStep,
    ListedRow,
    Noted,
    Observation,
    Outcome,
    Prepared,
    Recorded,
    Retry,
    identity,
)
from ledger.ofauth import payloads
from ledger.ofauth.payloads import Reading
from ledger.recorders.base import AmbiguousCommit, Guard, Head, LeaseLost, Log, NewRow, Seen
from ledger.streams import Streams

__all__ = [
    "Delivery",
    "Erased",
    "Happened",
    "LeaseLost",
    "Ledger",
    "LinkStep",
    "ListedRow",
    "Noted",
    "Observation",
    "Outcome",
    "Recorded",
    "Retry",
    "UnknownDelivery",
]


class UnknownDelivery(LedgerError):
    """A delivery was asked for that the log does not hold."""

    def __init__(self, stream: str) -> None:
        super().__init__(
            f"No delivery {stream!r} is in the log. `connection-ledger parked list` names those "
            "that can be retried."
        )


class Ledger:
    """Records observations in a log; holds no state of its own between two batches."""

    def __init__(
        self,
        log: Log,
        *,
        now: Callable[[], int],
        entropy: Callable[[int], bytes],
        read: Callable[[bytes], Reading] = payloads.read,
    ) -> None:
        """Use `log`; `now` gives microseconds UTC, `entropy(n)` n random bytes.

        `read` turns a body into what it says; it never raises.
        """
        self.log = log
        self._now = now
        self._entropy = entropy
        self._read = read

    def record(self, batch: Sequence[Observation], *, guard: Guard | None = None) -> list[Recorded]:
        """Append all that the observations of a batch say, in one durable transaction.

        An empty batch only passes the write lock: when it returns, everything recorded before it
        is committed and visible. With a `guard` nothing is written unless that lease is held.

        Raises:
            LeaseLost: another has taken the lease; nothing was written.
            StoreUnavailable: nothing is promised; record the same batch again later.
            UnknownDelivery: a retry names a delivery that the log does not hold.
        """
        prepared = [self._prepare(observation) for observation in batch]
        try:
            return self._transact(prepared, guard)
        except AmbiguousCommit:
            # Each observation carries a receipt of its own, so that deciding again against what
            # the log holds now tells our own write from a repeat.
            return self._transact(prepared, guard)

    def forget(self, reference: str, *, by: str) -> Erased | None:
        """Delete what may have to be forgotten of a client; None when it was never heard of.

        `by` says who asked. The views must be made again afterwards, and the store's files be
        scrubbed: `log.scrub()`.

        Raises:
            StoreUnavailable: nothing was erased, or it is not certain; ask again.
        """
        return Erasure(self.log, reference, by, self._now).run()

    def fence(self) -> Head:
        """Wait until everything recorded so far is visible, and give the end of the log."""
        _, head = self.log.transact((), (), lambda _: (), self._now)
        return head

    def _transact(self, prepared: Sequence[Prepared], guard: Guard | None) -> list[Recorded]:
        decisions: list[Decisions] = []

        def decide(seen: Seen) -> Sequence[NewRow]:
            deciding = Decisions(Streams(seen, self._entropy))
            for one in prepared:
                deciding.take(one)
            decisions.append(deciding)
            return deciding.rows

        streams = {stream for one in prepared for stream in one.streams}
        message_ids = {one.message_id for one in prepared if one.message_id is not None}
        positions, _ = self.log.transact(streams, message_ids, decide, self._now, guard)
        return decisions[-1].results(positions)

    def _prepare(self, observation: Observation) -> Prepared:
        """Do the part that needs no lock: read the body, name the streams."""
        match observation:
            case Delivery():
                reading = self._read(observation.body)
                return Prepared(
                    observation,
                    identity(observation.body, reading.dated, observation.verdict),
                    reading,
                    receipt=self._entropy(8).hex(),
                    connection=_connection(reading),
                )
            case Retry(stream):
                reading = self._read(self._parked_body(stream))
                return Prepared(observation, stream, reading, connection=_connection(reading))
            case LinkStep():
                return Prepared(observation, link_stream(observation.link))
            case ListedRow():
                return Prepared(
                    observation, observation.evidence, connection=str(observation.row["id"])
                )
            case Noted(claim, evidence):
                return Prepared(observation, evidence.stream, connection=claim.connection_id)
            case Happened(stream):
                return Prepared(observation, stream)

    def _parked_body(self, stream: str) -> bytes:
        position = self.log.first_positions([stream]).get(stream)
        body = None if position is None else self.log.body(position)
        if body is None:
            raise UnknownDelivery(stream)
        return body


def _connection(reading: Reading) -> str | None:
    return None if reading.said is None else reading.said.connection_id
