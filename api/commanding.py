"""Carries out what is commanded, again and again until it is proved or a person must look.

One thread calls the provider. What must be done it knows from the log alone, so nothing is
forgotten when the process ends; what another process commands it finds in the views.
"""

import heapq
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from api.worker import Worker
from ledger.commands import Commands, Executor, Intent, Request, intents, refusal
from ledger.domain.claim import Statement
from ledger.domain.connection import fold
from ledger.domain.errors import LedgerError
from ledger.domain.orders import Order, unproved_before
from ledger.domain.sweep_events import SweepCompleted
from ledger.domain.words import connection_stream, short_id
from ledger.ofauth.errors import ProviderError
from ledger.reconcile.past import passes_before
from ledger.reconcile.rows import statements_of
from ledger.recorders.base import Log
from ledger.recorders.codec import statement_of
from projections.current_state.view import commanded_connections, count_asked
from projections.store import Reads

log = logging.getLogger(__name__)

LOOK_S: Final = 15.0
"""How often the views are asked for open commands that nobody here works on, in seconds."""
OTHERS_MS: Final = 60_000
"""How old a command must be before somebody else than who took it works on it, in milliseconds: a
call takes up to 40 s, and one that is under way must not be made a second time."""
FIRST_WAIT_S: Final = 5.0
MOST_WAIT_S: Final = 300.0
"""Waits between two attempts, in seconds: the first one, doubled each time up to the longest."""
MOST_REFUSED_S: Final = 3_600.0
"""The longest wait after a refusal, in seconds: it takes a person to change what is answered."""


def commanded(views: Reads) -> list[str]:
    """Give the ids of connections with a command that is not proved to be done.

    Raises StoreUnavailable.
    """
    with views.reading() as session:
        return commanded_connections(session)


def unproved(views: Reads, now_ms: int) -> int:
    """Count the connections of which a command has not been proved for too long: an alarm.

    Raises StoreUnavailable.
    """
    with views.reading() as session:
        return count_asked(session, unproved_before(now_ms))


def condition(views: Reads, now_ms: int) -> str:
    """Say in a word how commands go: `ok`, or `unproved` when a person must look."""
    try:
        return "unproved" if unproved(views, now_ms) else "ok"
    except LedgerError:
        return "unknown"


@dataclass(order=True, slots=True)
class _Task:
    """A command that is to be worked on at a time."""

    due: float
    connection: str = field(compare=False, repr=False)
    attempts: int = field(compare=False, default=0)
    fresh: Request | None = field(compare=False, default=None)
    """Set while the provider has certainly not been called for it."""
    earliest: float = field(compare=False, default=0.0)
    """Until then the provider wants to be left alone."""


class _Tried(NamedTuple):
    """What became of one attempt."""

    done: bool = False
    untouched: bool = False
    """Whether it certainly did not happen, and nothing must be looked at before the next one."""
    least: float = 0.0
    """How long the provider wants to be left alone, in seconds."""
    most: float = MOST_WAIT_S
    """The longest wait before the next attempt, in seconds."""


class Commanding(Worker):
    """Takes commands, and works on those that are open; ends after the call that is under way."""

    def __init__(
        self,
        record: Commands,
        log: Log,
        provider: Callable[[], Executor | None],
        *,
        commanded: Callable[[], Iterable[str]],
        now_ms: Callable[[], int],
        monotonic: Callable[[], float],
    ) -> None:
        """Work on what `commanded` names: the ids of connections with open commands.

        `now_ms` gives milliseconds UTC, `monotonic` seconds.
        """
        super().__init__("commands")
        self.record = record
        self._log = log
        self._provider = provider
        self._commanded = commanded
        self._now_ms = now_ms
        self._monotonic = monotonic
        self._tasks: list[_Task] = []
        self._held: set[str] = set()
        """Connections on which the thread works now, or which wait in `_tasks`."""
        self._passing: Counter[str] = Counter()
        self._deciding = threading.Lock()
        """Held while it is decided what to do about a connection, and to change `_passing`."""
        self._looked = float("-inf")

    def command(
        self, order: Order, connection: str, *, by: str, reason: str | None = None
    ) -> Request:
        """Have something done; it is durable when this returns.

        What is open already is not written again: it is tried at once, unless the provider wants to
        be left alone.

        Raises:
            LedgerBusy, StoreUnavailable: nothing is promised.
        """
        found = [one for one in self._intents(connection) if one.request.order is order]
        for one in found:
            if not one.may_close:
                self._take(_Task(self._monotonic(), connection))
                return replace(one.request, position=self._position_of(one.request))
        request = self.record.requested(order, connection, by=by, reason=reason)
        self._take(_Task(self._monotonic(), connection, fresh=None if found else request))
        return request

    @contextmanager
    def passing(self, connection: str) -> Iterator[None]:
        """Keep the thread from a connection, for who calls the provider for a request of his own.

        The request must be written within: the thread would carry it out too, and not know of a
        refusal. What it has begun before that is not about the request.
        """
        with self._deciding:
            self._passing[connection] += 1
        try:
            yield
        finally:
            with self._deciding:
                self._passing[connection] -= 1
                self._passing += Counter()  # keeps what is above zero

    def work(self) -> None:
        """Work on all that is due now, on this thread: for who does not start one."""
        self._look()
        while (task := self._due_now()) is not None:
            self._work_once(task)

    # the thread

    def _take(self, task: _Task) -> None:
        with self._changed:
            if task.connection in self._held and task.fresh is None:
                self._hasten(task)
                return
            self._held.add(task.connection)
            heapq.heappush(self._tasks, task)
            self._changed.notify_all()

    def _hasten(self, task: _Task) -> None:
        """Let the tasks that wait for a connection be due as early as another would be."""
        for other in self._tasks:
            if other.connection == task.connection:
                other.due = min(other.due, max(task.due, other.earliest))
        heapq.heapify(self._tasks)
        self._changed.notify_all()

    def _run(self) -> None:
        while (task := self._next()) is not None:
            self._work_once(task)

    def _work_once(self, task: _Task) -> None:
        again = self._work_on(task)
        with self._changed:
            if again is None:
                self._held.discard(task.connection)
            else:
                heapq.heappush(self._tasks, again)

    def _next(self) -> _Task | None:
        while True:
            self._look()
            with self._changed:
                if self._stopping:
                    return None
                if (task := self._due_now()) is not None:
                    return task
                wait = LOOK_S
                if self._tasks and self._provider() is not None:
                    wait = self._tasks[0].due - self._monotonic()
                self._changed.wait(min(wait, LOOK_S))

    def _due_now(self) -> _Task | None:
        """Take the task that has waited longest, if its time has come."""
        with self._changed:
            ready = bool(self._tasks) and self._provider() is not None
            if ready and self._tasks[0].due <= self._monotonic():
                return heapq.heappop(self._tasks)
            return None

    def _look(self) -> None:
        """Find what was left open by others, or by this process before it was killed."""
        now = self._monotonic()
        if now - self._looked < LOOK_S:
            return
        self._looked = now
        try:
            ids = [id for id in self._commanded() if id not in self._held]
            known, newest = statements_of(self._log, ids), self._newest()
        except LedgerError as error:
            log.warning("open commands could not be looked for: %s", error)
            return
        for id, said in known.items():
            if any(self._is_left(one) for one in intents(id, said, newest)):
                self._take(_Task(now, id))

    def _is_left(self, intent: Intent) -> bool:
        old = self._now_ms() - intent.request.requested_at > OTHERS_MS
        return old and not intent.waits_for_sweep

    def _work_on(self, task: _Task) -> _Task | None:
        """Make an attempt, and give the next one; None when nothing more is to be done now."""
        fresh = task.fresh
        try:
            with self._deciding:
                if task.connection in self._passing:
                    return self._later(task, fresh=fresh)
                due = self._due(task)
            fresh = None  # from here on the provider may have done it, whatever can be written down
            tried = [self._attempt(request) for request in due]
        except LedgerError as error:
            log.warning(
                "%s: its command could not be worked on: %s",
                self._printable(task.connection),
                error,
            )
            return self._later(task, fresh=fresh)
        except Exception as error:  # noqa: BLE001 - the other commands must go on
            log.error(
                "%s: its command failed: %s", self._printable(task.connection), type(error).__name__
            )
            return self._later(task, fresh=None)
        tried = [one for one in tried if not one.done]
        if not tried:
            return None
        untouched = all(one.untouched for one in tried)
        return self._later(task, *tried, fresh=task.fresh if untouched else None)

    def _due(self, task: _Task) -> Sequence[Request]:
        fresh = task.fresh
        if fresh is not None and not task.attempts:
            return [fresh]
        still_open = self._intents(task.connection)
        if fresh is not None:
            # Meanwhile it may have happened in another way, and not be wanted a second time.
            return [fresh] if any(one.request.order is fresh.order for one in still_open) else []
        return [one.request for one in still_open if not one.waits_for_sweep]

    def _attempt(self, request: Request) -> _Tried:
        provider = self._provider()
        if provider is None:
            return _Tried(untouched=True)
        try:
            confirmed = self.record.called(provider, request)
        except ProviderError as error:
            name = self._printable(request.connection)
            log.warning("%s: its command (%s) was not confirmed: %s", name, request.order, error)
            known = fold(request.connection, self._known(request.connection))
            self.record.refused(request, error, known)
            told = refusal(error, known) is not None
            passes = error.may_have_happened or error.passes
            return _Tried(
                untouched=not error.may_have_happened and not told,
                least=error.retry_after or 0.0,
                most=MOST_WAIT_S if passes else MOST_REFUSED_S,
            )
        self.record.settled(request, confirmed.answered)
        return _Tried(done=True)

    def _later(self, task: _Task, *tried: _Tried, fresh: Request | None) -> _Task:
        now, attempts = self._monotonic(), task.attempts
        most = min((one.most for one in tried), default=MOST_WAIT_S)
        earliest = now + max((one.least for one in tried), default=0.0)
        due = max(now + min(FIRST_WAIT_S * 2**attempts, most), earliest)
        return _Task(due, task.connection, attempts + 1, fresh, earliest)

    def _intents(self, connection: str) -> list[Intent]:
        return intents(connection, self._known(connection), self._newest())

    def _printable(self, connection: str) -> str:
        return short_id(connection, self._log.key)

    def _position_of(self, request: Request) -> int | None:
        for row in self._log.read_streams([connection_stream(request.connection)]):
            statement = statement_of(row)
            if statement is not None and statement.evidence.stream == request.evidence:
                return row.position
        return None

    def _known(self, connection: str) -> Sequence[Statement]:
        return statements_of(self._log, [connection]).get(connection, [])

    def _newest(self) -> SweepCompleted | None:
        found = passes_before(self._log).valid
        return None if found is None else found.event
