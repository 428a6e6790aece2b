"""The provider's HTTP API as a whole: keys, rate limit and faults in front of the calls.

A call goes in and an answer comes out, without network, threads or waiting.
"""

import hmac
from collections import Counter
from collections.abc import Callable
from email.utils import formatdate
from typing import Final
from urllib.parse import urlsplit

from api.emulator.cache import Cache
from api.emulator.calls import HTML, Answer, Call, Ending
from api.emulator.connection_calls import list_page
from api.emulator.errors import (
    REFUSALS,
    Forbidden,
    RateLimited,
    Refused,
    ServerFailed,
    Unauthorized,
)
from api.emulator.faults import Dice
from api.emulator.limiter import Limiter
from api.emulator.manner import ErrorForm, Manner, RetryAfter
from api.emulator.routing import Route, find_route
from api.emulator.visit import Account, Visit

_HTML: Final = b"<!DOCTYPE html>\n<html><body><h1>502 Bad Gateway</h1></body></html>\n"
_BEARER: Final = "Bearer "


class Provider:
    """Answers calls. The caller holds a lock."""

    def __init__(
        self,
        own: Account,
        foreign: Account,
        *,
        dice: Dice,
        now: Callable[[], int],
        api_key: str | None,
        url: str,
    ) -> None:
        """Begin with the published manner; `url` is where the Link pages are.

        `now` gives milliseconds since the epoch, UTC; without `api_key` any key is taken.
        """
        self.manner = Manner()
        """How it answers from now on."""
        self.url = url
        """Where the Link pages are, when a call does not say to which host it went."""
        self.requests: Counter[str] = Counter()
        """Calls by route and status, or `lost`, such as `GET /v2/connections 200`."""
        self._accounts = (own, foreign)
        self._dice = dice
        self._now = now
        self._api_key = api_key
        self._limiter = Limiter()
        self._cache = Cache()

    def answer(self, call: Call) -> Answer:
        """Answer a call as the manner and the faults say."""
        now, name = self._now(), "no such route"
        limits: dict[str, str] = {}
        try:
            route = find_route(call, self.manner.paths)
            name = route.name
            account = self._authorised(call)
            limits, answer = self._obey_limit(now)
            answer = answer or self._struck_before(now)
            answer = answer or self._carry_out(call, route, account, now)
        except Refused as error:
            answer = self.refusal(error)
        answer.headers |= limits
        lost = answer.ending is Ending.LOST
        self.requests[f"{name} {'lost' if lost else answer.status}"] += 1
        answer.wait = self._dice.seconds("slow")
        return answer

    def base(self, call: Call) -> str:
        """Give the address of the Link pages: under which a call came, if none is set."""
        if self.manner.linkUrl is not None:
            return self.manner.linkUrl.rstrip("/")
        host = call.headers.get("host")
        return self.url if host is None else f"{urlsplit(self.url).scheme}://{host}"

    def refusal(self, error: Refused, status: int | None = None) -> Answer:
        """Make an answer of an error, in the form that the manner says."""
        text, kind = str(error), error.type
        if self.manner.errorForm is ErrorForm.DOCUMENTED:
            body = {"error": text, "type": kind, "requestId": self._dice.token("req_")}
            if error.action is not None:
                body["actionRequired"] = error.action
            return Answer.of(body, status or error.status)
        name = "message" if self.manner.errorForm is ErrorForm.SDK else "error"
        return Answer.of({name: text, "code": kind, "details": {}}, status or error.status)

    def _authorised(self, call: Call) -> Account:
        """Find whose key it is."""
        key = call.headers.get("apikey")
        authorization = call.headers.get("authorization", "")
        if key is None and authorization.startswith(_BEARER):
            key = authorization.removeprefix(_BEARER)
        if not key:
            raise Unauthorized
        own, foreign = self._accounts
        if key == self.manner.foreignKey:
            return foreign
        asked = self._api_key
        if asked is not None and not hmac.compare_digest(key.encode(), asked.encode()):
            raise Unauthorized
        return own

    def _obey_limit(self, now: int) -> tuple[dict[str, str], Answer | None]:
        """Count the call; give the headers that say so, and the answer when it is too many."""
        limit = self.manner.rateLimit
        if limit == 0:
            return {}, None
        left, wait = self._limiter.count(now, limit)
        headers = {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(max(0, left)),
            "X-RateLimit-Reset": str(now // 1000 + wait),
        }
        return headers, self._limited(wait, now) if left < 0 else None

    def _limited(self, wait: int, now: int) -> Answer:
        answer = self.refusal(RateLimited())
        answer.headers["X-RateLimit-Remaining"] = "0"
        if self.manner.retryAfter is RetryAfter.SECONDS:
            answer.headers["Retry-After"] = str(wait)
        if self.manner.retryAfter is RetryAfter.DATE:
            answer.headers["Retry-After"] = formatdate(now // 1000 + wait, usegmt=True)
        return answer

    def _struck_before(self, now: int) -> Answer | None:
        """Let the faults strike that keep a call from acting."""
        strikes = self._dice.strikes
        if strikes("lostRequest"):
            return Answer(status=503, ending=Ending.LOST)
        if strikes("html"):
            return Answer(status=502, headers={"Content-Type": HTML}, body=_HTML)
        if strikes("http401"):
            return self.refusal(REFUSALS[self.manner.refusal]())
        if strikes("http403"):
            return self.refusal(Forbidden())
        if strikes("http429"):
            return self._limited(self.manner.retryAfterSeconds, now)
        if strikes("http5xx"):
            return self.refusal(ServerFailed(), self._dice.choose(500, 502, 503))
        return None

    def _carry_out(self, call: Call, route: Route, account: Account, now: int) -> Answer:
        """Let the call act, then let the faults strike that hurt its answer."""
        visit = Visit(
            call=call,
            account=account,
            manner=self.manner,
            argument=route.argument,
            whole=route.whole,
            base=self.base(call),
            now=now,
        )
        listed = route.handler is list_page
        key = f"{account.organisation.id} {call.target}" if listed else None
        answer = self._cache.lookup(key, self.manner, now)
        if answer is None:
            answer = self._handled(route, visit)
            self._cache.keep(key, answer, self.manner, now)
        return self._struck_after(answer)

    def _handled(self, route: Route, visit: Visit) -> Answer:
        try:
            return route.handler(visit)
        except Refused as error:
            return self.refusal(error)

    def _struck_after(self, answer: Answer) -> Answer:
        strikes = self._dice.strikes
        if strikes("late5xx"):
            return self.refusal(ServerFailed(), self._dice.choose(500, 502, 503))
        if strikes("truncate"):
            answer.body = answer.body[: len(answer.body) // 2]
        if strikes("cut"):
            answer.ending = Ending.CUT
        if strikes("lostAnswer"):
            answer.ending = Ending.LOST
        return answer
