"""What can go wrong with views and questions; every message says what to do next."""

from ledger.domain.errors import LedgerError


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


class ViewsAhead(LedgerError):
    """The views have read further than the log goes: they belong to another log."""

    def __init__(self, position: int, head: int) -> None:
        super().__init__(
            f"The views have read up to position {position}, the log ends at {head}. They belong "
            "to another (perhaps newer) log: remove the views' file or tables; they are made "
            "again from the log."
        )
