"""The emulator's world: what happens to connections, and which webhooks tell of it."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from api.emulator.bodies import Shape, render
from api.emulator.errors import BadRequest, UnknownConnection
from api.emulator.world import Action, Connection, Details, Fact, World

NOON = 1_767_268_800_000  # 2026-01-01T12:00:00Z
ROW_KEYS = {
    "id",
    "status",
    "userData",
    "permissions",
    "createdAt",
    "updatedAt",
    "expiredAt",
    "clientReferenceId",
    "imported",
    "lastCheckedAt",
}


def make_world(seed: int = 7) -> World:
    """A world whose clock stands still at noon."""
    return World(random.Random(seed), lambda: NOON)


def started(status: str = "active") -> tuple[World, Connection]:
    """A world with one connection."""
    world = make_world()
    return world, world.create(
        Details(client_reference_id="mia"), status=status, at=None
    ).connection


def read(fact: Fact, shape: Shape, **options: Any) -> dict[str, Any]:
    """The body of a fact, parsed."""
    wanted = {"at": fact.at, "seconds": False, "live": True, **options}
    body: dict[str, Any] = json.loads(render(fact, shape, **wanted))
    return body


def test_a_row_has_all_ten_keys() -> None:
    """A list row is complete, whatever the creator brought along."""
    _, connection = started()
    assert set(connection.row()) == ROW_KEYS
    assert connection.row()["createdAt"] == "2026-01-01T12:00:00.000Z"


def test_the_same_seed_gives_the_same_world() -> None:
    """Ids and made-up people depend on the seed alone."""
    first, second, other = make_world(1), make_world(1), make_world(2)
    made = [one.create(Details(), at=None).connection for one in (first, second, other)]
    assert made[0] == made[1]
    assert made[0].id != made[2].id


@pytest.mark.parametrize(
    ("before", "action", "after", "webhook"),
    [
        ("active", Action.EXPIRE, "expired", "connection.expired"),
        ("active", Action.AWAIT_2FA, "awaiting_2fa", "connection.updated"),
        ("awaiting_2fa", Action.ACTIVATE, "active", "connection.updated"),
        ("expired", Action.RECONNECT, "active", "connection.updated"),
        ("active", Action.RECONNECT, "active", "connection.updated"),
        ("expired", Action.UPDATE, "expired", "connection.updated"),
        ("active", Action.DISCONNECT, "active", "connection.disconnected"),
    ],
)
def test_each_action_leads_to_its_status_and_webhook(
    before: str, action: Action, after: str, webhook: str
) -> None:
    """The seven ways on, each told by one webhook."""
    world, connection = started(before)
    changed, fact = world.act(connection.id, action, Details(), at=None)
    assert changed.status == after
    assert fact is not None
    assert (fact.type, fact.connection) == (webhook, changed)


@pytest.mark.parametrize(
    ("status", "action"),
    [
        ("expired", Action.EXPIRE),
        ("awaiting_2fa", Action.AWAIT_2FA),
        ("active", Action.ACTIVATE),
    ],
)
def test_what_is_so_already_is_not_told_again(status: str, action: Action) -> None:
    """An action that changes nothing has no webhook."""
    world, connection = started(status)
    assert world.act(connection.id, action, Details(), at=NOON + 5) == (connection, None)


def test_facts_of_a_connection_have_rising_times() -> None:
    """Two actions within one tick of the clock still have an order."""
    world, connection = started()
    facts = [
        world.act(connection.id, action, Details(), at=None)[1]
        for action in (Action.EXPIRE, Action.RECONNECT, Action.UPDATE)
    ]
    assert [fact.at for fact in facts if fact] == [NOON + 1, NOON + 2, NOON + 3]


def test_a_reconnect_ends_the_expiry() -> None:
    """`expiredAt` is there while the connection is expired, and gone after."""
    world, connection = started()
    expired, _ = world.act(connection.id, Action.EXPIRE, Details(), at=NOON + 1000)
    assert expired.row()["expiredAt"] == "2026-01-01T12:00:01.000Z"
    again, _ = world.act(connection.id, Action.RECONNECT, Details(), at=NOON + 2000)
    assert again.row()["expiredAt"] is None


def test_an_update_merges_user_data() -> None:
    """What an update does not name stays."""
    world, connection = started()
    details = Details(user_data={"name": "Mia Lind"}, permissions=("profile:read",))
    changed, _ = world.act(connection.id, Action.UPDATE, details, at=None)
    assert changed.user_data == {**connection.user_data, "name": "Mia Lind"}
    assert changed.permissions == ("profile:read",)
    assert changed.client_reference_id == "mia"


def test_a_disconnected_connection_is_gone() -> None:
    """After the end there is no row and nothing more can happen."""
    world, connection = started()
    world.act(connection.id, Action.DISCONNECT, Details(), at=None)
    assert world.connections() == []
    with pytest.raises(UnknownConnection):
        world.act(connection.id, Action.EXPIRE, Details(), at=None)


def test_a_status_outside_the_three_is_refused() -> None:
    """The provider lists no pending connection."""
    with pytest.raises(BadRequest, match="active, awaiting_2fa, expired"):
        make_world().create(Details(), status="pending", at=None)


def test_the_documented_shape() -> None:
    """Type, time and everything known."""
    _, connection = started()
    body = read(Fact("connection.created", NOON, connection), Shape.DOCUMENTED)
    assert body == {
        "type": "connection.created",
        "timestamp": "2026-01-01T12:00:00.000Z",
        "data": {
            "clientReferenceId": "mia",
            "connection": {
                "id": connection.id,
                "status": "active",
                "permissions": list(connection.permissions),
                "userData": dict(connection.user_data),
            },
        },
    }


def test_the_sdk_shape_has_no_timestamp_and_its_own_names() -> None:
    """`userId`, `platformUserId`, `live`, and no time."""
    _, connection = started()
    body = read(Fact("connection.updated", NOON, connection), Shape.SDK, live=False)
    assert set(body) == {"eventType", "live", "data"}
    assert body["live"] is False
    number = connection.user_data["id"]
    told = body["data"]["connection"]
    assert told["platformUserId"] == told["userData"]["userId"] == number
    assert "id" not in told["userData"]


def test_the_older_shape_tells_three_things() -> None:
    """Connection, user and status, and no reference."""
    _, connection = started()
    body = read(Fact("connection.created", NOON + 999, connection), Shape.OLDER, seconds=True)
    assert body == {
        "event": "connection.created",
        "timestamp": "2026-01-01T12:00:00Z",
        "data": {
            "connectionId": connection.id,
            "userId": connection.user_data["id"],
            "status": "active",
        },
    }


@pytest.mark.parametrize("shape", [Shape.DOCUMENTED, Shape.SDK])
def test_an_expiry_tells_only_id_and_status(shape: Shape) -> None:
    """Its connection carries nothing else, so a receiver must merge."""
    world, connection = started()
    _, fact = world.act(connection.id, Action.EXPIRE, Details(), at=None)
    assert fact is not None
    assert read(fact, shape)["data"] == {
        "connection": {"id": connection.id, "status": "expired"},
        "clientReferenceId": "mia",
    }
