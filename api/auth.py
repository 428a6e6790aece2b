"""Who may ask: a token with a scope, on everything that is not open on purpose."""

import base64
import binascii
from collections.abc import Callable
from typing import Final, TypeVar

from flask import Request, current_app, g, request

from api.errors import CROWDED, FORBIDDEN, UNAUTHORIZED, Problem
from api.services import behind, services
from api.slots import REFUSED
from api.tokens import Scope, find_token

View = TypeVar("View", bound=Callable[..., object])

OPEN: Final = "open"
"""The mark of views that ask for no token."""
_MARK = "required_scope"


def requires(scope: Scope, *, browser: bool = False) -> Callable[[View], View]:
    """Mark a view as needing a token with `scope`.

    `browser` also takes the token as the password of HTTP Basic, which is what a browser can ask
    its user for.
    """
    return lambda view: _mark(view, f"{scope}:browser" if browser else scope)


def open_to_all(view: View) -> View:
    """Mark a view as needing no token."""
    return _mark(view, OPEN)


def required_scope(endpoint: str) -> str | None:
    """Give the mark of an endpoint's view; None when somebody forgot it."""
    return getattr(current_app.view_functions[endpoint], _MARK, None)


def check() -> None:
    """Refuse the request unless it may pass.

    Raises:
        Problem: there is no slot, no valid token, or a scope is missing.
    """
    asked = behind(request)
    if asked.endpoint is None:
        return
    if asked.environ.get(REFUSED):
        raise Problem(CROWDED, "All readers' slots are taken.", headers={"Retry-After": "1"})
    mark = required_scope(asked.endpoint) or "admin"
    if mark == OPEN:
        return
    scope, _, browser = mark.partition(":")
    presented = presented_token(asked, basic=bool(browser))
    token = None if presented is None else find_token(presented, services().settings().api_tokens)
    if token is None:
        raise Problem(
            UNAUTHORIZED,
            UNAUTHORIZED.advice,
            headers={
                "WWW-Authenticate": 'Basic realm="connection-ledger"' if browser else "Bearer"
            },
        )
    g.token_name, g.token_scopes = token.name, token.scopes
    if scope not in token.scopes:
        raise Problem(FORBIDDEN, f"This needs a token with the scope `{scope}`.")


def presented_token(asked: Request, *, basic: bool = False) -> bytes | None:
    """Give the token that a request presents, as its header's own bytes."""
    authorization = asked.environ.get("HTTP_AUTHORIZATION")
    if authorization is None:
        key: str | None = asked.environ.get("HTTP_APIKEY")
        return key.encode("latin-1") if key else None
    scheme, _, value = authorization.strip().partition(" ")
    if scheme.lower() == "bearer":
        return str(value).strip().encode("latin-1")
    if basic and scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            return None
    return None


def _mark(view: View, mark: str) -> View:
    setattr(view, _MARK, mark)
    return view
