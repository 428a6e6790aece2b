"""A ledger that sweeps a provider's list, for tests of passes."""

from collections.abc import Callable
from typing import Any

from ledger.application import Ledger, Noted
from ledger.domain.claim import Claim, Evidence, Kind
from ledger.domain.connection import Connection, fold
from ledger.domain.sweep_events import SweepCompleted
from ledger.domain.words import CONNECTION, connection_of
from ledger.reconcile import Known, PassResult, Sweep, new_pass
from ledger.recorders import codec
from tests.builders import Clock, counting_entropy, delivery, open_ledger, webhook
from tests.listing import ListedProvider

SECOND = 1_000
MINUTE = 60 * SECOND


class World:
    """A ledger that sweeps a provider's list, both on one clock."""

    def __init__(self, url: str) -> None:
        self.clock = Clock()
        self.ledger: Ledger = open_ledger(url, self.clock)
        self.provider = ListedProvider(self.now)
        self.entropy = counting_entropy()

    def now(self) -> int:
        """Milliseconds UTC."""
        return self.clock() // 1000

    def sweep(self, *, after: float = 300, confirm: bool = False, by: str = "one") -> PassResult:
        """Make a pass, some seconds after what was before."""
        self.clock.advance(after)
        return self.prepared(by).run(confirm_absences=confirm)

    def prepared(self, by: str = "one", go_on: Callable[[], bool] = lambda: True) -> Sweep:
        """A pass that has not begun."""
        return Sweep(
            self.ledger,
            self.provider,
            stream=new_pass(self.entropy),
            holder=by,
            known=self.known,
            now_ms=self.now,
            go_on=go_on,
        )

    def known(self) -> list[Known]:
        """What lives, by everything in the log."""
        everything = (self.connection(connection_of(stream)) for stream in self.streams())
        return [
            Known(one.id, missing=one.missing_since is not None)
            for one in everything
            if one is not None and one.live
        ]

    def streams(self) -> list[str]:
        """The streams of connections."""
        rows = self.ledger.log.read_log(0, 10_000)
        return sorted({row.stream for row in rows if row.stream.startswith(CONNECTION)})

    def connection(self, id: str) -> Connection:
        """What is true of a connection."""
        rows = self.ledger.log.read_streams([f"{CONNECTION}{id}"])
        found = fold(id, [s for row in rows if (s := codec.statement_of(row)) is not None])
        assert found is not None
        return found

    def topics(self, after: int = 0) -> list[str]:
        """What was appended after a position."""
        return [row.topic for row in self.ledger.log.read_log(after, 10_000)]

    def hear(self, kind: str, id: str, *, at: int | None = None, **told: Any) -> None:
        """Take a webhook that tells what happens now, or happened at `at`."""
        body = webhook(kind, id, at=self.now() if at is None else at, ref=f"user_{id}", **told)
        self.ledger.record([delivery(body, observed=self.now())])

    def note(self, kind: Kind, id: str) -> None:
        """Note something about a connection, as a command does whose call is refused."""
        claim = Claim(connection_id=id, kind=kind, k=self.now()).identified()
        self.ledger.record([Noted(claim, Evidence("command:1", "command", self.now()))])

    @property
    def head(self) -> int:
        """The end of the log."""
        return self.ledger.log.head().position


def completed(result: PassResult) -> SweepCompleted:
    """How a pass ended that came to the end of the list."""
    assert isinstance(result.event, SweepCompleted)
    return result.event
