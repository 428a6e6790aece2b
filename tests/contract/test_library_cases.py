"""The eventsourcing library's own cases for recorders, run against our logs.

They prove that any of the library's tools can stand on our log: same selection, same uniqueness,
same order under concurrency.
"""

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
from eventsourcing.tests.persistence import (
    ApplicationRecorderTestCase,
    NonInterleavingNotificationIDsBaseCase,
)

from ledger.recorders.postgres import PostgresLog
from ledger.recorders.sqlite import SQLiteLog
from tests.builders import Clock, counting_entropy
from tests.postgres import PostgresServer


class _OnSQLite:
    def setUp(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.opened: list[SQLiteLog] = []

    def tearDown(self) -> None:
        # A case stops its readers and does not wait for them: closing under one ends the process.
        for thread in threading.enumerate():
            if "read_continuously" in thread.name:
                thread.join(10)
        for log in self.opened:
            log.close()
        self.folder.cleanup()

    def new_originator_id(self) -> str:
        return str(uuid4())

    def create_recorder(self) -> SQLiteLog:
        path = Path(self.folder.name) / "ledger.db"
        log = SQLiteLog(path, writer=True, entropy=counting_entropy(), now=Clock())
        self.opened.append(log)
        return log


class _OnPostgres:
    server: PostgresServer

    @pytest.fixture(autouse=True)
    def _address(self, postgres_url: str) -> Iterator[None]:
        self.url = postgres_url
        self.opened: list[PostgresLog] = []
        yield
        for log in self.opened:
            log.close()

    def new_originator_id(self) -> str:
        return str(uuid4())

    def create_recorder(self) -> PostgresLog:
        log = PostgresLog(self.url, writer=True, entropy=counting_entropy())
        self.opened.append(log)
        return log


class TestSQLiteLog(_OnSQLite, ApplicationRecorderTestCase[Any]):
    """Our SQLite log is an application recorder of the library."""


class TestPostgresLog(_OnPostgres, ApplicationRecorderTestCase[Any]):
    """Our PostgreSQL log is an application recorder of the library."""

    EXPECT_CONTIGUOUS_NOTIFICATION_IDS = False


class TestSQLiteOrder(_OnSQLite, NonInterleavingNotificationIDsBaseCase):
    """Two big inserts at once do not interleave on SQLite."""


class TestPostgresOrder(_OnPostgres, NonInterleavingNotificationIDsBaseCase):
    """Two big inserts at once do not interleave on PostgreSQL."""


cast(Any, ApplicationRecorderTestCase).__test__ = False
for case in (TestSQLiteLog, TestPostgresLog, TestSQLiteOrder, TestPostgresOrder):
    cast(Any, case).__test__ = True
