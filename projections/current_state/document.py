"""From the fold of a connection to what is answered about it."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from msgspec.structs import replace

from ledger.domain.claim import NOTES, Evidence
from ledger.domain.connection import Connection, Step
from ledger.domain.orders import UNPROVED, open_orders, unproved_before
from ledger.domain.status import Status
from projections.answers import ClientView, ConnectionView, LinkView
from projections.links.document import status_by_links
from projections.links.forks import FLAG
from projections.times import source_of

BEST_FIRST: Final = (Status.ACTIVE, Status.AWAITING_2FA, Status.EXPIRED)
NEVER: Final = 2**62
"""Stands for what is not known, or never comes, where that comes last."""
SWEEP: Final = "sweep"


def connection_view(connection: Connection) -> ConnectionView:
    """Give what is true of a connection; whether it is stale depends on when one asks."""
    fields = connection.fields
    evidence_at, source = _newest_evidence(connection)
    return ConnectionView(
        id=connection.id,
        client_reference_id=connection.client,
        status=connection.status,
        status_since=connection.status_since,
        permissions=_tuple(fields.get("permissions")),
        user_data=None if connection.user_data is None else _sorted(connection.user_data),
        created_at=fields.get("createdAt", connection.created_at),
        updated_at=_updated_at(fields.get("updatedAt"), connection.steps),
        expired_at=_expired_at(connection),
        deleted_at=connection.deleted_at,
        missing_since=connection.missing_since,
        deletion_requested_at=connection.deletion_requested_at,
        expiry_suspected_at=connection.expiry_suspected_at,
        asked_at=min(open_orders(connection).values(), default=None),
        imported=fields.get("imported"),
        last_checked_at=fields.get("lastCheckedAt"),
        last_evidence_at=evidence_at,
        last_evidence_source=source,
        stale=False,
        predecessor_id=connection.predecessor_id,
        successor_id=connection.successor_id,
        flags=connection.flags,
    )


def born_at(view: ConnectionView) -> int:
    """Give when a connection began, milliseconds UTC; after all others when that is not known."""
    return NEVER if view.created_at is None else view.created_at


def age(view: ConnectionView) -> tuple[int, str]:
    """Give the sort key by which the oldest connection comes first."""
    return (born_at(view), view.id)


def swept_from(view: ConnectionView, known_at: int) -> int:
    """Give the position from which on passes that begin keep a connection fresh.

    That is where it became known, unless they do not tell how it is. One that is imported is
    listed, but the provider does not check its session.
    """
    told = view.status != Status.DELETED and not view.imported and view.missing_since is None
    return known_at if told else NEVER


def at_moment(
    view: ConnectionView,
    *,
    moment_ms: int,
    stale_after_ms: int,
    listed_at: int | None = None,
    blocked: bool = False,
    duplicate_of: str | None = None,
    fork_suspected: bool = False,
) -> ConnectionView:
    """Say of a view what its own stream does not tell: how it stands at a moment, among others.

    That is whether it is stale, given when a pass listed it last, whether a command is not proved
    for too long, whether its stream is blocked, whose duplicate it is, and whether it may be a
    fork.
    """
    evidence_at, source = view.last_evidence_at, view.last_evidence_source
    if listed_at is not None and listed_at > evidence_at:
        evidence_at, source = listed_at, SWEEP
    lives = view.status != Status.DELETED
    more = ["blocked"] if blocked else []
    if view.asked_at is not None and view.asked_at < unproved_before(moment_ms):
        more.append(UNPROVED)
    if fork_suspected:
        more.append(FLAG)
    return replace(
        view,
        last_evidence_at=evidence_at,
        last_evidence_source=source,
        stale=lives and evidence_at < moment_ms - stale_after_ms,
        flags=tuple(sorted({*view.flags, *more})) if more else view.flags,
        duplicate_of=duplicate_of,
    )


def client_view(
    reference: str,
    views: Iterable[ConnectionView],
    links: Sequence[LinkView] = (),
    *,
    known: bool,
) -> ClientView:
    """Give what is true of a client from its connections and Link sessions.

    `known` tells whether any history entry is the client's: with no live connection, that makes
    the difference between one whose connections are gone and one that had none.
    """
    connections = tuple(sorted(views, key=age))
    live = [view for view in connections if view.status != Status.DELETED]
    newest = max(connections, key=lambda v: (v.last_evidence_at, v.id), default=None)
    return ClientView(
        client_reference_id=reference,
        status=_best(live) if live else _without_live(links, had=bool(connections) or known),
        connections=connections,
        link_sessions=tuple(links),
        last_evidence_at=None if newest is None else newest.last_evidence_at,
        last_evidence_source=None if newest is None else newest.last_evidence_source,
        stale=any(view.stale for view in live),
    )


def _without_live(links: Sequence[LinkView], *, had: bool) -> str | None:
    """Give the status of a client without a live connection; `had` tells whether it had any."""
    return status_by_links(links) or (Status.DELETED if had else None)


def _best(live: Sequence[ConnectionView]) -> str | None:
    said = {view.status for view in live}
    return next((status for status in BEST_FIRST if status in said), None)


def _newest_evidence(connection: Connection) -> tuple[int, str]:
    """Give when the connection's own newest evidence came, and by which way.

    Of one that is missing, passes have said when they listed it last.
    """
    newest = _newest(connection.steps)
    listed_at = connection.last_listed_at
    if listed_at is not None and listed_at > newest.observed:
        return listed_at, SWEEP
    return newest.observed, source_of(newest.channel)


def _newest(steps: Sequence[Step]) -> Evidence:
    """Give the newest evidence of what was stated: a note does not make a connection fresher."""
    stating = [step for step in steps if step.claim.kind not in NOTES] or steps
    newest = stating[0].evidence[0]
    for step in stating:
        for evidence in step.evidence:
            later = evidence.observed - newest.observed
            if later > 0 or (later == 0 and evidence.stream > newest.stream):
                newest = evidence
    return newest


def _updated_at(carried: int | None, steps: Sequence[Step]) -> int | None:
    changed = next((step.claim.k for step in reversed(steps) if step.changed), None)
    return max((k for k in (carried, changed) if k is not None), default=None)


def _expired_at(connection: Connection) -> int | None:
    """Give when the session ended or will end, as last said, unless the status has turned since.

    Webhooks do not say it: what a row said before one of them is about a session before.
    """
    since, said = connection.status_since, None
    if "expiredAt" in connection.fields:
        claims = (step.claim for step in reversed(connection.steps))
        claim = next(claim for claim in claims if "expiredAt" in claim.fields)
        if since is None or claim.k >= since or not connection.live:
            said = claim.fields["expiredAt"]
    return since if said is None and connection.status is Status.EXPIRED else said


def _tuple(values: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(values)


def _sorted(mapping: Any) -> dict[str, Any]:
    return {key: mapping[key] for key in sorted(mapping)}
