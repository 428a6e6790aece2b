"""A list of connections as the provider has it, small enough to see through.

It shares nothing with the emulator: tests of passes move its rows by hand.
"""

from collections.abc import Callable
from typing import Any

from ledger.ofauth.errors import ConnectionGone, NoSession, ProviderError
from ledger.ofauth.results import Confirmed, ListPage, Organisation
from tests.builders import NOON, iso

Row = dict[str, Any]


class ListedProvider:
    """The provider, as far as a pass asks it; `now_ms` is its clock."""

    def __init__(self, now_ms: Callable[[], int], *, most: int = 100) -> None:
        self.now_ms = now_ms
        self.most = most
        self.rows: list[Row] = []
        self.organisation = "org_1"
        self.asked: list[int] = []
        self.probed: list[str] = []
        self.sessionless: set[str] = set()
        """Ids of which the provider says only that they have no session, listed or not."""
        self.before_page: Callable[[int], None] = lambda number: None
        """Called with the number of a page (from 0) before it is answered."""
        self.failing: set[int] = set()
        """The numbers of the pages that cannot be had."""
        self.more: Callable[[int, bool], bool] = lambda number, more: more
        """What `hasMore` says of a page, given what is true."""

    def add(self, id: str, **row: Any) -> Row:
        """Put a connection in front of the list."""
        told = {
            "id": id, "status": "active", "clientReferenceId": f"user_{id}", "permissions": ["a"],
            "userData": {"id": f"u_{id}", "name": id}, "createdAt": iso(NOON - 86_400_000),
            "updatedAt": iso(NOON - 3_600_000), "expiredAt": None, "imported": False,
            "lastCheckedAt": iso(NOON - 3_600_000),
        }  # fmt: skip
        self.rows.insert(0, told | row)
        return self.rows[0]

    def remove(self, id: str) -> None:
        """Take a connection from the list."""
        self.rows = [row for row in self.rows if row["id"] != id]

    def change(self, id: str, **row: Any) -> None:
        """Let something be otherwise from now on."""
        for one in self.rows:
            if one["id"] == id:
                one.update({"updatedAt": iso(self.now_ms()), **row})

    def connections(self, *, limit: int, offset: int) -> ListPage:
        """Answer a page."""
        number = len(self.asked)
        self.asked.append(offset)
        self.before_page(number)
        if number in self.failing:
            raise ProviderError("a page that cannot be had")
        end = offset + min(limit, self.most)
        rows = [dict(row) for row in self.rows[offset:end]]
        more = self.more(number, end < len(self.rows))
        return ListPage(rows=rows, has_more=more, answered=self.now_ms(), dated=True)

    def whoami(self) -> Organisation:
        """Answer whose key it is."""
        return Organisation(id=self.organisation, name=None, answered=self.now_ms())

    def probe(self, connection_id: str) -> Confirmed:
        """Answer about one connection."""
        self.probed.append(connection_id)
        if connection_id in self.sessionless:
            raise NoSession(type="SESSION_NOT_PROVIDED", answered=self.now_ms())
        if all(row["id"] != connection_id for row in self.rows):
            raise ConnectionGone(type="RESOURCE_NOT_FOUND", answered=self.now_ms())
        return Confirmed(answered=self.now_ms())
