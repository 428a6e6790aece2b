"""What is answered about a connection and a client, from the fold."""

from typing import Any

from ledger.domain.status import Status
from projections.answers import ConnectionView
from projections.current_state.document import at_moment, client_view, connection_view
from tests.given import (
    MINUTE,
    NOON,
    Said,
    active,
    created,
    delete_requested,
    delivered,
    disconnected,
    expired,
    expiry_suspected,
    forked,
    missing,
    row,
    swept,
    updated,
    view,
)

HOUR = 60 * MINUTE


def shown(*said: Said, at: int = 0, stale_after: int = HOUR) -> ConnectionView:
    """The view of the connection, asked for `at` milliseconds after noon."""
    return at_moment(connection_view(view(*said)), moment_ms=NOON + at, stale_after_ms=stale_after)


def test_created_at_is_the_carried_time_else_that_of_the_beginning() -> None:
    """A list row knows better than the webhook that announced it."""
    assert shown(created(at=5)).created_at == NOON + 5
    assert shown(created(at=5), updated(at=MINUTE, createdAt=NOON + 3)).created_at == NOON + 3
    assert shown(expired()).created_at is None


def test_updated_at_is_the_last_change_or_the_carried_time() -> None:
    """A confirmation is no update."""
    assert shown(created(), active(at=MINUTE)).updated_at == NOON
    assert shown(created(), expired(at=MINUTE)).updated_at == NOON + MINUTE
    carried = updated(at=MINUTE, updatedAt=NOON + HOUR)
    assert shown(created(), carried).updated_at == NOON + HOUR


def test_expired_at_is_the_carried_time_else_the_start_of_the_expiry() -> None:
    """An active connection that never carried one has none."""
    assert shown(created()).expired_at is None
    assert shown(created(), expired(at=MINUTE)).expired_at == NOON + MINUTE
    assert shown(created(), expired(at=MINUTE), active(at=HOUR)).expired_at is None
    carried = row(at=MINUTE, answered=MINUTE, status=Status.EXPIRED, expiredAt=NOON + 7)
    assert shown(created(), carried).expired_at == NOON + 7


def test_what_a_row_said_of_an_expiry_holds_until_the_status_turns() -> None:
    """Webhooks do not say when a session ended: what was said before is about another one."""
    live = row(at=MINUTE, answered=MINUTE, status=Status.ACTIVE, expiredAt=None)
    over = row(at=MINUTE, answered=MINUTE, status=Status.EXPIRED, expiredAt=NOON + 7)
    later = row(at=HOUR, answered=HOUR, status=Status.ACTIVE, expiredAt=NOON + 9 * HOUR)
    assert shown(created(), live, expired(at=2 * MINUTE)).expired_at == NOON + 2 * MINUTE
    assert shown(created(), over, active(at=HOUR)).expired_at is None
    assert shown(created(), over, active(at=HOUR), expired(at=2 * HOUR)).expired_at == (
        NOON + 2 * HOUR
    )
    assert shown(created(), over, later).expired_at == NOON + 9 * HOUR
    assert shown(created(), over, disconnected(at=HOUR)).expired_at == NOON + 7


def test_last_evidence_is_the_newest_arrival_of_any_claim() -> None:
    """A second delivery of an old claim is fresh evidence."""
    seen = shown(created(), swept(row(at=MINUTE, answered=2 * MINUTE)))
    assert (seen.last_evidence_at, seen.last_evidence_source) == (NOON + MINUTE, "sweep")
    assert shown(delivered(created(at=9), "a")).last_evidence_source == "webhook"


def test_a_connection_is_stale_when_its_evidence_is_older_than_the_limit() -> None:
    """At the limit it is not; deleted, never."""
    assert not shown(created(), at=HOUR).stale
    assert shown(created(), at=HOUR + 1).stale
    assert not shown(created(), disconnected(at=MINUTE), at=9 * HOUR).stale


def test_a_blocked_stream_is_flagged() -> None:
    """The reader learns that later events are missing."""
    base = connection_view(view(expired()))
    blocked = at_moment(base, moment_ms=NOON, stale_after_ms=HOUR, blocked=True)
    assert blocked.flags == ("blocked", *base.flags)


def test_a_note_does_not_make_a_connection_fresher() -> None:
    """Only a statement does; a connection known by notes alone is as old as they are."""
    gone = shown(created(), missing(at=9 * HOUR), at=9 * HOUR)
    assert (gone.last_evidence_at, gone.stale) == (NOON, True)
    assert shown(delete_requested(at=MINUTE)).last_evidence_at == NOON + MINUTE


def test_what_is_noted_is_shown() -> None:
    """Each under its own name; what nobody noted is absent."""
    seen = shown(
        created(),
        expiry_suspected(at=1),
        delete_requested(at=2),
        forked(at=3, successorId="conn_2"),
        missing(at=4, since=MINUTE),
    )
    assert (seen.expiry_suspected_at, seen.deletion_requested_at) == (NOON + 1, NOON + 2)
    assert (seen.successor_id, seen.predecessor_id) == ("conn_2", None)
    assert seen.missing_since == NOON + MINUTE
    assert shown(created(), forked(at=1, predecessorId="conn_0")).predecessor_id == "conn_0"
    bare = shown(created())
    assert (bare.missing_since, bare.deletion_requested_at, bare.expiry_suspected_at) == (None,) * 3


def of_status(status: str | None, **more: Any) -> ConnectionView:
    """A connection with a status, of no other interest."""
    base = connection_view(view(created()))
    return ConnectionView(
        **{name: getattr(base, name) for name in base.__struct_fields__}
        | {"status": status, "id": f"conn_{status}"}
        | more
    )


def test_a_client_has_the_best_status_of_its_live_connections() -> None:
    """First active, then awaiting_2fa, then expired; deleted ones count only when none lives."""
    orders = [
        (["deleted", "expired", "awaiting_2fa", "active"], "active"),
        (["expired", "awaiting_2fa", "deleted"], "awaiting_2fa"),
        (["deleted", "expired"], "expired"),
        (["deleted", None], None),
        (["deleted"], "deleted"),
    ]
    for statuses, best in orders:
        assert client_view("a", map(of_status, statuses), known=True).status == best


def test_a_client_without_connections_is_deleted_if_it_had_any() -> None:
    """Else there was nothing that could be deleted."""
    assert client_view("a", [], known=True).status == "deleted"
    assert client_view("a", [], known=False).status is None


def test_a_clients_connections_come_by_creation_then_id() -> None:
    """Those whose beginning is unknown come last."""
    views = [
        of_status("active", id="c", created_at=None),
        of_status("active", id="b", created_at=2),
        of_status("active", id="a", created_at=2),
        of_status("active", id="d", created_at=1),
    ]
    seen = client_view("a", views, known=True)
    assert [one.id for one in seen.connections] == ["d", "a", "b", "c"]


def test_a_client_is_as_fresh_as_its_newest_evidence_and_stale_with_any_live_connection() -> None:
    """One stale live connection is enough to be told."""
    fresh = of_status("active", id="a", last_evidence_at=9, last_evidence_source="sweep")
    stale = of_status("expired", id="b", last_evidence_at=5, stale=True)
    seen = client_view("a", [fresh, stale], known=True)
    assert (seen.last_evidence_at, seen.last_evidence_source, seen.stale) == (9, "sweep", True)
