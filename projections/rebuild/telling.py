"""What projections make of the log: stream by stream, so that nothing is looked up or kept.

A stream that is told in one go is folded once and forgotten, however long the log is.
"""

from collections.abc import Generator, Sequence
from typing import NamedTuple

from ledger.recorders import open_log
from ledger.recorders.base import Log
from projections.applying import Intent, intend
from projections.base import Projection
from projections.batch import tell_sorted
from projections.rebuild.job import Share


class Meant(NamedTuple):
    """What is to be written of some streams."""

    facts: int
    """How many events of the log they held."""
    intents: list[Intent]


def open_as_reader(database_url: str) -> Log:
    """Open the log that is read; raises what `open_log` raises."""
    return open_log(database_url, writer=False, entropy=_never, now=lambda: 0)


def meant(
    log: Log, projections: Sequence[Projection], share: Share
) -> Generator[Meant, None, None]:
    """Give what the projections make of a share of the streams, some streams at a time.

    Raises StoreUnavailable when the log cannot be read.
    """
    with log.scan(share.names, share.up_to) as portions:
        for told in tell_sorted(portions):
            intents = [intent for one in projections for intent in intend(one, told, {})]
            yield Meant(sum(len(one.facts) for one in told), intents)


def _never(_: int) -> bytes:
    raise AssertionError("a reader makes no key")
