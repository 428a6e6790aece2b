"""flask-smorest as this API uses it: strict queries, problem details, OpenAPI 3.1."""

import http
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, cast

from flask import Flask, Request
from flask_smorest import Api, Blueprint
from flask_smorest.utils import prepare_response
from marshmallow import EXCLUDE, RAISE, Schema
from webargs.flaskparser import FlaskParser
from werkzeug.routing import PathConverter

from api.errors import BAD_REQUEST, CONTENT_TYPE, WRONG_MEDIA, Problem
from api.schemas import Micros, Millis, ProblemSchema, Text, Truth, Whole

View = TypeVar("View", bound=Callable[..., Any])


class Keep(Protocol):
    """A decorator that leaves a view's type as it is."""

    def __call__(self, view: View, /) -> View:
        """Decorate."""


class StrictParser(FlaskParser):
    """Refuses query parameters that a route does not name."""

    DEFAULT_UNKNOWN_BY_LOCATION = FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION | {
        "query": RAISE,
        "json": RAISE,
    }

    def load_json(self, req: Request, schema: Schema) -> Any:
        """Read a JSON body.

        Raises:
            Problem: it is of another type, nested too deep, or a number has too many digits.
        """
        # Else what a caller asked for in another form would pass for "all of them".
        if not req.is_json and req.get_data():
            raise Problem(WRONG_MEDIA, WRONG_MEDIA.advice)
        try:
            return super().load_json(req, schema)
        except (RecursionError, ValueError):
            raise Problem(BAD_REQUEST, "The body is no JSON that can be read.") from None


class Reference(PathConverter):
    """A client's reference in a path: whatever characters it holds, slashes and all."""

    regex = r"[\s\S]+?"
    part_isolating = False


class Routes(Blueprint):  # type: ignore[misc]
    """A blueprint whose routes are described in OpenAPI."""

    ARGUMENTS_PARSER = StrictParser()

    def get(self, rule: str) -> Keep:
        """Route GET here."""
        return cast(Keep, super().get(rule))

    def post(self, rule: str) -> Keep:
        """Route POST here."""
        return cast(Keep, super().post(rule))

    def delete(self, rule: str) -> Keep:
        """Route DELETE here."""
        return cast(Keep, super().delete(rule))

    def query(self, schema: type[Schema]) -> Keep:
        """Read the query's parameters, the view's first argument; others are refused."""
        return cast(Keep, super().arguments(schema, location="query"))

    def passing(self, schema: type[Schema]) -> Keep:
        """Read those of the query's parameters that are known; others are ignored."""
        return cast(Keep, super().arguments(schema, location="query", unknown=EXCLUDE))

    def passed_on(self, schema: type[Schema]) -> Keep:
        """Read those members of somebody else's JSON object that are known."""
        return cast(Keep, super().arguments(schema, unknown=EXCLUDE))

    def body(self, schema: type[Schema]) -> Keep:
        """Read a JSON object, the view's next argument; none at all counts as an empty one."""
        return cast(Keep, super().arguments(schema, required=False))

    def answers(self, schema: type[Schema] | Schema | None, **described: Any) -> Keep:
        """Write what the view returns with a schema, under the status 200."""
        return cast(Keep, super().response(200, schema, **described))

    def accepts(self, schema: type[Schema]) -> Keep:
        """Write what the view returns with a schema, under the status 202: it is under way."""
        return cast(Keep, super().response(202, schema))

    def creates(self, schema: type[Schema]) -> Keep:
        """Write what the view returns with a schema, under the status 201."""
        return cast(Keep, super().response(201, schema))

    def redirects(self, text: str) -> Keep:
        """Say where the view sends a browser, under the status 303."""
        return cast(Keep, super().response(303, None, description=text))

    def describe(self, **described: Any) -> Keep:
        """Add to the view's OpenAPI description."""
        return cast(Keep, super().doc(**described))


class LedgerApi(Api):  # type: ignore[misc]
    """The OpenAPI description, with errors as they really are."""

    ERROR_SCHEMA = ProblemSchema

    def __init__(self, app: Flask, version: str) -> None:
        """Describe `app`."""
        app.config |= {
            "API_TITLE": "connection-ledger",
            "API_VERSION": version,
            "OPENAPI_VERSION": "3.1.1",
        }
        super().__init__(app, spec_kwargs={"security": [{"bearer": []}, {"apikey": []}]})
        self.register_field(Millis, "string", "date-time")
        self.register_field(Micros, "string", "date-time")
        self.register_field(Whole, "integer", None)
        self.register_field(Truth, "boolean", None)
        self.register_field(Text, "string", None)
        schemes = self.spec.components
        schemes.security_scheme("bearer", {"type": "http", "scheme": "bearer"})
        schemes.security_scheme("apikey", {"type": "apiKey", "in": "header", "name": "apikey"})

    def _register_error_handlers(self) -> None:
        """Leave errors to `api.errors`, which handles every kind."""

    def _register_responses(self) -> None:
        """Describe errors as problem details instead of plain JSON."""
        names = {status.name: status.phrase for status in http.HTTPStatus if status >= 400}
        for name, phrase in {**names, "DEFAULT_ERROR": "An error, as RFC 9457 has it"}.items():
            response: dict[str, Any] = {"description": phrase, "schema": self.ERROR_SCHEMA}
            prepare_response(response, self.spec, CONTENT_TYPE)
            self.spec.components.response(name, response, lazy=True)
