"""One call over HTTP: bounded in time and size, with every failure typed."""

import re
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPException
from typing import Final, NamedTuple
from urllib.parse import quote

import requests
from urllib3.exceptions import HTTPError

from ledger.ofauth.answers import Answer
from ledger.ofauth.connecting import Progress, Session, session_for, silence
from ledger.ofauth.errors import RefusedKey, Rejected, Unreachable, UnreadableAnswer

MOST_BYTES: Final = 8 * 1024 * 1024
"""The largest answer that is read, in bytes."""
_PIECE: Final = 64 * 1024
_KEY: Final = re.compile("[!-~]+")
_FAILURES: Final = (requests.RequestException, HTTPError, HTTPException, OSError, ValueError)
"""What requests, and what lies below it, may raise for a call that went wrong."""


class Timeouts(NamedTuple):
    """How long one call may take, in seconds."""

    connect: float = 3.0
    """Until there is a connection, for each of the provider's addresses."""
    read: float = 10.0
    """Until the next byte comes."""
    whole: float = 30.0
    """From the first byte sent to the last one received."""


TIMEOUTS: Final = Timeouts()


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What the provider is asked."""

    method: str
    path: str = field(repr=False)
    """Each part of it is encoded already: made by `path_of`."""
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    """JSON."""
    names_connection: bool = False
    """Whether an answer can be about one connection."""

    @property
    def commands(self) -> bool:
        """Whether it could change something."""
        return self.method != "GET"


def path_of(*parts: str) -> str:
    """Make a path of parts that may hold anything.

    Raises:
        Rejected: a part is empty, `.` or `..`, which would make it another path.
    """
    if any(part in ("", ".", "..") for part in parts):
        raise Rejected("an id that no connection has")
    return "".join(f"/{quote(part, safe='')}" for part in parts)


class Transport:
    """Carries calls to one address; safe to use from many threads."""

    def __init__(
        self,
        base_url: str,
        api_key: Callable[[], str],
        *,
        now_ms: Callable[[], int],
        timeouts: Timeouts,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        """Carry to `base_url`; `api_key` is asked before each call."""
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._now_ms = now_ms
        self._timeouts = timeouts
        self._most_bytes = most_bytes
        self._kept = Session()
        silence()

    def send(self, call: Call) -> Answer:
        """Make a call once and give its answer, whatever its status.

        A command goes over a connection of its own: one that was kept open may be dead already,
        and then nobody knows whether the command arrived.

        Raises:
            Unreachable: no answer came, or only a part of it.
            UnreadableAnswer: it is too large, or its compression is broken.
            RefusedKey: the key cannot be sent at all.
        """
        key = self._api_key()
        if not _KEY.fullmatch(key):
            raise RefusedKey("it is empty or has characters that no header can carry")
        progress = Progress(self._timeouts.whole)
        # raised outside of the except: what is caught names the address and the headers
        failure: Unreachable | UnreadableAnswer
        try:
            with session_for(self._kept, alone=call.commands) as session, progress:
                return self._receive(session, call, key)
        except _TooLarge:
            failure = UnreadableAnswer(
                f"over {self._most_bytes} bytes", may_have_happened=call.commands
            )
            failure.lasting = True
        except requests.exceptions.ContentDecodingError:
            failure = UnreadableAnswer("its compression is broken", may_have_happened=call.commands)
        except _FAILURES as error:
            failure = Unreachable(
                _how(error, progress), may_have_happened=call.commands and progress.sent
            )
        raise failure

    def with_present_key(self) -> "Transport":
        """Give one that shares the connections of this one, and keeps to the key of this moment."""
        key, other = self._api_key(), copy(self)
        other._api_key = lambda: key
        return other

    def close(self) -> None:
        """Let go of the connections that are kept open."""
        self._kept.close()

    def _receive(self, session: requests.Session, call: Call, key: str) -> Answer:
        headers = {"apikey": key}
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        asked = self._now_ms()
        with session.request(
            call.method,
            self._base_url + call.path,
            params=dict(call.query),
            data=call.body,
            headers=headers,
            timeout=(self._timeouts.connect, self._timeouts.read),
            allow_redirects=False,
            stream=True,
        ) as response:
            body = bytearray()
            for piece in response.iter_content(_PIECE):
                body += piece
                if len(body) > self._most_bytes:
                    raise _TooLarge
            if not body and _endless(response):
                raise ConnectionAbortedError
            return Answer(
                status=response.status_code,
                headers=response.headers,
                body=bytes(body),
                asked=asked,
                commands=call.commands,
            )


class _TooLarge(Exception):
    """An answer has more bytes than are read."""


def _endless(response: requests.Response) -> bool:
    """Tell whether an answer does not say where it ends; then its head may have been cut off.

    The parser takes a head that breaks off for a whole one, and the nothing after it for a body.
    """
    framed = {"Content-Length", "Transfer-Encoding"} & {name.title() for name in response.headers}
    return response.status_code != HTTPStatus.NO_CONTENT and not framed


def _how(error: BaseException, progress: Progress) -> str:
    if not progress.sent:
        secure = isinstance(error, requests.exceptions.SSLError)
        return "no secure connection" if secure else "no connection"
    timed_out = progress.late or isinstance(error, requests.exceptions.Timeout)
    return "no whole answer in time" if timed_out else "the connection broke off"
