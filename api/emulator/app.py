"""The emulator's Flask application: calls, controls, and errors in the provider's form."""

from collections.abc import Callable

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from api.emulator.calls import Answer, Call
from api.emulator.controls import make_controls
from api.emulator.emulator import Emulator
from api.emulator.errors import BadRequest, Refused, RouteNotFound, ServerFailed
from api.emulator.wire import ANSWER, Wire

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def create_emulator_app(emulator: Emulator, *, sleep: Callable[[float], object]) -> Flask:
    """Make the application in front of an emulator; slow answers wait by `sleep` (seconds)."""
    app = Flask("api.emulator", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = 1 << 20
    app.register_blueprint(make_controls(emulator))
    app.wsgi_app = Wire(app.wsgi_app, sleep)  # type: ignore[method-assign]

    @app.route("/v2/<path:_path>", methods=_METHODS)
    @app.route("/link/<path:_path>", methods=_METHODS)
    def call(_path: str) -> Response:
        """Answer as OFAuth does."""
        return _respond(emulator.call(_call()))

    @app.errorhandler(Refused)
    def refused(error: Refused) -> Response:
        return _respond(emulator.refusal(error))

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        status = error.code or 500
        text = error.description or error.name
        if status == 404:
            return _respond(emulator.refusal(RouteNotFound()))
        kind = BadRequest(text) if status < 500 else ServerFailed()
        answer = _respond(emulator.refusal(kind, status))
        for name, value in error.get_headers():
            if name == "Allow":
                answer.headers[name] = value
        return answer

    return app


def _call() -> Call:
    """Make a call of Flask's request."""
    return Call.make(
        request.method,
        request.environ.get("REQUEST_URI") or request.full_path,
        headers=dict(request.headers),
        body=request.get_data(),
    )


def _respond(answer: Answer) -> Response:
    request.environ[ANSWER] = answer
    return Response(answer.body, status=answer.status, headers=answer.headers)
