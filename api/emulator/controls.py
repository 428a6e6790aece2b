"""The controls under `/_emulator`: what happens at the pretended provider, and what goes wrong."""

from typing import Any, Final

from flask import Blueprint, request

from api.emulator.asking import DETAILS, WHEN, read_body, read_details, read_login, read_moment
from api.emulator.calls import read_typed
from api.emulator.emulator import Emulator
from api.emulator.errors import BadRequest
from api.emulator.world import Action

CHANGE_PASSWORD: Final = "change-password"
"""What happens to all connections of an upstream account at once."""
_LINK: Final = frozenset({"outcome", "step", "errorCode", "elsewhere"})
_OUTCOMES: Final = ("success", "2fa", "cancelled", "error")
_MOST_FORWARD_S: Final = 366 * 86_400


def make_controls(emulator: Emulator) -> Blueprint:
    """Make the routes under `/_emulator`. They ask for no key: listen on a local address."""
    routes = Blueprint("controls", __name__, url_prefix="/_emulator")
    _add_happenings(routes, emulator)
    _add_extras(routes, emulator)
    _add_settings(routes, emulator)
    _add_questions(routes, emulator)
    return routes


def _add_happenings(routes: Blueprint, emulator: Emulator) -> None:
    """What creators do."""

    @routes.post("/connections")
    def create() -> tuple[dict[str, Any], int]:
        """A creator finishes Link: 201 with the list row."""
        body = read_body(request, DETAILS | WHEN | {"status", "imported", "foreign"})
        status = read_typed(body, "status", str)
        row = emulator.create(
            read_details(body),
            status="active" if status is None else status,
            imported=bool(read_typed(body, "imported", bool)),
            foreign=bool(read_typed(body, "foreign", bool)),
            **read_moment(body),
        )
        return row, 201

    @routes.post("/connections/<connection_id>/<action>")
    def act(connection_id: str, action: str) -> dict[str, Any]:
        """Something happens to a connection: 200 with the row."""
        if action == CHANGE_PASSWORD:
            return emulator.change_password(connection_id, **read_moment(read_body(request, WHEN)))
        if action not in list(Action):
            known = ", ".join([*Action, CHANGE_PASSWORD])
            raise BadRequest(f"Unknown action, expected one of {known}.")
        body = read_body(request, DETAILS | WHEN)
        details, moment = read_details(body), read_moment(body)
        return emulator.act(connection_id, Action(action), details, **moment)

    @routes.post("/links/<secret>")
    def link(secret: str) -> dict[str, Any]:
        """A creator goes through a Link page without a browser: 200 with the session."""
        body = read_body(request, DETAILS | WHEN | _LINK)
        outcome = read_typed(body, "outcome", str) or "success"
        if outcome == "cancelled":
            return emulator.cancel(secret, read_typed(body, "step", str) or "login")
        if outcome == "error":
            code = read_typed(body, "errorCode", str) or "invalid_credentials"
            return emulator.fail(secret, code)
        if outcome not in _OUTCOMES:
            raise BadRequest(f"Unknown outcome, expected one of {', '.join(_OUTCOMES)}.")
        return emulator.log_in(secret, read_login(body, code_asked=outcome == "2fa"))


def _add_extras(routes: Blueprint, emulator: Emulator) -> None:
    """What else goes out, and how time goes on."""

    @routes.post("/webhooks")
    def webhook() -> tuple[dict[str, Any], int]:
        """A webhook of any type goes out, with any data: 202."""
        body = read_body(request, WHEN | {"type", "data"})
        kind = read_typed(body, "type", str)
        if not kind:
            raise BadRequest("type is missing.")
        emulator.notify(kind, read_typed(body, "data", dict) or {}, **read_moment(body))
        return {}, 202

    @routes.post("/redeliver")
    def redeliver() -> dict[str, int]:
        """The webhooks that were given up are sent again, as one does by hand in a dashboard."""
        read_body(request, frozenset())
        return {"deliveries": emulator.redeliver()}

    @routes.post("/clock")
    def clock() -> dict[str, str]:
        """The emulator's clock moves on, and with it retries and the end of Link sessions."""
        body = read_body(request, frozenset({"forwardSeconds"}))
        seconds = body.get("forwardSeconds", 0)
        wrong = isinstance(seconds, bool) or not isinstance(seconds, int | float)
        if wrong or not 0 <= seconds <= _MOST_FORWARD_S:
            raise BadRequest(f"forwardSeconds is not a number from 0 to {_MOST_FORWARD_S}.")
        return {"now": emulator.forward(round(seconds * 1000))}


def _add_settings(routes: Blueprint, emulator: Emulator) -> None:
    """What goes wrong, and how things are done."""

    @routes.put("/faults")
    def faults() -> dict[str, float]:
        """This goes wrong from now on; `{}` for nothing."""
        return emulator.set_faults(read_body(request, None))

    @routes.put("/deliveries")
    def deliveries() -> dict[str, Any]:
        """Webhooks are made like this from now on; what is not named stays."""
        return emulator.set_style(read_body(request, None))

    @routes.put("/answers")
    def answers() -> dict[str, Any]:
        """The HTTP API answers like this from now on; what is not named stays."""
        return emulator.set_manner(read_body(request, None))


def _add_questions(routes: Blueprint, emulator: Emulator) -> None:
    """What is, and when everything has arrived."""

    @routes.get("/facts")
    def facts() -> dict[str, Any]:
        """What happened to the connections, first to last, also what no webhook told."""
        return {"facts": emulator.facts()}

    @routes.get("/truth")
    def truth() -> dict[str, Any]:
        """What really is: the list, deleted ones, Link sessions, effects, requests, deliveries."""
        return emulator.truth()

    @routes.post("/quiesce")
    def quiesce() -> dict[str, Any]:
        """Answers when no delivery is pending; held ones are sent too, unless they are kept."""
        body = read_body(request, frozenset({"keepHeld"}))
        keep = bool(read_typed(body, "keepHeld", bool))
        return {"deliveries": emulator.quiesce(keep_held=keep)}
