"""The calls about Link sessions."""

from typing import Any

from api.emulator.calls import Answer, read_typed
from api.emulator.connection_calls import confirmation
from api.emulator.errors import BadRequest, UnknownLink
from api.emulator.links import LinkStatus
from api.emulator.visit import Visit
from api.emulator.world import Connection
from api.times import format_millis


def link_init(visit: Visit) -> Answer:
    """Start a Link session."""
    body = visit.call.json()
    _prefixed(body, "clientAppId", "app_")
    place = read_typed(body, "geolocation", dict)
    if place is not None and read_typed(place, "country", str) is None:
        raise BadRequest("geolocation has no country.")
    session = visit.account.links.begin(
        visit.manner,
        redirect_url=read_typed(body, "redirectUrl", str),
        client_reference_id=read_typed(body, "clientReferenceId", str),
        target=_prefixed(body, "connectionId", "conn_"),
    )
    mode = {"mode": "hosted"} if visit.manner.linkMode else {}
    url = f"{visit.base}/link/{session.secret}"
    return Answer.of({**mode, "url": url, "expiresAt": format_millis(session.expires_at)})


def link_status(visit: Visit) -> Answer:
    """Say how far a login is; at its end the answer holds the creator's session."""
    try:
        session = visit.account.links.get(visit.argument)
    except UnknownLink:
        return Answer.of({"status": "not_found"})
    status: dict[str, Any] = {"status": session.status}
    if session.status is LinkStatus.AWAITING_2FA:
        status["data"] = {"twoFactorState": {"options": ["phone", "app"]}}
    made = visit.account.links.connection(session)
    if session.status is LinkStatus.COMPLETED and made is not None:
        status["data"] = {
            "id": made.id,
            "session": _creators_session(made, session.secret),
            "userData": dict(made.user_data),
        }
    return Answer.of(status)


def link_drop(visit: Visit) -> Answer:
    """Drop a Link session."""
    visit.account.links.drop(visit.argument)
    return confirmation(visit)


def _prefixed(body: dict[str, Any], name: str, prefix: str) -> str | None:
    value: str | None = read_typed(body, name, str)
    if value is not None and not value.startswith(prefix):
        raise BadRequest(f"{name} does not begin with {prefix}.")
    return value


def _creators_session(made: Connection, secret: str) -> dict[str, str]:
    """Make up the session that OFAuth gives away here, which nobody may record."""
    return {
        "user-id": str(made.account),
        "user-agent": "Mozilla/5.0 (emulated)",
        "cookie": f"auth_id={made.account}; sess=emulated-session-{secret}; fp=emulated",
        "x-bc": "emulated",
    }
