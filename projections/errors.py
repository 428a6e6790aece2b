"""What can go wrong with views and questions; every message says what to do next."""

from collections.abc import Iterable

from ledger.domain.errors import LedgerError, StoreUnavailable


class UnknownConnection(LedgerError):
    """A short form names no connection."""

    def __init__(self, short: str) -> None:
        super().__init__(
            f"No connection has the short form {short!r}. Copy it whole from the log line (conn~ "
            "and 8 hex digits), or wait until the views have caught up."
        )


class AmbiguousConnection(LedgerError):
    """A short form names several connections."""

    def __init__(self, short: str, count: int) -> None:
        super().__init__(
            f"{count} connections share the short form {short!r}. Use the whole id, which "
            "`/api/connections` lists."
        )


class RebuildRunning(LedgerError):
    """The views are being rebuilt already."""

    def __init__(self) -> None:
        super().__init__(
            "The views are being rebuilt already, and only one rebuild runs at a time. Wait for "
            "its end (`projections list`), or cancel it with DELETE /api/projections/rebuild."
        )


class UnknownProjection(LedgerError):
    """There is no projection of this name."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"There is no projection {name!r}. Name some of: {', '.join(known)}.")


class RebuildFailed(LedgerError):
    """A rebuild ended without new views; the live ones are as they were."""


class ViewsDamaged(StoreUnavailable):
    """The views' file is no database any more, or not a whole one."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(
            f"The views' file is damaged ({error}); the log is another file. `connection-ledger "
            "projections rebuild` makes new views from it; `serve` does so when it starts."
        )


class ViewsOutdated(LedgerError):
    """The views were made by another version of the program."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__(
            f"Another version of the program made these views: {', '.join(names)}. "
            "`connection-ledger projections rebuild` makes them anew; `serve` does so when it "
            "starts."
        )


class ViewsAhead(LedgerError):
    """The views have read further than the log goes: they belong to another log."""

    def __init__(self, position: int, head: int) -> None:
        super().__init__(
            f"The views have read up to position {position}, the log ends at {head}. They belong "
            "to another (perhaps newer) log: `connection-ledger projections rebuild` makes new "
            "ones, or remove the views' files or tables; they are made again from the log."
        )
