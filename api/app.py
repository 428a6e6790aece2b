"""The Flask application: routes, errors, request ids, one log line for each request."""

from collections.abc import Callable
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import msgspec
from flask import Blueprint, Flask, Response, current_app, g, request
from flask.json.provider import DefaultJSONProvider
from flask_swagger_ui import get_swaggerui_blueprint
from werkzeug.routing import Rule

from api import (
    auth,
    clients,
    commands,
    connections,
    duplicates,
    errors,
    events,
    forget,
    health,
    history,
    link_visits,
    links,
    parked,
    provider,
    quarantine,
    sweeps,
    views,
    webhooks,
)
from api.logs import log_request
from api.routes import LedgerApi, Reference
from api.services import EXTENSION, Services, behind, new_request_id, services
from api.slots import Slots

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

DOCS: Final = "/docs"
RESOURCES: Final = (
    clients, connections, commands, duplicates, links, link_visits, history, events, parked,
    quarantine, views, sweeps, forget, provider, health,
)  # fmt: skip

_description = Blueprint("description", __name__)


class _Json(DefaultJSONProvider):
    """JSON in the order and the characters in which it was made."""

    sort_keys = False
    ensure_ascii = False

    def response(self, *args: Any, **kwargs: Any) -> Response:
        """Write an answer, in a tenth of the time that the standard library takes."""
        body = msgspec.json.encode(self._prepare_response_obj(args, kwargs))
        return Response(body + b"\n", mimetype=self.mimetype)


class _Ledger(Flask):
    json_provider_class = _Json

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Call every function as it is: Flask would ask at each call whether it is a coroutine."""
        return func


def create_wsgi(given: Services) -> "WSGIApplication":
    """Make what a server serves: the application behind its slots."""
    return Slots(create_app(given))


def create_app(given: Services) -> Flask:
    """Make the Flask application that answers with these services."""
    app = _Ledger("api", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = webhooks.MAX_BODY
    app.url_map.converters["reference"] = Reference
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False
    app.extensions[EXTENSION] = given
    errors.register(app)
    app.before_request(_begin)
    app.before_request(auth.check)
    app.after_request(_finish)
    app.register_blueprint(webhooks.blueprint)
    app.register_blueprint(_description)
    description = LedgerApi(app, version("connection-ledger"))
    for resource in RESOURCES:
        description.register_blueprint(resource.blueprint)
    _describe_webhook(description, next(app.url_map.iter_rules("webhooks.webhook")))
    app.extensions["openapi"] = description.spec.to_dict()
    _add_documentation(app)
    given.metrics.watch(lambda: health.gauges(given))
    return app


def _begin() -> None:
    use, held = services(), behind(g)
    held.began = use.monotonic()
    # Made here, never taken from the caller: it is written into the log.
    held.request_id = new_request_id(use)


def _finish(response: Response) -> Response:
    """Give the answer its request id, and write the line, which holds no path and no query."""
    held, asked, headers = behind(g), behind(request), response.headers
    headers["X-Request-Id"] = held.request_id
    if not asked.path.startswith(DOCS):
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Cache-Control"] = "no-store"
    rule = asked.url_rule
    log_request(
        method=asked.method,
        route="-" if rule is None else rule.rule,
        status=response.status_code,
        seconds=services().monotonic() - held.began,
        request=held.request_id,
        token=held.get("token_name", "-"),
    )
    return response


@_description.get("/openapi.json")
@auth.requires("read", browser=True)
def openapi() -> Any:
    """Describe this API in OpenAPI 3.1."""
    return current_app.json.response(current_app.extensions["openapi"])


def _add_documentation(app: Flask) -> None:
    """Show the description with Swagger UI, whose files come with its wheel."""
    config = {"app_name": "connection-ledger", "validatorUrl": None}
    shown = get_swaggerui_blueprint(DOCS, "/openapi.json", config=config)
    app.register_blueprint(shown)
    endpoint = f"{shown.name}.show"
    app.view_functions[endpoint] = auth.requires("read", browser=True)(app.view_functions[endpoint])


def _describe_webhook(description: LedgerApi, rule: Rule) -> None:
    """Describe the one route that does without flask-smorest."""
    refused = {str(status): "DEFAULT_ERROR" for status in (401, 413, 503)}
    durable = {
        "description": "Durable on disk. Nothing else is ever meant by 204.",
        "headers": {"Ledger-Position": {"schema": {"type": "integer"}}},
    }
    operation = {
        "tags": ["webhooks"],
        "summary": "Take one signed delivery from OFAuth.",
        "security": [],
        "requestBody": {"content": {"application/json": {"schema": {}}}},
        "responses": {"204": durable} | refused,
    }
    description.spec.path(rule=rule, operations={"post": operation})
