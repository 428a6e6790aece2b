"""What can be commanded of a connection, and which commands are not proved to be done."""

from enum import StrEnum
from typing import Final

from ledger.domain.connection import Connection
from ledger.domain.notes import ROUNDED_MS
from ledger.domain.status import Status

UNPROVED_AFTER_MS: Final = 900_000
"""A request that is not proved to be done so long after it is an alarm: billing goes on."""
UNPROVED: Final = "command_unproved"
"""The flag of a connection of which that is so."""


class Order(StrEnum):
    """What can be commanded."""

    DELETE = "delete"
    INVALIDATE = "invalidate"


def open_orders(connection: Connection) -> dict[Order, int]:
    """Give the commands that are not proved to be done, and when each was last asked for.

    Times are milliseconds since the epoch, UTC. A deletion is proved by the connection's end, the
    end of a session by an expiry since the request, whoever told it.
    """
    if not connection.live:
        return {}
    found = {}
    if connection.deletion_requested_at is not None:
        found[Order.DELETE] = connection.deletion_requested_at
    asked = connection.invalidation_requested_at
    if asked is not None and not _expired_since(connection, asked - ROUNDED_MS):
        found[Order.INVALIDATE] = asked
    return found


def _expired_since(connection: Connection, k: int) -> bool:
    return any(
        step.claim.k >= k and step.claim.status is Status.EXPIRED and step.status is Status.EXPIRED
        for step in connection.steps
    )


def unproved_before(moment_ms: int) -> int:
    """Give before when a command was asked for that is an alarm at a moment; both milliseconds."""
    return moment_ms - UNPROVED_AFTER_MS
