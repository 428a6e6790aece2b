"""The same answers without a running service: folded from the log, up to its very end."""

from collections.abc import Iterator, Set
from typing import Final, TypeVar

from ledger.domain.account import accounts_in
from ledger.domain.connection import REFERENCE
from ledger.domain.link_events import LinkRequested
from ledger.domain.link_proof import BEFORE_MS
from ledger.domain.words import CONNECTION, account_key, connection_of, link_of, short_id
from ledger.recorders.base import Log
from projections.answers import (
    Answer,
    ClientView,
    ConnectionView,
    Cursor,
    HistoryEntry,
    Page,
    ParkedDelivery,
)
from projections.asking import Histories
from projections.batch import Told, tell_rows, tell_streams
from projections.current_state.projection import CurrentState
from projections.current_state.view import SHORT, ids_by_short_form, only_one, stated_of
from projections.deliveries.projection import parked_delivery
from projections.folding import Folding, Moment
from projections.history.projection import History
from projections.history.view import Wanted, bound_connections
from projections.links.forks import LONGEST_MS
from projections.links.projection import Links
from projections.links.view import ids_of_client, targeted
from projections.store import Store

T = TypeVar("T")
_ALL_CONNECTIONS: Final = f"{CONNECTION[:-1]}."
READ_AT_ONCE: Final = 5_000
"""How many events one query of a scan reads."""


class LogQuestions(Histories):
    """Answers from the log alone; views, when there are any, only shorten the search.

    Every method may raise StoreUnavailable.
    """

    def __init__(self, log: Log, store: Store | None, *, stale_after_ms: int) -> None:
        """Call a live connection stale when its evidence is older than `stale_after_ms`."""
        self._log = log
        self._store = store
        self._folding = Folding(log, stale_after_ms=stale_after_ms, finding=self)

    def client(
        self,
        reference: str,
        *,
        now_ms: int,
        as_of_us: int | None = None,
        valid_at_ms: int | None = None,
    ) -> Answer[ClientView] | None:
        """Give what is true of a client; None when no claim and no Link session ever named it."""
        moment = self._moment(now_ms, as_of_us, valid_at_ms)
        ids = self._bound(reference, moment.position)
        links = self.links_of(reference, moment.position)
        if not ids and not links:
            return None
        view = self._folding.client(reference, ids, links, moment)
        return self._answer(view, moment.position)

    def connection(
        self,
        id_or_short: str,
        *,
        now_ms: int,
        as_of_us: int | None = None,
        valid_at_ms: int | None = None,
    ) -> Answer[ConnectionView] | None:
        """Give what is true of a connection; None when nothing was ever said of it.

        Raises the errors of `resolve_short`.
        """
        moment = self._moment(now_ms, as_of_us, valid_at_ms)
        view = self._folding.connection(self.resolve_short(id_or_short), moment)
        return None if view is None else self._answer(view, moment.position)

    def _client_history(
        self, reference: str, wanted: Wanted, as_of_us: int | None
    ) -> Answer[Page[HistoryEntry]] | None:
        position = self._position(as_of_us)
        ids = self._bound(reference, position)
        if not ids and not self.links_of(reference, position):
            return None
        page = self._folding.client_history(reference, ids, position, wanted)
        return self._answer(page, position, History)

    def _connection_history(
        self, connection_id: str, wanted: Wanted, as_of_us: int | None
    ) -> Answer[Page[HistoryEntry]] | None:
        position = self._position(as_of_us)
        page = self._folding.connection_history(connection_id, position, wanted)
        return None if page is None else self._answer(page, position, History)

    def resolve_short(self, text: str) -> str:
        """See `Histories`."""
        if not text.startswith(SHORT):
            return text
        ids: set[str] = set()
        if self._store is not None:
            with self._store.reading() as session:
                ids.update(ids_by_short_form(session, text))
        for told in self._tail(CurrentState.name, self._position(None)):
            connection_id = connection_of(told.stream)
            if short_id(connection_id, self._log.key) == text:
                ids.add(connection_id)
        return only_one(text, sorted(ids))

    def parked(self, after: Cursor | None, limit: int) -> Page[ParkedDelivery]:
        """List the deliveries that could not be read."""
        streams: set[str] = set()
        end, position = self._position(None), 0
        topics = ("delivery.parked", "delivery.resolved")
        while rows := self._log.read_log(position, READ_AT_ONCE, up_to=end, topics=topics):
            streams.update(row.stream for row in rows)
            position = rows[-1].position
        told = tell_streams(self._log, sorted(streams), end)
        found = (parked_delivery(one.stream, one.facts) for one in told)
        start = 0 if after is None else after[0]
        items = sorted(
            (parked for parked in found if parked is not None and parked.position > int(start)),
            key=lambda parked: parked.position,
        )
        part = tuple(items[:limit])
        return Page(part, (part[-1].position,) if len(items) > limit else None)

    def _position(self, as_of_us: int | None) -> int:
        return self._log.head().position if as_of_us is None else self._log.position_at(as_of_us)

    def _moment(self, now_ms: int, as_of_us: int | None, valid_at_ms: int | None) -> Moment:
        return Moment(
            position=self._position(as_of_us),
            now_ms=now_ms if as_of_us is None else as_of_us // 1000,
            valid_at_ms=valid_at_ms,
        )

    def _bound(self, reference: str, position: int) -> set[str]:
        """Give every connection that a claim up to a position bound to this client."""
        ids: set[str] = set()
        if self._store is not None:
            with self._store.reading() as session:
                ids.update(bound_connections(session, reference, position))
        for told in self._tail(History.name, position):
            for _, statement in told.stated:
                if statement.claim.fields.get(REFERENCE) == reference:
                    ids.add(statement.claim.connection_id)
        return ids

    def links_of(self, reference: str, position: int) -> list[str]:
        """See `projections.folding.Finding`."""
        found: list[str] = []
        if self._store is not None:
            with self._store.reading() as session:
                found = ids_of_client(session, reference, position)
        return found + [link for link, asked in self._asked(position) if asked.client == reference]

    def targeted(self, births: Set[int], position: int) -> set[str]:
        """See `projections.folding.Finding`."""
        found: set[str] = set()
        if self._store is not None:
            with self._store.reading() as session:
                found = targeted(session, births, position)
        for link, asked in self._asked(position):
            since = asked.observed - BEFORE_MS
            if asked.connection is not None and any(
                since <= born_at <= asked.observed + LONGEST_MS for born_at in births
            ):
                found.add(link)
        return found

    def _asked(self, position: int) -> Iterator[tuple[str, LinkRequested]]:
        """Give the Link sessions that were asked for after the views stopped reading."""
        for told in self._tail(Links.name, position, LinkRequested.NAME):
            asked = told.facts[0].event if told.facts else None
            if isinstance(asked, LinkRequested):
                yield link_of(told.stream), asked

    def sharing(self, accounts: Set[str], position: int) -> set[str]:
        """See `projections.folding.Finding`."""
        ids: set[str] = set()
        if self._store is not None:
            keys = [account_key(account, self._log.key) for account in accounts]
            with self._store.reading() as session:
                ids.update(stated_of(session, keys, position))
        for told in self._tail(CurrentState.name, position, payloads=True):
            for _, statement in told.stated:
                if not accounts.isdisjoint(accounts_in(statement.claim)):
                    ids.add(statement.claim.connection_id)
        return ids

    def _tail(
        self, projection: str, end: int, topic: str = _ALL_CONNECTIONS, *, payloads: bool = False
    ) -> Iterator[Told]:
        """Give what streams tell after the place where the views stopped reading."""
        position = 0
        if self._store is not None:
            with self._store.reading() as session:
                position = self._store.positions(session, [projection])[projection]
        while rows := self._log.read_log(
            position, READ_AT_ONCE, up_to=end, topics=(topic,), payloads=payloads
        ):
            yield from tell_rows(rows)
            position = rows[-1].position

    def _answer(
        self, value: T, position: int, projection: type[CurrentState | History] = CurrentState
    ) -> Answer[T]:
        generation = 0 if self._store is None else self._store.generation
        return Answer(value, position, projection.name, projection.version, generation)
