"""The errors of the ledger; every message says what happened and what to do next."""


class LedgerError(Exception):
    """Any failure that the ledger reports on purpose; the message is fit for an operator."""


class EventTooNew(LedgerError):
    """A stored event has a version that this code does not know, so it is not interpreted."""

    def __init__(self, topic: str, got: int, known: int) -> None:
        super().__init__(
            f"Event {topic!r} has version {got}, this program reads up to {known}. "
            "A newer program wrote it: run that version (or a later one) on this log."
        )


class UnknownEventType(LedgerError):
    """A stored event has a type that this code does not know."""

    def __init__(self, topic: str) -> None:
        super().__init__(
            f"Event type {topic!r} is not known to this program. "
            "A newer program wrote it: run that version (or a later one) on this log."
        )


class UnreadableEvent(LedgerError):
    """A stored event's bytes do not have the form of their type and version."""

    def __init__(self, topic: str, why: str) -> None:
        super().__init__(
            f"Event {topic!r} could not be read: {why}. Restore the log from a backup, or look "
            "at the named position with `/api/events`."
        )


class StoreUnavailable(LedgerError):
    """The store did not answer, or not in time; nothing is promised about the write."""


class WriterLocked(StoreUnavailable):
    """Another process holds the SQLite ledger's writer lock."""


class LedgerBusy(LedgerError):
    """The queue in front of the store is full, or the batch did not become durable in time."""
