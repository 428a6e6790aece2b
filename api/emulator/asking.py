"""Reads the bodies of the controls."""

from collections.abc import Mapping
from typing import Any, Final, TypedDict

from flask import Request

from api.emulator.calls import read_texts, read_typed
from api.emulator.errors import BadRequest
from api.emulator.links import Login
from api.emulator.world import Details
from api.times import parse_micros

DETAILS: Final = frozenset({"clientReferenceId", "userData", "permissions"})
"""Names of what a creator brings along."""
WHEN: Final = frozenset({"at", "hold"})
"""Names of when it happens and whether its webhook is held back."""


class Moment(TypedDict):
    """When something happens."""

    at: int | None
    """Milliseconds since the epoch, UTC; None for now."""
    hold: bool
    """Whether its webhook is held back."""


def read_body(request: Request, names: frozenset[str] | None) -> dict[str, Any]:
    """Read the request's JSON object, empty when there is none; None takes every name.

    Raises:
        BadRequest: it is no JSON object, or holds another name.
    """
    body = request.get_json(force=True, silent=True) if request.get_data() else {}
    if not isinstance(body, dict):
        raise BadRequest("The body is not a JSON object.")
    if names is not None and (unknown := set(body) - names):
        raise BadRequest(
            f"{len(unknown)} unknown name(s) in the body, expected some of "
            f"{', '.join(sorted(names))}."
        )
    return body


def read_details(body: Mapping[str, Any]) -> Details:
    """Read what a creator brings along.

    Raises:
        BadRequest: a value is of the wrong type.
    """
    return Details(
        client_reference_id=read_typed(body, "clientReferenceId", str),
        user_data=read_typed(body, "userData", dict),
        permissions=read_texts(body, "permissions"),
    )


def read_moment(body: Mapping[str, Any]) -> Moment:
    """Read when it happens.

    Raises:
        BadRequest: a value is of the wrong type, or no time.
    """
    text = read_typed(body, "at", str)
    hold = bool(read_typed(body, "hold", bool))
    if text is None:
        return {"at": None, "hold": hold}
    try:
        return {"at": parse_micros(text) // 1000, "hold": hold}
    except ValueError:
        raise BadRequest("at is not an RFC 3339 time such as 2024-01-15T10:30:00Z.") from None


def read_login(body: Mapping[str, Any], *, code_asked: bool) -> Login:
    """Read who logs in.

    Raises:
        BadRequest: a value is of the wrong type, or no time.
    """
    return Login(
        details=read_details(body),
        code_asked=code_asked,
        elsewhere=bool(read_typed(body, "elsewhere", bool)),
        **read_moment(body),
    )
