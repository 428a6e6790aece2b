"""The connections of one pretended organisation, and what happens to them.

Pure and deterministic: the same seed, clock and calls give the same ids, rows and facts.
"""

import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice
from string import ascii_lowercase, digits
from typing import Any, Final

from api.emulator.errors import BadRequest, UnknownConnection
from api.times import format_millis

STATUSES: Final = ("active", "awaiting_2fa", "expired")
"""The states in which the provider lists a connection."""
DEFAULT_PERMISSIONS: Final = ("profile:read", "messages:read")
_NAMES: Final = ("Ada", "Bela", "Cleo", "Dina", "Enzo", "Faye", "Gus", "Hana", "Ivo", "June")
_ALPHABET: Final = ascii_lowercase + digits
_MOST_FACTS: Final = 1_000_000
"""How many facts are remembered, newest first to stay."""


class Action(StrEnum):
    """What may happen to a connection that exists."""

    EXPIRE = "expire"
    AWAIT_2FA = "await-2fa"
    ACTIVATE = "activate"
    RECONNECT = "reconnect"
    UPDATE = "update"
    DISCONNECT = "disconnect"


_TURNS: Final[Mapping[Action, str]] = {
    Action.EXPIRE: "expired",
    Action.AWAIT_2FA: "awaiting_2fa",
    Action.ACTIVATE: "active",
    Action.RECONNECT: "active",
}
_ONCE: Final = (Action.EXPIRE, Action.AWAIT_2FA, Action.ACTIVATE)
"""What nothing is told of when it is so already."""
_WEBHOOKS: Final[Mapping[Action, str]] = {
    Action.EXPIRE: "connection.expired",
    Action.DISCONNECT: "connection.disconnected",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One connection as the provider knows it; times are milliseconds since the epoch, UTC."""

    id: str
    status: str
    user_data: Mapping[str, Any]
    permissions: tuple[str, ...]
    created_at: int
    updated_at: int
    expired_at: int | None
    client_reference_id: str | None
    imported: bool
    last_checked_at: int

    @property
    def account(self) -> Any:
        """The id of the upstream account, None when nobody said it."""
        return self.user_data.get("id")

    def row(self) -> dict[str, Any]:
        """Give the row of the provider's list, with all its ten keys."""
        return {
            "id": self.id,
            "status": self.status,
            "userData": dict(self.user_data),
            "permissions": list(self.permissions),
            "createdAt": format_millis(self.created_at),
            "updatedAt": format_millis(self.updated_at),
            "expiredAt": None if self.expired_at is None else format_millis(self.expired_at),
            "clientReferenceId": self.client_reference_id,
            "imported": self.imported,
            "lastCheckedAt": format_millis(self.last_checked_at),
        }


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that happened, of which the provider tells by a webhook."""

    type: str
    """The webhook's type."""
    at: int
    """When it happened: milliseconds since the epoch, UTC."""
    connection: Connection
    """The connection right after it."""

    def as_json(self) -> dict[str, Any]:
        """Give type, time and the row right after it."""
        return {"type": self.type, "at": format_millis(self.at), "row": self.connection.row()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What a creator or an update may bring along; None leaves a detail as it is."""

    client_reference_id: str | None = None
    user_data: Mapping[str, Any] | None = None
    permissions: tuple[str, ...] | None = None


class World:
    """All connections that exist. Not safe for several threads: the caller holds a lock."""

    def __init__(self, rng: random.Random, now: Callable[[], int]) -> None:
        """Start without connections; `now` gives milliseconds since the epoch, UTC."""
        self._rng = rng
        self._now = now
        self._connections: dict[str, Connection] = {}
        self._gone: dict[str, Connection] = {}
        self.version = 0
        """How many facts there have been."""
        self.facts: deque[Fact] = deque(maxlen=_MOST_FACTS)
        """What happened, in the order in which it did."""

    def create(
        self, details: Details, *, status: str = "active", imported: bool = False, at: int | None
    ) -> Fact:
        """Let a creator finish Link, at a given time or now.

        Raises:
            BadRequest: the provider has no such status.
        """
        if status not in STATUSES:
            raise BadRequest(f"Unknown status, expected one of {', '.join(STATUSES)}.")
        moment = self._now() if at is None else at
        connection = Connection(
            id=f"conn_{self._text(20)}",
            status=status,
            user_data={**self._somebody(), **(details.user_data or {})},
            permissions=DEFAULT_PERMISSIONS if details.permissions is None else details.permissions,
            created_at=moment,
            updated_at=moment,
            expired_at=moment if status == "expired" else None,
            client_reference_id=details.client_reference_id,
            imported=imported,
            last_checked_at=moment,
        )
        return self._happened("connection.created", moment, connection)

    def act(
        self, connection_id: str, action: Action, details: Details, *, at: int | None
    ) -> tuple[Connection, Fact | None]:
        """Let something happen, at a given time or now; no fact when it is so already.

        Without a given time, each fact is at least 1 ms after the connection's last one.

        Raises:
            UnknownConnection: there is no such connection.
        """
        known = self.get(connection_id)
        if action in _ONCE and known.status == _TURNS[action]:
            return known, None
        moment = max(self._now(), known.updated_at + 1) if at is None else at
        changed = _changed(known, action, details, moment)
        fact = self._happened(_WEBHOOKS.get(action, "connection.updated"), moment, changed)
        return changed, fact

    def change_password(self, connection_id: str, *, at: int | None) -> list[Fact]:
        """Let a creator change the password: every connection of the account expires.

        Raises:
            UnknownConnection: there is no such connection.
        """
        account = self.get(connection_id).account
        same = [one.id for one in self._connections.values() if one.account == account]
        turns = [self.act(one, Action.EXPIRE, Details(), at=at)[1] for one in same]
        return [fact for fact in turns if fact is not None]

    def get(self, connection_id: str) -> Connection:
        """Give a connection that exists.

        Raises:
            UnknownConnection: there is no such connection.
        """
        known = self._connections.get(connection_id)
        if known is None:
            raise UnknownConnection
        return known

    def exists(self, connection_id: str) -> bool:
        """Tell whether there is such a connection."""
        return connection_id in self._connections

    def remembered(self, connection_id: str) -> Connection | None:
        """Give a connection, also one that was deleted, as it was last; None for a strange id."""
        return self._connections.get(connection_id) or self._gone.get(connection_id)

    def connections(self) -> list[Connection]:
        """Give the connections that exist, newest first."""
        everything = self._connections.values()
        return sorted(everything, key=lambda one: (one.created_at, one.id), reverse=True)

    def since(self, version: int) -> list[Fact]:
        """Give what happened after a version, first to last, as far as it is remembered."""
        return list(islice(reversed(self.facts), self.version - version))[::-1]

    def gone(self) -> Sequence[str]:
        """Give the ids of the connections that were deleted, first to last."""
        return tuple(self._gone)

    def __len__(self) -> int:
        return len(self._connections)

    def _happened(self, kind: str, moment: int, connection: Connection) -> Fact:
        """Let a connection be as a fact leaves it."""
        if kind == "connection.disconnected":
            self._gone[connection.id] = self._connections.pop(connection.id)
        else:
            self._connections[connection.id] = connection
        self.version += 1
        fact = Fact(kind, moment, connection)
        self.facts.append(fact)
        return fact

    def _text(self, length: int) -> str:
        return "".join(self._rng.choices(_ALPHABET, k=length))

    def _somebody(self) -> dict[str, Any]:
        name = self._rng.choice(_NAMES)
        number = self._rng.randrange(10**8, 10**9)
        return {
            "id": str(number),
            "name": name,
            "username": f"{name.lower()}{number % 1000}",
            "avatar": f"https://cdn.ofauth.example/{number}.jpg",
        }


def _changed(known: Connection, action: Action, details: Details, moment: int) -> Connection:
    """Give the connection as the action leaves it."""
    status = _TURNS.get(action, known.status)
    expired_at = known.expired_at if status == "expired" else None
    return replace(
        known,
        status=status,
        expired_at=moment if action is Action.EXPIRE else expired_at,
        user_data={**known.user_data, **(details.user_data or {})},
        permissions=known.permissions if details.permissions is None else details.permissions,
        client_reference_id=details.client_reference_id or known.client_reference_id,
        updated_at=max(known.updated_at, moment),
        last_checked_at=max(known.last_checked_at, moment),
    )
