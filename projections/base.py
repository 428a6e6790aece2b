"""What a projection is: rules that turn what a stream tells into rows, and nothing else."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from projections.batch import Told

Params = Mapping[str, Any]


class Write(NamedTuple):
    """One row to be written: a statement of the projection and its named parameters."""

    sql: str
    params: Params


class Projection(Protocol):
    """Code that folds events into a view. It holds no state: all of it is in the view's tables."""

    name: str
    """The key under which its position is tracked."""
    version: int
    """Raised whenever the same events would give other rows."""
    tables: Sequence[str]
    """Statements that make its tables where they are missing."""
    statements: Sequence[str]
    """Every statement it writes with, in the order in which a batch executes them.

    An INSERT names its parameters like its columns and meets each row once in a batch.
    """

    def wants(self, stream: str) -> bool:
        """Tell whether a stream concerns it."""

    def writes(self, told: Told) -> Iterable[Write]:
        """Turn what is told about one stream into rows; `told.since` is in the view already."""

    def condense(self, sql: str, many: Sequence[Params]) -> Sequence[Params]:
        """Merge what one batch writes with one statement, where sums can be built beforehand."""
