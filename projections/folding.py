"""Answers folded on read from the log: what we would have answered then, what was true then.

Everything here is a function of the log up to a position and of the arguments, so the answer to an
old question stays the same whatever comes later. Only what is called stale depends on a setting.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol, cast

from ledger.domain.account import account_of
from ledger.domain.connection import Connection, Step, fold
from ledger.domain.link_session import LinkSession, fold_link, valid_at
from ledger.domain.words import connection_stream, link_of, link_stream
from ledger.recorders.base import Log
from projections.answers import ClientView, ConnectionView, HistoryEntry, Page
from projections.batch import Told, tell_streams
from projections.current_state.document import (
    at_moment,
    client_view,
    connection_view,
    swept_from,
)
from projections.current_state.duplicates import billed_account, oldest_others
from projections.history.entries import Placed, bindings, entries_of
from projections.history.view import Wanted, with_positions
from projections.links.document import link_views
from projections.links.forks import Party, suspected
from projections.passes import Passes


class Finding(Protocol):
    """Finds what concerns a question in other streams than those that it is about."""

    def sharing(self, accounts: Set[str], position: int) -> Iterable[str]:
        """Give every connection that was said, up to a position, to be of one of these accounts."""

    def targeted(self, births: Set[int], position: int) -> Iterable[str]:
        """Give at least the Link sessions for a connection that were open at one of these times.

        Those that were asked for up to a position; times are milliseconds UTC.
        """

    def links_of(self, reference: str, position: int) -> Iterable[str]:
        """Give every Link session that was asked for, for a client, up to a position."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What a question about the past is folded from."""

    position: int
    """The log up to here: what we knew."""
    now_ms: int
    """When the question is (or was) asked: what is stale depends on it; milliseconds UTC."""
    valid_at_ms: int | None = None
    """Only what had occurred by then, by the provider's clock; milliseconds UTC."""

    @property
    def meant_ms(self) -> int:
        """The time that the question is about; milliseconds UTC."""
        return self.now_ms if self.valid_at_ms is None else self.valid_at_ms


class Folding:
    """Folds connections from the log."""

    def __init__(self, log: Log, *, stale_after_ms: int, finding: Finding) -> None:
        """Call a live connection stale when its evidence is older than `stale_after_ms`."""
        self._log = log
        self._stale_after_ms = stale_after_ms
        self._finding = finding

    def connection(self, connection_id: str, moment: Moment) -> ConnectionView | None:
        """Give what is true of one connection at a moment; None when nothing was said of it."""
        folded = self._fold([connection_id], moment)
        return next(iter(self._views(folded, moment)), None)

    def client(
        self, reference: str, ids: Iterable[str], links: Iterable[str], moment: Moment
    ) -> ClientView:
        """Give what is true of a client.

        `ids` are all connections ever bound to it, `links` all Link sessions asked for, for it.
        """
        folded = self._fold(ids, moment)
        known = any(_was_of(one.told, reference, moment) for one in folded)
        own = [one for one in folded if one.connection.client == reference]
        sessions = link_views(self.links(links, moment), moment_ms=moment.meant_ms)
        return client_view(reference, self._views(own, moment), sessions, known=known)

    def links(self, ids: Iterable[str], moment: Moment) -> list[LinkSession]:
        """Give what was true of Link sessions at a moment, the first one asked for first."""
        streams = sorted({link_stream(id_) for id_ in ids})
        told = tell_streams(self._log, streams, moment.position)
        told.sort(key=lambda one: one.facts[0].position if one.facts else 0)
        folded = (fold_link(link_of(t.stream), (fact.event for fact in t.facts)) for t in told)
        return [s for one in folded if one is not None and (s := _valid_link(one, moment))]

    def client_history(
        self, reference: str, ids: Iterable[str], position: int, wanted: Wanted
    ) -> Page[HistoryEntry]:
        """Give a page of a client's history as it was known at a position."""
        entries = [
            placed
            for told in self._told(ids, position)
            for placed in _entries(told)
            if placed.client == reference
        ]
        return self._page(entries, position, wanted)

    def connection_history(
        self, connection_id: str, position: int, wanted: Wanted
    ) -> Page[HistoryEntry] | None:
        """Give a page of a connection's history as it was known at a position."""
        told = self._told([connection_id], position)
        if not told or told[0].connection is None:
            return None
        return self._page(_entries(told[0]), position, wanted)

    def _told(self, ids: Iterable[str], position: int) -> list[Told]:
        return tell_streams(self._log, sorted({connection_stream(id_) for id_ in ids}), position)

    def _page(self, entries: list[Placed], position: int, wanted: Wanted) -> Page[HistoryEntry]:
        return with_positions(self._log, wanted.page(entries), position)

    def _fold(self, ids: Iterable[str], moment: Moment) -> list["_Folded"]:
        """Fold those of these connections of which something was said by the moment."""
        told = ((told, _valid(told, moment)) for told in self._told(ids, moment.position))
        return [_Folded(one, connection) for one, connection in told if connection is not None]

    def _views(self, folded: Sequence["_Folded"], moment: Moment) -> list[ConnectionView]:
        duplicates, passes = self._duplicates(folded, moment), self._passes(moment)
        suspects = self._suspects(folded, moment)
        views = []
        for told, connection in folded:
            view = connection_view(connection)
            known_at = told.facts[0].position
            views.append(
                at_moment(
                    view,
                    moment_ms=moment.now_ms,
                    stale_after_ms=self._stale_after_ms,
                    listed_at=passes.listed_at(view.id, swept_from(view, known_at)),
                    blocked=told.trouble is not None,
                    duplicate_of=duplicates.get(view.id),
                    fork_suspected=view.id in suspects,
                )
            )
        return views

    def _passes(self, moment: Moment) -> Passes:
        """Give the passes that were known, and completed, by the moment."""
        position = moment.position
        if moment.valid_at_ms is not None:
            position = min(position, self._log.position_at(moment.valid_at_ms * 1000 + 999))
        return Passes(self._log, position)

    def _duplicates(self, folded: Sequence["_Folded"], moment: Moment) -> Mapping[str, str]:
        """Give whose duplicates these connections are at the moment."""
        accounts = {account for one in folded if (account := billed_account(one.connection))}
        if not accounts:
            return {}
        others = set(self._finding.sharing(accounts, moment.position))
        others -= {one.connection.id for one in folded}
        everyone = [one.connection for one in (*folded, *self._fold(others, moment))]
        return oldest_others(
            (account, connection_view(connection))
            for connection in everyone
            if (account := billed_account(connection))
        )

    def _suspects(self, folded: Sequence["_Folded"], moment: Moment) -> Set[str]:
        """Give those of these connections that are suspected to be forks at the moment."""
        parties = [_party(one.connection) for one in folded]
        births = {one.born_at for one in parties if one.born_at is not None}
        found = self._finding.targeted(births, moment.position) if births else ()
        sessions = {one.id: one for one in self.links(found, moment)}
        targets = {one.request.connection for one in sessions.values()} - {None}
        if not targets:
            return set()
        known = {
            one.connection.id: _party(one.connection)
            for one in self._fold(cast(Set[str], targets), moment)
        }
        clients = {one.client for one in (*parties, *known.values())}
        clients |= {one.request.client for one in sessions.values()}
        for client in clients - {None}:
            others = self._finding.links_of(cast(str, client), moment.position)
            sessions |= {one.id: one for one in self.links(others, moment)}
        return suspected(parties, list(sessions.values()), known)


class _Folded(NamedTuple):
    """A connection as it was at a moment, and what it is folded from."""

    told: Told
    connection: Connection


def _entries(told: Told) -> list[Placed]:
    return entries_of(told.connection, told.stated, bindings(told.stated))


def _valid(told: Told, moment: Moment) -> Connection | None:
    """Fold what had occurred by the moment, among the claims that stand by all we knew."""
    whole = told.connection
    if whole is None or moment.valid_at_ms is None:
        return whole
    steps = _occurred(whole, moment)
    ids = {step.claim.id for step in steps}
    said = (s for _, s in told.stated if s.claim.id in ids)
    connection = fold(whole.id, said)
    # A reference that was learned later counts backwards (semantics, section 6).
    return None if connection is None else replace(connection, client=steps[-1].client)


def _party(connection: Connection) -> Party:
    """Give what matters of a connection when forks are looked for."""
    return Party(
        id=connection.id,
        client=connection.client,
        account=account_of(connection),
        status=connection.status,
        born_at=connection_view(connection).created_at,
        forked=connection.predecessor_id is not None,
    )


def _valid_link(session: LinkSession, moment: Moment) -> LinkSession | None:
    return session if moment.valid_at_ms is None else valid_at(session, moment.valid_at_ms)


def _was_of(told: Told, reference: str, moment: Moment) -> bool:
    whole = told.connection
    steps = () if whole is None else _occurred(whole, moment)
    return any(step.client == reference for step in steps)


def _occurred(whole: Connection, moment: Moment) -> Sequence[Step]:
    if moment.valid_at_ms is None:
        return whole.steps
    return [step for step in whole.steps if step.claim.k <= moment.valid_at_ms]
