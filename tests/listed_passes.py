"""Passes whose events go straight into a log, for tests of what passes are read for."""

from dataclasses import dataclass
from typing import Any

from ledger.domain.event import Event
from ledger.domain.sweep_events import SweepCompleted, SweepStarted
from ledger.recorders.codec import to_row
from tests.given import NOON
from tests.projected import Views


@dataclass(slots=True)
class Sweeping:
    """A pass that is under way."""

    views: Views
    stream: str
    version: int = 0

    def append(self, event: Event) -> int:
        """Record what it tells of itself; gives the position."""
        self.version += 1
        return self.views.append(to_row(self.stream, self.version, event))[0]

    def completed(self, answered: int, *, valid: bool = True, **told: Any) -> int:
        """End it; `answered` is in milliseconds after noon, ids are given by their last letters."""
        absent, unseen = ids(told.pop("absent", "")), ids(told.pop("unseen", ""))
        self.append(
            SweepCompleted(
                observed=NOON + answered + 9,
                answered_from=NOON + answered,
                answered_to=NOON + answered + 5,
                requests=1,
                rows=3,
                connections=3,
                live=3,
                valid=valid,
                absent=absent,
                unseen=unseen,
            )
        )
        self.views.catch_up()
        return self.views.log.head().recorded_at


def started(views: Views) -> Sweeping:
    """Begin a pass over a list that nobody reads: its events go straight into the log."""
    sweeping = Sweeping(views, f"sweep:{views.log.head().position:016x}")
    sweeping.append(SweepStarted(observed=NOON, organisation="org_1", backfill=False))
    return sweeping


def passed(views: Views, answered: int, **told: Any) -> int:
    """Begin a pass and end it; gives when that was recorded."""
    return started(views).completed(answered, **told)


def ids(letters: str) -> tuple[str, ...]:
    """The ids of connections that are called by one letter each."""
    return tuple(f"conn_{letter}" for letter in letters)
