"""Erasing a client: what may have to be forgotten goes, what happened stays.

The payloads of its connections and of its Link sessions go, and the raw bodies that speak of it:
those that a claim about one of its connections was drawn from, and those that nothing was drawn
from and that name it. The long searches are made before the write lock is taken, and again under
it for what came meanwhile.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from ledger.domain.errors import LedgerError
from ledger.domain.events import (
    ClientErased,
    DeliveryParked,
    DeliveryReceived,
    DeliveryResolved,
    Event,
)
from ledger.domain.link_events import LinkRequested
from ledger.domain.words import DELIVERY, client_stream, connection_of, connection_stream
from ledger.recorders import codec
from ledger.recorders.base import AmbiguousCommit, Change, Log, NewRow, Seen, StoredRow

LONG: Final = 6
"""From this many characters on a text is told apart from others without quotation marks around."""
BODIES_AT_ONCE: Final = 200
"""How many raw bodies one query gives."""
SESSIONS_AT_ONCE: Final = 2_000
"""How many Link sessions one query gives."""


class Mentions:
    """Whether a raw body names a client or one of its connections, as far as that can be told."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Look for these texts; a short one only where it is a whole JSON string."""
        self.needles: list[bytes] = []
        patterns = []
        for text in texts:
            for form in _forms(text):
                if len(text) < LONG:
                    self.needles += [b'"%b"' % form, b'\\"%b\\"' % form]
                    patterns += [re.escape(needle) for needle in self.needles[-2:]]
                else:
                    self.needles.append(form)
                    patterns.append(rb"(?<![\w.-])%b(?![\w.-])" % re.escape(form))
        self._pattern = re.compile(b"|".join(patterns))

    def __call__(self, body: bytes) -> bool:
        """Tell whether the body holds one of the texts."""
        return self._pattern.search(body) is not None


def _forms(text: str) -> set[bytes]:
    """Give the ways in which JSON may write a text."""
    plain, escaped = json.dumps(text, ensure_ascii=False)[1:-1], json.dumps(text)[1:-1]
    upper = re.sub(r"(?<=\\u)[0-9a-f]{4}", lambda match: match[0].upper(), escaped)
    forms = {plain, escaped, upper}
    forms |= {form.replace("/", "\\/") for form in forms}
    return {form.encode("utf-8", "surrogatepass") for form in forms}


@dataclass(frozen=True, slots=True)
class Erased:
    """What was erased; nothing is counted that was gone before."""

    position: int
    """Of the last `client.erased`."""
    connections: tuple[str, ...]
    """Every connection that was ever the client's."""
    deliveries: int
    """Raw bodies."""
    claims: int
    """Personal parts of claims."""
    links: int
    """Link sessions of which the provider's address or the reason was kept."""
    mentions: Mentions
    """To look for the client elsewhere."""


@dataclass(slots=True)
class Erasure:
    """One client's erasure."""

    log: Log
    reference: str
    by: str
    """Who asked."""
    now: Callable[[], int]
    """Gives microseconds since the epoch, UTC."""
    _searched: int = 0
    """The position up to which was searched."""
    _connections: set[str] = field(default_factory=set)
    """Streams of connections that were ever the client's."""
    _naming: set[str] = field(default_factory=set)
    """Streams of deliveries whose bodies name it."""
    _links: set[str] = field(default_factory=set)
    """Streams of Link sessions that were asked for, for the client."""
    _nobodys: dict[str, str] = field(default_factory=dict)
    """Streams of Link sessions for a connection and for no client: the connection's."""
    _mentions: Mentions | None = None
    _done: tuple[int, int, int] = (0, 0, 0)
    _position: int | None = None
    """Of the last `client.erased` that the log holds already."""

    def run(self) -> Erased | None:
        """Erase in one transaction; None when the client has never been heard of.

        Raises:
            StoreUnavailable: nothing was erased.
        """
        self._search(self.log.head().position)
        try:
            positions = self._transact()
        except AmbiguousCommit:
            done = self._done
            positions = self._transact()
            if not positions:
                # Nothing is left: it was committed after all.
                self._done = done
        position = positions[-1] if positions else self._position
        if position is None:
            return None
        assert self._mentions is not None
        return Erased(position, self._ids(), *self._done, self._mentions)

    def _transact(self) -> list[int]:
        stream = client_stream(self.reference, self.log.key)
        return self.log.erase([stream], self._decide, self.now)[0]

    def _ids(self) -> tuple[str, ...]:
        return tuple(sorted(connection_of(stream) for stream in self._connections))

    def _search(self, up_to: int) -> None:
        """Look for the client between what was searched and a position."""
        after, self._searched = self._searched, up_to
        needle = codec.stated_reference(self.reference)
        self._connections |= self.log.connections_holding(needle, after=after, up_to=up_to)
        self._search_links(after, up_to)
        self._mentions = Mentions([self.reference, *self._ids()])
        while found := self.log.bodies_holding(
            self._mentions.needles, after=after, up_to=up_to, limit=BODIES_AT_ONCE
        ):
            self._naming.update(one.stream for one in found if self._mentions(one.body))
            after = found[-1].position

    def _search_links(self, after: int, up_to: int) -> None:
        topics = [LinkRequested.NAME]
        while rows := self.log.read_log(after, SESSIONS_AT_ONCE, up_to=up_to, topics=topics):
            for row in rows:
                asked = _event(row)
                if not isinstance(asked, LinkRequested):
                    continue
                if asked.client == self.reference:
                    self._links.add(row.stream)
                elif asked.client is None and asked.connection is not None:
                    self._nobodys[row.stream] = connection_stream(asked.connection)
            after = rows[-1].position

    def _payloads_of_links(self) -> dict[int, str]:
        """Give what rests beside the events of the client's Link sessions: streams by position."""
        nobodys = {s for s, connection in self._nobodys.items() if connection in self._connections}
        ours = self._links | nobodys
        rows = self.log.read_streams(ours) if ours else []
        kept = self.log.kept([row.position for row in rows])
        return {row.position: row.stream for row in rows if row.position in kept}

    def _decide(self, seen: Seen) -> Change:
        self._search(seen.head.position)
        told = self.log.read_streams(self._connections) if self._connections else []
        claims = [row.position for row in told if row.payload is not None]
        bodies, resolved = self._deliveries(told)
        links = self._payloads_of_links()
        self._done = (len(bodies), len(claims), len({*links.values()}))
        self._position = seen.rows[-1].position if seen.rows else None
        erased = [*claims, *bodies, *links]
        known = self._connections or self._links
        if not erased and not resolved and (seen.rows or not known):
            return Change([])
        event = ClientErased(
            observed=self.now() // 1000,
            by=self.by,
            connections=self._ids(),
            deliveries=len(bodies),
            claims=len(claims),
        )
        stream = client_stream(self.reference, self.log.key)
        return Change([*resolved, codec.to_row(stream, len(seen.rows) + 1, event)], erased)

    def _deliveries(self, told: Sequence[StoredRow]) -> tuple[list[int], list[NewRow]]:
        """Give the positions of the bodies to be deleted, and what resolves those parked."""
        certain = {stream for row in told if (stream := _evidence(row)).startswith(DELIVERY)}
        asked = certain | self._naming
        rows: dict[str, list[StoredRow]] = defaultdict(list)
        for row in self.log.read_streams(asked) if asked else []:
            rows[row.stream].append(row)
        ours = set(self._ids())
        positions, resolved = [], []
        for stream, own in rows.items():
            events = [event for row in own if (event := _event(row)) is not None]
            drawn = {one.connection for event in events for one in getattr(event, "drawn", ())}
            if stream in certain or not drawn or drawn & ours:
                positions.append(own[0].position)
                resolved += _resolve(own, events)
        return sorted(self.log.kept(positions)), resolved


def _event(row: StoredRow) -> Event | None:
    """Read an event; None when this program cannot."""
    try:
        return codec.to_event(row)
    except LedgerError:
        return None


def _evidence(row: StoredRow) -> str:
    """Give the stream of what a connection event rests on; empty when it cannot be read."""
    try:
        statement = codec.statement_of(row)
    except LedgerError:
        return ""
    return "" if statement is None else statement.evidence.stream


def _resolve(rows: Sequence[StoredRow], events: Sequence[Event]) -> list[NewRow]:
    """Say of a delivery that is parked that it will never be read."""
    received = events[0] if events else None
    parked = any(isinstance(event, DeliveryParked) for event in events)
    done = any(isinstance(event, DeliveryResolved) for event in events)
    if not isinstance(received, DeliveryReceived) or not parked or done:
        return []
    event = DeliveryResolved(observed=received.observed, type=received.type, flags=("erased",))
    return [codec.to_row(rows[0].stream, rows[-1].version + 1, event)]
