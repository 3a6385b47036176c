"""The edge around apps of our own: failures, time limits, hosts, origins, bodies."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Message, Scope

from llm_cost_ops.core.errors import PriceNotFound, UsageError
from llm_cost_ops.core.instant import parse_day
from llm_cost_ops.server.clock import SystemClock
from llm_cost_ops.server.db.errors import DatabaseUnavailable, Reason, SerializationRetry
from llm_cost_ops.server.http import problems
from llm_cost_ops.server.http.dispatch import Dispatch
from llm_cost_ops.server.http.edge import Edge, untimed
from llm_cost_ops.server.http.metrics import Metrics
from llm_cost_ops.server.http.problems import Problem
from llm_cost_ops.server.settings import (
    CorsSettings,
    DatabaseSettings,
    IngestSettings,
    ServerSettings,
    Settings,
)
from tests.support.application import Application, running

CANARY = "s3cret-in-the-message"


def edge(settings: Settings, *endpoints: Callable[..., Any]) -> Edge:
    """Endpoints of a test behind the real edge: under /x through FastAPI, under /hot/x without."""
    api = FastAPI(openapi_url=None, redirect_slashes=False)
    problems.install(api)
    hot = []
    for endpoint in endpoints:
        methods = ["GET", "POST"]
        api.add_api_route(f"/{endpoint.__name__}", endpoint, methods=methods)
        hot.append(Route(f"/hot/{endpoint.__name__}", endpoint, methods=methods))
    clock = SystemClock()
    metrics = Metrics(version="0", monotonic=clock.monotonic)
    inner = Dispatch(api, hot)
    return Edge(inner, api=api, settings=settings, clock=clock, metrics=metrics)


def ask(app: Edge, method: str, path: str, **options: Any) -> httpx.Response:
    async def main() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
            return await client.request(method, path, **options)

    return asyncio.run(main())


FAILURES: dict[str, tuple[Exception, int, str]] = {
    "unknown": (RuntimeError(CANARY), 500, "INTERNAL_ERROR"),
    "problem": (Problem(409, "CONFLICT", "said"), 409, "CONFLICT"),
    "usage": (UsageError("model", "said"), 422, "VALIDATION_ERROR"),
    "down": (DatabaseUnavailable(Reason.CONNECTION, retry_after=3), 503, "SERVICE_UNAVAILABLE"),
    "retry": (SerializationRetry(), 503, "SERVICE_UNAVAILABLE"),
    "recursion": (RecursionError(CANARY), 500, "INTERNAL_ERROR"),
}


@pytest.mark.parametrize("where", ["", "/hot"])
@pytest.mark.parametrize("name", FAILURES)
def test_failures_become_problems_on_every_path(where: str, name: str) -> None:
    error, status, code = FAILURES[name]

    async def fail(request: Request) -> Response:
        raise error

    answer = ask(edge(Settings(), fail), "GET", f"{where}/fail")
    body = answer.json()["error"]
    assert (answer.status_code, body["code"]) == (status, code)
    assert CANARY not in answer.text
    assert body["request_id"] == answer.headers["x-request-id"]
    if status == 503:
        assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize(("method", "status"), [("GET", 404), ("POST", 422)])
def test_a_missing_price_is_404_when_asked_for_and_422_when_needed(
    method: str, status: int
) -> None:
    async def fail(request: Request) -> Response:
        raise PriceNotFound("openai", "gpt-9", parse_day("2025-01-15", "date"))

    answer = ask(edge(Settings(), fail), method, "/hot/fail")
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["code"] == "COST_001"
    assert error["message"] == "Pricing table not found for openai/gpt-9 on 2025-01-15"


def test_half_an_answer_does_not_look_whole() -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"[1,"
        raise RuntimeError(CANARY)

    async def stream(request: Request) -> Response:
        return StreamingResponse(parts())

    sent: list[Message] = []

    async def main() -> None:
        async def receive() -> Message:
            await asyncio.sleep(60)  # a client that stays
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        scope: Scope = {
            "type": "http", "method": "GET", "path": "/hot/stream", "raw_path": b"/hot/stream",
            "query_string": b"", "headers": [], "scheme": "http", "http_version": "1.1",
            "root_path": "", "client": ("127.0.0.1", 1), "server": ("t", 80),
        }  # fmt: skip
        await edge(Settings(), stream)(scope, receive, send)

    with pytest.raises(BaseException, match=CANARY):
        asyncio.run(main())
    assert sent[0]["status"] == 200
    assert all(message.get("more_body", True) for message in sent[1:])


def quick(timeout_s: float = 1) -> Settings:
    return Settings(server=ServerSettings(request_timeout_seconds=timeout_s))


@pytest.mark.parametrize("where", ["", "/hot"])
def test_a_request_that_takes_too_long_is_answered_503(where: str) -> None:
    finished = threading.Event()

    async def slow(request: Request) -> Response:
        await asyncio.sleep(1.4)
        finished.set()
        return Response("late")

    answer = ask(edge(quick(), slow), "GET", f"{where}/slow")
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "SERVICE_UNAVAILABLE"
    assert answer.headers["retry-after"] == "1"
    assert finished.is_set()


def test_a_request_may_ask_for_its_time() -> None:
    async def slow(request: Request) -> Response:
        untimed(request)
        await asyncio.sleep(1.3)
        return Response("done")

    assert ask(edge(quick(), slow), "GET", "/slow").text == "done"


def test_an_answer_that_has_begun_may_take_its_time() -> None:
    async def parts() -> AsyncIterator[bytes]:
        for number in range(4):
            yield str(number).encode()
            await asyncio.sleep(0.4)

    async def stream(request: Request) -> Response:
        return StreamingResponse(parts())

    assert ask(edge(quick(), stream), "GET", "/stream").text == "0123"


def test_a_client_that_goes_away_is_no_error() -> None:
    async def read(request: Request) -> Response:
        return Response(await request.body())

    app = edge(Settings(), read)

    async def main() -> list[Message]:
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        for path in ("/read", "/hot/read"):
            scope: Scope = {
                "type": "http", "method": "POST", "path": path, "raw_path": path.encode(),
                "query_string": b"", "headers": [(b"content-length", b"5")], "scheme": "http",
                "http_version": "1.1", "root_path": "", "client": None, "server": ("t", 80),
            }  # fmt: skip
            await app(scope, receive, send)
        return sent

    statuses = [message["status"] for message in asyncio.run(main()) if "status" in message]
    assert all(status == 499 for status in statuses)


@pytest.mark.check(20)
@pytest.mark.parametrize(
    ("host", "status"),
    [("api.example.com", 200), ("api.example.com:8080", 200), ("evil.example.org", 400)],
)
def test_only_our_hosts_are_served(host: str, status: int) -> None:
    async def ok(request: Request) -> Response:
        return Response("ok")

    settings = Settings(server=ServerSettings(allowed_hosts=("api.example.com",)))
    answer = ask(edge(settings, ok), "GET", "/ok", headers={"Host": host})
    assert answer.status_code == status


@contextmanager
def with_cors(database: DatabaseSettings, **cors: Any) -> Iterator[Application]:
    settings = replace(Settings(database=database), cors=CorsSettings(**cors))
    with running(settings) as made:
        yield made


ORIGIN = "https://app.example.com"


def test_a_page_of_a_listed_origin_may_call(sqlite_settings: DatabaseSettings) -> None:
    with with_cors(sqlite_settings, origins=(ORIGIN,)) as application:
        headers = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
        preflight = application.request("OPTIONS", "/api/v1/usage", key=None, headers=headers)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == ORIGIN
        answer = application.get("/live", headers={"Origin": ORIGIN})
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.check(25)
@pytest.mark.parametrize(
    "origin",
    ["https://evil.example.org", "null", f"{ORIGIN}.evil.org", "http://app.example.com", "x"],
)
def test_a_page_of_another_origin_may_not(sqlite_settings: DatabaseSettings, origin: str) -> None:
    with with_cors(sqlite_settings, origins=(ORIGIN,), credentials=True) as application:
        answer = application.get("/live", headers={"Origin": origin})
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.check(25)
def test_any_origin_never_comes_with_credentials(sqlite_settings: DatabaseSettings) -> None:
    with with_cors(sqlite_settings, origins=("*",), credentials=True) as application:
        answer = application.get("/live", headers={"Origin": ORIGIN})
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.check(25)
def test_without_origins_no_page_may(sqlite_application: Application) -> None:
    answer = sqlite_application.get("/live", headers={"Origin": ORIGIN})
    assert "access-control-allow-origin" not in answer.headers


MALFORMED = {
    "unfinished": b'{"name": "x"',
    "NaN": b'{"name": NaN}',
    "duplicate key": b'{"name": "x", "name": "y"}',
    "lone surrogate": rb'{"name": "\ud800"}',
    "NUL": rb'{"name": "a\u0000b"}',
    "byte order mark": b'\xef\xbb\xbf{"name": "x"}',
    "UTF-16": '{"name": "x"}'.encode("utf-16"),
    "not UTF-8": b'{"name": "\xff"}',
    "100,000 brackets": b"[" * 100_000,
    "5,000 digits": b'{"name": ' + b"9" * 5000 + b"}",
    "huge exponent": b'{"name": 1E+999999}',
    "empty": b"",
}


@pytest.mark.check(17)
@pytest.mark.parametrize("path", ["/api/v1/auth/api-keys", "/api/v1/providers", "/api/v1/usage"])
@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_json_is_400_everywhere(
    sqlite_application: Application, path: str, body: bytes
) -> None:
    answer = sqlite_application.post(
        path, content=body, headers={"Content-Type": "application/json"}
    )
    told_by_field = body == b"" or (path == "/api/v1/usage" and b"u0000" in body)
    expected = {(400, "INVALID_REQUEST")}
    if told_by_field:
        expected.add((422, "VALIDATION_ERROR"))
    assert (answer.status_code, answer.json()["error"]["code"]) in expected
    assert len(answer.content) < 2000


@pytest.mark.check(28)
@pytest.mark.parametrize("path", ["/api/v1/auth/api-keys", "/api/v1/usage"])
def test_bodies_beyond_the_limit_are_413_everywhere(
    sqlite_settings: DatabaseSettings, path: str
) -> None:
    settings = replace(
        Settings(database=sqlite_settings), ingest=IngestSettings(max_body_bytes=2048)
    )
    with running(settings) as application:

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(100):
                yield b" " * 1024

        for options in ({"content": b" " * 4096}, {"content": chunks()}):
            answer = application.post(path, **options)
            assert answer.status_code == 413
            assert answer.json()["error"]["code"] == "PAYLOAD_TOO_LARGE"
            assert answer.headers["connection"] == "close"
        packed = {"Content-Encoding": "br"}
        assert application.post(path, content=b"x", headers=packed).status_code == 415


def test_validation_errors_do_not_repeat_what_was_sent(sqlite_application: Application) -> None:
    body = {"name": 5, CANARY: 1, "scopes": [CANARY * 3]}
    answer = sqlite_application.post("/api/v1/auth/api-keys", json=body)
    errors = answer.json()["error"]["field_errors"]
    assert CANARY in errors  # the name of an unknown field is what must be told
    assert not any(CANARY in text for text in errors.values())


def test_many_wrong_fields_are_told_up_to_a_number(sqlite_application: Application) -> None:
    body = {"name": "x", **{f"f{n}": 1 for n in range(1000)}}
    answer = sqlite_application.post("/api/v1/auth/api-keys", json=body)
    assert len(answer.json()["error"]["field_errors"]) == 100


def test_a_websocket_is_not_answered_by_a_route() -> None:
    async def ok(request: Request) -> Response:
        return Response("ok")

    sent: list[Message] = []

    async def main() -> None:
        async def receive() -> Message:
            return {"type": "websocket.connect"}

        async def send(message: Message) -> None:
            sent.append(message)

        scope: Scope = {
            "type": "websocket", "path": "/ok", "headers": [], "query_string": b"",
            "root_path": "", "scheme": "ws", "subprotocols": [],
        }  # fmt: skip
        await edge(Settings(), ok)(scope, receive, send)

    asyncio.run(main())
    assert [message["type"] for message in sent] == ["websocket.close"]
