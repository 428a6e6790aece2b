"""Making the views anew before anybody asks them, when another version of the program made them."""

import logging
from collections.abc import Callable
from contextlib import closing

from projections.errors import RebuildFailed
from projections.generations import generations_of
from projections.opening import lost
from projections.rebuild.rebuilds import Rebuilds

log = logging.getLogger(__name__)


def renew(database_url: str, *, monotonic: Callable[[], float]) -> None:
    """Rebuild the live views of the log at this address, unless this version made them.

    Views that are damaged are made anew too. `monotonic` gives seconds.

    Raises:
        RebuildRunning: another process does so already.
        RebuildFailed: they could not be made.
        StoreUnavailable: they could not be looked at.
    """
    with closing(generations_of(database_url)) as generations:
        live = generations.live()
        if live not in generations.all():
            return
        with closing(generations.open(live, writer=False)) as store:
            if not lost(store):
                return
    log.warning("The views are of another version of the program, or damaged: they are made anew.")
    rebuilds = Rebuilds(database_url, monotonic=monotonic)
    rebuilds.start()
    last = rebuilds.wait()
    if last is None or last.state != "done":
        detail = "" if last is None or last.detail is None else f" {last.detail}"
        raise RebuildFailed(
            "Another version of the program made the views, or they are damaged, and making them "
            f"anew failed.{detail} See the log for why, then start again."
        )
