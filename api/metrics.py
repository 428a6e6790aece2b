"""What the service counts, for Prometheus; no label ever holds an id."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from ledger.application import Outcome, Recorded
from ledger.ofauth.signatures import Dialect, Reason

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
# a second series beside each counter, which says nothing that a restart does not
disable_created_metrics()  # type: ignore[no-untyped-call]

LINK_STEPS: Final = ("started", "failed", "unknown", "reported", "completed")
_LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_BATCHES = (1, 2, 5, 10, 20, 50, 100, 200, 500)


class Metrics:
    """Counters of one process in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        deliveries = Counter(
            "ledger_deliveries",
            "Signed deliveries answered 204: new, repeated or parked.",
            ("outcome", "dialect"),
            registry=self.registry,
        )
        refused = Counter(
            "ledger_refused",
            "Requests answered 401, by the reason.",
            ("reason",),
            registry=self.registry,
        )
        self._refused = refused
        # Made beforehand: a series that begins at 0 can be watched from the start.
        self._delivered = {
            (outcome, dialect): deliveries.labels(outcome.value, dialect.value)
            for outcome in (Outcome.NEW, Outcome.REPEATED, Outcome.PARKED)
            for dialect in Dialect
        }
        for reason in Reason:
            refused.labels(reason.value)
        self.quarantined = Counter(
            "ledger_quarantined",
            "Refused requests put aside in the quarantine.",
            registry=self.registry,
        )
        links = Counter(
            "ledger_links",
            "Link sessions, by what became of them in this process: started, failed, of unknown "
            "outcome, reported, completed.",
            ("step",),
            registry=self.registry,
        )
        self._links = {step: links.labels(step) for step in LINK_STEPS}
        self.unavailable = Counter(
            "ledger_unavailable", "Signed deliveries answered 503.", registry=self.registry
        )
        self.ingest_seconds = Histogram(
            "ledger_ingest_seconds",
            "From the whole request to durable, in seconds.",
            buckets=_LATENCIES,
            registry=self.registry,
        )
        self._batches = Histogram(
            "ledger_commit_batch_size",
            "Observations in one transaction.",
            buckets=_BATCHES,
            registry=self.registry,
        )

    def delivered(self, recorded: Recorded, dialect: Dialect, seconds: float) -> None:
        """Count a delivery that is durable after `seconds`."""
        self._delivered[recorded.outcome, dialect].inc()
        self.ingest_seconds.observe(seconds)

    def refuse(self, reason: Reason) -> None:
        """Count a refused request."""
        self._refused.labels(reason.value).inc()

    def linked(self, step: str) -> None:
        """Count a step of a Link session: one of LINK_STEPS."""
        self._links[step].inc()

    def committed(self, batch: Sequence[Recorded]) -> None:
        """Count a batch that became durable."""
        self._batches.observe(len(batch))

    def watch(self, collect: Callable[[], Iterable[Metric]]) -> None:
        """Add what is asked only when somebody reads the metrics."""
        self.registry.register(_Watch(collect))

    def text(self) -> bytes:
        """Write everything in Prometheus's text format."""
        return generate_latest(self.registry)


class _Watch(Collector):
    """A collector that asks a function, and is not asked at its registration."""

    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self._collect = collect

    def describe(self) -> Iterable[Metric]:
        """Name nothing beforehand."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Ask now."""
        return self._collect()
