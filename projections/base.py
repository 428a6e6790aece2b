"""What a projection is: rules that turn what a stream tells into rows, and nothing else."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from projections.batch import Told

Params = Mapping[str, Any]
"""The parameters of a statement by name."""
Values = tuple[Any, ...]
"""The values of a row in the order of an INSERT's columns."""
Row = Params | Values


class Table(NamedTuple):
    """A table of a view."""

    name: str
    """Without the suffix of its generation."""
    columns: str
    """As they are declared, in the words of `projections.store`."""
    key: tuple[str, ...]
    """The columns that tell its rows apart: a unique index, which a rebuild makes last."""
    indexes: Mapping[str, tuple[str, ...]] = {}
    """Its other indexes by name: their columns."""

    @property
    def create(self) -> str:
        """The statement that makes it where it is missing."""
        return f"CREATE TABLE IF NOT EXISTS {self.name}{{g}} ({self.columns})"

    @property
    def create_indexes(self) -> list[str]:
        """The statements that make its indexes where they are missing."""
        kinds = [("key", "UNIQUE INDEX", self.key)]
        kinds += [(name, "INDEX", columns) for name, columns in self.indexes.items()]
        return [
            f"CREATE {kind} IF NOT EXISTS {self.name}{{g}}_{name} "
            f"ON {self.name}{{g}} ({', '.join(columns)})"
            for name, kind, columns in kinds
        ]


class Insert(NamedTuple):
    """The INSERT of rows into a table."""

    table: str
    """Without the suffix of its generation."""
    columns: tuple[str, ...]
    conflict: str
    """What becomes of a row whose key is there already: an ON CONFLICT clause."""


Statement = str | Insert


class Write:
    """Rows to be written with a statement of the projection."""

    __slots__ = ("rows", "statement")

    def __init__(self, statement: Statement, *rows: Row) -> None:
        """Write each of `rows` with `statement`: of an INSERT these are values, else parameters."""
        self.statement = statement
        self.rows: Sequence[Row] = rows


class Projection(Protocol):
    """Code that folds events into a view. It holds no state: all of it is in the view's tables."""

    name: str
    """The key under which its position is tracked."""
    version: int
    """Raised whenever the same events would give other rows."""
    streams: tuple[str, ...]
    """How the names of the streams that concern it begin."""
    tables: Sequence[Table]
    """Its tables; no other projection writes them."""
    statements: Sequence[Statement]
    """Every statement it writes with, in the order in which a batch executes them.

    An INSERT meets each row once in a batch.
    """
    plain: Sequence[Insert]
    """Those INSERTs that, in a view made from nothing stream by stream, never meet a row that is
    there already: a rebuild may load their rows in bulk."""

    def writes(self, told: Told) -> Iterable[Write]:
        """Turn what is told about one stream into rows; `told.since` is in the view already."""

    def condense(self, statement: Statement, many: Sequence[Row]) -> Sequence[Row]:
        """Merge what one batch writes with one statement, where sums can be built beforehand."""
