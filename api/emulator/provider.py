"""The provider's own HTTP API, as far as the emulator has it: the list and whoami."""

from typing import Any, Final

from flask import Blueprint, Response, jsonify, request

from api.emulator.emulator import Emulator, read_flag
from api.emulator.errors import BadRequest
from api.emulator.world import STATUSES

DEFAULT_LIMIT: Final = 10
MOST_LIMIT: Final = 100
"""The provider does not publish its maximum."""
_ONLY_NEWER: Final = ("imported", "lastCheckedAt")
"""Row keys that the older path does not have."""
_HTML: Final = "<!DOCTYPE html>\n<html><body><h1>502 Bad Gateway</h1></body></html>\n"
_BEARER: Final = "Bearer "


def make_provider(emulator: Emulator) -> Blueprint:
    """Make the routes under `/v2`."""
    routes = Blueprint("provider", __name__, url_prefix="/v2")

    @routes.before_request
    def refuse() -> Response | None:
        """Ask for the key, and let the faults of the HTTP API strike."""
        emulator.authorise(_presented_key())
        return _struck(emulator)

    @routes.after_request
    def truncate(response: Response) -> Response:
        """Cut an answer off when the fault strikes."""
        if emulator.strikes("truncate"):
            response.set_data(response.get_data()[: len(response.get_data()) // 2])
        return response

    @routes.get("/account/connections")
    def connections() -> dict[str, Any]:
        """Give a page of the list."""
        return _page(emulator)

    @routes.get("/connections")
    def older_connections() -> dict[str, Any]:
        """Give a page of the list, on the older path."""
        page = _page(emulator)
        for row in page["list"]:
            for name in _ONLY_NEWER:
                del row[name]
        return page

    @routes.get("/account/whoami")
    def whoami() -> dict[str, Any]:
        """Say whose key it is."""
        return {
            "id": emulator.organisation,
            "name": "Emulated organisation",
            "permissions": ["connections:read", "connections:write"],
        }

    return routes


def _presented_key() -> str | None:
    key = request.headers.get("apikey")
    if key is not None:
        return key
    authorization = request.headers.get("Authorization", "")
    return authorization.removeprefix(_BEARER) if authorization.startswith(_BEARER) else None


def _struck(emulator: Emulator) -> Response | None:
    if emulator.strikes("html"):
        return Response(_HTML, status=502, mimetype="text/html")
    if emulator.strikes("http429"):
        limited = error_answer(emulator, 429, "RATE_LIMIT_EXCEEDED", "Too many requests.")
        limited.headers.update({"Retry-After": "1", "X-RateLimit-Remaining": "0"})
        return limited
    if emulator.strikes("http5xx"):
        status = emulator.choose(500, 502, 503)
        return error_answer(emulator, status, "INTERNAL_ERROR", "Something went wrong.")
    return None


def error_answer(emulator: Emulator, status: int, kind: str, text: str) -> Response:
    """Make an answer in the provider's form of errors."""
    response = jsonify({"error": text, "type": kind, "requestId": emulator.request_id()})
    response.status_code = status
    return response


def _page(emulator: Emulator) -> dict[str, Any]:
    status = request.args.get("status")
    if status is not None and status not in STATUSES:
        raise BadRequest(f"Unknown status, expected one of {', '.join(STATUSES)}.")
    found, more = emulator.page(
        status=status,
        imported=read_flag(request.args.get("imported"), "imported"),
        limit=min(_number("limit", DEFAULT_LIMIT, least=1), MOST_LIMIT),
        offset=_number("offset", 0, least=0),
    )
    return {"list": [one.row() for one in found], "hasMore": more}


def _number(name: str, default: int, *, least: int) -> int:
    text = request.args.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10) or int(text) < least:
        raise BadRequest(f"{name} is not a whole number from {least}.")
    return int(text)
