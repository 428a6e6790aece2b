"""A pass over the provider's list: whose it is, what it tells, what is absent, what follows.

Two never run at once: a pass holds a lease, and whatever it appends is guarded by it.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, Protocol

from ledger.application import Happened, LeaseLost, Ledger, Observation
from ledger.domain.claim import Evidence, Statement
from ledger.domain.connection import fold
from ledger.domain.errors import LedgerError
from ledger.domain.event import Event
from ledger.domain.sweep_events import (
    SweepAbandoned,
    SweepCompleted,
    SweepGap,
    SweepStarted,
)
from ledger.domain.words import SWEEP
from ledger.ofauth.errors import ProviderError
from ledger.ofauth.results import Confirmed, ListPage, Organisation
from ledger.reconcile.conclusions import Conclusions, Probing
from ledger.reconcile.paging import Listing, Walk
from ledger.reconcile.past import (
    Before,
    Completed,
    oldest_begin,
    organisation,
    passes_before,
)
from ledger.reconcile.rows import Rows, statements_of, told_since
from ledger.recorders import codec
from ledger.recorders.base import Guard, Log

log = logging.getLogger(__name__)

LEASE: Final = "sweep"
LEASE_MS: Final = 300_000
"""How long a lease lasts without being taken again: longer than one request can take, with the
three times that it is asked again and up to a minute's wait before each."""
BRAKE_LEAST: Final = 5
BRAKE_SHARE: Final = 0.1
"""When more than so many connections, and more than this share of all, are newly absent at once,
nothing is inferred."""
LEAST_GAP_MS: Final = 600_000
TRANSITIONS: Final = (
    *("connection.created", "connection.discovered", "connection.awaiting_2fa"),
    *("connection.activated", "connection.expired", "connection.reconnected"),
    *("connection.deleted", "connection.reappeared"),
)
"""The events that tell a change of status."""
READ_AT_ONCE: Final = 5_000

FOREIGN_KEY: Final = "foreign_key"
UNREACHABLE: Final = "provider"
LOST_LEASE: Final = "lease_lost"
STOPPED: Final = "stopped"
ABANDONED: Final[Mapping[str, str]] = {
    FOREIGN_KEY: "the API key is another organisation's than that of the first pass",
    UNREACHABLE: "the provider did not say whose key it is",
    LOST_LEASE: "another process took over the sweep",
    STOPPED: "the process that made it was ended",
}
"""Why a pass was abandoned, by the word that is recorded."""


class SweepRunning(LedgerError):
    """A pass is being made already."""

    def __init__(self) -> None:
        super().__init__(
            "Another pass over the list is running, perhaps in another process. Wait for its end "
            "(`/api/sweeps`), or ask again after five minutes if its process was killed."
        )


class _Stopped(Exception):
    """The process ends."""


class Provider(Listing, Probing, Protocol):
    """What a pass asks the provider."""

    def whoami(self) -> Organisation:
        """Tell whose API key it is; raises ProviderError."""


class _Proceeding:
    """The provider, asked only as long as the pass may go on."""

    def __init__(self, provider: Provider, proceed: Callable[[], None]) -> None:
        """Call `proceed` before each request; it raises when the pass must end."""
        self._provider = provider
        self._proceed = proceed

    def connections(self, *, limit: int, offset: int) -> ListPage:
        """Give a page of the list."""
        self._proceed()
        return self._provider.connections(limit=limit, offset=offset)

    def probe(self, connection_id: str) -> Confirmed:
        """Ask for one connection."""
        self._proceed()
        return self._provider.probe(connection_id)


class Known(NamedTuple):
    """A connection that lives, as far as is known when a pass begins."""

    id: str
    missing: bool


@dataclass(frozen=True, slots=True)
class PassResult:
    """How a pass ended, and what it found."""

    stream: str
    state: str
    """`valid`, `invalid` or `abandoned`."""
    event: SweepCompleted | SweepAbandoned
    missing: int = 0
    """How many connections became missing."""
    deleted: int = 0
    """How many were proved to be deleted."""

    @property
    def id(self) -> str:
        """The name of the pass, without the prefix of its stream."""
        return self.stream.removeprefix(SWEEP)


def new_pass(entropy: Callable[[int], bytes]) -> str:
    """Make the name of a pass's stream."""
    return SWEEP + entropy(8).hex()


def new_holder(entropy: Callable[[int], bytes]) -> str:
    """Name somebody who may sweep; nobody else, on whatever machine, has the same name."""
    return entropy(16).hex()


class Sweep:
    """Makes one pass. `run` is called once."""

    def __init__(
        self,
        ledger: Ledger,
        provider: Provider,
        *,
        stream: str,
        holder: str,
        known: Callable[[], Iterable[Known]],
        now_ms: Callable[[], int],
        gap_after_ms: int = LEAST_GAP_MS,
        go_on: Callable[[], bool] = lambda: True,
    ) -> None:
        """Prepare a pass that is recorded in `stream`.

        `holder` names this thread among all that may sweep. `known` gives the connections that
        live, by everything the log holds when it is called. `now_ms` gives milliseconds UTC.
        A time without a valid pass that is longer than `gap_after_ms` is written down. `go_on` is
        asked at each page, and ends the pass when it says no.
        """
        self._ledger = ledger
        self._log: Log = ledger.log
        self._provider = provider
        self._stream = stream
        self._holder = holder
        self._known = known
        self._now_ms = now_ms
        self._gap_after_ms = max(gap_after_ms, LEAST_GAP_MS)
        self._go_on = go_on
        self._guard: Guard = (LEASE, 0)
        self._asking = _Proceeding(provider, self._proceed)

    def run(self, *, confirm_absences: bool = False) -> PassResult:
        """Make the pass; with `confirm_absences` many absent at once are believed.

        Raises:
            SweepRunning: another pass holds the lease; nothing was appended.
            StoreUnavailable: the store failed; the next pass begins anew.
        """
        self._renew()
        try:
            return self._run(confirm_absences)
        except _Stopped:
            return self._abandon(STOPPED)
        except LeaseLost:
            log.warning("another process took over the sweep; this pass ends")
            return PassResult(
                self._stream,
                "abandoned",
                SweepAbandoned(observed=self._now_ms(), reason=LOST_LEASE),
            )
        finally:
            self._log.release_lease(*self._guard)

    def _run(self, confirm_absences: bool) -> PassResult:
        try:
            whose = self._provider.whoami()
        except ProviderError as error:
            log.warning("a pass over the provider's list is abandoned: %s", error)
            return self._abandon(UNREACHABLE)
        ours = organisation(self._log)
        if ours is not None and whose.id != ours:
            log.error("a pass over the provider's list is abandoned: %s", ABANDONED[FOREIGN_KEY])
            return self._abandon(FOREIGN_KEY)
        before = passes_before(self._log)
        started = self._now_ms()
        backfill = before.valid is None
        self._happen(SweepStarted(observed=started, organisation=whose.id, backfill=backfill))
        known = list(self._known())
        rows = Rows(self._ledger, self._stream, self._guard)
        walk = Walk(self._asking, lambda page, some: rows.take(page, some, observed=self._now_ms()))
        walk.run()
        if walk.failure is not None:
            log.warning("a pass over the provider's list is not valid: %s", walk.failure)
        unlisted = statements_of(self._log, (one.id for one in known if one.id not in walk.stamps))
        finding = _Finding(started, known, unlisted, before.believed, confirm_absences)
        completed = self._completed(walk, rows, finding, before)
        return self._conclude(completed, before, {id: unlisted[id] for id in finding.silent})

    def _completed(
        self, walk: Walk, rows: Rows, finding: "_Finding", before: Before
    ) -> SweepCompleted:
        now = self._now_ms()
        repairs = len(rows.repaired) + self._late_repairs(before.newest)
        backfill = before.valid is None
        return SweepCompleted(
            observed=now,
            answered_from=min(now, walk.answered_from or now),
            answered_to=min(now, walk.answered_to or now),
            requests=walk.requests,
            rows=walk.rows,
            connections=len(walk.stamps),
            live=len(finding.known),
            absent=tuple(sorted(finding.absent)),
            unseen=tuple(sorted(finding.unseen)),
            repairs=0 if backfill else repairs,
            fresh=() if backfill else tuple(sorted(rows.fresh)),
            appended=rows.appended,
            transitions=0 if backfill else self._transitions(before.newest),
            backfill=backfill,
            valid=not walk.reasons,
            reasons=tuple(sorted(walk.reasons)),
            braked=finding.braked,
        )

    def _late_repairs(self, previous: Completed | None) -> int:
        """Count the young differences of the pass before of which no webhook told since."""
        if previous is None or not previous.event.fresh:
            return 0
        known = statements_of(self._log, previous.event.fresh)
        return sum(not told_since(said, previous.stream) for said in known.values())

    def _transitions(self, previous: Completed | None) -> int:
        """Count the changes of status that were recorded since the pass before.

        A row says again what a webhook said: of the two, one is counted.
        """
        found, after = 0, 0 if previous is None else previous.position
        end = self._log.head().position
        told: set[tuple[str, str]] = set()
        listed: set[tuple[str, str]] = set()
        while rows := self._log.read_log(after, READ_AT_ONCE, up_to=end, topics=TRANSITIONS):
            for row in rows:
                statement = codec.statement_of(row)
                by_list = statement is not None and statement.claim.kind.is_row
                (listed if by_list else told).add((row.stream, row.topic))
                found += not by_list
            after = rows[-1].position
        return found + len(listed - told)

    def _gap(self, previous: Completed | None, completed: SweepCompleted) -> Iterator[Event]:
        if not completed.valid:
            return
        since = oldest_begin(self._log) if previous is None else previous.event.observed
        if completed.observed - since > self._gap_after_ms:
            yield SweepGap(observed=completed.observed, since=since, until=completed.observed)

    def _conclude(
        self, completed: SweepCompleted, before: Before, silent: Mapping[str, Sequence[Statement]]
    ) -> PassResult:
        """Record the end of the pass, and before it in the log whatever follows from it."""
        evidence = Evidence(self._stream, "sweep", completed.observed)
        conclusions = Conclusions(self._log, completed, evidence)
        if completed.valid and not completed.braked:
            conclusions.draw(silent)
        if not completed.backfill:
            transitions = completed.transitions + len(conclusions.deleted)
            completed = replace(completed, transitions=transitions)
        events = (completed, *self._gap(before.valid, completed))
        self._record(
            *conclusions.deleted,
            *conclusions.missing,
            *(Happened(self._stream, one) for one in events),
        )
        if completed.valid and completed.braked:
            log.error(
                "%d connections are newly absent from the provider's list: nothing is inferred "
                "before an operator confirms with `sweep --confirm-absences`",
                len(completed.absent),
            )
        with suppress(_Stopped):  # the next pass asks for the others
            conclusions.ask(self._asking, self._record)
        return PassResult(
            self._stream,
            "valid" if completed.valid else "invalid",
            completed,
            len(conclusions.missing),
            len(conclusions.deleted),
        )

    def _abandon(self, reason: str) -> PassResult:
        abandoned = SweepAbandoned(observed=self._now_ms(), reason=reason)
        self._happen(abandoned)
        return PassResult(self._stream, "abandoned", abandoned)

    def _happen(self, event: Event) -> None:
        self._record(Happened(self._stream, event))

    def _record(self, *observations: Observation) -> None:
        self._ledger.record(observations, guard=self._guard)

    def _proceed(self) -> None:
        """Go on holding the lease; raises _Stopped when the process ends, else as `_renew`."""
        if not self._go_on():
            raise _Stopped
        self._renew()

    def _renew(self) -> None:
        """Take the lease, or go on holding it.

        Raises:
            SweepRunning: another holds it.
            LeaseLost: another has held it meanwhile.
        """
        epoch = self._log.take_lease(LEASE, self._holder, self._now_ms(), LEASE_MS)
        if self._guard[1] and epoch != self._guard[1]:
            raise LeaseLost(LEASE)
        if epoch is None:
            raise SweepRunning
        self._guard = (LEASE, epoch)


class _Finding:
    """Which connections were not listed, and whether anything may be inferred from that."""

    def __init__(
        self,
        started: int,
        known: Sequence[Known],
        unlisted: Mapping[str, Sequence[Statement]],
        believed: Completed | None,
        confirmed: bool,
    ) -> None:
        self.known = known
        missing = {one.id for one in known if one.missing}
        self.silent: set[str] = set()
        """Those that live and of which nothing was heard since the pass began.

        What we note ourselves does not count: a call that was refused proves nothing.
        """
        for id, said in unlisted.items():
            connection = fold(id, said)
            heard = any(
                one.evidence.observed >= started and not one.claim.kind.notes for one in said
            )
            if connection is not None and connection.live and not heard:
                self.silent.add(id)
        self.absent = self.silent - missing
        self.unseen = unlisted.keys() - self.absent
        before = set() if believed is None else set(believed.event.absent)
        most = max(BRAKE_LEAST, int(len(known) * BRAKE_SHARE))
        self.braked = len(self.absent - before) > most and not confirmed
        """Whether too many are newly absent to believe it."""
