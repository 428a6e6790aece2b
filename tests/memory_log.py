"""A log in memory, for tests that record tens of thousands of times: what the write path asks of
one, and nothing that a database would promise beyond that.
"""

from collections.abc import Callable, Collection, Sequence

from ledger.recorders.base import Decide, Guard, Head, Seen, StoredRow


class MemoryLog:
    """Rows in a list; one writer, no lock, nothing durable."""

    key = bytes(32)

    def __init__(self) -> None:
        self.rows: list[StoredRow] = []

    def transact(
        self,
        streams: Collection[str],
        message_ids: Collection[str],
        decide: Decide,
        now: Callable[[], int],
        _guard: Guard | None = None,
    ) -> tuple[list[int], Head]:
        """Append what is decided; see `ledger.recorders.base.Log`."""
        head = self.head()
        new = decide(Seen(head, self.read_streams(streams), (), lambda n: self.passes(limit=n)))
        for row in new:
            recorded_at = max(now(), self.head().recorded_at + 1)
            position, payload = len(self.rows) + 1, row.payload
            stored = StoredRow(
                position, row.stream, row.version, row.topic, row.state, recorded_at, payload
            )
            self.rows.append(stored)
        return list(range(head.position + 1, len(self.rows) + 1)), self.head()

    def read_streams(self, streams: Collection[str]) -> Sequence[StoredRow]:
        """Give the rows of streams, by stream and version."""
        found = [row for row in self.rows if row.stream in streams]
        return sorted(found, key=lambda row: (row.stream, row.version))

    def passes(self, *, limit: int) -> list[StoredRow]:
        """Give the newest events of passes."""
        return [row for row in reversed(self.rows) if row.topic.startswith("sweep.")][:limit]

    def head(self) -> Head:
        """Give the end of the log."""
        return Head(self.rows[-1].position, self.rows[-1].recorded_at) if self.rows else Head(0, 0)
