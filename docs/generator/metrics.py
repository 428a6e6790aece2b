"""The metrics, as a scrape of the service gives them."""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

from docs.generator.pages import Parts, code, described, table


def parts(registry: CollectorRegistry) -> Parts:
    """Give the table of all metrics in a registry."""
    families = {family.name: family for family in registry.collect()}
    rows = [
        [code(name), family.type, _labels(family), described(name, family.documentation)]
        for name, family in families.items()
    ]
    return {"metrics": table(["metric", "kind", "labels", "meaning"], rows)}


def _labels(family: Metric) -> str:
    names = {name for sample in family.samples for name in sample.labels} - {"le"}
    # a gauge of which nothing is measured yet has no samples
    names |= set(getattr(family, "_labelnames", ()))
    return ", ".join(code(name) for name in sorted(names))
