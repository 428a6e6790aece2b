"""A call to the emulator and its answer as plain values: HTTP without a network."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Final, Self
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from api.emulator.errors import BadRequest

JSON: Final = "application/json"
HTML: Final = "text/html; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request."""

    method: str
    path: str
    """The path as it was sent, still percent-encoded, without the query."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """By name in lower case."""
    body: bytes = b""

    @classmethod
    def make(
        cls,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Self:
        """Make a call of a target such as `/v2/connections?limit=5`, or of a whole URL."""
        parts = urlsplit(target)
        return cls(
            method=method.upper(),
            path=parts.path,
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in (headers or {}).items()},
            body=body,
        )

    @property
    def segments(self) -> tuple[str, ...]:
        """The parts of the path between its slashes, decoded."""
        return tuple(unquote(part) for part in self.path.strip("/").split("/"))

    @property
    def target(self) -> str:
        """Path and query, the same for calls that ask the same."""
        return f"{self.path}?{urlencode(sorted(self.query.items()))}"

    def json(self) -> dict[str, Any]:
        """Read the body as a JSON object, empty when there is none.

        Raises:
            BadRequest: it is something else.
        """
        try:
            value = json.loads(self.body) if self.body else {}
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise BadRequest("The body is not a JSON object.")
        return value

    def form(self) -> dict[str, str]:
        """Read the body as a browser's form."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    def flag(self, name: str) -> bool | None:
        """Read "true" or "false" of a query parameter; None when it is absent.

        Raises:
            BadRequest: it is something else.
        """
        text = self.query.get(name)
        if text is None:
            return None
        if text not in ("true", "false"):
            raise BadRequest(f"{name} is neither true nor false.")
        return text == "true"

    def number(self, name: str, default: int, *, least: int) -> int:
        """Read a whole number of a query parameter; the default when it is absent.

        Raises:
            BadRequest: it is something else, or less than `least`.
        """
        text = self.query.get(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdigit() and len(text) < 10) or int(text) < least:
            raise BadRequest(f"{name} is not a whole number from {least}.")
        return int(text)


class Ending(Enum):
    """How much of an answer reaches the caller."""

    WHOLE = auto()
    CUT = auto()
    """Headers and half of the body, then the connection closes."""
    LOST = auto()
    """Nothing: the connection closes."""


@dataclass(slots=True, kw_only=True)
class Answer:
    """One answer."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    wait: float = 0.0
    """Seconds that pass before it is sent."""
    ending: Ending = Ending.WHOLE

    @classmethod
    def of(cls, value: Mapping[str, Any], status: int = 200) -> Self:
        """Answer with a JSON object."""
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return cls(status=status, headers={"Content-Type": JSON}, body=text.encode())

    def json(self) -> Any:
        """Read the body as JSON.

        Raises:
            ValueError: it is none.
        """
        return json.loads(self.body)


def read_typed(body: Mapping[str, Any], name: str, kind: type) -> Any:
    """Give a member of a JSON object, None when it is absent or null.

    Raises:
        BadRequest: it is of another type.
    """
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise BadRequest(f"{name} is not of the type {kind.__name__}.")
    return value


def read_texts(body: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    """Give a member that is a list of texts, None when it is absent or null.

    Raises:
        BadRequest: it is something else.
    """
    value = read_typed(body, name, list)
    if value is None:
        return None
    if not all(isinstance(one, str) for one in value):
        raise BadRequest(f"{name} is not a list of texts.")
    return tuple(value)
