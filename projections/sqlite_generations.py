"""Generations on SQLite: a file each, and the one with the highest number is live.

A file gets its name only when it is complete, so that the name is the pointer: nothing else must
be kept in step with the files.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from projections.generations import Generations
from projections.sqlite_store import SQLiteStore, answering, sync, views_path

DRAFT: Final = ".draft"
"""What is appended to the name of a file that is not complete."""
_BESIDE: Final = ("", "-wal", "-shm", "-journal")
"""What SQLite appends to the names of its files."""


class SQLiteGenerations(Generations):
    """The files of views beside a log; whoever holds the log's writer lock may change them."""

    def __init__(self, database: Path) -> None:
        """Look beside the log at `database`."""
        self._database = database

    def live(self) -> int:
        """See `Generations`."""
        return max(self.all(), default=1)

    def all(self) -> list[int]:
        """See `Generations`."""
        return sorted(self._numbers(""))

    def open(self, generation: int, *, writer: bool) -> SQLiteStore:
        """See `Generations`."""
        return SQLiteStore(self._path(generation), writer=writer, generation=generation)

    def remove(self, generation: int) -> None:
        """See `Generations`."""
        with answering():
            _remove([self._path(generation)])

    def begin(self) -> int:
        """See `Generations`; a second rebuild is kept away by the writer's lock."""
        self.clean()
        live = self.live()
        with answering():
            for generation in self.all():
                if generation != live:
                    _remove([self._path(generation)])
        return live + 1

    def draft(self, generation: int) -> SQLiteStore:
        """See `Generations`."""
        return SQLiteStore(self._draft(generation), writer=True, generation=generation)

    def publish(self, generation: int) -> None:
        """See `Generations`; all of the draft must be in its one file, and on disk."""
        with answering():
            self._draft(generation).rename(self._path(generation))
            sync(self._database.absolute().parent)

    def end(self) -> None:
        """See `Generations`."""
        self.clean()

    def drafting(self) -> bool:
        """See `Generations`."""
        return bool(self._numbers(DRAFT))

    def clean(self) -> None:
        """See `Generations`."""
        with answering():
            _remove(self._draft(generation) for generation in self._numbers(DRAFT))

    def close(self) -> None:
        """See `Generations`."""

    def _path(self, generation: int) -> Path:
        return views_path(self._database, generation)

    def _draft(self, generation: int) -> Path:
        path = self._path(generation)
        return path.with_name(path.name + DRAFT)

    def _numbers(self, end: str) -> set[int]:
        stem = re.escape(self._database.stem)
        name = re.compile(rf"{stem}\.views-([0-9]+)\.db{re.escape(end)}")
        with answering():
            files = [file.name for file in self._database.absolute().parent.iterdir()]
        return {int(match[1]) for file in files if (match := name.fullmatch(file))}


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        # The file itself last: without it nobody would look for the others.
        for beside in reversed(_BESIDE):
            path.with_name(path.name + beside).unlink(missing_ok=True)
