"""What the views may use: everything real is made in `bootstrap` and reaches them through this."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

from flask import current_app
from werkzeug.local import LocalProxy

from api.arrivals import Arrivals
from api.commanding import Commanding
from api.forgetting import Forgetting
from api.metrics import Metrics
from api.settings import Settings
from api.sweeping import Sweeping
from ledger.application import Observation, Recorded
from ledger.links import Links
from ledger.ofauth.client import OFAuthClient
from ledger.quarantine import Quarantine
from ledger.recorders.base import Head, Log
from projections.rebuild.rebuilds import Rebuilds

if TYPE_CHECKING:
    from projections.questions import Questions

EXTENSION = "connection-ledger"
T = TypeVar("T")


class Writer(Protocol):
    """Where observations are made durable: the committer."""

    @property
    def depth(self) -> int:
        """How many observations wait."""

    def submit(self, observation: Observation) -> Recorded:
        """Record one observation; returns when it is durable.

        Raises:
            LedgerBusy: the queue is full, or it was not durable in time.
            StoreUnavailable: the store failed.
        """

    def fence(self) -> Head:
        """Wait until all that was submitted before is visible; raises as `submit`."""


class Views(Protocol):
    """The projections' progress: the runner."""

    def wait_for(self, position: int, timeout: float) -> bool:
        """Wait at most `timeout` seconds until every view has reached `position`."""

    def positions(self) -> dict[str, int]:
        """Give each projection's tracked position."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything that a view may use."""

    settings: Callable[[], Settings]
    """Gives the present settings."""
    log: Log
    writer: Writer
    views: Views
    questions: "Questions"
    quarantine: Quarantine
    links: Links
    """Writes what happens to Link sessions."""
    provider: Callable[[], OFAuthClient | None]
    """Gives the client of OFAuth's API, or None while no key is set."""
    metrics: Metrics
    now: Callable[[], int]
    """Gives the time: microseconds since the epoch, UTC."""
    monotonic: Callable[[], float]
    """Gives seconds that never go back."""
    entropy: Callable[[int], bytes]
    """Gives that many random bytes."""
    arrivals: Arrivals
    """Where readers of the feed wait."""
    forget: Forgetting
    rebuilds: Rebuilds
    commanding: Commanding
    commanded: Callable[[], str]
    """Gives in a word how commands go."""
    sweeping: Sweeping
    swept: Callable[[], str]
    """Gives in a word how passes over the provider's list go."""
    readiness: Callable[[], str]
    """Gives `ok` when a write would be durable now."""


def services() -> Services:
    """Give the services of the application that answers the present request."""
    found: Services = current_app.extensions[EXTENSION]
    return found


def behind(proxy: T) -> T:
    """Give what one of Flask's proxies stands for now: each use of a proxy looks it up again."""
    return cast("LocalProxy[T]", proxy)._get_current_object()


def new_request_id(use: Services) -> str:
    """Make a request's id; never taken from the caller, because it is written into the log."""
    return "req_" + use.entropy(8).hex()
