"""The states of a connection and the fixed order between them."""

from enum import StrEnum
from typing import Final


class Status(StrEnum):
    """A state of a connection: the provider's three, and the end."""

    ACTIVE = "active"
    AWAITING_2FA = "awaiting_2fa"
    EXPIRED = "expired"
    DELETED = "deleted"


PROVIDER_STATUSES: Final = frozenset({Status.ACTIVE, Status.AWAITING_2FA, Status.EXPIRED})
"""What the provider may say about a connection that exists."""

_RANK: Final = {
    None: 0,
    Status.ACTIVE: 1,
    Status.AWAITING_2FA: 2,
    Status.EXPIRED: 3,
    Status.DELETED: 4,
}


def rank(status: Status | None) -> int:
    """Order statuses of one instant: the greater one is taken as the later word."""
    return _RANK[status]
