"""Following the log for proofs: what a browser only reported, or never did, becomes certain."""

import logging
from collections.abc import Callable
from typing import Final

from api.services import Views
from api.worker import Worker
from ledger.application import Outcome
from ledger.domain.errors import LedgerError
from ledger.links import Links
from ledger.recorders.base import Log
from projections.links.proving import CONCERNED, Proving

log = logging.getLogger(__name__)

AT_ONCE: Final = 2_000
"""How many events are looked at together."""
LOOK_S: Final = 0.2
"""How long is waited for the views before it is looked whether to end, in seconds."""
PAUSE_S: Final = 1.0
"""How long is waited after a failure, in seconds."""


class Following(Worker):
    """Completes Link sessions; what fails is logged and tried again.

    At its start it looks at all sessions that are not completed, so that nothing is lost that came
    while nobody followed; then at what is new. A proof is written down by the same rule whoever
    finds it, so several processes may follow one log.
    """

    def __init__(
        self,
        log: Log,
        views: Views,
        proving: Proving,
        links: Links,
        completed: Callable[[], None] = lambda: None,
    ) -> None:
        """Follow `log` as far as `views` have read it; `completed` is told of each completion."""
        super().__init__("following")
        self._log = log
        self._views = views
        self._proving = proving
        self._links = links
        self._completed = completed
        self._position: int | None = None

    def _run(self) -> None:
        trouble: str | None = None
        while not self._stopping:
            beyond = 0 if self._position is None else self._position + 1
            if not self._views.wait_for(beyond, LOOK_S):
                continue
            said = self._try_step()
            if said is not None:
                if said != trouble:
                    log.error("Link sessions cannot be completed: %s", said)
                self._pause(PAUSE_S)
            trouble = said

    def step(self) -> int:
        """Look at what is new, and write down what it proves; gives how many sessions that were.

        Raises LedgerBusy and StoreUnavailable; the same is looked at again then.
        """
        end = min(self._views.positions().values())
        if self._position is None:
            found = self._proving.all()
        else:
            rows = self._log.read_log(self._position, AT_ONCE, up_to=end, topics=CONCERNED)
            found = self._proving.concerning({row.stream for row in rows}) if rows else []
            end = rows[-1].position if len(rows) == AT_ONCE else max(end, self._position)
        for proof in found:
            # The views may not have read yet what was written a moment ago.
            if self._links.completed(proof).outcome is not Outcome.UNCHANGED:
                self._completed()
        self._position = end
        return len(found)

    def _try_step(self) -> str | None:
        try:
            self.step()
        except LedgerError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - to stop in silence would be worse
            return type(error).__name__
        return None
