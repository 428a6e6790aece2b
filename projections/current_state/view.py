"""The questions that the rows of current connections answer."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence, Set
from typing import Any, Final, cast

import msgspec

from ledger.domain.status import PROVIDER_STATUSES
from ledger.domain.words import CONNECTION
from projections.answers import ConnectionView, Cursor, DuplicateGroup, Page
from projections.current_state.document import age, at_moment
from projections.current_state.projection import NO_ACCOUNT
from projections.errors import AmbiguousConnection, UnknownConnection
from projections.links import view as links
from projections.links.forks import Party, suspected
from projections.passes import Passes
from projections.store import Session, among

SHORT: Final = "conn~"
LISTED: Final = tuple(sorted(status.value for status in PROVIDER_STATUSES))
"""The statuses of connections in the provider's list."""
READ_AT_ONCE: Final = 5_000
"""How many rows one query of a long list reads."""
_decode: Final = msgspec.json.Decoder(ConnectionView).decode
OF_A_GROUP: Final = 500
"""How many connections of one upstream account are listed at most."""
_SELECT: Final = """SELECT c.id, c.document, c.account, c.swept_from,
    b.stream IS NOT NULL AS blocked,
    (SELECT o.id FROM current_state{g} o WHERE o.account = c.account AND o.id <> c.id
     ORDER BY o.born_at, o.id LIMIT 1) AS duplicate_of"""
_BLOCKED: Final = f"""LEFT JOIN blocked{{g}} b
    ON b.projection = 'current_state' AND b.stream = '{CONNECTION}' || c.id"""
_GROUPS: Final = """SELECT account, COUNT(*) AS number FROM current_state{g}
    WHERE account > :after GROUP BY account HAVING COUNT(*) > 1"""
_OLDEST: Final = """SELECT id FROM (SELECT id, ROW_NUMBER()
    OVER (PARTITION BY account ORDER BY born_at, id) AS place
    FROM current_state{{g}} WHERE account IN ({accounts})) placed WHERE place <= :most"""


class CurrentConnections:
    """Reads current connections in one transaction, as of a moment (milliseconds UTC)."""

    def __init__(
        self, session: Session, passes: Passes, *, moment_ms: int, stale_after_ms: int
    ) -> None:
        """Call a live connection stale when its evidence is older than `stale_after_ms`.

        `passes` are those up to where the views have read.
        """
        self._session = session
        self._passes = passes
        self._moment_ms = moment_ms
        self._stale_after_ms = stale_after_ms

    def one(self, connection_id: str) -> ConnectionView | None:
        """Give one connection."""
        return next(iter(self._views("c.id = :id", {"id": connection_id})), None)

    def of_client(self, reference: str) -> list[ConnectionView]:
        """Give the connections that belong to a client now."""
        return self._views("c.client_ref = :client", {"client": reference})

    def page(
        self,
        *,
        status: str | None = None,
        client: str | None = None,
        stale: bool | None = None,
        after: Cursor | None = None,
        limit: int,
    ) -> Page[ConnectionView]:
        """List connections by id, those only that fit every condition given."""
        where, params = ["TRUE"], {"limit": limit + 1}
        conditions: dict[str, Any] = {
            "c.status = :status": status,
            "c.client_ref = :client": client,
            "c.id > :after": None if after is None else after[0],
        }
        for condition, value in conditions.items():
            if value is not None:
                where.append(condition)
                params[condition.rpartition(":")[2]] = value
        if stale is not None:
            condition, times = self._stale()
            where.append(condition if stale else f"NOT {condition}")
            params |= times
        views = self._views(" AND ".join(where), params, "ORDER BY c.id LIMIT :limit")
        more = len(views) > limit
        items = tuple(views[:limit])
        return Page(items, (items[-1].id,) if more else None)

    def _stale(self) -> tuple[str, dict[str, Any]]:
        """Give the condition of being stale, with its parameters; the same as `at_moment`."""
        cutoff = self._moment_ms - self._stale_after_ms
        condition = "c.last_evidence_at < :cutoff AND COALESCE(c.status, '') <> 'deleted'"
        params: dict[str, Any] = {"cutoff": cutoff}
        for i, one in enumerate(self._passes.since(cutoff)):
            unlisted = self._session.listed(f"unlisted_{i}")
            condition += f" AND NOT (c.swept_from < :began_{i} AND c.id NOT IN ({unlisted}))"
            params[f"began_{i}"] = one.began
            params[f"unlisted_{i}"] = msgspec.json.encode(sorted(one.unlisted)).decode()
        return f"({condition})", params

    def listed(
        self, *, status: str | None, imported: bool | None, limit: int, offset: int
    ) -> tuple[list[ConnectionView], bool]:
        """Give a part of the provider's list as it should be now, and whether more follows.

        That is what lives and is not missing, the newest first.
        """
        where = ["c.missing_since IS NULL"]
        params: dict[str, Any] = {"limit": limit + 1, "offset": offset}
        if status is None:
            where.append(f"c.status IN ({', '.join(map(repr, LISTED))})")
        else:
            where.append("c.status = :status")
            params["status"] = status
        if imported is not None:
            where.append("c.imported = :imported")
            params["imported"] = int(imported)
        tail = "ORDER BY c.born_at DESC, c.id DESC LIMIT :limit OFFSET :offset"
        views = sorted(self._views(" AND ".join(where), params, tail), key=age, reverse=True)
        return views[:limit], len(views) > limit

    def duplicates(self, *, after: Cursor | None = None, limit: int) -> Page[DuplicateGroup]:
        """List the groups of connections that share an upstream account, in a fixed order."""
        params = {"after": NO_ACCOUNT if after is None else after[0], "limit": limit + 1}
        query = f"{_GROUPS} ORDER BY account LIMIT :limit"
        counts = {row["account"]: row["number"] for row in self._session.rows(query, params)}
        accounts = list(counts)[:limit]
        members = self._members(accounts)
        groups = tuple(DuplicateGroup(counts[one], members[one]) for one in accounts)
        return Page(groups, (accounts[-1],) if len(counts) > limit else None)

    def _members(self, accounts: Sequence[str]) -> dict[str, tuple[ConnectionView, ...]]:
        """Give the oldest connections of each of these accounts, oldest first."""
        params: dict[str, Any] = {f"account_{i}": one for i, one in enumerate(accounts)}
        if not params:
            return {}
        oldest = _OLDEST.format(accounts=", ".join(f":{name}" for name in params))
        members: dict[str, list[ConnectionView]] = defaultdict(list)
        for account, view in self._found(f"c.id IN ({oldest})", params | {"most": OF_A_GROUP}):
            members[account].append(view)
        return {account: tuple(sorted(views, key=age)) for account, views in members.items()}

    def _views(self, where: str, params: dict[str, Any], tail: str = "") -> list[ConnectionView]:
        return [view for _, view in self._found(where, params, tail)]

    def _found(
        self, where: str, params: dict[str, Any], tail: str = ""
    ) -> list[tuple[str, ConnectionView]]:
        """Give the connections by id that fit a condition, each with its account's key."""
        # Chosen before anything is looked up for them: else that is done for all that are sorted.
        chosen = f"SELECT * FROM current_state{{g}} c WHERE {where} {tail}"
        rows = self._session.rows(f"{_SELECT} FROM ({chosen}) c {_BLOCKED} ORDER BY c.id", params)
        suspects = self._suspects([row["id"] for row in rows])
        return [
            (
                row["account"],
                at_moment(
                    _decode(row["document"]),
                    moment_ms=self._moment_ms,
                    stale_after_ms=self._stale_after_ms,
                    listed_at=self._passes.listed_at(row["id"], row["swept_from"]),
                    blocked=bool(row["blocked"]),
                    duplicate_of=row["duplicate_of"],
                    fork_suspected=row["id"] in suspects,
                ),
            )
            for row in rows
        ]

    def _suspects(self, ids: Collection[str]) -> Set[str]:
        """Give those of these connections that are suspected to be forks."""
        sessions = {one.id: one for one in links.targeted_around(self._session, ids)}
        targets = {one.request.connection for one in sessions.values()} - {None}
        if not targets:
            return set()
        parties, known = self._parties(ids), self._parties(cast(set[str], targets))
        clients = {one.client for one in (*parties, *known)}
        clients |= {one.request.client for one in sessions.values()}
        for client in clients - {None}:
            others = links.of_client(self._session, cast(str, client))
            sessions |= {one.id: one for one in others}
        return suspected(parties, list(sessions.values()), {one.id: one for one in known})

    def _parties(self, ids: Iterable[str]) -> list[Party]:
        """Give what matters of connections when forks are looked for."""
        found = []
        for where, params in among("id", ids):
            query = f"SELECT upstream, document FROM current_state{{g}} WHERE {where}"
            for row in self._session.rows(query, params):
                view = _decode(row["document"])
                found.append(
                    Party(
                        id=view.id,
                        client=view.client_reference_id,
                        account=row["upstream"],
                        status=view.status,
                        born_at=view.created_at,
                        forked=view.predecessor_id is not None,
                    )
                )
        return found


def clients_of(session: Session, ids: Iterable[str]) -> set[str]:
    """Give the clients to whom these connections belong now."""
    found: set[str] = set()
    for where, params in among("id", ids):
        query = f"SELECT client_ref FROM current_state{{g}} WHERE {where}"
        found.update(row["client_ref"] for row in session.rows(query, params))
    return found - {None}


def living_connections(session: Session) -> Iterator[tuple[str, bool]]:
    """Give the ids of all connections that are not deleted, and whether each is missing."""
    query = (
        "SELECT id, missing_since FROM current_state{g} "
        "WHERE COALESCE(status, '') <> 'deleted' AND id > :after ORDER BY id LIMIT :limit"
    )
    after = ""
    while rows := session.rows(query, {"after": after, "limit": READ_AT_ONCE}):
        yield from ((row["id"], row["missing_since"] is not None) for row in rows)
        after = rows[-1]["id"]


def commanded_connections(session: Session) -> list[str]:
    """Give the ids of the connections with a command that is not proved to be done."""
    query = "SELECT id FROM current_state{g} WHERE asked_at IS NOT NULL ORDER BY asked_at"
    return [row["id"] for row in session.rows(query)]


def count_asked(session: Session, before_ms: int) -> int:
    """Count the connections with an open command that was asked for before a time."""
    query = "SELECT COUNT(*) AS number FROM current_state{g} WHERE asked_at < :before"
    return int(session.rows(query, {"before": before_ms})[0]["number"])


def ids_by_short_form(session: Session, short: str) -> list[str]:
    """Give the ids of the connections that have this short form."""
    rows = session.rows("SELECT id FROM current_state{g} WHERE short_id = :short", {"short": short})
    return [row["id"] for row in rows]


def only_one(short: str, ids: Sequence[str]) -> str:
    """Give the one id that a short form stands for.

    Raises:
        UnknownConnection: it stands for none.
        AmbiguousConnection: it stands for several.
    """
    if not ids:
        raise UnknownConnection(short)
    if len(ids) > 1:
        raise AmbiguousConnection(short, len(ids))
    return ids[0]


def stated_of(session: Session, keys: Collection[str], up_to: int) -> set[str]:
    """Give every connection that was said, up to a position, to be of one of these accounts.

    They are given by their keys.
    """
    params: dict[str, Any] = {f"account_{i}": key for i, key in enumerate(keys)}
    if not params:
        return set()
    rows = session.rows(
        f"SELECT connection_id FROM accounts{{g}} WHERE stated_at_position <= :up_to "
        f"AND account IN ({', '.join(f':{name}' for name in params)})",
        params | {"up_to": up_to},
    )
    return {row["connection_id"] for row in rows}


def count_duplicates(session: Session) -> int:
    """Count the upstream accounts that have several live connections."""
    query = f"SELECT COUNT(*) AS number FROM ({_GROUPS}) groups_of_duplicates"
    number: int = session.rows(query, {"after": NO_ACCOUNT})[0]["number"]
    return number


def count_by_status(session: Session) -> dict[str, int]:
    """Count the connections by status; `unknown` where none was said."""
    query = "SELECT status, COUNT(*) AS number FROM current_state{g} GROUP BY status"
    return {row["status"] or "unknown": row["number"] for row in session.rows(query)}
