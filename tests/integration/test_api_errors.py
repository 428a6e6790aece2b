"""Every error is a problem, every route asks for a token, and OpenAPI says so."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from openapi_spec_validator import OpenAPIV31SpecValidator
from werkzeug.test import Client, TestResponse

from api.app import create_app
from api.auth import OPEN, required_scope
from api.errors import KINDS
from api.metrics import Metrics
from tests.serving import ADMIN, HOOK, ONLY_ADMIN, PROBLEM, READ, WRITE, Serving

EXAMPLES = {
    "reference": "user_1",
    "connection_id": "conn_1",
    "path": "swagger-ui.css",
    "link_id": "link_1",
    "id": "0123456789abcdef",
}
PROVIDERS = "/v2/"
"""Errors of these have the provider's form; they have tests of their own."""


@pytest.fixture
def app(small: Serving) -> Flask:
    """The Flask application alone."""
    return create_app(replace(small.service.services, metrics=Metrics()))


def routes(app: Flask) -> Iterator[tuple[str, str, str]]:
    """Every endpoint with a path and a method that reach it."""
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", lambda match: EXAMPLES[match[1]], rule.rule)
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield rule.endpoint, method, path


def assert_problem(response: TestResponse, status: int) -> dict[str, Any]:
    """The answer is a problem with all members, and names its request."""
    assert (response.status_code, response.content_type) == (status, PROBLEM), response.text
    body: dict[str, Any] = response.json or {}
    assert {"type", "title", "status", "detail", "requestId"} <= set(body)
    assert body["status"] == status
    assert body["requestId"] == response.headers["X-Request-Id"]
    return body


def test_every_route_says_who_may_ask(app: Flask) -> None:
    """No view was forgotten: each is marked with a scope, or open on purpose."""
    marks = {}
    with app.app_context():
        marks = {endpoint: required_scope(endpoint) for endpoint, _, _ in routes(app)}
    assert {endpoint for endpoint, mark in marks.items() if mark is None} == set()
    assert {endpoint for endpoint, mark in marks.items() if mark == OPEN} == {
        "webhooks.webhook",
        "health.live",
        "health.ready",
        "link visits.start",
        "link visits.returned",
    }


def test_everything_but_webhooks_and_probes_asks_for_a_token(small: Serving, app: Flask) -> None:
    """Without one, or with a wrong one: 401 that says how to send it."""
    without = (HOOK, "/livez", "/readyz", "/link/", PROVIDERS)
    asked = [(m, p) for e, m, p in routes(app) if not p.startswith(without)]
    assert len(asked) > 12
    wrong = [{}, {"Authorization": "Bearer wrong"}, {"apikey": "wrong"}, {"apikey": ""}]
    wrong += [{"Authorization": READ}, {"Authorization": "Bearer"}, {"Authorization": "Bearer é"}]
    for method, path in asked:
        for headers in wrong:
            response = small.client.open(path, method=method, headers=headers)
            assert_problem(response, 401)
            assert "WWW-Authenticate" in response.headers


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {READ}"},
        {"Authorization": f"bearer  {READ}"},
        {"apikey": READ},
        {"apiKey": READ},
    ],
    ids=["bearer", "lower case", "apikey", "apiKey"],
)
def test_a_token_comes_as_bearer_or_apikey(small: Serving, headers: dict[str, str]) -> None:
    """As RFC 6750 has it, or as programs written for the provider send it."""
    assert small.client.get("/api/connections", headers=headers).status_code == 200


def test_no_scope_implies_another(small: Serving) -> None:
    """A token may do what it lists, and nothing else: 403 names the missing scope."""
    assert "`read`" in assert_problem(small.get("/api/connections", token=WRITE), 403)["detail"]
    assert "`admin`" in assert_problem(small.get("/api/parked", token=READ), 403)["detail"]
    assert_problem(small.post("/api/parked/retry", token=READ), 403)
    assert_problem(small.post("/api/quarantine/verify", token=WRITE), 403)
    assert (
        "`read`" in assert_problem(small.get("/api/connections", token=ONLY_ADMIN), 403)["detail"]
    )
    for token in (ADMIN, ONLY_ADMIN):
        assert small.get("/api/parked", token=token).status_code == 200


def test_a_browser_may_give_the_token_as_a_password_for_the_docs(small: Serving) -> None:
    """Nothing else takes HTTP Basic."""
    basic = base64.b64encode(f"me:{READ}".encode()).decode()
    headers = {"Authorization": f"Basic {basic}"}
    for path in ("/docs", "/docs/", "/docs/swagger-ui.css", "/openapi.json"):
        assert small.client.get(path, headers=headers).status_code == 200, path
    assert_problem(small.client.get("/api/connections", headers=headers), 401)
    assert_problem(small.client.get("/docs", headers={"Authorization": "Basic !"}), 401)


def test_the_docs_need_no_other_server(small: Serving) -> None:
    """Every script and style of the page comes from here."""
    page = small.get("/docs").text
    links = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(links) > 3
    assert all(link.startswith("/docs/") for link in links)


def test_probes_ask_for_nothing(small: Serving) -> None:
    """An orchestrator has no token."""
    assert small.get("/livez", token=None).json == {"status": "alive", "checks": {}}
    ready = small.get("/readyz", token=None)
    assert (ready.status_code, ready.json["status"]) == (200, "ready")


def test_a_service_whose_store_is_gone_is_not_ready(small: Serving) -> None:
    """503 with what failed, so that no traffic comes."""
    bare = replace(small.service.services, metrics=Metrics(), readiness=lambda: "unavailable")
    body = assert_problem(Client(create_app(bare)).get("/readyz"), 503)
    assert body["checks"] == {"store": "unavailable"}


def test_an_unknown_path_is_404(small: Serving) -> None:
    """With and without a token."""
    for path in ("/", "/nothing", "/api", "/api/", "/api/nothing", "//", "/webhooks/ofauth/x"):
        assert_problem(small.client.get(path), 404)


def test_a_wrong_method_is_405_and_names_the_right_ones(small: Serving, app: Flask) -> None:
    """On every route."""
    for path in {path for _, _, path in routes(app) if not path.startswith(PROVIDERS)}:
        response = small.client.open(
            path, method="PATCH", headers={"Authorization": f"Bearer {ADMIN}"}
        )
        assert_problem(response, 405)
        assert response.headers["Allow"]


def test_unknown_query_parameters_are_refused_on_every_route(small: Serving, app: Flask) -> None:
    """A misspelt filter must not look like an answer."""
    for _, method, path in routes(app):
        if path.startswith("/api/"):
            response = small.client.open(
                path,
                method=method,
                query_string={"bogus": "1", "clientReferenceId": "x"},
                headers={"Authorization": f"Bearer {ADMIN}"},
            )
            errors = assert_problem(response, 422)["errors"]
            assert ("query", "bogus") in [(one["location"], one["name"]) for one in errors], path


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        ("/api/connections", "limit", "0"),
        ("/api/connections", "limit", "501"),
        ("/api/connections", "limit", "1_0"),
        ("/api/connections", "limit", "٣"),
        ("/api/connections", "status", "alive"),
        ("/api/connections", "stale", "1"),
        ("/api/connections", "cursor", "x"),
        ("/api/connections", "minPosition", "-1"),
        ("/api/connections", "minPosition", "9" * 40),
        ("/api/clients/a", "asOf", "yesterday"),
        ("/api/clients/a", "asOf", "2026-01-01"),
        ("/api/clients/a", "asOf", "2026-02-30T00:00:00Z"),
        ("/api/clients/a", "asOf", "2026-01-01T00:00:00"),
        ("/api/clients/a", "validAt", "2026-01-01T00:00:00 02:00"),
        ("/api/clients/a/history", "type", "connection.unheard"),
        ("/api/clients/a/history", "by", "time"),
        ("/api/clients/a/history", "order", "up"),
        ("/api/clients/a/history", "from", ""),
    ],
)
def test_a_bad_parameter_is_422_and_named(small: Serving, path: str, name: str, value: str) -> None:
    """`errors` says which and why."""
    small.tell(ref="a")
    response = small.get(path, **{"minPosition": None, name: value})
    errors = assert_problem(response, 422)["errors"]
    assert [(one["location"], one["name"].split(".")[0]) for one in errors] == [("query", name)]
    assert errors[0]["message"]


def test_a_body_that_is_not_json_is_a_problem(small: Serving) -> None:
    """Whatever is wrong with it."""
    headers = {"Authorization": f"Bearer {ADMIN}", "Content-Type": "application/json"}
    for body in (b"{", b"\xff", b"[]", b'"x"', b"[" * 100_000, b"9" * 9_000):
        response = small.client.post("/api/parked/retry", data=body, headers=headers)
        assert response.status_code in (400, 422), body[:10]
        assert_problem(response, response.status_code)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_of_another_type_is_415(small: Serving, kind: str) -> None:
    """What cannot be read must not pass for a wish without conditions, such as "all of them"."""
    headers = {"Authorization": f"Bearer {ADMIN}", "Content-Type": kind}
    for path in ("/api/parked/retry", "/api/projections/rebuild", "/api/clients/forget"):
        response = small.client.post(path, data=b'{"ids": ["one"]}', headers=headers)
        assert_problem(response, 415)


def test_a_body_over_1_mib_is_413_everywhere(small: Serving) -> None:
    """Not only for webhooks."""
    response = small.post("/api/parked/retry", {"ids": ["x" * 2**20]})
    assert_problem(response, 413)


def test_what_nobody_foresaw_is_500_without_its_text(small: Serving, app: Flask) -> None:
    """The text of an exception may hold data."""

    class Broken:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("canary")

    broken = replace(small.service.services, metrics=Metrics(), questions=Broken())
    response = Client(create_app(broken)).get("/api/connections", headers={"apikey": ADMIN})
    assert_problem(response, 500)
    assert "canary" not in response.text


def test_openapi_is_valid_and_describes_every_route(small: Serving, app: Flask) -> None:
    """OpenAPI 3.1, each route and method in it, each error as a problem."""
    spec: Any = small.get("/openapi.json").json
    assert spec["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(spec).validate()
    described = {(path, method.upper()) for path, item in spec["paths"].items() for method in item}
    real = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if not rule.rule.startswith(("/docs", "/openapi.json"))
    }
    assert {(p, m) for p, m in described if m != "PARAMETERS"} == real
    responses = spec["components"]["responses"]
    assert all(set(one["content"]) == {PROBLEM} for one in responses.values())


def test_problem_types_are_distinct(small: Serving) -> None:
    """Each kind has a name of its own."""
    assert len({kind.type for kind in KINDS}) == len(KINDS)
