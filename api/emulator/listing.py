"""The provider's list: its order, its rows, and what goes wrong while somebody reads it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from api.emulator.calls import Call
from api.emulator.errors import BadRequest
from api.emulator.faults import Dice
from api.emulator.manner import Manner, Nothing, OverLimit
from api.emulator.ordering import Ordered, Ordering
from api.emulator.organisation import Organisation
from api.emulator.world import STATUSES, Action, Connection, Details
from api.times import format_millis

DEFAULT_LIMIT: Final = 10
_ONLY_ACCOUNT: Final = ("imported", "lastCheckedAt")
"""Row keys that the plain path does not have."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which part of the list a call asks for."""

    status: str | None
    imported: bool | None
    limit: int
    offset: int

    @classmethod
    def read(cls, call: Call, manner: Manner) -> "Asked":
        """Read the query.

        Raises:
            BadRequest: a parameter cannot be used.
        """
        status = call.query.get("status")
        if status is not None and status not in STATUSES:
            raise BadRequest(f"Unknown status, expected one of {', '.join(STATUSES)}.")
        limit = call.number("limit", min(DEFAULT_LIMIT, manner.mostLimit), least=1)
        if limit > manner.mostLimit and manner.overLimit is OverLimit.REFUSE:
            raise BadRequest(f"limit is above {manner.mostLimit}.")
        offset = call.number("offset", 0, least=0)
        return cls(status, call.flag("imported"), min(limit, manner.mostLimit), offset)

    def has(self, one: Connection) -> bool:
        """Tell whether a connection is asked for."""
        return self.status in (None, one.status) and self.imported in (None, one.imported)


class Listing:
    """The list of one organisation. The caller holds a lock."""

    def __init__(self, organisation: Organisation, dice: Dice) -> None:
        """Begin in the published order."""
        self._organisation = organisation
        self._dice = dice
        self._ordering = Ordering(organisation.world, Manner().order)

    def page(self, asked: Asked, manner: Manner) -> tuple[list[Connection], bool]:
        """Give a page, and whether it says that more follow."""
        self._disturb()
        found = self._everything(manner)
        if asked.status is not None or asked.imported is not None:
            found = [one for one in found if asked.has(one)]
        offset = asked.offset
        if self._dice.strikes("listShift"):
            offset = max(0, offset + self._dice.choose(-1, 1))
        rows = list(found[offset : offset + asked.limit])
        if rows and self._dice.strikes("doubleRow"):
            doubled = self._dice.below(len(rows))
            rows = [*rows[: doubled + 1], *rows[doubled:]][: asked.limit]
        more = len(found) > offset + asked.limit
        return rows, more != self._dice.strikes("hasMore")

    def _disturb(self) -> None:
        """Let real things happen right before a page is made."""
        if self._dice.strikes("listInsert"):
            reference = self._dice.token("passer-by-")
            self._organisation.create(Details(client_reference_id=reference))
        if self._dice.strikes("listRemove") and (
            existing := self._organisation.world.connections()
        ):
            chosen = existing[self._dice.below(len(existing))]
            self._organisation.act(chosen.id, Action.DISCONNECT)

    def _everything(self, manner: Manner) -> Sequence[Connection]:
        """Give all connections in order."""
        if self._ordering.order is not manner.order:
            self._ordering = Ordering(self._organisation.world, manner.order)
        self._ordering.catch_up()
        rows = len(self._ordering)
        if rows > 1 and self._dice.strikes("listMove"):
            self._ordering.move(self._dice.below(rows), beside=self._dice.below(rows))
        return Ordered(self._ordering, manner.ascending)


def list_row(one: Connection, manner: Manner, *, account: bool, now: int) -> dict[str, Any]:
    """Give a row as the manner says; `account` for the path that tells all ten keys.

    `now` is in milliseconds since the epoch, UTC.
    """
    row = one.row()
    if manner.expiryAheadSeconds and one.status != "expired":
        row["expiredAt"] = format_millis(one.updated_at + manner.expiryAheadSeconds * 1000)
    if manner.checkSeconds and not one.imported:
        checked = now - now % (manner.checkSeconds * 1000)
        row["lastCheckedAt"] = format_millis(max(one.last_checked_at, checked))
    if manner.nothing is Nothing.ABSENT:
        row = {name: value for name, value in row.items() if value is not None}
        told = row["userData"].items()
        row["userData"] = {name: value for name, value in told if value is not None}
    for name in (*manner.absentKeys, *(() if account else _ONLY_ACCOUNT)):
        row.pop(name, None)
    return row
