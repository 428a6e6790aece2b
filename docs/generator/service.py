"""A service that nobody uses: to ask it for its routes and metrics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from flask import Flask
from prometheus_client import CollectorRegistry

from api.app import create_app
from api.bootstrap import open_service
from api.settings import Settings


@contextmanager
def open_unused() -> Iterator[tuple[Flask, CollectorRegistry]]:
    """Lend the application and the registry of a service on SQLite, wired and not started."""
    with TemporaryDirectory() as folder:
        environment = {"LEDGER_DATABASE_URL": f"sqlite:///{folder}/ledger.db"}
        service = open_service(Settings.from_env(environment))
        try:
            yield create_app(service.services), service.services.metrics.registry
        finally:
            service.stop()
