"""The questions that the API and the command line ask; nothing else reads the views.

Questions about now are answered from the views, questions about the past are folded on read.
"""

from collections.abc import Iterator, Set
from contextlib import contextmanager
from typing import TypeVar

from ledger.domain.orders import unproved_before
from ledger.domain.words import account_key
from ledger.recorders.base import Log
from projections.answers import (
    Answer,
    Blocked,
    ClientView,
    ConnectionView,
    Counts,
    Cursor,
    DuplicateGroup,
    HistoryEntry,
    Page,
    ParkedDelivery,
    Progress,
)
from projections.asking import Histories
from projections.blocked import list_blocked, read_blocks
from projections.current_state import view as current
from projections.current_state.document import client_view
from projections.current_state.projection import CurrentState
from projections.deliveries import view as deliveries
from projections.deliveries.projection import Deliveries
from projections.folding import Folding, Moment
from projections.history import view as history
from projections.history.projection import History
from projections.history.view import Wanted
from projections.links import view as links
from projections.links.document import link_views
from projections.links.projection import Links
from projections.passes import Passes
from projections.registry import PROJECTIONS
from projections.store import Reads, Session

T = TypeVar("T")
VERSIONS = {one.name: one.version for one in (CurrentState, History, Deliveries, Links)}


class Questions(Histories):
    """Answers from the views, and from the log where the past is asked for.

    Times asked for are milliseconds UTC, `as_of_us` is in microseconds. Before asking `as_of`, see
    that the views have read up to `log.position_at(as_of)`: they know which connections a client
    ever had. Every method may raise StoreUnavailable.
    """

    def __init__(self, log: Log, store: Reads, *, stale_after_ms: int) -> None:
        """Call a live connection stale when its evidence is older than `stale_after_ms`."""
        self._log = log
        self._store = store
        self._stale_after_ms = stale_after_ms
        self._folding = Folding(log, stale_after_ms=stale_after_ms, finding=_Finding(log, store))

    @contextmanager
    def held(self) -> Iterator["Questions"]:
        """Lend questions that are all answered as of one moment, in one generation of the views.

        For an answer that takes several of them. Questions about the past need the log as well,
        whose past does not change.
        """
        with self._store.reading() as session:
            yield Questions(self._log, _Held(session), stale_after_ms=self._stale_after_ms)

    # state

    def client(
        self,
        reference: str,
        *,
        now_ms: int,
        as_of_us: int | None = None,
        valid_at_ms: int | None = None,
    ) -> Answer[ClientView] | None:
        """Give what is true of a client; None when no claim and no Link session ever named it."""
        with self._store.reading() as session:
            position = self._position(session, CurrentState.name, as_of_us)
            if as_of_us is None and valid_at_ms is None:
                view = self._client_now(session, reference, position, now_ms)
                return None if view is None else self._answer(view, position, session)
            ids = history.bound_connections(session, reference, position)
            sessions = links.ids_of_client(session, reference, position)
        if not ids and not sessions:
            return None
        moment = _moment(position, now_ms, as_of_us, valid_at_ms)
        view = self._folding.client(reference, ids, sessions, moment)
        return self._answer(view, position, session)

    def _client_now(
        self, session: Session, reference: str, position: int, now_ms: int
    ) -> ClientView | None:
        sessions = links.of_client(session, reference)
        if not sessions and not history.is_bound(session, reference):
            return None
        return client_view(
            reference,
            self._now(session, position, now_ms).of_client(reference),
            link_views(sessions, moment_ms=now_ms),
            known=history.has_entries(session, "client_ref", reference),
        )

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
        connection_id = self.resolve_short(id_or_short)
        with self._store.reading() as session:
            position = self._position(session, CurrentState.name, as_of_us)
            if as_of_us is None and valid_at_ms is None:
                view = self._now(session, position, now_ms).one(connection_id)
                return None if view is None else self._answer(view, position, session)
        moment = _moment(position, now_ms, as_of_us, valid_at_ms)
        view = self._folding.connection(connection_id, moment)
        return None if view is None else self._answer(view, position, session)

    def latest(self, connection_id: str, *, now_ms: int) -> ConnectionView | None:
        """Give what the log tells of a connection up to its very end, wherever the views are."""
        moment = Moment(position=self._log.head().position, now_ms=now_ms)
        return self._folding.connection(connection_id, moment)

    def connections(
        self,
        *,
        now_ms: int,
        status: str | None = None,
        client: str | None = None,
        stale: bool | None = None,
        after: Cursor | None = None,
        limit: int,
    ) -> Answer[Page[ConnectionView]]:
        """List connections by id."""
        with self._store.reading() as session:
            position = self._position(session, CurrentState.name, None)
            page = self._now(session, position, now_ms).page(
                status=status, client=client, stale=stale, after=after, limit=limit
            )
            return self._answer(page, position, session)

    def listed(
        self, *, now_ms: int, status: str | None, imported: bool | None, limit: int, offset: int
    ) -> Answer[tuple[list[ConnectionView], bool]]:
        """Give a part of the provider's list as it should be now, and whether more follows."""
        with self._store.reading() as session:
            position = self._position(session, CurrentState.name, None)
            found = self._now(session, position, now_ms).listed(
                status=status, imported=imported, limit=limit, offset=offset
            )
            return self._answer(found, position, session)

    def duplicates(
        self, *, now_ms: int, after: Cursor | None = None, limit: int
    ) -> Answer[Page[DuplicateGroup]]:
        """List the groups of live connections that share an upstream account."""
        with self._store.reading() as session:
            position = self._position(session, CurrentState.name, None)
            page = self._now(session, position, now_ms).duplicates(after=after, limit=limit)
            return self._answer(page, position, session)

    def resolve_short(self, text: str) -> str:
        """See `Histories`."""
        if not text.startswith(current.SHORT):
            return text
        with self._store.reading() as session:
            return current.only_one(text, current.ids_by_short_form(session, text))

    # history

    def _client_history(
        self, reference: str, wanted: Wanted, as_of_us: int | None
    ) -> Answer[Page[HistoryEntry]] | None:
        with self._store.reading() as session:
            position = self._position(session, History.name, as_of_us)
            if as_of_us is None:
                page = wanted.read(session, "client_ref", reference)
                if not page.items and not _is_known(session, reference):
                    return None
            else:
                ids = history.bound_connections(session, reference, position)
                if not ids and not links.ids_of_client(session, reference, position):
                    return None
        if as_of_us is None:
            page = history.with_positions(self._log, page, position)
        else:
            page = self._folding.client_history(reference, ids, position, wanted)
        return self._answer(page, position, session, History.name)

    def _connection_history(
        self, connection_id: str, wanted: Wanted, as_of_us: int | None
    ) -> Answer[Page[HistoryEntry]] | None:
        page: Page[HistoryEntry] | None
        with self._store.reading() as session:
            position = self._position(session, History.name, as_of_us)
            if as_of_us is not None:
                page = self._folding.connection_history(connection_id, position, wanted)
                return None if page is None else self._answer(page, position, session, History.name)
            page = wanted.read(session, "connection_id", connection_id)
            if not page.items and not history.has_entries(session, "connection_id", connection_id):
                return None
        page = history.with_positions(self._log, page, position)
        return self._answer(page, position, session, History.name)

    # deliveries and health

    def parked(self, after: Cursor | None, limit: int) -> Answer[Page[ParkedDelivery]]:
        """List the deliveries that could not be read."""
        with self._store.reading() as session:
            position = self._position(session, Deliveries.name, None)
            page = deliveries.parked_page(session, after, limit)
            return self._answer(page, position, session, Deliveries.name)

    def silence(self) -> dict[str, int]:
        """Give when each dialect was last heard, milliseconds UTC."""
        with self._store.reading() as session:
            return deliveries.last_heard(session)

    def counts(self) -> Counts:
        """Count what metrics show."""
        with self._store.reading() as session:
            blocked = dict.fromkeys(PROJECTIONS, 0)
            for projection, _ in read_blocks(session):
                blocked[projection] += 1
            return Counts(
                current.count_by_status(session),
                blocked,
                deliveries.count_parked(session),
                current.count_duplicates(session),
            )

    def unproved_commands(self, now_ms: int) -> int:
        """Count the connections with a command that is not proved to be done for too long."""
        with self._store.reading() as session:
            return current.count_asked(session, unproved_before(now_ms))

    def blocked(self) -> tuple[Blocked, ...]:
        """List the streams that could not be folded to their end."""
        return self.progress().blocked

    def positions(self) -> dict[str, int]:
        """Give the tracked position of each projection."""
        return self.progress().positions

    def progress(self) -> Progress:
        """Say how far the live views have come, and what blocks them."""
        return progress_of(self._store, self._log.key)

    def _now(self, session: Session, position: int, now_ms: int) -> current.CurrentConnections:
        passes = Passes(self._log, position)
        return current.CurrentConnections(
            session, passes, moment_ms=now_ms, stale_after_ms=self._stale_after_ms
        )

    def _position(self, session: Session, projection: str, as_of_us: int | None) -> int:
        if as_of_us is not None:
            return self._log.position_at(as_of_us)
        return session.positions([projection])[projection]

    def _answer(
        self, value: T, position: int, session: Session, projection: str = CurrentState.name
    ) -> Answer[T]:
        return Answer(value, position, projection, VERSIONS[projection], session.generation)


class _Finding:
    """Finds in the views what the past rests on; see `projections.folding.Finding`."""

    def __init__(self, log: Log, store: Reads) -> None:
        self._log = log
        self._store = store

    def sharing(self, accounts: Set[str], position: int) -> set[str]:
        keys = [account_key(account, self._log.key) for account in accounts]
        with self._store.reading() as session:
            return current.stated_of(session, keys, position)

    def targeted(self, births: Set[int], position: int) -> set[str]:
        with self._store.reading() as session:
            return links.targeted(session, births, position)

    def links_of(self, reference: str, position: int) -> list[str]:
        with self._store.reading() as session:
            return links.ids_of_client(session, reference, position)


class _Held:
    """One transaction, again and again."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        yield self._session


def _is_known(session: Session, reference: str) -> bool:
    """Tell whether a claim bound a connection to a client, or somebody asked for a Link session."""
    return history.is_bound(session, reference) or bool(links.of_client(session, reference))


def progress_of(store: Reads, key: bytes) -> Progress:
    """Say how far views have come; `key` is the log's."""
    with store.reading() as session:
        positions = session.positions(PROJECTIONS)
        return Progress(session.generation, positions, list_blocked(session, key))


def _moment(position: int, now_ms: int, as_of_us: int | None, valid_at_ms: int | None) -> Moment:
    asked_ms = now_ms if as_of_us is None else as_of_us // 1000
    return Moment(position=position, now_ms=asked_ms, valid_at_ms=valid_at_ms)
