"""The connections of a world in one order, kept up as they change."""

import hashlib
from bisect import bisect_left, insort
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, overload

from api.emulator.manner import Order
from api.emulator.world import Connection, Fact, World

_Key = tuple[Any, ...]


def _shuffled(one: Connection) -> _Key:
    return (hashlib.sha256(one.id.encode()).digest(), one.id)


_KEYS: Final[Mapping[Order, Callable[[Connection], _Key]]] = {
    Order.CREATED: lambda one: (one.created_at, one.id),
    Order.UPDATED: lambda one: (one.updated_at, one.id),
    Order.SHUFFLED: _shuffled,
}


class Ordering:
    """Which connection stands where. The caller holds a lock."""

    def __init__(self, world: World, order: Order) -> None:
        """Sort the connections that there are."""
        self.order = order
        """The order in which they are."""
        self._world = world
        self._key = _KEYS[order]
        self._keys: dict[str, _Key] = {}
        self._sorted: list[tuple[_Key, str]] = []
        self._version = 0
        self._sort()

    def catch_up(self) -> None:
        """Take over what has changed since."""
        news = self._world.since(self._version)
        if len(news) < self._world.version - self._version:
            self._sort()  # more has happened than is remembered
            return
        for fact in news:
            self._take(fact)
        self._version = self._world.version

    def __len__(self) -> int:
        return len(self._sorted)

    def at(self, place: int) -> Connection:
        """Give the connection at a place, counted from 0, or from -1 at the end."""
        return self._world.get(self._sorted[place][1])

    def move(self, place: int, *, beside: int) -> None:
        """Let a connection stand beside another one, until it changes next."""
        identity, key = self._sorted[place][1], self._sorted[beside][0]
        self._drop(identity)
        self._put(identity, key)

    def _sort(self) -> None:
        self._keys = {one.id: self._key(one) for one in self._world.connections()}
        self._sorted = sorted((key, identity) for identity, key in self._keys.items())
        self._version = self._world.version

    def _take(self, fact: Fact) -> None:
        one = fact.connection
        self._drop(one.id)
        if fact.type != "connection.disconnected":
            self._put(one.id, self._key(one))

    def _drop(self, identity: str) -> None:
        key = self._keys.pop(identity, None)
        if key is not None:
            del self._sorted[bisect_left(self._sorted, (key, identity))]

    def _put(self, identity: str, key: _Key) -> None:
        self._keys[identity] = key
        insort(self._sorted, (key, identity))


class Ordered(Sequence[Connection]):
    """The connections as a sequence, from either end, without a copy of it."""

    def __init__(self, ordering: Ordering, ascending: bool) -> None:
        """Look at an ordering that stays as it is meanwhile."""
        self._ordering = ordering
        self._ascending = ascending

    def __len__(self) -> int:
        return len(self._ordering)

    @overload
    def __getitem__(self, place: int) -> Connection: ...
    @overload
    def __getitem__(self, place: slice) -> list[Connection]: ...
    def __getitem__(self, place: int | slice) -> Connection | list[Connection]:
        if isinstance(place, slice):
            return [self[one] for one in range(len(self))[place]]
        if not 0 <= place < len(self):
            raise IndexError(place)
        return self._ordering.at(place if self._ascending else -1 - place)
