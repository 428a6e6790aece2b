"""The routes: from the application's own map, and from its OpenAPI description."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from flask import Flask
from werkzeug.routing import Rule

from api.app import DOCS
from api.auth import required_scope
from docs.generator.pages import Parts, UndocumentedError, anchor, code, described, table

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
SHOWN = {f"{DOCS}/": "This API to click through."}
"""What a view says that is not ours."""

Json = Mapping[str, Any]


def parts(app: Flask) -> Parts:
    """Give the tables of routes, of query parameters and of what is sent and answered."""
    spec: Json = app.extensions["openapi"]
    with app.app_context():
        rows = [_route(app, spec, rule, method) for rule, method in routes(app)]
    schemas = spec["components"]["schemas"]
    met = [name for name in schemas if not name.endswith("Page") and _is_met(name, spec)]
    return {
        "all routes": table(["route", "scope", "does", "takes", "answers"], rows),
        "parameters": table(["parameter", "of", "default", "meaning"], _parameters(spec)),
        "objects": "\n\n".join(_object(name, schemas[name]) for name in met),
    }


def routes(app: Flask) -> Iterator[tuple[Rule, str]]:
    """Yield every rule with every method that it takes."""
    for rule in app.url_map.iter_rules():
        if not rule.rule.startswith(f"{DOCS}/<"):  # the files of Swagger UI
            yield from ((rule, method) for method in METHODS if method in (rule.methods or ()))


def _route(app: Flask, spec: Json, rule: Rule, method: str) -> list[str]:
    path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
    operation = spec["paths"].get(path, {}).get(method.lower(), {})
    text = SHOWN.get(path) or operation.get("summary") or app.view_functions[rule.endpoint].__doc__
    scope = (required_scope(rule.endpoint) or "admin").partition(":")[0]
    does = described(f"{method} {path}", (text or "").partition("\n")[0])
    return [code(f"{method} {path}"), scope, does, _taken(operation), _answer(operation)]


def _taken(operation: Json) -> str:
    names = [code(one["name"]) for one in operation.get("parameters", ()) if one["in"] == "query"]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return ", ".join([*names, *([_form(body["schema"])] if body.get("schema") else [])])


def _answer(operation: Json) -> str:
    responses = operation.get("responses", {})
    if "204" in responses:
        return f"204: {responses['204']['description']}"
    if "303" in responses:
        return str(responses["303"]["description"])
    status = next((one for one in ("201", "202") if one in responses), "200")
    content = responses.get(status, {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    said = "" if status == "200" else f"{status}: "
    return said + _form(schema) if schema else ""


def _parameters(spec: Json) -> list[list[str]]:
    """One row for each meaning that a name has, with the routes only where it has several."""
    found: dict[str, dict[tuple[str, str], list[str]]] = {}
    for path, operations in spec["paths"].items():
        for method, operation in operations.items():
            for one in operation.get("parameters", ()) if isinstance(operation, dict) else ():
                if one["in"] == "query":
                    meaning = described(f"{path} ?{one['name']}", one.get("description"))
                    route = code(f"{method.upper()} {path}")
                    key = (_default(one), meaning)
                    found.setdefault(one["name"], {}).setdefault(key, []).append(route)
    return [
        [code(name), ", ".join(at) if len(meanings) > 1 else "", default, meaning]
        for name, meanings in sorted(found.items())
        for (default, meaning), at in meanings.items()
    ]


def _default(parameter: Json) -> str:
    if parameter.get("required"):
        return "needed"
    default = parameter["schema"].get("default")
    return "" if default is None else code(str(default))


def _is_met(name: str, spec: Json) -> bool:
    """Tell whether any route, answer or other object refers to a schema."""
    components = spec["components"]
    text = json.dumps([spec["paths"], components["schemas"], components["responses"]])
    return f'"#/components/schemas/{name}"' in text


def _object(name: str, schema: Json) -> str:
    rows = [
        [code(field), _form(one), described(f"{name}.{field}", one.get("description"))]
        for field, one in schema["properties"].items()
    ]
    return f"### {name}\n\n{table(['field', 'form', 'meaning'], rows)}"


def _form(schema: Json) -> str:
    """Say in words what a schema asks for."""
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        item = name.removesuffix("Page")
        return f"{'page of ' if item != name else ''}[{item}](#{anchor(item)})"
    if either := schema.get("anyOf"):
        return " or ".join("null" if one == {"type": "null"} else _form(one) for one in either)
    kinds = schema.get("type")
    kinds = [kinds] if isinstance(kinds, str) else list(kinds or ())
    if schema.get("format") == "date-time":
        words = ["time"]
    elif "array" in kinds:
        words = [f"list of {_form(schema['items'])}"]
    else:
        names = {
            "string": "text",
            "integer": "whole number",
            "number": "number",
            "boolean": "truth",
            "object": "object",
        }
        words = [names[kind] for kind in kinds if kind != "null"]
    if not words:
        raise UndocumentedError(f"no words for the form {dict(schema)}")
    return " or ".join([*words, *(["null"] if "null" in kinds else [])])
