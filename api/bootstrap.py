"""From settings to a service: the only wiring, and where clock and randomness come from."""

import gc
import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from api.app import create_wsgi
from api.arrivals import Arrivals
from api.commanding import Commanding, commanded, condition
from api.following import Following
from api.forgetting import Forgetting
from api.health import Readiness, look_at_store
from api.metrics import Metrics
from api.services import Services, new_request_id
from api.settings import Settings
from api.sweeping import Sweeping, living
from ledger.application import Ledger, Recorded
from ledger.commands import Commands
from ledger.committer import Committer
from ledger.links import Links
from ledger.ofauth.client import OFAuthClient
from ledger.quarantine import Quarantine
from ledger.reconcile import new_holder
from ledger.recorders import open_log
from ledger.recorders.base import Log
from ledger.recorders.condition import free_room
from projections.generations import generations_of
from projections.links.proving import Proving
from projections.live import Live
from projections.questions import Questions
from projections.rebuild.rebuilds import Rebuilds
from projections.rebuild.renewal import renew

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = [
    "Provider",
    "Service",
    "Services",
    "entropy",
    "now_us",
    "open_quarantine",
    "open_service",
    "spare_collector",
]

QUARANTINE_FOLDER: Final = "quarantine"
RANDOM_AT_ONCE: Final = 16 * 1024
"""How many random bytes are asked for at a time."""
COLLECT_AFTER: Final = 100_000
"""How many objects more are there before a serving process looks for garbage."""
VIEWS_S: Final = 5.0
"""How long erasing waits for the views, in seconds."""


def now_us() -> int:
    """Give the time: microseconds since the epoch, UTC."""
    return time.time_ns() // 1000


def _now_ms() -> int:
    return now_us() // 1000


class _Entropy:
    """The system's random bytes, asked for many at a time.

    Asking lets go of the interpreter's lock, and in a busy service getting it back takes longer
    than all else that is done for a delivery.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bytes, self._used = b"", 0
        os.register_at_fork(after_in_child=self._forget)

    def __call__(self, count: int) -> bytes:
        with self._lock:
            if len(self._bytes) < self._used + count:
                self._bytes, self._used = os.urandom(max(count, RANDOM_AT_ONCE)), 0
            first, self._used = self._used, self._used + count
            return self._bytes[first : self._used]

    def _forget(self) -> None:
        self._bytes, self._used = b"", 0


entropy: Final[Callable[[int], bytes]] = _Entropy()
"""Gives that many random bytes."""


def spare_collector() -> None:
    """Let the garbage collector pass over what was made so far, and look less often at the rest.

    For a process that has made all that it keeps: most of what a request makes goes without the
    collector, which would look through everything for it.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 50)


def open_quarantine(settings: Settings) -> Quarantine:
    """Open the quarantine of a ledger."""
    return Quarantine(settings.data_dir / QUARANTINE_FOLDER, entropy=entropy)


class Provider:
    """The client of OFAuth's API, as long as there is a key for it; call it for the client."""

    def __init__(
        self, settings: Callable[[], Settings], *, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        """Make the client; `sleep` waits for seconds and may return early."""
        present = settings()
        self._settings = settings
        self._client = OFAuthClient(
            present.ofauth_url,
            lambda: settings().ofauth_api_key,
            paths=present.ofauth_paths,
            now_ms=_now_ms,
            monotonic=time.monotonic,
            sleep=sleep,
            jitter=random.random,
        )

    def __call__(self) -> OFAuthClient | None:
        """Give the client, or None while no key is set."""
        return self._client if self._settings().ofauth_api_key else None

    def for_a_pass(self) -> OFAuthClient | None:
        """Give a client for a pass over the list, all of which is answered to one key.

        Else a key that is replaced meanwhile could bring another organisation's pages into it.
        """
        client = self()
        return None if client is None else client.with_present_key()

    def close(self) -> None:
        """Let go of the client's connections."""
        self._client.close()


class Service:
    """A ledger that takes webhooks and answers questions, in this process."""

    def __init__(self, settings: Callable[[], Settings], log: Log) -> None:
        """Wire everything around an open log, which now belongs to the service."""
        present = settings()
        self._log = log
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._ending = threading.Event()
        renew(present.database_url, monotonic=time.monotonic)
        self._live = Live(log, generations_of(present.database_url))
        self._metrics = Metrics()
        ledger = Ledger(log, now=now_us, entropy=entropy)
        self._committer = Committer(ledger, on_commit=self._committed)
        self._rebuilds = Rebuilds(
            present.database_url,
            monotonic=time.monotonic,
            switched=self._switched,
        )
        self._arrivals = Arrivals(lambda: log.head().position, time.monotonic)
        quarantine = open_quarantine(present)
        with suppress(OSError):  # no reason not to take webhooks
            quarantine.expire(now_us() // 1000)
        self._provider = Provider(settings, sleep=self._ending.wait)
        self._commanding = self._commander()
        self._sweeping = self._sweeper(ledger, settings)
        self.services = self._lent(ledger, settings, quarantine)
        self.app: WSGIApplication = create_wsgi(self.services)
        self._views = threading.Thread(
            target=self._live.run, args=(self._stop, self._wake), name="projections", daemon=True
        )
        self._following = self._follower()

    def _commander(self) -> Commanding:
        """Wire what carries commands out."""
        return Commanding(
            Commands(self._committer.submit, now_ms=_now_ms, entropy=entropy),
            self._log,
            self._provider,
            commanded=lambda: commanded(self._live),
            now_ms=_now_ms,
            monotonic=time.monotonic,
        )

    def _sweeper(self, ledger: Ledger, settings: Callable[[], Settings]) -> Sweeping:
        """Wire what asks the provider for its list."""
        return Sweeping(
            ledger,
            self._provider.for_a_pass,
            living=lambda: living(self._log, self._live),
            interval_s=lambda: settings().sweep_seconds,
            holder=new_holder(entropy),
            now_ms=_now_ms,
            entropy=entropy,
        )

    def _lent(
        self, ledger: Ledger, settings: Callable[[], Settings], quarantine: Quarantine
    ) -> Services:
        """Put together what the application may use."""
        present = settings()
        stale_after_ms, file = present.stale_after_seconds * 1000, present.database_file
        return Services(
            settings=settings,
            log=self._log,
            writer=self._committer,
            views=self._live,
            questions=Questions(self._log, self._live, stale_after_ms=stale_after_ms),
            quarantine=quarantine,
            links=Links(self._committer.submit, now=now_us, entropy=entropy),
            provider=self._provider,
            metrics=self._metrics,
            now=now_us,
            monotonic=time.monotonic,
            entropy=entropy,
            arrivals=self._arrivals,
            forget=Forgetting(
                ledger=ledger,
                quarantine=quarantine,
                database_url=present.database_url,
                live=self._live.lent,
                reached=self._reached,
            ),
            rebuilds=self._rebuilds,
            commanding=self._commanding,
            commanded=Readiness(lambda: condition(self._live, _now_ms()), time.monotonic),
            sweeping=self._sweeping,
            swept=Readiness(self._sweeping.condition, time.monotonic),
            readiness=Readiness(
                lambda: look_at_store(
                    self._committer, lambda: None if file is None else free_room(file)
                ),
                time.monotonic,
            ),
        )

    def _follower(self) -> Following:
        """Wire what finds out how Link sessions ended."""
        return Following(
            self._log,
            self._live,
            Proving(self._log, self._live),
            self.services.links,
            completed=lambda: self._metrics.linked("completed"),
        )

    def new_request_id(self) -> str:
        """Name a request that never reaches the application."""
        return new_request_id(self.services)

    def start(self) -> None:
        """Begin to record and to project."""
        self._committer.start()
        self._views.start()
        self._following.start()
        self._commanding.start()
        self._sweeping.start()

    def stop(self) -> None:
        """Make durable what is queued, end the threads and close the stores."""
        self._ending.set()
        self._sweeping.stop()
        self._commanding.stop()
        self._following.stop()
        self._committer.stop()
        self._rebuilds.cancel()
        self._stop.set()
        self._wake.set()
        if self._views.is_alive():
            self._views.join()
        self._provider.close()
        self._live.close()
        self._log.close()

    def hang_up(self) -> None:
        """Let readers go who wait for something new; may be called by a signal's handler."""
        self._arrivals.stop()

    def _committed(self, batch: Sequence[Recorded]) -> None:
        self._metrics.committed(batch)
        self._wake.set()
        if batch:
            self._arrivals.announce(max(recorded.position for recorded in batch))
        if any(recorded.tied for recorded in batch):
            self._sweeping.hasten()

    def _reached(self, position: int) -> bool:
        self._wake.set()
        self._arrivals.announce(position)
        return self._live.wait_for(position, VIEWS_S)

    def _switched(self, generation: int, timeout: float) -> bool:
        self._wake.set()
        return self._live.wait_switched(generation, timeout)


def open_service(settings: Settings, *, present: Callable[[], Settings] | None = None) -> Service:
    """Open a ledger for writing and wire its service; `present` gives settings that change later.

    Raises:
        WriterLocked: another process writes this SQLite ledger.
        StoreUnavailable: the store cannot be opened.
    """
    log = open_log(settings.database_url, writer=True, entropy=entropy, now=now_us)
    try:
        return Service(present or (lambda: settings), log)
    except BaseException:
        log.close()
        raise
