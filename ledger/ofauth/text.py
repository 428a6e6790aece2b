"""JSON as the ledger accepts it: what may be read from a body, and what every store can keep.

Stricter than Python's parser, because what is read must mean one thing and go into PostgreSQL and
SQLite alike: no doubled keys, no NaN, no number that changes on the way, no NUL and no lone
surrogate, at most 32 levels.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from ledger.domain.errors import LedgerError

MAX_BYTES: Final = 256 * 1024
"""Above this a body is kept and not read."""
MAX_DEPTH: Final = 32
"""How many objects and arrays may be open at once."""
MAX_DIGITS: Final = 19
"""How many digits a number may have; of a fraction, leading zeros do not count."""

Reason = Literal[
    "too_big", "not_utf8", "not_json", "too_deep", "bad_text", "bad_shape", "unknown_type"
]
"""Why something could not be read: the words of `delivery.parked`."""


class Unreadable(LedgerError):
    """JSON that the ledger does not read; `reason` is one word, `detail` says which part.

    Neither contains any of its text.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(
            f"JSON could not be read ({reason}): {detail}. "
            "Compare it with the forms that OFAuth publishes."
        )
        self.reason: Reason = reason
        self.detail = detail


def parse(body: bytes) -> Any:
    """Parse a JSON text in UTF-8; its strings are not looked into, `check_text` does that.

    Raises:
        Unreadable: not UTF-8, not JSON, a doubled key, a number that is too long, too deep.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise Unreadable("not_utf8", "the body is not UTF-8") from None
    # Fewer brackets than levels allowed: the usual body needs no second look.
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and _is_deep(body):
        raise Unreadable("too_deep", f"more than {MAX_DEPTH} levels")
    try:
        return _STRICT.decode(text)
    except ValueError:
        raise Unreadable("not_json", "the body is not JSON") from None
    except RecursionError:
        raise Unreadable("too_deep", "too deep for the parser's stack") from None


def check_text(body: bytes, value: Any) -> None:
    """Refuse strings and keys of a parsed body that a store cannot keep.

    Raises:
        Unreadable: NUL or a lone surrogate in any of them.
    """
    # Both can only come from escapes: a raw NUL is not JSON, a raw surrogate is not UTF-8.
    if _SUSPECT.search(body):
        check_value(value)


def check_value(value: Any) -> None:
    """Refuse a JSON value that a store cannot keep.

    Raises:
        Unreadable: NUL, a lone surrogate, a number that is not finite or too long, too deep, or
            something that is not JSON at all.
    """
    waiting: list[tuple[Any, int]] = [(value, 1)]
    while waiting:
        one, depth = waiting.pop()
        if isinstance(one, str):
            _check_string(one)
        elif isinstance(one, Mapping | list | tuple):
            if depth > MAX_DEPTH:
                raise Unreadable("too_deep", f"more than {MAX_DEPTH} levels")
            inside: Sequence[Any] = [*one, *one.values()] if isinstance(one, Mapping) else one
            if isinstance(one, Mapping) and not all(isinstance(key, str) for key in one):
                raise Unreadable("not_json", "a key is not a string")
            waiting.extend((item, depth + 1) for item in inside)
        elif not _is_plain(one):
            raise Unreadable("not_json", "a value that JSON does not have, or too long a number")


def is_storable(text: str) -> bool:
    """Tell whether PostgreSQL and SQLite can keep the text: no NUL, no lone surrogate."""
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def glance(body: bytes) -> dict[str, Any]:
    """Give the top-level members of a body that `parse` refused; empty when there are none.

    Whatever is nested reads as 0. It makes out the type of a body that must not be kept even
    though something inside is not readable; never raises.
    """
    shallow: list[str] = []
    depth = 0
    for token in _TOKEN.findall(body.decode("utf-8", "replace")):
        if token in ("{", "["):
            depth += 1
            if depth <= 2:
                shallow.append(token if depth == 1 else "0")
        elif token in ("}", "]"):
            depth -= 1
            if depth == 0:
                shallow.append(token)
        elif depth <= 1:
            shallow.append(token)
    try:
        members = _LENIENT.decode("".join(shallow))
    except (ValueError, RecursionError):
        return {}
    return members if isinstance(members, dict) else {}


def _is_deep(body: bytes) -> bool:
    """Tell whether more than `MAX_DEPTH` brackets are open anywhere outside of strings."""
    depth = 0
    for bracket in _STRING.sub(b"", body).translate(None, _NO_BRACKETS):
        depth += 1 if bracket in b"{[" else -1
        if depth > MAX_DEPTH:
            return True
    return False


def _check_string(text: str) -> None:
    if not is_storable(text):
        what = "NUL" if "\0" in text else "a lone surrogate"
        raise Unreadable("bad_text", f"{what} in a string or key")


def _is_plain(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return abs(value) < 10**MAX_DIGITS
    return value is None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Unreadable("not_json", "a key occurs twice in one object")
    return members


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS and len(text.lstrip("-")) > MAX_DIGITS:
        raise Unreadable("not_json", f"a number of more than {MAX_DIGITS} digits")
    return int(text)


def _fraction(text: str) -> float:
    if len(text) > MAX_DIGITS:
        digits = re.split("[eE]", text)[0].replace(".", "").lstrip("-0")
        if len(digits) > MAX_DIGITS:
            raise Unreadable("not_json", f"a number of more than {MAX_DIGITS} digits")
    number = float(text)
    if not math.isfinite(number):
        raise Unreadable("not_json", "a number that is too great")
    return number


def _constant(_text: str) -> float:
    raise Unreadable("not_json", "NaN or Infinity")


_STRICT: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_fraction, parse_constant=_constant
)
# float() takes any number of digits, int() refuses thousands
_LENIENT: Final = json.JSONDecoder(strict=False, parse_int=float)
_SUSPECT: Final = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
# Possessive, and with an optional end, so that no input makes them start over.
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_TOKEN: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]|[^"\[\]{}]++', re.DOTALL)
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"{}[]"))
