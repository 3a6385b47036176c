"""Checks 21, 22, 24 and 45: what holds for the answer of every operation, errors included."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.support.application import Application
from tests.support.made import made
from tests.support.operations import fresh, operations

POLICY = ("default-src 'none'", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'")


def answers(application: Application) -> Iterator[tuple[str, httpx.Response]]:
    """An answer of every operation with and without a key, of pages, and of errors."""
    ids = made(application)
    for called in operations(application):
        body = fresh(called.operation.bodies[0]) if called.operation.bodies else None
        options = {} if body is None else {"json": body}
        path = f"https://testserver{called.at(ids)}"
        yield called.id, application.request(called.method, path, **options)
        yield f"{called.id} without", application.request(called.method, path, key=None)
    for path in ("/live", "/health", "/ready", "/metrics", "/docs", "/openapi.json", "/no", "/"):
        yield path, application.get(f"https://testserver{path}", key=None)
    yield "malformed", application.post("https://testserver/api/v1/usage", content=b"{")
    yield "trace", application.request("TRACE", "https://testserver/api/v1/usage")


@pytest.mark.check(21)
@pytest.mark.check(24)
@pytest.mark.check(45)
def test_the_headers_of_every_answer(sqlite_application: Application) -> None:
    for name, answer in answers(sqlite_application):
        where = (name, answer.status_code)
        headers = answer.headers
        if answer.content:
            kind = headers["content-type"]
            text = kind.startswith(("text/", "application/json", "application/problem"))
            assert not text or "charset=utf-8" in kind.lower(), (*where, kind)
        assert headers["x-content-type-options"] == "nosniff", where
        assert headers["cache-control"] == "no-store", where
        assert headers["referrer-policy"] == "same-origin", where
        assert headers["x-xss-protection"] == "0", where
        assert headers["strict-transport-security"] == "max-age=31536000; includeSubDomains", where
        for directive in POLICY:
            assert directive in headers["content-security-policy"], where
        assert "server" not in headers, where
        assert "x-powered-by" not in headers, where


METHODS = ("TRACE", "CONNECT", "PROPFIND", "TRACK", "DEBUG", "X" * 200)


@pytest.mark.check(22)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", ["/live", "/docs", "/api/v1/costs", "/api/v1/usage"])
def test_methods_that_nobody_knows(sqlite_application: Application, method: str, path: str) -> None:
    answer = sqlite_application.request(method, path)
    assert answer.status_code == 405
    assert answer.json()["error"]["code"] == "METHOD_NOT_ALLOWED"
    assert set(answer.headers["allow"].split(", ")) <= {"GET", "HEAD", "POST"}


@pytest.mark.check(22)
def test_every_path_refuses_the_methods_that_it_lacks(sqlite_application: Application) -> None:
    document = sqlite_application.get("/openapi.json").json()
    for path, known in document["paths"].items():
        at = path.replace("{", "").replace("}", "")
        for method in ("get", "post", "put", "patch", "delete"):
            if method in known:
                continue
            answer = sqlite_application.request(method.upper(), at, key=None)
            # 401, or 400 where it takes a body: the path is that of an id with another name,
            # such as /budgets/check.
            assert answer.status_code in (400, 401, 404, 405), (method, path)
            if answer.status_code == 405:
                allowed = answer.headers["allow"].split(", ")
                assert method.upper() not in allowed, (method, path)
                assert {name.upper() for name in known} <= set(allowed), (method, path)


@pytest.mark.check(45)
def test_answers_to_repeated_questions_may_not_be_kept(sqlite_application: Application) -> None:
    answer = sqlite_application.get("/api/v1/organizations/current")
    assert answer.headers["cache-control"] == "no-store"
    assert "etag" not in answer.headers or answer.headers["cache-control"] == "no-store"
