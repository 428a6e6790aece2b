"""The client of OFAuth's HTTP API: asks, waits, asks again, and gives facts or typed errors."""

import json
import logging
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeVar

from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import MaxRetryError
from urllib3.util import Retry

from ledger.ofauth.answers import Answer, failure
from ledger.ofauth.budget import Budget
from ledger.ofauth.errors import (
    ProviderError,
    RateLimited,
    Unreachable,
    UnreadableAnswer,
)
from ledger.ofauth.results import (
    Confirmed,
    Forwarded,
    LinkStarted,
    ListPage,
    Organisation,
    read_confirmation,
    read_link,
    read_organisation,
    read_page,
    read_settings,
)
from ledger.ofauth.transport import TIMEOUTS, Call, Timeouts, Transport, path_of

__all__ = [
    "Confirmed",
    "Forwarded",
    "LinkInit",
    "LinkStarted",
    "ListPage",
    "OFAuthClient",
    "Organisation",
    "Paths",
    "Timeouts",
]

log = logging.getLogger(__name__)

RATE: Final = 10.0
"""How many calls a second are made in the long run; OFAuth does not publish its limit."""
BURST: Final = 10
"""How many calls may follow each other at once."""
MOST_WAIT_S: Final = 60.0
"""The longest `Retry-After` that is waited for between two attempts, in seconds."""
LIMITED_S: Final = 1.0
"""The least wait after a 429 that does not say how long."""
MOST_PATIENCE_S: Final = 5.0
"""How long a command, for which somebody waits, may wait for its place in the budget."""
HANDED_ON: Final = ("Content-Type", "Retry-After")
"""Headers of a forwarded answer that are handed on, with all those of rate limits."""

_QUESTIONS: Final = Retry(total=3, backoff_factor=0.5, backoff_max=MOST_WAIT_S)
_COMMANDS: Final = Retry(total=1, backoff_factor=0.5, backoff_max=MOST_WAIT_S)
_RATE_LIMITS: Final = "x-ratelimit-"
_T = TypeVar("_T")


class Paths(StrEnum):
    """The two families of paths under which OFAuth publishes its list and its delete call."""

    ACCOUNT = "account"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkInit:
    """What a Link session shall be for; what is None is not sent."""

    redirect_url: str | None = None
    """Where the provider sends the browser at the end; registered in its dashboard."""
    client_reference_id: str | None = field(default=None, repr=False)
    connection_id: str | None = field(default=None, repr=False)
    """The connection to reconnect."""

    def body(self) -> bytes:
        """Write it as the provider reads it."""
        members = {
            "redirectUrl": self.redirect_url,
            "clientReferenceId": self.client_reference_id,
            "connectionId": self.connection_id,
        }
        sent = {name: value for name, value in members.items() if value is not None}
        return json.dumps(sent, separators=(",", ":")).encode()


class OFAuthClient:
    """Asks OFAuth; safe to use from many threads.

    Every method raises a `ProviderError` when it does not get what it is for. Questions are asked
    up to four times. Commands are sent again only when there was no connection at all; whether an
    outcome is unknown stands in the error's `may_have_happened`, and the caller decides.
    """

    def __init__(
        self,
        base_url: str,
        api_key: Callable[[], str],
        *,
        paths: Paths = Paths.ACCOUNT,
        now_ms: Callable[[], int],
        monotonic: Callable[[], float],
        sleep: Callable[[float], object],
        jitter: Callable[[], float],
        timeouts: Timeouts = TIMEOUTS,
        rate: float = RATE,
        burst: int = BURST,
    ) -> None:
        """Ask at `base_url` with the key that `api_key` gives at each call.

        `now_ms` gives milliseconds UTC, `monotonic` seconds; `sleep` waits for seconds and may
        return early; `jitter` gives seconds, from 0 to 1, that are added to each wait between two
        attempts. At most `rate` calls a second are made, and `burst` at once.
        """
        self._transport = Transport(base_url, api_key, now_ms=now_ms, timeouts=timeouts)
        self._budget = Budget(rate=rate, burst=burst, monotonic=monotonic, sleep=sleep)
        self._sleep = sleep
        self._jitter = jitter
        family = ("v2", "account") if paths is Paths.ACCOUNT else ("v2",)
        self._connections = (*family, "connections")

    def connections(self, *, limit: int, offset: int) -> ListPage:
        """Give a page of the list of connections, `limit` rows from the `offset`-th on."""
        query = {"limit": str(limit), "offset": str(offset)}
        return self._ask(
            Call(method="GET", path=path_of(*self._connections), query=query), read_page
        )

    def whoami(self) -> Organisation:
        """Tell whose API key it is."""
        path = path_of("v2", "account", "whoami")
        return self._ask(Call(method="GET", path=path), read_organisation)

    def probe(self, connection_id: str) -> Confirmed:
        """Ask for the settings of a connection: when it returns, the connection exists.

        Raises:
            ConnectionGone: the provider knows no such connection.
            NoSession: which proves nothing.
        """
        path = path_of("v2", "account", "connections", connection_id, "settings")
        return self._ask(Call(method="GET", path=path, names_connection=True), read_settings)

    def delete(self, connection_id: str) -> Confirmed:
        """Delete a connection: when it returns, it is gone and no longer billed.

        Raises:
            ConnectionGone: the provider knows no such connection.
        """
        path = path_of(*self._connections, connection_id)
        return self._ask(Call(method="DELETE", path=path, names_connection=True), read_confirmation)

    def invalidate(self, connection_id: str) -> Confirmed:
        """Log a creator out: when it returns, the connection is expired and can be reconnected.

        Raises:
            ConnectionGone: the provider knows no such connection.
        """
        path = path_of("v2", "account", "connections", connection_id, "invalidate")
        return self._ask(Call(method="POST", path=path, names_connection=True), read_confirmation)

    def link_init(self, request: LinkInit) -> LinkStarted:
        """Begin a Link session."""
        path = path_of("v2", "link", "init")
        return self._ask(Call(method="POST", path=path, body=request.body()), read_link)

    def forward(
        self, method: str, path: str, *, query: Mapping[str, str], body: bytes | None = None
    ) -> Forwarded:
        """Hand on somebody's call and give the answer as it is, also when it is an error.

        `path` is not encoded; `body` is JSON. Neither the call nor its answer may be recorded.

        Raises:
            Unreachable: no answer came.
            UnreadableAnswer: it is a redirect, or too large.
            RateLimited: by our own count; the provider was not asked.
            RefusedKey: our key cannot be sent at all.
        """
        call = Call(
            method=method, path=path_of(*path.strip("/").split("/")), query=query, body=body
        )
        return self._ask(call, _forwarded, judged=False)

    def with_present_key(self) -> "OFAuthClient":
        """Give a client that keeps to the key of this moment, for calls that belong together.

        It shares the connections and the budget of this one.
        """
        other = copy(self)
        other._transport = self._transport.with_present_key()
        return other

    def close(self) -> None:
        """Let go of the connections that are kept open."""
        self._transport.close()

    def _ask(self, call: Call, read: Callable[[Answer], _T], *, judged: bool = True) -> _T:
        """Ask until there is an answer that can be read, or no further attempt is due."""
        left = _QUESTIONS if judged and not call.commands else _COMMANDS
        while True:
            try:
                return read(self._once(call, judged=judged))
            except ProviderError as error:
                failed = error
            if not _worth_again(failed, call, judged=judged):
                raise failed
            following = _one_fewer(left, failed)
            if following is None:
                raise failed
            left = following
            self._wait(failed, left.get_backoff_time())

    def _once(self, call: Call, *, judged: bool) -> Answer:
        patient = judged and not call.commands
        self._budget.take(most=None if patient else MOST_PATIENCE_S)
        answer = self._transport.send(call)
        failed = failure(answer, names_connection=call.names_connection)
        if isinstance(failed, RateLimited):
            self._budget.pause(min(failed.retry_after or LIMITED_S, MOST_WAIT_S))
        if failed is not None and (judged or 300 <= answer.status < 400):
            raise failed
        return answer

    def _wait(self, failed: ProviderError, backoff: float) -> None:
        told = failed.retry_after or 0.0
        wait = min(max(told, backoff), MOST_WAIT_S) + self._jitter()
        log.info("the provider is asked again in %.1f s: %s", wait, type(failed).__name__)
        self._sleep(wait)


def _one_fewer(left: Retry, failed: ProviderError) -> Retry | None:
    """Give what is left after one attempt more has failed; None when that was the last."""
    try:
        return left.increment(error=failed)
    except MaxRetryError:
        return None


def _worth_again(failed: ProviderError, call: Call, *, judged: bool) -> bool:
    """Tell whether an attempt may be repeated at once and could end otherwise."""
    if call.commands or not judged:
        return isinstance(failed, Unreachable) and not failed.may_have_happened
    if isinstance(failed, UnreadableAnswer):
        return not failed.lasting
    return failed.passes


def _forwarded(answer: Answer) -> Forwarded:
    headers = {
        name: value
        for name, value in answer.headers.items()
        if name.title() in HANDED_ON or name.lower().startswith(_RATE_LIMITS)
    }
    return Forwarded(
        status=answer.status,
        headers=CaseInsensitiveDict(headers),
        body=answer.body,
        answered=answer.answered,
    )
