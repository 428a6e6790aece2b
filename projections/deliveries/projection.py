"""Which deliveries wait to be read, and when each dialect was last heard."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, cast

from ledger.domain.events import (
    DeliveryParked,
    DeliveryReceived,
    DeliveryRepeated,
    DeliveryResolved,
)
from ledger.domain.words import DELIVERY
from projections.answers import ParkedDelivery
from projections.base import Insert, Row, Statement, Table, Values, Write
from projections.batch import Fact, Told

PARKED: Final = Table(
    "parked",
    """stream {text} NOT NULL,
    position BIGINT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    type TEXT,
    size BIGINT NOT NULL,
    observed_at BIGINT NOT NULL,
    dialect TEXT""",
    key=("stream",),
    indexes={"position": ("position",)},
)
DIALECTS: Final = Table(
    "dialects",
    """dialect {text} NOT NULL,
    last_observed_at BIGINT NOT NULL,
    number BIGINT NOT NULL""",
    key=("dialect",),
)
RESOLVE: Final = "DELETE FROM parked{g} WHERE stream = :stream"
PARK: Final = Insert(
    PARKED.name,
    ("stream", "position", "reason", "detail", "type", "size", "observed_at", "dialect"),
    """ON CONFLICT (stream) DO UPDATE SET position = excluded.position, reason = excluded.reason,
    detail = excluded.detail""",
)
HEARD: Final = Insert(
    DIALECTS.name,
    ("dialect", "last_observed_at", "number"),
    """ON CONFLICT (dialect) DO UPDATE SET number = dialects{g}.number + excluded.number,
    last_observed_at = CASE WHEN excluded.last_observed_at > dialects{g}.last_observed_at
    THEN excluded.last_observed_at ELSE dialects{g}.last_observed_at END""",
)


class Deliveries:
    """Parked deliveries, and the silence of each dialect."""

    name = "deliveries"
    version = 1
    streams: tuple[str, ...] = (DELIVERY,)
    tables: Sequence[Table] = (PARKED, DIALECTS)
    statements: Sequence[Statement] = (RESOLVE, PARK, HEARD)
    plain: Sequence[Insert] = (PARK,)

    def writes(self, told: Told) -> Iterable[Write]:
        """See `Projection`."""
        if any(isinstance(f.event, DeliveryParked | DeliveryResolved) for f in told.facts):
            parked = parked_delivery(told.stream, told.facts)
            if told.old or told.fresh:
                yield Write(RESOLVE, {"stream": told.stream})
            if parked is not None:
                yield Write(PARK, tuple(getattr(parked, column) for column in PARK.columns))
        for fact in told.new:
            if isinstance(fact.event, DeliveryReceived | DeliveryRepeated):
                for dialect in {signed.dialect for signed in fact.event.signed}:
                    yield Write(HEARD, (dialect, fact.event.observed, 1))

    def condense(self, statement: Statement, many: Sequence[Row]) -> Sequence[Row]:
        """See `Projection`; all that a batch heard in one dialect becomes one row."""
        if statement != HEARD:
            return many
        heard: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
        for dialect, observed_at, number in cast(Sequence[Values], many):
            last, sum_ = heard[dialect]
            heard[dialect] = (max(last, observed_at), sum_ + number)
        return [(dialect, *both) for dialect, both in heard.items()]


def parked_delivery(stream: str, facts: Sequence[Fact]) -> ParkedDelivery | None:
    """Give what is known of a delivery that waits to be read; None when it does not."""
    received = next(f.event for f in facts if isinstance(f.event, DeliveryReceived))
    parked: tuple[int, DeliveryParked] | None = None
    for fact in facts:
        if isinstance(fact.event, DeliveryResolved):
            return None
        if isinstance(fact.event, DeliveryParked):
            parked = (fact.position, fact.event)
    if parked is None:
        return None
    position, event = parked
    return ParkedDelivery(
        stream=stream,
        position=position,
        reason=event.reason,
        detail=event.detail,
        type=received.type,
        size=received.size,
        observed_at=received.observed,
        dialect=received.signed[0].dialect if received.signed else None,
    )
