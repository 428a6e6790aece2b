"""The clockwork of the sweep: passes on an interval, when somebody asks, and after a tie.

One thread makes one pass at a time; whether another process is making one, the lease tells.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from api.worker import Worker
from ledger.application import Ledger
from ledger.domain.errors import LedgerError, StoreUnavailable
from ledger.domain.words import SWEEP
from ledger.reconcile import Known, PassResult, Provider, Sweep, SweepRunning, new_pass
from ledger.reconcile.past import newest_begin
from ledger.reconcile.sweep import LEAST_GAP_MS
from ledger.reconcile.telling import course
from ledger.recorders.base import Log
from projections.current_state.view import living_connections
from projections.store import Reads

log = logging.getLogger(__name__)

TIE_COOLDOWN_S: Final = 60.0
"""How soon after the last pass a tie may bring the next one forward, in seconds."""
GAP_INTERVALS: Final = 3
"""After so many intervals without a valid pass there is a gap."""
VIEWS_S: Final = 30.0
"""How long a pass waits for the views to come as far as the log, in seconds."""
LOOK_S: Final = 1.0
"""How often a changed setting is looked for, in seconds."""


class NoProvider(LedgerError):
    """There is no key for the provider, so nothing can be asked of it."""

    def __init__(self) -> None:
        super().__init__(
            "The provider cannot be asked without a key: set LEDGER_OFAUTH_API_KEY to an API key "
            "from OFAuth's dashboard (or LEDGER_OFAUTH_API_KEY_FILE to a file that holds it)."
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """A pass that was asked for."""

    id: str
    joined: bool
    """Whether it was running already."""


class Views(Reads, Protocol):
    """The live views, as far as a pass needs them."""

    def wait_for(self, position: int, timeout: float) -> bool:
        """Wait at most `timeout` seconds until every view has reached a position."""


def living(log: Log, views: Views) -> list[Known]:
    """Give the connections that live, by everything in the log now.

    Raises:
        StoreUnavailable: the views do not come that far in time.
    """
    if not views.wait_for(log.head().position, VIEWS_S):
        raise StoreUnavailable(
            "The views have not come as far as the log, so nobody can tell what is absent. Wait, "
            "and see `projections list`."
        )
    with views.reading() as session:
        return [Known(id, missing) for id, missing in living_connections(session)]


class Sweeping(Worker):
    """Makes passes over the provider's list; the end of the thread is that of a pass, too."""

    def __init__(
        self,
        ledger: Ledger,
        provider: Callable[[], Provider | None],
        *,
        living: Callable[[], Iterable[Known]],
        interval_s: Callable[[], int],
        holder: str,
        now_ms: Callable[[], int],
        entropy: Callable[[int], bytes],
    ) -> None:
        """Sweep `provider()` every `interval_s()` seconds, as long as there is one.

        `holder` names this process among all that may sweep; `now_ms` gives milliseconds UTC.
        """
        super().__init__("sweep")
        self._ledger = ledger
        self._provider = provider
        self._living = living
        self._interval_s = interval_s
        self._holder = holder
        self._now_ms = now_ms
        self._entropy = entropy
        self._tied = False
        self._asked: str | None = None
        self._confirming = False
        self._running: str | None = None
        self._results: dict[str, PassResult | LedgerError] = {}
        self._last_begin_ms: int | None = None

    def state(self, id: str) -> str | None:
        """Say of a pass that is not in the log whether it runs or failed; None if unknown here."""
        with self._changed:
            if id in (self._asked, self._running):
                return "running"
            return "abandoned" if id in self._results else None

    def ask(self, *, confirm_absences: bool = False) -> Asked:
        """Have a pass made now, or join the one that runs; one that confirms joins none.

        Raises:
            NoProvider: there is no key.
        """
        if self._provider() is None:
            raise NoProvider
        with self._changed:
            self._confirming = self._confirming or confirm_absences
            if self._asked is not None:
                return Asked(self._asked, joined=True)
            if self._running is not None and not confirm_absences:
                return Asked(self._running, joined=True)
            self._asked = new_pass(self._entropy).removeprefix(SWEEP)
            self._changed.notify_all()
            return Asked(self._asked, joined=False)

    def condition(self) -> str:
        """Say in a word how passes go: `off` (no key), `waiting`, `ok`, `late` or `braked`.

        It is late when there was no valid pass for three intervals and more.
        """
        if self._provider() is None:
            return "off"
        try:
            lately = course(self._ledger.log)
        except LedgerError:
            return "unknown"
        if lately.braked:
            return "braked"
        if lately.last_valid_at is None:
            return "waiting" if lately.newest is None else "late"
        limit_ms = max(GAP_INTERVALS * self._interval_s() * 1000, LEAST_GAP_MS)
        return "ok" if self._now_ms() - lately.last_valid_at <= limit_ms else "late"

    def hasten(self) -> None:
        """Bring the next pass forward: two statements are too close to tell which came last."""
        with self._changed:
            self._tied = True
            self._changed.notify_all()

    def _run(self) -> None:
        while (due := self._next()) is not None:
            id, confirm = due
            result = self._make(id, confirm)
            with self._changed:
                self._running = None
                self._results = {**dict(list(self._results.items())[-9:]), id: result}
                self._changed.notify_all()

    def _make(self, id: str, confirm: bool) -> PassResult | LedgerError:
        provider = self._provider()
        if provider is None:
            return NoProvider()
        sweep = Sweep(
            self._ledger,
            provider,
            stream=SWEEP + id,
            holder=self._holder,
            known=self._living,
            now_ms=self._now_ms,
            gap_after_ms=GAP_INTERVALS * self._interval_s() * 1000,
            go_on=lambda: not self._stopping,
        )
        try:
            return sweep.run(confirm_absences=confirm)
        except SweepRunning as error:
            log.info("another process sweeps")
            return error
        except LedgerError as error:
            log.warning("a pass over the provider's list ended early: %s", error)
            return error
        except Exception as error:  # noqa: BLE001 - the next pass may go well
            log.error("a pass over the provider's list failed: %s", type(error).__name__)
            return LedgerError("The pass failed unexpectedly; the log says where. Report it.")

    def _next(self) -> tuple[str, bool] | None:
        """Wait until a pass is due, and give its id; None when it is time to end."""
        with self._changed:
            while not self._stopping:
                if self._asked is not None:
                    id, confirm = self._asked, self._confirming
                    self._asked, self._confirming = None, False
                    return self._begin(id), confirm
                wait_s = LOOK_S if self._provider() is None else self._wait_s()
                if wait_s <= 0:
                    return self._begin(new_pass(self._entropy).removeprefix(SWEEP)), False
                self._changed.wait(min(LOOK_S, wait_s))
            return None

    def _begin(self, id: str) -> str:
        self._running, self._tied, self._last_begin_ms = id, False, self._now_ms()
        return id

    def _wait_s(self) -> float:
        """Give how many seconds are left until the next pass, by whoever made the last one."""
        if self._rest_s() <= 0:
            self._look_back()
        return self._rest_s()

    def _rest_s(self) -> float:
        if self._last_begin_ms is None:
            return 0.0
        interval = min(self._interval_s(), TIE_COOLDOWN_S) if self._tied else self._interval_s()
        return interval - (self._now_ms() - self._last_begin_ms) / 1000

    def _look_back(self) -> None:
        """See when the last pass began: another process may have made it."""
        try:
            began_ms = newest_begin(self._ledger.log)
        except LedgerError:
            began_ms = self._now_ms()
        if began_ms is not None:
            self._last_begin_ms = max(began_ms, self._last_begin_ms or 0)
