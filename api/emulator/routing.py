"""Which call has which answer: the provider's routes on both path families."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from api.emulator import connection_calls, link_calls
from api.emulator.calls import Answer, Call
from api.emulator.errors import RouteNotFound
from api.emulator.manner import Paths
from api.emulator.visit import Visit

Handler = Callable[[Visit], Answer]
_VARIABLE: Final = ("{id}", "{clientSecret}")
_ROUTES: Final[Sequence[tuple[str, tuple[str, ...], Handler]]] = (
    ("GET", ("connections",), connection_calls.list_page),
    ("GET", ("whoami",), connection_calls.whoami),
    ("POST", ("connections", "import"), connection_calls.import_session),
    ("PATCH", ("connections", "import", "{id}"), connection_calls.refresh_import),
    ("DELETE", ("connections", "{id}"), connection_calls.delete),
    ("POST", ("connections", "{id}", "invalidate"), connection_calls.invalidate),
    ("GET", ("connections", "{id}", "settings"), connection_calls.read_settings),
    ("PATCH", ("connections", "{id}", "settings"), connection_calls.change_settings),
    ("POST", ("link", "init"), link_calls.link_init),
    ("GET", ("link", "{clientSecret}"), link_calls.link_status),
    ("DELETE", ("link", "{clientSecret}"), link_calls.link_drop),
)


@dataclass(frozen=True, slots=True)
class Route:
    """A route found for a call."""

    name: str
    """Method and path, with `{id}` for the variable part."""
    handler: Handler
    argument: str
    """The variable part of the path."""
    whole: bool
    """Whether the path begins with `/v2/account`."""


def find_route(call: Call, paths: Paths) -> Route:
    """Find the route of a call.

    Raises:
        RouteNotFound: there is none, or `paths` switches it off.
    """
    segments = call.segments
    whole = segments[:2] == ("v2", "account")
    tail = segments[2 if whole else 1 :]
    for method, pattern, handler in _ROUTES:
        if method == call.method and _fits(tail, pattern) and _exists(pattern, whole, paths):
            given = dict(zip(pattern, tail, strict=True))
            argument = next((given[name] for name in _VARIABLE if name in given), "")
            path = "/".join(["v2", *(["account"] if whole else []), *pattern])
            return Route(f"{method} /{path}", handler, argument, whole)
    raise RouteNotFound


def _fits(tail: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    return len(tail) == len(pattern) and all(
        part == wanted or wanted in _VARIABLE for part, wanted in zip(tail, pattern, strict=True)
    )


def _exists(pattern: tuple[str, ...], whole: bool, paths: Paths) -> bool:
    """Tell whether a route exists on a path: whoami and Link have one, connections have two."""
    if pattern[0] == "connections":
        return paths is not (Paths.PLAIN if whole else Paths.ACCOUNT)
    return whole == (pattern == ("whoami",))
