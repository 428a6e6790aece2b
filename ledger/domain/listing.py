"""What a row of the provider's list tells that is not known, and what an unchanged one stands for.

A valid pass finds most connections as they are known to be, and writes nothing about them: its
`sweep.completed` stands for one claim about each, which says again what a row of it says. That
claim is written out only when an earlier one comes late, which it must outweigh.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from ledger.domain.claim import Claim, Evidence, Kind, Statement
from ledger.domain.connection import NULL_IS_A_VALUE, REOPENS_AFTER_MS, Connection, fold

LAG_MS: Final = 120_000
"""How far a list may trail behind the facts: an unchanged row speaks for this long ago."""
ALWAYS_NEW: Final = "lastCheckedAt"
"""The field whose change alone tells nothing."""
USER_DATA: Final = "userData."


def was_listed(known: Sequence[Statement]) -> bool:
    """Tell whether any pass has listed the connection before."""
    return any(statement.claim.kind.is_row for statement in known)


def was_listed_since(connection: Connection, at: int) -> bool:
    """Tell whether a pass was shown the connection after a time, milliseconds UTC."""
    rows = (step.claim for step in connection.steps if step.claim.kind is Kind.ROW)
    return any(_answered(row) > at for row in rows)


def last_row_at(known: Sequence[Statement]) -> int:
    """Give the time of the last row with a status, which outweighs all before it; else 0."""
    rows = (s.claim for s in known if s.claim.kind is Kind.ROW and s.claim.status is not None)
    return max((row.k for row in rows), default=0)


def differences(connection: Connection, row: Claim) -> frozenset[str]:
    """Name what a row states otherwise than it is known: `status`, fields, `userData.` and a key.

    Of a deleted connection a status is none, unless it shows that the connection exists after all.
    """
    found = {name for name, value in _carried(row) if _known(connection, name) != value}
    counts = row.status is not None and (connection.live or _reopens(connection, row))
    if counts and row.status is not connection.status:
        found.add("status")
    return frozenset(found)


def tells_nothing(connection: Connection, row: Claim) -> bool:
    """Tell whether a row may be left out: the pass that read it can stand for it.

    It states what is known, it states nothing that rows have not stated before, and it settles no
    question that the connection's flags and notes leave open.
    """
    before = _last_row(connection)
    if before is None or differences(connection, row):
        return False
    return _names(row) <= _names(before) and not _settles(connection, row)


def standing(
    before: Sequence[Statement], during: Sequence[Statement], evidence: Evidence, k: int
) -> Statement | None:
    """Give the claim about a connection for which a valid pass stands; None when for none.

    `before` and `during` are everything that was stated of the connection before the pass began
    and until it ended, `evidence` the pass itself, `k` the time of what it stands for. Connections
    that the pass did not list must be sorted out by the caller.
    """
    rows = [statement.claim for statement in before if statement.claim.kind is Kind.ROW]
    told = any(s.claim.kind.is_row and s.evidence.stream == evidence.stream for s in during)
    if not rows or told:
        return None
    connection_id = rows[0].connection_id
    known = fold(connection_id, before)
    then = fold(connection_id, [s for s in (*before, *during) if s.claim.k <= k])
    if known is None or then is None or not (known.live and then.live):
        return None
    return Statement(_again(max(rows, key=lambda row: row.order), then, k), evidence)


def _again(row: Claim, then: Connection, k: int) -> Claim:
    """Say what a row says once more, as it was known at `k`."""
    fields = {name: then.fields[name] for name in row.fields if name in then.fields}
    known = then.user_data or {}
    user_data = {name: known[name] for name in row.personal.get("userData", ()) if name in known}
    return Claim(
        connection_id=row.connection_id,
        kind=Kind.ROW,
        k=k,
        status=None if row.status is None else then.status,
        fields=fields,
        personal={"userData": user_data} if user_data else {},
        answered=k + LAG_MS,
    ).identified()


def _settles(connection: Connection, row: Claim) -> bool:
    """Tell whether a row answers something that is open about the connection."""
    unknown, suspected = connection.not_found_at, connection.expiry_suspected_at
    return (
        connection.missing_since is not None
        or "ambiguous" in connection.flags
        or (unknown is not None and unknown < _answered(row))
        or (suspected is not None and suspected < row.k and row.status is not None)
    )


def _reopens(connection: Connection, row: Claim) -> bool:
    deleted_at, answered = connection.deleted_at, row.answered
    return (
        deleted_at is not None and answered is not None and answered > deleted_at + REOPENS_AFTER_MS
    )


def _answered(row: Claim) -> int:
    """Give when the provider showed a row, which may be long after what the row speaks for."""
    return row.k if row.answered is None else row.answered


def _last_row(connection: Connection) -> Claim | None:
    """Give the last row in the order of the claims."""
    claims = (step.claim for step in reversed(connection.steps))
    return next((claim for claim in claims if claim.kind is Kind.ROW), None)


def _names(row: Claim) -> set[str]:
    """Name what a row states, whatever it states of it."""
    status = set() if row.status is None else {"status"}
    return status | {ALWAYS_NEW} | {name for name, _ in _carried(row)}


def _carried(row: Claim) -> Iterator[tuple[str, Any]]:
    """Give what a row states of fields and of `userData` by key, with its values."""
    for prefix, part in (("", row.fields), (USER_DATA, row.personal.get("userData", {}))):
        for name, value in part.items():
            if name != ALWAYS_NEW and (value is not None or name in NULL_IS_A_VALUE):
                yield prefix + name, value


def _known(connection: Connection, name: str) -> Any:
    """Give what is known under a name of `_carried`; an object of its own when nothing is."""
    if name.startswith(USER_DATA):
        return (connection.user_data or {}).get(name.removeprefix(USER_DATA), _NOTHING)
    return connection.fields.get(name, _NOTHING)


_NOTHING: Final = object()
