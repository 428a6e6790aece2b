"""Reading a list that moves while it is read, page by page (semantics, section 7).

Pages overlap and must share a row with the last one, so that rows which move by a few places are
not passed over. What `hasMore` says is not believed: the list ends where a page brings nothing new.
Afterwards it is read again from its beginning, where rows may have moved meanwhile.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from ledger.ofauth.errors import ProviderError
from ledger.ofauth.results import ListPage

ASKED: Final = 100
"""How many rows a page is asked for."""
MOST_OVERLAP: Final = 10
"""By how many rows pages overlap at most."""
LEAST_FULL: Final = 4
"""Of pages shorter than this nothing is inferred: they cannot overlap."""
IDLE_PAGES: Final = 3
"""After so many pages in a row without anything new the list is not believed to go on."""

NO_OVERLAP: Final = "no_overlap"
SHORT_PAGES: Final = "short_pages"
ENDLESS: Final = "endless"
PAGE_FAILED: Final = "page_failed"
UNREADABLE_ROW: Final = "unreadable_row"
REASONS: Final[Mapping[str, str]] = {
    NO_OVERLAP: "two pages that should overlap had no row in common",
    SHORT_PAGES: f"a full page has fewer than {LEAST_FULL} rows",
    ENDLESS: "the list says that it goes on, and brings nothing new",
    PAGE_FAILED: "a page could not be had, or was not what it should be",
    UNREADABLE_ROW: "a row does not have its form",
}
"""Why a pass is not valid, by the word that is recorded."""

Row = Mapping[str, Any]
Take = Callable[[ListPage, Sequence[Row]], bool]
"""Takes the rows of a page that were not seen before; tells whether all of them could be read."""


class Listing(Protocol):
    """Where pages come from: the provider's client."""

    def connections(self, *, limit: int, offset: int) -> ListPage:
        """Give a page of the list.

        Raises:
            ProviderError: it could not be had.
        """


class Walk:
    """One reading of the list from its beginning to its end, and from its beginning again."""

    def __init__(self, listing: Listing, take: Take) -> None:
        """Read pages of `listing` and give their rows to `take`."""
        self._listing = listing
        self._take = take
        self.stamps: dict[str, Any] = {}
        """Every id that was listed, with the `updatedAt` of its row."""
        self.requests = 0
        self.rows = 0
        self.reasons: set[str] = set()
        """Why nothing may be inferred from what was not listed; empty when all is well."""
        self.answered_from: int | None = None
        """When the first page was answered, milliseconds since the epoch, UTC."""
        self.answered_to: int | None = None
        """When the last page was answered."""
        self.failure: ProviderError | None = None
        """What ended it too early."""

    def run(self) -> None:
        """Read everything; what goes wrong is told by `reasons` and `failure`.

        Raises what `take` raises.
        """
        try:
            self._read(to_the_end=True)
            self._read(to_the_end=False)
        except ProviderError as error:
            self.failure = error
            self.reasons.add(PAGE_FAILED)

    def _read(self, *, to_the_end: bool) -> None:
        offset, idle, shared = 0, 0, 0
        previous: frozenset[str] = frozenset()
        while True:
            page = self._page(offset)
            ids = frozenset(row["id"] for row in page.rows)
            if shared and not ids & previous:
                self.reasons.add(NO_OVERLAP)
            brought = not ids <= self.stamps.keys()
            self._hand_over(page)
            idle = 0 if brought else idle + 1
            if not brought and (not to_the_end or not page.rows or not page.has_more):
                return
            if idle == IDLE_PAGES:
                self.reasons.add(ENDLESS)
                return
            if page.has_more and len(page.rows) < LEAST_FULL:
                self.reasons.add(SHORT_PAGES)
            # Where nothing was new the list should have ended: look past what was given.
            shared = _overlap(len(page.rows)) if brought else 0
            # A row that stands in a page twice takes the place of one that was not shown.
            offset += max(1, len(ids) - shared)
            previous = ids

    def _page(self, offset: int) -> ListPage:
        page = self._listing.connections(limit=ASKED, offset=offset)
        self.requests += 1
        self.rows += len(page.rows)
        if self.answered_from is None:
            self.answered_from = page.answered
        self.answered_to = page.answered
        return page

    def _hand_over(self, page: ListPage) -> None:
        news = {}
        for row in page.rows:
            stamp = row.get("updatedAt")
            if row["id"] not in self.stamps or self.stamps[row["id"]] != stamp:
                news[row["id"]] = row
            self.stamps[row["id"]] = stamp
        if news and not self._take(page, list(news.values())):
            self.reasons.add(UNREADABLE_ROW)


def _overlap(rows: int) -> int:
    """Give by how many rows the next page overlaps one with so many."""
    return min(MOST_OVERLAP, rows // LEAST_FULL)
