"""One pretended organisation: its connections, its Link sessions, and what its calls did."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from api.emulator.world import Action, Connection, Details, Fact, World

Tell = Callable[[Fact, bool], None]
"""Takes a fact of which a webhook tells, and whether that one is held back."""


@dataclass(slots=True)
class Effects:
    """What calls of the HTTP API did; a call that was answered without effect does not count."""

    deleted: Counter[str] = field(default_factory=Counter)
    """By connection id."""
    invalidated: Counter[str] = field(default_factory=Counter)
    """By connection id: how often its creator was logged out."""
    imported: Counter[str] = field(default_factory=Counter)
    """By connection id: the import and each new session."""
    linked: int = 0
    """Link sessions made."""

    def as_json(self) -> dict[str, Any]:
        """Give every counter by its name."""
        return {
            "deleted": dict(self.deleted),
            "invalidated": dict(self.invalidated),
            "imported": dict(self.imported),
            "linked": self.linked,
        }


class Organisation:
    """The connections of one organisation, told of as they change. The caller holds a lock."""

    def __init__(
        self, name: str, *, seed: str, identity: str, now: Callable[[], int], tell: Tell
    ) -> None:
        """Start without connections; `identity` is its id, `now` gives milliseconds, UTC."""
        self.id = identity
        self.name = name
        self.world = World(random.Random(f"world {seed}"), now)
        self.effects = Effects()
        self._tell = tell

    def create(
        self,
        details: Details,
        *,
        status: str = "active",
        imported: bool = False,
        at: int | None = None,
        hold: bool = False,
        told: bool = True,
    ) -> Connection:
        """Let a connection come to be.

        Raises:
            BadRequest: the provider has no such status.
        """
        fact = self.world.create(details, status=status, imported=imported, at=at)
        if told:
            self._tell(fact, hold)
        return fact.connection

    def act(
        self,
        connection_id: str,
        action: Action,
        details: Details | None = None,
        *,
        at: int | None = None,
        hold: bool = False,
        told: bool = True,
    ) -> Connection:
        """Let something happen to a connection.

        Raises:
            UnknownConnection: there is no such connection.
        """
        connection, fact = self.world.act(connection_id, action, details or Details(), at=at)
        if fact is not None and told:
            self._tell(fact, hold)
        return connection

    def change_password(
        self, connection_id: str, *, at: int | None = None, hold: bool = False
    ) -> Connection:
        """Let a creator change the password: all connections of the account expire.

        Raises:
            UnknownConnection: there is no such connection.
        """
        for fact in self.world.change_password(connection_id, at=at):
            self._tell(fact, hold)
        return self.world.get(connection_id)

    def delete(self, connection_id: str) -> None:
        """Delete by a call.

        Raises:
            UnknownConnection: there is no such connection.
        """
        self.act(connection_id, Action.DISCONNECT)
        self.effects.deleted[connection_id] += 1

    def invalidate(self, connection_id: str) -> None:
        """Invalidate by a call; no effect on an expired one.

        Raises:
            UnknownConnection: there is no such connection.
        """
        before = self.world.get(connection_id).status
        self.act(connection_id, Action.EXPIRE)
        if before != "expired":
            self.effects.invalidated[connection_id] += 1
