"""Bodies that no well-meaning sender makes, each with what must become of it; from a seed.

For the reader at function level and, signed, for the whole service over HTTP.
"""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

TYPES = tuple(f"connection.{name}" for name in ("created", "updated", "expired", "disconnected"))
_WRONG: tuple[Any, ...] = (0, 7, -1.5, True, "", "text", [], ["a"], {}, {"a": 1}, [[]])


@dataclass(frozen=True)
class Hostile:
    """One body, and the reason for which it must be parked; None when it must not be."""

    name: str
    body: bytes
    reason: str | None


def bodies(rng: random.Random, *, big: bool = False) -> Iterator[Hostile]:
    """Give hostile bodies without end; `big` adds some of over 256 KiB."""
    makers = (*_MAKERS, _too_big) if big else _MAKERS
    while True:
        maker = rng.choice(makers)
        body, reason = maker(rng)
        yield Hostile(maker.__name__.strip("_"), body, reason)


def plain(rng: random.Random, kind: str | None = None) -> dict[str, Any]:
    """Give a well-formed body about a connection, in one of the three shapes."""
    kind = kind or rng.choice(TYPES)
    known = {
        "id": f"conn_{rng.getrandbits(64):016x}",
        "status": rng.choice(("active", "awaiting_2fa", "expired")),
    }
    stamp = f"2024-01-{rng.randint(1, 28):02}T10:30:{rng.randint(0, 59):02}Z"
    reference = f"user_{rng.randrange(1000)}"
    shape = rng.randrange(3)
    if shape == 0:
        user: dict[str, Any] = {"id": "1", "name": "Ann", "username": "ann", "avatar": None}
        connection = {**known, "permissions": ["profile:read"], "userData": user}
        data: dict[str, Any] = {"clientReferenceId": reference, "connection": connection}
        return {"type": kind, "timestamp": stamp, "data": data}
    if shape == 1:
        user = {"userId": "1", "name": "Ann", "username": "ann", "avatar": "https://a.example/1"}
        connection = {**known, "platformUserId": "1", "userData": user, "permissions": []}
        data = {"connection": connection, "clientReferenceId": reference}
        return {"eventType": kind, "live": True, "data": data}
    data = {"connectionId": known["id"], "userId": "1", "status": known["status"]}
    return {"event": kind, "timestamp": stamp, "data": data}


def encoded(body: Any) -> bytes:
    """Write a body as OFAuth does."""
    return json.dumps(body).encode()


def _with(rng: random.Random, member: bytes) -> bytes:
    """Put one member of raw JSON text into the top level or `data` of a well-formed body."""
    text = encoded(plain(rng))
    if rng.random() < 0.5:
        return text[:-1] + b", " + member + b"}"
    return text[:-2] + b", " + member + b"}}"


def _not_json(rng: random.Random) -> tuple[bytes, str]:
    text = encoded(plain(rng))
    at = rng.randrange(1, len(text))
    broken = (
        b"",
        text[:at],
        text + b",",
        b"\xef\xbb\xbf" + text,
        text.decode().encode("utf-16-le"),
        text.replace(b'"', b"'"),
        text[:-1] + b",}",
        b"<html>" + bytes(rng.randrange(32, 127) for _ in range(20)),
        b"type=connection.created&id=conn_1",
        _with(rng, b'"a": "\x00"'),
        _with(rng, b'"a": "\\x41"'),
        _with(rng, b'"a": 01'),
    )
    return rng.choice(broken), "not_json"


def _no_number(rng: random.Random) -> tuple[bytes, str]:
    return _with(rng, b'"a": ' + rng.choice((b"NaN", b"Infinity", b"-Infinity"))), "not_json"


def _huge_number(rng: random.Random) -> tuple[bytes, str]:
    digits = b"9" * rng.choice((20, 400, 5_000, 50_000))
    number = rng.choice((digits, b"-" + digits, b"0." + digits, b"1e999", b"-1E+400"))
    return _with(rng, b'"a": [' + number + b"]"), "not_json"


def _twice(rng: random.Random) -> tuple[bytes, str]:
    return _with(rng, b'"a": {"k": 1, "j": 2, "\\u006b": 1}'), "not_json"


def _not_utf8(rng: random.Random) -> tuple[bytes, str]:
    junk = rng.choice((b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe2\x82"))
    return _with(rng, b'"a": "' + junk + b'"'), "not_utf8"


def _bad_text(rng: random.Random) -> tuple[bytes, str]:
    junk = rng.choice((b"\\u0000", b"\\ud800", b"\\uDFFF", b"\\udc00\\ud800", b"a\\uD83D\\u0041"))
    member = rng.choice((b'"a": "%s"', b'"%s": 1', b'"a": [{"b": ["%s"]}]', b'"a": {"%s": {}}'))
    return _with(rng, member % junk), "bad_text"


def _too_deep(rng: random.Random) -> tuple[bytes, str]:
    levels = rng.choice((*(33, 34, 100, 1_000) * 3, 30_000))
    if rng.random() < 0.5:
        return _with(rng, b'"a": ' + b"[" * levels + b"]" * levels), "too_deep"
    return _with(rng, b'"a": ' + b'{"a":' * levels + b"0" + b"}" * levels), "too_deep"


def _unclosed(rng: random.Random) -> tuple[bytes, str]:
    return rng.choice((b"[", b'{"a":', b'[{"')) * rng.choice((*(33, 500) * 5, 40_000)), "too_deep"


def _wrong_type(rng: random.Random) -> tuple[bytes, str]:
    body = plain(rng)
    data = body["data"]
    holder = data.get("connection", data)
    name = rng.choice(("status", "permissions", "userData", "platformUserId"))
    fit = {"permissions": (["a"], []), "userData": ({}, {"a": 1})}.get(name, ("", "text"))
    holder[name] = rng.choice([value for value in _WRONG if value not in fit])
    return encoded(body), "bad_shape"


def _no_id(rng: random.Random) -> tuple[bytes, str]:
    body = plain(rng)
    data = body["data"]
    holder, name = (data["connection"], "id") if "connection" in data else (data, "connectionId")
    holder[name] = rng.choice((None, "", "c" * 257, 7, ["conn_1"]))
    if rng.random() < 0.2:
        del holder[name]
    return encoded(body), "bad_shape"


def _no_object(rng: random.Random) -> tuple[bytes, str]:
    body = rng.choice((None, True, 7, "connection.created", [], [plain(rng)], {}, {"type": 7}))
    return encoded(body), "bad_shape"


def _bad_time(rng: random.Random) -> tuple[bytes, str]:
    stamp: Any = rng.choice(
        (0, 1705314600, [], "", "yesterday", "2024-02-30T00:00:00Z", "1969-12-31T23:59:59Z",
         "2024-01-15T10:30:00", "2024-01-15 10:30:00Z", "2024-01-15T10:30:00+99:00", "9" * 5000)
    )  # fmt: skip
    return encoded({**plain(rng), "timestamp": stamp}), "bad_shape"


def _unknown_type(rng: random.Random) -> tuple[bytes, str]:
    kind = rng.choice(("connection.", "connection.revoked", "connection.x" * 50, "connection.é"))
    return encoded(plain(rng, kind)), "unknown_type"


def _giant_key(rng: random.Random) -> tuple[bytes, None]:
    return _with(rng, b'"%s": 1' % (b"k" * rng.choice((1_000, 100_000)))), None


def _wide(rng: random.Random) -> tuple[bytes, None]:
    member = rng.choice((b"[]", b"{}", b"0", b'""', b'"[{\\""'))
    return _with(rng, b'"a": [' + b", ".join([member] * rng.choice((50, 9_000))) + b"]"), None


def _just_deep_enough(rng: random.Random) -> tuple[bytes, None]:
    levels = rng.choice((28, 29, 30))
    return _with(rng, b'"a": ' + b"[" * levels + b"]" * levels), None


def _just_text(rng: random.Random) -> tuple[bytes, None]:
    """Text that only looks like NUL, a lone surrogate or depth."""
    text = rng.choice(
        (b"\\\\u0000", b"\\ud83d\\ude00", b"\\\\ud800", b"[" * 99, b'\\"' + b"{" * 99)
    )
    return _with(rng, b'"a": "' + text + b'"'), None


def _withheld(rng: random.Random) -> tuple[bytes, None]:
    """Of a type whose body must not be kept, whatever is wrong inside."""
    inside = rng.choice(
        (b'"\\u0000"', b"1e999", b'{"a": 1, "a": 2}', b"[" * 99 + b"]" * 99, b"NaN", b'"\xff"')
    )
    kind = rng.choice((b"rules.updated", b"realtime.message", b"of.websocket.event.received"))
    return b'{"type": "' + kind + b'", "data": ' + inside + b"}", None


def _too_big(rng: random.Random) -> tuple[bytes, str]:
    return encoded(plain(rng)) + b" " * (256 * 1024), "too_big"


_MAKERS: tuple[Callable[[random.Random], tuple[bytes, str | None]], ...] = (
    _not_json,
    _no_number,
    _huge_number,
    _twice,
    _not_utf8,
    _bad_text,
    _too_deep,
    _unclosed,
    _wrong_type,
    _no_id,
    _no_object,
    _bad_time,
    _unknown_type,
    _giant_key,
    _wide,
    _just_deep_enough,
    _just_text,
    _withheld,
)
