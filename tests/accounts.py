"""Who is whose duplicate, worked out by comparing everyone with everyone.

An independent model: it knows neither keys nor tables, only connections that were folded already.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from random import Random

from ledger.domain.claim import Statement, canonical_json
from ledger.domain.connection import Connection, fold
from tests.histories import history
from tests.projected import about


def folded_at(statements: Iterable[Statement], valid_at_ms: int | None) -> Connection | None:
    """One connection as it was at a time, by what had occurred among the claims that stand."""
    told = list(statements)
    whole = fold("conn", told)
    if whole is None or valid_at_ms is None:
        return whole
    kept = {step.claim.id for step in whole.steps if step.claim.k <= valid_at_ms}
    return fold("conn", [one for one in told if one.claim.id in kept])


def duplicates(
    said: Iterable[Statement], *, valid_at_ms: int | None = None
) -> dict[str, str | None]:
    """The duplicate of each connection that statements are about; None for those without one."""
    about_each: dict[str, list[Statement]] = defaultdict(list)
    for one in said:
        about_each[one.claim.connection_id].append(one)
    known = {
        connection_id: connection
        for connection_id, told in about_each.items()
        if (connection := folded_at(told, valid_at_ms)) is not None
    }
    found: dict[str, str | None] = {}
    for own_id, own in known.items():
        rivals = [
            (_born(other), other_id)
            for other_id, other in known.items()
            if other_id != own_id
            and _counts(own)
            and _counts(other)
            and _account(own) == _account(other)
        ]
        found[own_id] = min(rivals)[1] if rivals else None
    return found


def _counts(one: Connection) -> bool:
    return (
        one.status != "deleted" and one.fields.get("imported") is not True and bool(_account(one))
    )


def _account(one: Connection) -> str:
    return str((one.user_data or {}).get("id") or one.fields.get("platformUserId") or "")


def _born(one: Connection) -> float:
    born = one.fields.get("createdAt", one.created_at)
    return float("inf") if born is None else float(born)


ACCOUNTS = ("u1", "u2", 7, "u3", None)
"""What `userData.id` may be in a history; one that is written as a number is the same as text."""
PLATFORM_USERS = ("u1", "7", "u4", None, None)


def crowd(seed: int, connections: int) -> list[Statement]:
    """What is said about connections that share a few accounts, in an order that makes much late.

    Claims that were equal stay so.
    """
    told = [
        _given_away(about(f"conn_{i}", statement), seed)
        for i in range(connections)
        for statement in history(seed * 1_000 + i)
    ]
    Random(seed).shuffle(told)
    return told


def _given_away(statement: Statement, seed: int) -> Statement:
    """The same statement, about one of a few accounts."""
    claim = statement.claim
    stated = (seed, claim.connection_id, dict(claim.fields), dict(claim.personal))
    random = Random(canonical_json(stated))
    fields, personal = dict(claim.fields), dict(claim.personal)
    if random.random() < 0.8:
        personal["userData"] = dict(personal.get("userData", {})) | {"id": random.choice(ACCOUNTS)}
    if (platform_user := random.choice(PLATFORM_USERS)) is not None:
        fields["platformUserId"] = platform_user
    if random.random() < 0.2:
        fields["createdAt"] = 1_700_000_000_000 + random.randrange(3)
    return replace(statement, claim=replace(claim, fields=fields, personal=personal).identified())
