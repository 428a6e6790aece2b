"""Where views rest: transactions, tracked positions and SQL on whichever database.

Every statement is written once, for both databases: parameters as `:name`, and two words in braces:
`{g}` is the suffix of the generation's tables, `{text}` a text column that sorts by code point.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any, Final, NamedTuple, Protocol, cast

from eventsourcing.persistence import Tracking

from ledger.domain.errors import StoreUnavailable
from projections.base import Insert, Params, Row, Statement, Table, Values

BLOCKED: Final = Table(
    "blocked",
    """projection {text} NOT NULL,
    stream {text} NOT NULL,
    position BIGINT NOT NULL,
    reason TEXT NOT NULL""",
    key=("projection", "stream"),
)
MADE: Final = Table(
    "made",
    """projection {text} NOT NULL,
    version BIGINT NOT NULL""",
    key=("projection",),
)
"""By which version of its rules each projection made its rows."""
VALUES_AT_ONCE: Final = 200
"""How many values one query names."""
_NAMED: Final = re.compile(r"(?<!:):([a-z_][a-z_0-9]*)")
_NONE: Final[Params] = {}


def among(column: str, values: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give conditions that a column has one of these values, some at a time, with parameters."""
    rest = iter(sorted(values))
    while some := list(islice(rest, VALUES_AT_ONCE)):
        params = {f"{column}_{number}": value for number, value in enumerate(some)}
        yield f"{column} IN ({', '.join(f':{name}' for name in params)})", params


def to_percent_style(sql: str) -> str:
    """Write the named parameters of a statement as psycopg wants them."""
    return _NAMED.sub(r"%(\1)s", sql)


class Session(ABC):
    """One transaction."""

    def __init__(
        self,
        cursor: Any,
        dialect: Callable[[str], str],
        faults: tuple[type[BaseException], ...],
        generation: int,
    ) -> None:
        """Use a cursor of the library, and what makes a statement fit for its database.

        `faults` are the errors that say that the database or the statement, not the data, is at
        fault.
        """
        self.cursor = cursor
        self.generation = generation
        """Which copy of the views it is in."""
        self._dialect = dialect
        self._faults: tuple[type[BaseException], ...] = (*faults, StoreUnavailable)

    def at_fault(self, error: BaseException) -> bool:
        """Tell whether the database or the statement is at fault for an error, not the data."""
        return isinstance(error, self._faults)

    def run(self, sql: str, params: Params = _NONE) -> None:
        """Execute one statement."""
        self.cursor.execute(self._dialect(sql), params)

    def run_many(self, statement: Statement, many: Sequence[Row]) -> None:
        """Execute one statement with each row."""
        if isinstance(statement, Insert):
            self._insert(statement, cast(Sequence[Values], many))
        else:
            self.cursor.executemany(self._dialect(statement), many)

    @abstractmethod
    def _insert(self, into: Insert, many: Sequence[Values]) -> None:
        """Execute an INSERT with each row."""

    @abstractmethod
    def load(self, into: Insert, many: Sequence[Row]) -> None:
        """Write rows that are certainly new with an INSERT, by the fastest way there is."""

    @abstractmethod
    def listed(self, name: str) -> str:
        """Give a query for the texts that a parameter of this name holds as a JSON array."""

    def rows(self, sql: str, params: Params = _NONE) -> list[Any]:
        """Execute a query; a row gives its columns by name."""
        self.cursor.execute(self._dialect(sql), params)
        return list(self.cursor.fetchall())

    def positions(self, names: Iterable[str]) -> dict[str, int]:
        """Give the tracked position of each projection; 0 before its first batch."""
        rows = self.rows("SELECT application_name, notification_id FROM {tracking}")
        tracked = {row["application_name"]: row["notification_id"] for row in rows}
        return {name: tracked.get(name, 0) for name in names}


class Reads(Protocol):
    """Where questions are asked: one generation, or whichever is live."""

    def reading(self) -> AbstractContextManager[Session]:
        """Read in one transaction, as of one instant and in one generation."""


class Filling(NamedTuple):
    """A new generation that is being filled; only its tracking table exists."""

    session: Session
    """Writes into it."""
    live: Callable[[str], str]
    """Names a table of the live generation, given its name without suffix, for statements of this
    session; `tracking` is the tracking table."""


class Store(ABC):
    """The views of one generation. Every method may raise StoreUnavailable."""

    def __init__(self, generation: int) -> None:
        """Serve the generation of this number."""
        self.generation = generation
        self._said: dict[str, str] = {}

    @property
    @abstractmethod
    def recorder(self) -> Any:
        """The library's tracking recorder."""

    @property
    @abstractmethod
    def words(self) -> Mapping[str, str]:
        """What the words in braces stand for on this database."""

    @abstractmethod
    def create(self, tables: Iterable[str]) -> None:
        """Make what is missing of the tracking table and these."""

    @abstractmethod
    def exists(self) -> bool:
        """Tell whether the views have been made."""

    @abstractmethod
    def reading(self) -> AbstractContextManager[Session]:
        """Read in one transaction, as of one instant, on a connection of its own."""

    @abstractmethod
    def writing(self) -> AbstractContextManager[Session]:
        """Write in one transaction that excludes every other writer of this generation."""

    @abstractmethod
    def filling(self, live: "Store | None") -> AbstractContextManager[Filling]:
        """Make and fill this generation, which does not exist yet, in one transaction.

        Some of it may be taken over from `live`, a store of the same kind.
        """

    @abstractmethod
    def scrub(self) -> list[str]:
        """Remove what replaced rows left in the store's files, without stopping anyone.

        Returns a sentence for each place where some of it may remain.
        """

    @abstractmethod
    def close(self) -> None:
        """Release the connections."""

    def made_by(self) -> dict[str, int]:
        """Say by which version each projection made its rows here; nothing where none did."""
        with self.reading() as session:
            made = session.rows("SELECT projection, version FROM made{g}")
        return {row["projection"]: row["version"] for row in made}

    def positions(self, session: Session, names: Iterable[str]) -> dict[str, int]:
        """Give the tracked position of each projection; 0 before its first batch."""
        return session.positions(names)

    def track(self, session: Session, name: str, position: int) -> None:
        """Write down that a projection has read up to a position, in the batch's transaction."""
        self.recorder._insert_tracking(session.cursor, Tracking(name, position))

    def _dialect(self, sql: str) -> str:
        said = self._said.get(sql)
        if said is None:
            said = self._said[sql] = self._say(re.sub(r"\{(\w+)\}", self._word, sql))
        return said

    def _word(self, match: re.Match[str]) -> str:
        return self.words[match.group(1)]

    def _say(self, sql: str) -> str:
        """Give the statement the form of this database's parameters."""
        return sql
