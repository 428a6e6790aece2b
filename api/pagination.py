"""Cursors: opaque to callers, and of no use with another question or another store."""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

from flask import request

from api.errors import Problem, invalid
from api.services import Services, services
from projections.answers import Answer, Cursor, Page

T = TypeVar("T")

_MAC_BYTES: Final = 12
_FREE = frozenset({"limit", "cursor", "minPosition"})
"""Parameters that may change from page to page."""


def after(query: Mapping[str, Any]) -> Cursor | None:
    """Read where the asked page begins.

    Raises:
        Problem: the cursor was not made for this question.
    """
    text = query.get("cursor")
    return None if text is None else read_cursor(text, _question(), services().log.key)


def next_cursor(page: Page[Any]) -> str | None:
    """Give the cursor of the page that follows, for the present question."""
    return None if page.next is None else make_cursor(page.next, _question(), services().log.key)


def body_of(page: Page[T]) -> dict[str, object]:
    """Give a page as it is answered."""
    return {"items": page.items, "next_cursor": next_cursor(page)}


def position_headers(answer: Answer[Any]) -> dict[str, str]:
    """Say how much of the log an answer rests on, and on which rules."""
    return {
        "Ledger-Position": str(answer.position),
        "Ledger-Projection": f"{answer.projection}; version={answer.version}; "
        f"generation={answer.generation}",
    }


def log_end(use: Services) -> dict[str, str]:
    """Say how far the log went when an answer was made from itself."""
    return {"Ledger-Position": str(use.log.head().position)}


def make_cursor(end: Cursor, question: bytes, key: bytes) -> str:
    """Make the opaque form of a page's end, bound to a question by the store's own key."""
    content = json.dumps(end, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_mac(content, question, key) + content).decode().rstrip("=")


def read_cursor(text: str, question: bytes, key: bytes) -> Cursor:
    """Read a page's end back.

    Raises:
        Problem: the cursor was not made for this question by this store.
    """
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _foreign() from None
    mac, content = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(content, question, key)):
        raise _foreign()
    return tuple(json.loads(content))


def through(first: Page[T], fetch: Callable[[Cursor], Page[T]]) -> Iterator[T]:
    """Give the items of a page and of all that follow it."""
    page = first
    yield from page.items
    while page.next is not None:
        page = fetch(page.next)
        yield from page.items


def _mac(content: bytes, question: bytes, key: bytes) -> bytes:
    text = b"cursor\0%d\0%b%b" % (len(question), question, content)
    return hmac.new(key, text, hashlib.sha256).digest()[:_MAC_BYTES]


def _question() -> bytes:
    """What the present request asks, apart from the page."""
    asked = sorted((name, value) for name, value in request.args.items(multi=True))
    return json.dumps([request.path, [one for one in asked if one[0] not in _FREE]]).encode()


def _foreign() -> Problem:
    return invalid("cursor", "not a cursor of this list; begin again without it")
