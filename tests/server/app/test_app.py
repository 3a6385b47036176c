"""What every request meets and every answer carries, whatever the route."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from starlette.routing import Route

from llm_cost_ops.server.access.secret import new_secret
from llm_cost_ops.server.app import create_app
from llm_cost_ops.server.settings import DatabaseSettings, Settings
from tests.support.application import Application, lifespan

ENVELOPE = {"code", "message", "request_id"}
OTHER_SPELLINGS = {
    ("/api/v1/analytics/summary", "GET"),
    ("/api/v1/costs/records", "GET"),
    ("/api/v1/exports", "GET"),
    ("/api/v1/exports", "POST"),
    ("/api/v1/exports/{export_id}", "GET"),
    ("/api/v1/exports/{export_id}", "DELETE"),
    ("/api/v1/exports/{export_id}/download", "GET"),
    ("/docs", "GET"),
    ("/health/live", "GET"),
    ("/health/ready", "GET"),
    ("/openapi.json", "GET"),
}
"""Served and left out of the document: what is documented under another path, and itself."""


@pytest.mark.check(21)
@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "NOT_FOUND"),
        ("GET", "/api/v1/nowhere", 404, "NOT_FOUND"),
        ("DELETE", "/health", 405, "METHOD_NOT_ALLOWED"),
        ("TRACE", "/api/v1/auth/api-keys", 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/api/v1/auth/api-keys", 422, "VALIDATION_ERROR"),
        ("GET", "/api/v1/auth/api-keys?page=0", 422, "VALIDATION_ERROR"),
        ("DELETE", "/api/v1/auth/api-keys/key_unknown", 404, "NOT_FOUND"),
    ],
)
def test_every_error_has_the_one_shape(
    sqlite_application: Application, method: str, path: str, status: int, code: str
) -> None:
    answer = sqlite_application.request(method, path, json={} if method == "POST" else None)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["code"] == code
    assert set(error) - {"field_errors"} == ENVELOPE
    assert error["request_id"] == answer.headers["x-request-id"]
    assert answer.headers["content-type"] == "application/json; charset=utf-8"


@pytest.mark.check(22)
def test_allow_names_the_methods_of_all_routes_on_a_path(sqlite_application: Application) -> None:
    keys = sqlite_application.request("PATCH", "/api/v1/auth/api-keys")
    assert (keys.status_code, keys.headers["allow"]) == (405, "GET, HEAD, POST")
    hot = sqlite_application.request("PUT", "/api/v1/usage/batch")
    assert hot.status_code == 405
    assert "POST" in hot.headers["allow"].split(", ")


@pytest.mark.check(24)
@pytest.mark.check(21)
@pytest.mark.parametrize("path", ["/live", "/nowhere", "/api/v1/auth/validate", "/docs"])
def test_every_answer_carries_the_security_headers(
    sqlite_application: Application, path: str
) -> None:
    headers = sqlite_application.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-xss-protection"] == "0"
    assert headers["x-api-version"] == "v1"
    for directive in ("default-src 'none'", "object-src 'none'", "base-uri 'none'"):
        assert directive in headers["content-security-policy"]
    assert "strict-transport-security" not in headers


@pytest.mark.check(24)
def test_https_adds_a_year_of_hsts(sqlite_application: Application) -> None:
    headers = sqlite_application.get("https://testserver/live").headers
    assert headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"


def test_a_sane_request_id_is_echoed(sqlite_application: Application) -> None:
    answer = sqlite_application.get("/live", headers={"X-Request-ID": "trace-1.a:b_C"})
    assert answer.headers["x-request-id"] == "trace-1.a:b_C"


@pytest.mark.parametrize("given", ["", " ", "a b", "<script>", "x" * 129, "-leading", "é"])
def test_any_other_request_id_is_replaced(sqlite_application: Application, given: str) -> None:
    answer = sqlite_application.get("/live", headers={"X-Request-ID": given.encode()})
    assert answer.headers["x-request-id"].startswith("req_")


def test_a_trailing_slash_is_the_same_path(sqlite_application: Application) -> None:
    plain, slashed = (sqlite_application.get(f"/api/v1/auth/validate{end}") for end in ("", "/"))
    assert plain.status_code == slashed.status_code == 200
    assert plain.json() == slashed.json()


def test_head_is_a_get_without_its_body(sqlite_application: Application) -> None:
    got = sqlite_application.get("/api/v1/auth/validate")
    head = sqlite_application.request("HEAD", "/api/v1/auth/validate")
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == str(len(got.content))
    assert sqlite_application.request("HEAD", "/nowhere").status_code == 404


@pytest.mark.parametrize("path", ["/api/v1/auth/api-keys/a%00b", "/live?x=%00"])
def test_nul_in_the_address_is_refused(sqlite_application: Application, path: str) -> None:
    answer = sqlite_application.request("DELETE", path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST")


def test_the_docs_page_needs_nothing_from_outside(sqlite_application: Application) -> None:
    answer = sqlite_application.get("/docs", key=None)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    for outside in ("<script", "http://", "https://", "src=", "@import", "url("):
        assert outside not in answer.text
    for path in sqlite_application.get("/openapi.json", key=None).json()["paths"]:
        assert path in answer.text


@pytest.mark.check(44)
def test_every_route_is_documented_and_every_documented_path_is_a_route(
    sqlite_application: Application,
) -> None:
    document = sqlite_application.get("/openapi.json").json()
    live = {
        (route.path_format, method)
        for route in sqlite_application.app.api.router.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    documented = {
        (path, method.upper())
        for path, operations in document["paths"].items()
        for method in operations
    }
    assert documented - live == set()
    singular = {
        (path.replace(plural, one, 1), method)
        for plural, one in ((f"{each}s", each) for each in ("/api/v1/forecast", "/api/v1/export"))
        for path, method in documented
        if path.startswith(plural)
    }
    assert live - documented == OTHER_SPELLINGS | singular


def test_it_starts_without_its_database_and_says_so(tmp_path: Path) -> None:
    """A database that comes later is waited for; nothing is answered 500 meanwhile."""
    nowhere = DatabaseSettings(url=f"sqlite:///{tmp_path}/absent/ledger.db")
    app = create_app(Settings(database=nowhere))

    async def ask() -> dict[str, int]:
        transport = httpx.ASGITransport(app)
        headers = {"Authorization": f"Bearer {new_secret('sk_test_')}"}
        async with (
            lifespan(app),
            httpx.AsyncClient(transport=transport, base_url="http://t", headers=headers) as client,
        ):
            paths = ("/live", "/health", "/ready", "/api/v1/auth/validate")
            return {path: (await client.get(path)).status_code for path in paths}

    assert asyncio.run(ask()) == {
        "/live": 200,
        "/health": 503,
        "/ready": 503,
        "/api/v1/auth/validate": 503,
    }
