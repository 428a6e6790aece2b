"""The controls under `/_emulator`: what happens at the pretended provider, and what goes wrong."""

from collections.abc import Mapping
from typing import Any, Final

from flask import Blueprint, request

from api.emulator.emulator import Emulator
from api.emulator.errors import BadRequest
from api.emulator.world import Action, Details
from api.times import parse_micros

_DETAILS: Final = frozenset({"clientReferenceId", "userData", "permissions"})
_WHEN: Final = frozenset({"at", "hold"})


def make_controls(emulator: Emulator) -> Blueprint:
    """Make the routes under `/_emulator`. They ask for no key: listen on a local address."""
    routes = Blueprint("controls", __name__, url_prefix="/_emulator")

    @routes.post("/connections")
    def create() -> tuple[dict[str, Any], int]:
        """A creator finished Link."""
        body = _body(_DETAILS | _WHEN | {"status", "imported"})
        status = _typed(body, "status", str)
        row = emulator.create(
            _details(body),
            status="active" if status is None else status,
            imported=bool(_typed(body, "imported", bool)),
            at=_at(body),
            hold=bool(_typed(body, "hold", bool)),
        )
        return row, 201

    @routes.post("/connections/<connection_id>/<action>")
    def act(connection_id: str, action: str) -> dict[str, Any]:
        """Something happens to a connection."""
        if action not in list(Action):
            raise BadRequest(f"Unknown action, expected one of {', '.join(Action)}.")
        body = _body(_DETAILS | _WHEN)
        return emulator.act(
            connection_id,
            Action(action),
            _details(body),
            at=_at(body),
            hold=bool(_typed(body, "hold", bool)),
        )

    @routes.put("/faults")
    def faults() -> dict[str, float]:
        """From now on this goes wrong; `{}` for nothing."""
        return emulator.set_faults(_body(None))

    @routes.put("/deliveries")
    def deliveries() -> dict[str, Any]:
        """From now on webhooks are made like this."""
        return emulator.set_style(_body(None))

    @routes.get("/truth")
    def truth() -> dict[str, Any]:
        """What really is."""
        return emulator.truth()

    @routes.post("/quiesce")
    def quiesce() -> dict[str, Any]:
        """Return when no delivery is pending."""
        keep = bool(_typed(_body(frozenset({"keepHeld"})), "keepHeld", bool))
        return {"deliveries": emulator.quiesce(keep_held=keep)}

    return routes


def _body(names: frozenset[str] | None) -> dict[str, Any]:
    """Read the request's JSON object, empty when there is none; None takes every name."""
    body = request.get_json(force=True, silent=True) if request.get_data() else {}
    if not isinstance(body, dict):
        raise BadRequest("The body is not a JSON object.")
    if names is not None and (unknown := set(body) - names):
        raise BadRequest(
            f"{len(unknown)} unknown name(s) in the body, expected some of "
            f"{', '.join(sorted(names))}."
        )
    return body


def _typed(body: Mapping[str, Any], name: str, kind: type) -> Any:
    value = body.get(name)
    if value is not None and not isinstance(value, kind):
        raise BadRequest(f"{name} is not of the type {kind.__name__}.")
    return value


def _details(body: Mapping[str, Any]) -> Details:
    permissions = _typed(body, "permissions", list)
    if permissions is not None and not all(isinstance(one, str) for one in permissions):
        raise BadRequest("permissions is not a list of texts.")
    return Details(
        client_reference_id=_typed(body, "clientReferenceId", str),
        user_data=_typed(body, "userData", dict),
        permissions=None if permissions is None else tuple(permissions),
    )


def _at(body: Mapping[str, Any]) -> int | None:
    text = _typed(body, "at", str)
    if text is None:
        return None
    try:
        return parse_micros(text) // 1000
    except ValueError:
        raise BadRequest("at is not an RFC 3339 time such as 2024-01-15T10:30:00Z.") from None
