"""The copies of the views of a log: which one is live, and making the next one.

How that is kept, and why, is written down in `docs/decisions/0011-generations.md`.
"""

from abc import ABC, abstractmethod

from ledger.recorders import sqlite_path
from projections.store import Store


class Generations(ABC):
    """The generations of one log's views. Every method may raise StoreUnavailable."""

    @abstractmethod
    def live(self) -> int:
        """Give the number of the generation that is live; 1 before any was made."""

    @abstractmethod
    def all(self) -> list[int]:
        """Give the numbers of all complete generations."""

    @abstractmethod
    def open(self, generation: int, *, writer: bool) -> Store:
        """Open a complete generation, as it is."""

    @abstractmethod
    def remove(self, generation: int) -> None:
        """Throw a complete generation away; it is made from the log again when it is opened."""

    @abstractmethod
    def begin(self) -> int:
        """Begin to make the next generation and give its number; everything but the live one goes.

        Raises:
            RebuildRunning: another process makes one.
        """

    @abstractmethod
    def draft(self, generation: int) -> Store:
        """Open the generation that is being made for writing."""

    @abstractmethod
    def publish(self, generation: int) -> None:
        """Make a finished draft the live generation: durably, for all projections at once."""

    @abstractmethod
    def end(self) -> None:
        """End what `begin` began; a draft that was not published goes without a trace."""

    @abstractmethod
    def drafting(self) -> bool:
        """Tell whether a generation is being made, or one was left that is not complete."""

    @abstractmethod
    def clean(self) -> None:
        """Remove what a process left that died while it made a generation."""

    @abstractmethod
    def close(self) -> None:
        """Release the connections."""


def generations_of(database_url: str) -> Generations:
    """Give the generations of the views of the log at this address."""
    path = sqlite_path(database_url)
    if path is not None:
        from projections.sqlite_generations import SQLiteGenerations

        return SQLiteGenerations(path)
    from projections.postgres_generations import PostgresGenerations

    return PostgresGenerations(database_url)
