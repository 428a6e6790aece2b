"""Whether the service lives, whether it can do its work, and its counters.

The probes answer without a token and without a reader's slot, so that crowds of readers cannot
make an orchestrator restart the service.
"""

import threading
from collections.abc import Callable, Iterable
from typing import Any, Final

from flask import Response
from prometheus_client.core import GaugeMetricFamily, Metric

from api.auth import open_to_all, requires
from api.errors import NOT_READY, Problem
from api.metrics import CONTENT_TYPE
from api.routes import Routes
from api.schemas import HealthSchema
from api.services import Services, Writer, services
from ledger.domain.errors import LedgerBusy, StoreUnavailable
from ledger.reconcile.telling import Course, course

blueprint = Routes("health", __name__, description="Probes and counters")

LEAST_ROOM: Final = 4 * 1024 * 1024
"""With fewer bytes left a delivery may not be written."""
FRESH_S: Final = 1.0
"""How long a look at the store counts, in seconds: probes cannot be used to load it."""


class Readiness:
    """Whether a write would be durable now, asked of the store at most once a second."""

    def __init__(self, look: Callable[[], str], monotonic: Callable[[], float]) -> None:
        """`look` gives a word, `ok` when all is well; `monotonic` gives seconds."""
        self._look = look
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._word: str | None = None
        self._at = 0.0

    def __call__(self) -> str:
        """Give the present word; while one thread asks the store, others take the last word."""
        if not self._lock.acquire(blocking=self._word is None):
            return self._word or "starting"
        try:
            if self._word is None or self._monotonic() - self._at >= FRESH_S:
                self._word = self._look()
                self._at = self._monotonic()
            return self._word
        finally:
            self._lock.release()


def look_at_store(writer: Writer, room: Callable[[], int | None]) -> str:
    """Pass an empty batch through the committer: `ok`, `busy`, `full` or `unavailable`.

    `room` gives how many bytes may still be written, None when that is not known.
    """
    try:
        writer.fence()
        left = room()
    except LedgerBusy:
        return "busy"
    except (StoreUnavailable, OSError):
        return "unavailable"
    # What was passed through wrote nothing.
    return "full" if left is not None and left < LEAST_ROOM else "ok"


@blueprint.get("/livez")
@open_to_all
@blueprint.answers(HealthSchema)
@blueprint.describe(security=[])
def live() -> Any:
    """Whether the process answers."""
    return {"status": "alive", "checks": {}}


@blueprint.get("/readyz")
@open_to_all
@blueprint.answers(HealthSchema)
@blueprint.describe(security=[])
def ready() -> Any:
    """Whether a delivery would be durable now; `degraded` when a person must look at something.

    A degraded service takes deliveries, so it must not be taken out of rotation: the status is 200.
    """
    store = services().readiness()
    if store != "ok":
        raise Problem(
            NOT_READY,
            "A delivery would not become durable in time. See the log for what the store says.",
            headers={"Retry-After": "5"},
            checks={"store": store},
        )
    sweep, commands = services().swept(), services().commanded()
    good = sweep in ("ok", "off", "waiting") and commands == "ok"
    status = "ready" if good else "degraded"
    return {"status": status, "checks": {"store": store, "sweep": sweep, "commands": commands}}


@blueprint.get("/metrics")
@requires("read")
@blueprint.answers(None, content_type="text/plain")
def metrics() -> Any:
    """Counters in Prometheus's text format."""
    return Response(services().metrics.text(), content_type=CONTENT_TYPE)


def gauges(use: Services) -> Iterable[Metric]:
    """Give what is measured when somebody asks; without the store only what needs none."""
    yield GaugeMetricFamily(
        "ledger_queue_depth", "Observations that wait for the store.", value=use.writer.depth
    )
    yield GaugeMetricFamily(
        "ledger_quarantine_files", "Requests in quarantine.", value=use.quarantine.count()
    )
    rebuild = use.rebuilds.last
    yield GaugeMetricFamily(
        "ledger_rebuild_running",
        "1 while the views are rebuilt by this process.",
        value=int(rebuild is not None and rebuild.state == "running"),
    )
    try:
        stored = list(_stored(use))
    except StoreUnavailable:
        stored = []
    yield from stored
    yield GaugeMetricFamily(
        "ledger_store_up",
        "1 when the store answered just now; at 0 all that it would tell is absent.",
        value=int(bool(stored)),
    )


def _stored(use: Services) -> Iterable[Metric]:
    end = use.log.head().position
    counts = use.questions.counts()
    now_ms = use.now() // 1000
    lags = {name: max(0, end - at) for name, at in use.views.positions().items()}
    silence = {
        dialect: max(0, now_ms - last) / 1000 for dialect, last in use.questions.silence().items()
    }
    yield GaugeMetricFamily("ledger_log_position", "The end of the log.", value=end)
    yield GaugeMetricFamily(
        "ledger_generation",
        "Which generation of the views answers.",
        value=use.questions.progress().generation,
    )
    yield GaugeMetricFamily(
        "ledger_parked", "Deliveries that could not be read.", value=counts.parked
    )
    yield GaugeMetricFamily(
        "ledger_duplicates",
        "Upstream accounts with several live connections, each of which is billed.",
        value=counts.duplicates,
    )
    yield _by(
        "connections",
        "Connections; unknown where no status was said.",
        "status",
        counts.connections,
    )
    yield _by(
        "blocked_streams", "Streams that a projection could not fold.", "projection", counts.blocked
    )
    yield _by(
        "projection_lag", "Positions between a projection and the log's end.", "projection", lags
    )
    yield _by("silence_seconds", "Since the last signed delivery, in seconds.", "dialect", silence)
    yield from _swept(course(use.log), now_ms)
    yield GaugeMetricFamily(
        "ledger_commands_unproved",
        "Connections with a command that is not proved to be done after 15 minutes.",
        value=use.questions.unproved_commands(now_ms),
    )


def _swept(lately: Course, now_ms: int) -> Iterable[Metric]:
    """Give how passes over the provider's list went; no age before the first valid one."""
    valid_at = lately.last_valid_at
    yield GaugeMetricFamily(
        "ledger_sweep_age_seconds",
        "Since the last valid pass over the provider's list, in seconds.",
        value=None if valid_at is None else max(0, now_ms - valid_at) / 1000,
    )
    yield GaugeMetricFamily(
        "ledger_sweep_drift",
        "Connections that the newest pass found otherwise than they were known.",
        value=lately.drift,
    )
    yield GaugeMetricFamily(
        "ledger_sweep_repairs",
        "Differences that no webhook had told, in the newest hundred passes.",
        value=lately.repairs,
    )
    yield GaugeMetricFamily(
        "ledger_missed_webhook_rate",
        "Share of the changes of status that no webhook told, in the newest hundred passes.",
        value=lately.missed_rate,
    )
    yield GaugeMetricFamily(
        "ledger_sweep_braked",
        "1 when too many connections were absent at once, until an operator confirms.",
        value=int(lately.braked),
    )


def _by(name: str, text: str, label: str, values: dict[str, Any]) -> Metric:
    family = GaugeMetricFamily(f"ledger_{name}", text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
