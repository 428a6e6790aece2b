"""The emulator's Flask application: the provider's API, the controls, and errors in its form."""

from flask import Flask, Response
from werkzeug.exceptions import HTTPException

from api.emulator.controls import make_controls
from api.emulator.emulator import Emulator
from api.emulator.errors import Refused
from api.emulator.provider import error_answer, make_provider


def create_emulator_app(emulator: Emulator) -> Flask:
    """Make the application in front of an emulator."""
    app = Flask("api.emulator", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = 1 << 20
    app.register_blueprint(make_controls(emulator))
    app.register_blueprint(make_provider(emulator))

    @app.errorhandler(Refused)
    def refused(error: Refused) -> Response:
        return error_answer(emulator, error.status, error.type, str(error))

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        status = error.code or 500
        kind = {404: "ROUTE_NOT_FOUND"}.get(
            status, "BAD_REQUEST" if status < 500 else "INTERNAL_ERROR"
        )
        answer = error_answer(emulator, status, kind, error.description or error.name)
        for name, value in error.get_headers():
            if name == "Allow":
                answer.headers[name] = value
        return answer

    return app
