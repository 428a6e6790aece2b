"""What notes come to: claims that state nothing of the connection's own.

A note says what the ledger did, concluded or was told about a connection. It has its place among
the claims by its time, like any other, and what is stated after it may put an end to it. Like the
fold, all of this depends on the order of the claims alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from ledger.domain.claim import Claim, Kind
from ledger.domain.status import Status

CAUSED_WITHIN_MS: Final = 600_000
"""An expiry this long after our own request is taken for its effect."""
ROUNDED_MS: Final = 2_000
"""How long before our request its effect may be dated: the provider's times can be whole seconds,
and its clock is another than ours."""
NAMES: Final[Mapping[Kind, str]] = {
    Kind.MISSING: "connection.missing",
    Kind.NOT_FOUND: "connection.confirmed",
    Kind.DELETE_REQUESTED: "connection.deletion_requested",
    Kind.INVALIDATE_REQUESTED: "connection.invalidation_requested",
    Kind.EXPIRY_SUSPECTED: "connection.expiry_suspected",
    Kind.REFUSED: "connection.confirmed",
    Kind.FORKED: "connection.forked",
}
"""How the event of a note is called, whatever came before it."""
REQUESTS: Final[Mapping[Kind, str]] = {
    Kind.DELETE_REQUESTED: "delete",
    Kind.INVALIDATE_REQUESTED: "invalidate",
}
"""The notes that are requests of our own, by what was requested."""
_ASKED_AT: Final[Mapping[Kind, str]] = {
    Kind.DELETE_REQUESTED: "deletion_requested_at",
    Kind.INVALIDATE_REQUESTED: "invalidation_requested_at",
}


class Cause(NamedTuple):
    """The request of our own that an expiry followed."""

    request: str
    """`delete` or `invalidate`."""
    by: str | None
    """Who asked."""
    at: int
    """When: milliseconds since the epoch, UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """What is noted of a connection; times in milliseconds since the epoch, UTC."""

    missing_since: int | None = None
    """Since when valid passes have not listed it; None as soon as anything is stated again."""
    last_listed_at: int | None = None
    """When a pass listed it last, while it is missing."""
    not_found_at: int | None = None
    """When the provider last answered that it does not know it, if nothing was stated since."""
    deletion_requested_at: int | None = None
    """When we were last asked to delete it, and not refused; stays after the deletion."""
    invalidation_requested_at: int | None = None
    """When we were last asked to end its session, and not refused; stays afterwards."""
    expiry_suspected_at: int | None = None
    """Since when its session is suspected to have ended, if no status was stated since."""
    predecessor_id: str | None = None
    """The connection that a Link session was for when it ended in this one."""
    successor_id: str | None = None
    """The connection in which a Link session for this one ended."""


class Notebook:
    """The notes of one walk over the ordered claims."""

    def __init__(self) -> None:
        self.held: dict[str, Any] = {}
        """The members of `Notes` that are not None, but for the requests."""
        self._requests: list[Claim] = []
        self._closed: set[str] = set()

    @property
    def missing(self) -> bool:
        """Whether the connection is missing at this place."""
        return "missing_since" in self.held

    def take(self, note: Claim, status: Status | None) -> None:
        """Take down the next note; `status` is that of the connection at this place."""
        held, carried, gone = self.held, note.fields, status is Status.DELETED
        if "closes" in carried:
            self._closed.add(carried["closes"])
        match note.kind:
            case Kind.MISSING if not gone:
                held["missing_since"] = carried.get("missingSince", note.k)
                held["last_listed_at"] = carried.get("lastListedAt")
            case Kind.NOT_FOUND if not gone:
                held["not_found_at"] = note.k
            case Kind.DELETE_REQUESTED | Kind.INVALIDATE_REQUESTED:
                self._requests.append(note)
            case Kind.EXPIRY_SUSPECTED if status is Status.ACTIVE:
                held.setdefault("expiry_suspected_at", note.k)
            case Kind.FORKED:
                if "predecessorId" in carried:
                    held["predecessor_id"] = carried["predecessorId"]
                if "successorId" in carried:
                    held["successor_id"] = carried["successorId"]

    def heard(self, status: Status | None) -> None:
        """Put an end to what a statement ends, with the status that it carries or none."""
        for name in ("missing_since", "last_listed_at", "not_found_at"):
            self.held.pop(name, None)
        if status is not None:
            self.held.pop("expiry_suspected_at", None)

    def result(self) -> dict[str, Any]:
        """Give the members of `Notes` that are not None after the last claim.

        By the provider's clock a refusal may stand before the request that it closes.
        """
        standing = (one for one in self._requests if one.fields.get("command") not in self._closed)
        return self.held | {_ASKED_AT[request.kind]: request.k for request in standing}

    def cause(self, k: int) -> Cause | None:
        """Give the newest request of our own that an expiry at `k` may be the effect of."""
        near = [
            request
            for request in self._requests
            if request.k - ROUNDED_MS <= k <= request.k + CAUSED_WITHIN_MS
        ]
        if not near:
            return None
        return Cause(REQUESTS[near[-1].kind], near[-1].fields.get("requestedBy"), near[-1].k)
