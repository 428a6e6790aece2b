"""From a row of the provider's connection list to claims (semantics, section 4)."""

from collections.abc import Mapping
from typing import Any, Final

from ledger.domain.claim import SECOND_MS, Claim, Kind
from ledger.domain.errors import LedgerError
from ledger.domain.listing import LAG_MS
from ledger.domain.status import Status
from ledger.ofauth.schemas import ROW, Facts, facts, load
from ledger.ofauth.text import Unreadable, check_value

_AT_BIRTH: Final = frozenset({"clientReferenceId", "createdAt"})


class UnreadableRow(LedgerError):
    """A row of the provider's list does not have its form; `detail` says which part."""

    def __init__(self, detail: str) -> None:
        super().__init__(
            f"A row of the provider's connection list could not be read: {detail}. The pass is "
            "not valid, nothing is inferred from it; look at what the provider's list answers."
        )
        self.detail = detail


def read_row(row: Mapping[str, Any], *, answered: int, first_seen: bool) -> list[Claim]:
    """Give the claims of a list row, each with its id; the row itself comes first.

    `answered` is when the provider answered, milliseconds since the epoch, UTC. A row seen for
    the first time also tells of its birth, its last change and, when expired, of its expiry.

    Raises:
        UnreadableRow: the row does not have the published form, or has no id.
    """
    try:
        check_value(row)
        loaded = load(ROW, row, {"_schema": "the row"})
    except Unreadable as error:
        raise UnreadableRow(error.detail) from error
    connection_id = loaded["id"]
    stated = facts(loaded, {name: row[name] for name in row.keys() - ROW.fields.keys()})
    updated = stated.fields.get("updatedAt", 0)
    k = max(updated, answered - LAG_MS)
    claims = [_whole(connection_id, Kind.ROW, k, stated, answered=answered)]
    if first_seen:
        claims += _earlier(connection_id, stated, answered)
    return [claim.identified() for claim in claims]


def _earlier(connection_id: str, stated: Facts, answered: int) -> list[Claim]:
    """Give what a row tells of the time before it was first seen."""
    claims = []
    carried = stated.fields
    if "createdAt" in carried:
        born = {name: value for name, value in carried.items() if name in _AT_BIRTH}
        birth = Claim(
            connection_id=connection_id, kind=Kind.BIRTH, k=carried["createdAt"], fields=born
        )
        claims.append(birth)
    if "updatedAt" in carried:
        claims.append(_whole(connection_id, Kind.ROW_UPDATED, carried["updatedAt"], stated))
    expired = carried.get("expiredAt")
    if stated.status is Status.EXPIRED and expired is not None:
        # A `Date` has whole seconds: what happened in its second is not after it.
        k = expired if expired < answered + SECOND_MS else answered
        claims.append(
            Claim(connection_id=connection_id, kind=Kind.ROW_EXPIRED, k=k, status=Status.EXPIRED)
        )
    return claims


def _whole(
    connection_id: str, kind: Kind, k: int, stated: Facts, *, answered: int | None = None
) -> Claim:
    """Make a claim of everything that the row states."""
    return Claim(
        connection_id=connection_id,
        kind=kind,
        k=k,
        status=stated.status,
        fields=stated.fields,
        personal=stated.personal,
        answered=answered,
        flags=stated.flags,
    )
