"""From a delivery to its claim, and to what events keep of it."""

from collections.abc import Iterable, Sequence

from ledger.domain.claim import CLOCK_TOLERANCE_MS, Claim, Statement
from ledger.domain.event import Event
from ledger.domain.events import (
    DeliveryParked,
    DeliveryReceived,
    DeliveryRepeated,
    DeliveryResolved,
    Drawn,
    Signed,
)
from ledger.domain.words import message_label
from ledger.ofauth.payloads import Said
from ledger.ofauth.signatures import Verdict


def stamps_of(history: Sequence[Event]) -> list[int]:
    """Give all signature times (seconds, UTC) under which a delivery came."""
    return [
        signed.stamp
        for event in history
        if isinstance(event, DeliveryReceived | DeliveryRepeated)
        for signed in event.signed
    ]


def is_parked(history: Sequence[Event]) -> bool:
    """Tell whether a delivery could not be read yet."""
    parked = any(isinstance(event, DeliveryParked) for event in history)
    return parked and not any(isinstance(event, DeliveryResolved) for event in history)


def signed_by(verdict: Verdict) -> tuple[Signed, ...]:
    """Give what an event keeps of the signatures that verified."""
    return tuple(
        Signed(v.dialect.value, v.stamp, v.secret, v.message_id and message_label(v.message_id))
        for v in verdict.verifications
    )


def drawn(stream: str, statements: Iterable[Statement]) -> tuple[Drawn, ...]:
    """Give what an event keeps of the claims that were drawn from the delivery of this stream."""
    return tuple(
        Drawn(statement.claim.connection_id, statement.claim.id)
        for statement in statements
        if statement.evidence.stream == stream
    )


def claim_of(said: Said, dated: int | None, stamp: int, observed: int) -> Claim:
    """Make the claim of a delivery, dated by its body or else by its signature (seconds, UTC)."""
    claim = Claim(
        connection_id=said.connection_id,
        kind=said.kind,
        k=stamp * 1000 if dated is None else dated,
        status=said.status,
        fields=said.fields,
        personal=said.personal,
        flags=said.flags,
        stamped=dated is None,
    )
    return cut(claim, observed).identified()


def cut(claim: Claim, observed: int) -> Claim:
    """Cut a time that lies too far after the observation, and say so."""
    if claim.k <= observed + CLOCK_TOLERANCE_MS:
        return claim
    return claim.dated(observed, "clock")
