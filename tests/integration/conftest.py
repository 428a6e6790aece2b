"""A service in this process, on SQLite or on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.emulator.server import EmulatorServer
from tests.provided import silent_provider
from tests.serving import Serving


@pytest.fixture
def serving(database_url: str, tmp_path: Path) -> Iterator[Serving]:
    """A service on a fresh database: each test that takes it runs on both."""
    with Serving(database_url, tmp_path) as made:
        yield made


@pytest.fixture
def small(sqlite_url: str, tmp_path: Path) -> Iterator[Serving]:
    """A service on SQLite, for rules in which no store matters."""
    with Serving(sqlite_url, tmp_path) as made:
        yield made


@pytest.fixture
def provider() -> Iterator[EmulatorServer]:
    """A provider whose webhooks are all lost."""
    with silent_provider() as server:
        yield server
