"""Where the measurements rest: a temporary folder and a throw-away PostgreSQL server."""

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.postgres import PostgresServer

SQLITE = "SQLite"
POSTGRES = "PostgreSQL"


@dataclass
class Place:
    """Room for databases and files that end with the run."""

    folder: Path
    server: PostgresServer
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def new_database(self, kind: str) -> str:
        """Make an empty database and give its address."""
        if kind == POSTGRES:
            return self.server.create_database()
        return f"sqlite:///{self.new_folder()}/ledger.db"

    def drop_database(self, url: str) -> None:
        """Free the room that a database took."""
        if url.startswith("sqlite:"):
            shutil.rmtree(Path(url.removeprefix("sqlite:///")).parent)
        else:
            self.server.drop_database(url)

    def new_folder(self) -> Path:
        """Make an empty folder."""
        folder = self.folder / str(next(self._numbers))
        folder.mkdir()
        return folder


@contextmanager
def a_place() -> Iterator[Place]:
    """Lend a place for the length of a `with` block."""
    with tempfile.TemporaryDirectory(prefix="ledger-bench-") as folder, PostgresServer() as server:
        yield Place(Path(folder), server)
