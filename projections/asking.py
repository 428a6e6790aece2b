"""How histories are asked for, whoever answers."""

from abc import ABC, abstractmethod

from projections.answers import Answer, Cursor, HistoryEntry, Page
from projections.history.view import By, Order, Wanted


class Histories(ABC):
    """Questions about histories. Times are milliseconds UTC, `as_of_us` microseconds."""

    def client_history(
        self,
        reference: str,
        *,
        types: tuple[str, ...] = (),
        from_ms: int | None = None,
        to_ms: int | None = None,
        as_of_us: int | None = None,
        by: By = "position",
        order: Order = "asc",
        after: Cursor | None = None,
        limit: int,
    ) -> Answer[Page[HistoryEntry]] | None:
        """Give a page of a client's history; None when no claim ever named it.

        Kept are entries of these types (all when empty) that occurred from `from_ms` on and
        before `to_ms`.
        """
        wanted = Wanted(
            types=types, from_ms=from_ms, to_ms=to_ms, by=by, order=order, after=after, limit=limit
        )
        return self._client_history(reference, wanted, as_of_us)

    def connection_history(
        self,
        id_or_short: str,
        *,
        types: tuple[str, ...] = (),
        from_ms: int | None = None,
        to_ms: int | None = None,
        as_of_us: int | None = None,
        by: By = "position",
        order: Order = "asc",
        after: Cursor | None = None,
        limit: int,
    ) -> Answer[Page[HistoryEntry]] | None:
        """Give a page of a connection's history; None when nothing was ever said of it.

        Raises the errors of `resolve_short`.
        """
        wanted = Wanted(
            types=types, from_ms=from_ms, to_ms=to_ms, by=by, order=order, after=after, limit=limit
        )
        return self._connection_history(self.resolve_short(id_or_short), wanted, as_of_us)

    @abstractmethod
    def resolve_short(self, text: str) -> str:
        """Give the id that a text stands for: itself, or what its short form is of.

        Raises:
            UnknownConnection: no connection has this short form.
            AmbiguousConnection: several have it.
        """

    @abstractmethod
    def _client_history(
        self, reference: str, wanted: Wanted, as_of_us: int | None
    ) -> Answer[Page[HistoryEntry]] | None:
        """Give the wanted page of a client's history."""

    @abstractmethod
    def _connection_history(
        self, connection_id: str, wanted: Wanted, as_of_us: int | None
    ) -> Answer[Page[HistoryEntry]] | None:
        """Give the wanted page of a connection's history."""
