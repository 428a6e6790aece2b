"""Link sessions: asking the provider for one, and writing down what becomes of it.

What is asked for is durable before the provider is called, and the call is made once: a second one
could open a second session. So whatever happens in between, the log tells that a session may exist,
and nobody has an address that the log does not hold.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from ledger.application import LinkStep, Noted, Recorded
from ledger.domain.claim import Claim, Evidence, Kind
from ledger.domain.errors import LedgerBusy, StoreUnavailable
from ledger.domain.link_events import (
    LinkCancelled,
    LinkCompleted,
    LinkEvent,
    LinkFailed,
    LinkReported,
    LinkRequested,
    LinkStarted,
)
from ledger.domain.link_proof import Proof
from ledger.domain.link_session import (
    ASSUMED_LIFE_MS,
    REPORTED,
    UNKNOWN_OUTCOME,
    LinkSession,
    ReportStatus,
    fold_link,
)
from ledger.domain.words import link_stream
from ledger.ofauth.client import LinkInit
from ledger.ofauth.client import LinkStarted as Opened
from ledger.ofauth.errors import (
    Forbidden,
    ProviderError,
    RateLimited,
    RefusedKey,
    Rejected,
    Unreachable,
)
from ledger.recorders import codec
from ledger.recorders.base import Log

STEPS: Final = ("requested", "called", "started", "failed", "reported", "completed")
"""The steps of a session's life, each a method of `Links`: wherever the program dies between two
of them, the log tells the truth and nothing is done twice."""
REASONS: Final[Mapping[type[ProviderError], str]] = {
    Unreachable: "unreachable",
    RefusedKey: "refused_key",
    Forbidden: "forbidden",
    RateLimited: "rate_limited",
    Rejected: "rejected",
}
"""Why the provider opened no session, in the word of `link.failed`."""
REFUSED: Final = "refused"
"""Stands for every other refusal."""
SALT_BYTES: Final = 16
_ID_BYTES: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Which Link session somebody wants."""

    client: str | None
    """The `clientReferenceId` that it is for; of a session for a connection, that connection's
    even when the provider is not told: it is whose views show the session."""
    connection: str | None = field(default=None, repr=False)
    """Id of the connection that it shall bring back to life."""
    return_url: str | None = field(default=None, repr=False)
    """Where the browser is sent at the end: one of the settings', and nothing else."""
    by: str
    """Who asks: a token's name."""
    via: str = "api"
    """`api`, or `drop_in` for the provider's own route."""
    risk: str | None = None
    """What may go wrong and is accepted; see `LinkRequested`."""
    reason: str | None = field(default=None, repr=False)
    """Why, in words; it can be erased."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A session that the provider has opened."""

    link: str
    """Its id."""
    expires_at: int
    """When it lapses, milliseconds since the epoch, UTC; assumed when the provider does not say."""
    position: int
    """Of `link.started`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a browser says of the end of a session."""

    channel: str
    """`redirect` or `embed`."""
    status: ReportStatus
    step: str | None = None
    error: str | None = None
    connection: str | None = field(default=None, repr=False)


class Opener(Protocol):
    """What opens sessions: the client of OFAuth's API."""

    def link_init(self, request: LinkInit, /) -> Opened:
        """Open a session.

        Raises:
            ProviderError: there is none, or it is not known.
        """


class Links:
    """Writes what happens to Link sessions; what a method wrote is durable when it returns.

    Every method may raise LedgerBusy and StoreUnavailable.
    """

    def __init__(
        self,
        write: Callable[[LinkStep | Noted], Recorded],
        *,
        now: Callable[[], int],
        entropy: Callable[[int], bytes],
    ) -> None:
        """Write through `write`; `now` gives microseconds UTC, `entropy(n)` n random bytes."""
        self._write = write
        self._now = now
        self._entropy = entropy

    def begin(self, wish: Wish, opener: Opener, request: LinkInit) -> Begun:
        """Write down what is wanted, let the provider open it, write down that it did.

        Raises:
            ProviderError: there is no session, or none that anybody could use; it is written down.
        """
        link = self.requested(wish)
        try:
            opened = self.called(opener, request)
        except Exception as error:
            # What the store does not take now is told by the session's age later.
            with contextlib.suppress(LedgerBusy, StoreUnavailable):
                self.failed(link, reason_for(error))
            raise
        recorded = self.started(link, opened.url, opened.expires_at)
        assumed = self._now_ms() + ASSUMED_LIFE_MS
        expires_at = assumed if opened.expires_at is None else opened.expires_at
        return Begun(link=link, expires_at=expires_at, position=recorded.position)

    def requested(self, wish: Wish) -> str:
        """Write down that a session is wanted, before anybody is asked; gives its new id."""
        link = f"link_{self._entropy(_ID_BYTES).hex()}"
        event = LinkRequested(
            observed=self._now_ms(),
            client=wish.client,
            connection=wish.connection,
            return_url=wish.return_url,
            by=wish.by,
            via=wish.via,
            risk=wish.risk,
        )
        reason = None if wish.reason is None else json.dumps({"reason": wish.reason}).encode()
        self._append_with(link, event, reason)
        return link

    def called(self, opener: Opener, request: LinkInit) -> Opened:
        """Call the provider, once.

        Raises what `Opener.link_init` raises.
        """
        return opener.link_init(request)

    def started(self, link: str, url: str, expires_at: int | None) -> Recorded:
        """Write down that the provider has opened a session, and where."""
        event = LinkStarted(observed=self._now_ms(), expires_at=expires_at)
        return self._append_with(link, event, url.encode())

    def failed(self, link: str, reason: str) -> Recorded:
        """Write down why there is no session that anybody could use."""
        return self._append(link, LinkFailed(observed=self._now_ms(), reason=reason))

    def reported(self, link: str, report: Report) -> Recorded:
        """Write down what a browser says, unless one has said so before or it is too late.

        The outcome is `UNCHANGED` then, and nothing is written.
        """
        observed = self._now_ms()
        said: list[LinkEvent] = [
            LinkReported(
                observed=observed,
                channel=report.channel,
                status=report.status.value,
                step=report.step,
                error=report.error,
                connection=report.connection,
            )
        ]
        if report.status is ReportStatus.CANCELLED:
            said.append(LinkCancelled(observed=observed, step=report.step))
        elif report.status is ReportStatus.ERROR:
            said.append(LinkFailed(observed=observed, reason=REPORTED))
        return self._append(link, *said)

    def completed(self, proof: Proof) -> Recorded:
        """Write down which connection proves that the creator finished, and a fork of one.

        It can be repeated: nothing is written twice.
        """
        observed = self._now_ms()
        for note in _forked(proof, observed):
            self._write(note)
        event = LinkCompleted(
            observed=observed, connection=proof.connection, proved_at=proof.proved_at
        )
        return self._append(proof.session.id, event)

    def _append(self, link: str, *events: LinkEvent) -> Recorded:
        return self._write(LinkStep(link=link, events=events))

    def _append_with(
        self, link: str, event: LinkRequested | LinkStarted, payload: bytes | None
    ) -> Recorded:
        if payload is None:
            return self._append(link, event)
        salt = self._entropy(SALT_BYTES)
        event = replace(event, digest=codec.digest(salt, payload))
        return self._write(LinkStep(link=link, events=(event,), payload=payload, salt=salt))

    def _now_ms(self) -> int:
        return self._now() // 1000


def _forked(proof: Proof, observed: int) -> Iterator[Noted]:
    """Note in two connections that one came of a session for the other.

    Nothing is noted in one of which nothing else is known.
    """
    if proof.meant is None:
        return
    evidence = Evidence(link_stream(proof.session.id), "command", observed)
    notes = [(proof.connection, "predecessorId", proof.meant)]
    if proof.meant_known:
        notes.append((proof.meant, "successorId", proof.connection))
    for connection, name, other in notes:
        claim = Claim(
            connection_id=connection,
            kind=Kind.FORKED,
            k=proof.proved_at,
            fields={name: other, "linkId": proof.session.id},
        )
        yield Noted(claim.identified(), evidence)


def reason_for(error: Exception) -> str:
    """Give the word for why no session was opened; that of an unknown outcome when in doubt."""
    if not isinstance(error, ProviderError) or error.may_have_happened:
        return UNKNOWN_OUTCOME
    return next((word for kind, word in REASONS.items() if isinstance(error, kind)), REFUSED)


@dataclass(frozen=True, slots=True)
class StoredLink:
    """A session as the log holds it."""

    session: LinkSession
    position: int
    """Of its last event."""
    requested: int
    """The position of the request, beside which the reason rests."""
    started: int | None
    """The position of the start, beside which the provider's address rests."""


def read_link(log: Log, link: str, *, up_to: int | None = None) -> StoredLink | None:
    """Read a session from the log, up to a position; None when there is none of this id."""
    rows = log.read_streams([link_stream(link)], up_to=up_to)
    session = fold_link(link, map(codec.to_event, rows))
    if session is None:
        return None
    started = (row.position for row in rows if row.topic == LinkStarted.NAME)
    return StoredLink(session, rows[-1].position, rows[0].position, next(started, None))


def address_of(log: Log, stored: StoredLink) -> str | None:
    """Give the provider's address of a session; None when there is none, or it was erased."""
    body = None if stored.started is None else log.body(stored.started)
    return None if body is None else body.decode()


def given_reason(log: Log, stored: StoredLink) -> str | None:
    """Give the reason for which a session was asked for; None without one, or if it was erased."""
    body = log.body(stored.requested)
    return None if body is None else str(json.loads(body)["reason"])
