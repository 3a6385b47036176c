"""The edge: what every request meets first and every answer passes last.

One plain ASGI wrapper instead of a stack of middleware, because the ingest path answers thousands
of calls a second: request id, host, body bounds, time limit, headers, errors, metrics, log line.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from starlette.datastructures import State
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.http import proxies
from llm_cost_ops.server.http import request_id as ids
from llm_cost_ops.server.http.limits import bounded_receive, check_length
from llm_cost_ops.server.http.logs import REQUESTS, RequestLog, logger, redact_text
from llm_cost_ops.server.http.metrics import Metrics
from llm_cost_ops.server.http.problems import (
    CLIENT_CLOSED,
    Problem,
    problem_of,
    problem_response,
    unavailable,
)
from llm_cost_ops.server.http.ratelimit.standing import STATE as RATE_LIMIT
from llm_cost_ops.server.http.redirect import HTTPS_PORT, OPEN_PATHS, redirection
from llm_cost_ops.server.http.security import host_allowed, security_headers
from llm_cost_ops.server.settings import Settings

_WANTED = proxies.HEADERS | {
    b"x-request-id", b"content-length", b"content-encoding", b"host", b"transfer-encoding"
}  # fmt: skip
_MAX_LOGGED_PATH = 256


@dataclass(slots=True)
class _Exchange:
    """One request and what became of it."""

    scope: Scope
    head: bool
    method: str
    identifier: str
    started_s: float
    status: int = 0
    complete: bool = False
    expired: bool = False


class Edge:
    """`app` behind the edge; `api` is the FastAPI app somewhere inside it."""

    def __init__(
        self, app: ASGIApp, *, api: FastAPI, settings: Settings, clock: Clock, metrics: Metrics
    ) -> None:
        self.app = app
        self.api = api
        self._clock = clock
        self._metrics = metrics
        self._limit = settings.ingest.max_body_bytes
        self._server = settings.server
        self._hosts = settings.server.allowed_hosts
        self._proxies = proxies.Proxies(settings.server.trusted_proxies)
        self._timeout_s = settings.server.request_timeout_seconds
        self._log = logger(REQUESTS)
        self._requests = RequestLog()

    @property
    def state(self) -> State:
        """The state of the FastAPI app."""
        return self.api.state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name: value for name, value in scope["headers"] if name in _WANTED}
        exchange = self._open(scope, headers)
        token = ids.current.set(exchange.identifier)
        answer = self._answering(exchange, send)
        timer = asyncio.get_running_loop().call_later(
            self._timeout_s, self._expire, exchange, answer
        )
        exchange.scope["state"]["timer"] = timer
        try:
            await self._serve(exchange, headers, receive, answer)
        finally:
            timer.cancel()
            ids.current.reset(token)
            self._close(exchange)

    def _open(self, scope: Scope, headers: MutableMapping[bytes, bytes]) -> _Exchange:
        # A copy: the server keeps the original, by which it knows that a HEAD has no body.
        inner: MutableMapping[str, Any] = dict(scope)
        inner["state"] = dict(scope.get("state") or {})
        identifier = ids.choose(headers.get(ids.RAW_HEADER), self._clock.micros() // 1000)
        inner["state"]["request_id"] = identifier
        head = scope["method"] == "HEAD"
        if head:
            inner["method"] = "GET"
            # A range is of GET alone (RFC 9110, section 14.2).
            inner["headers"] = [pair for pair in scope["headers"] if pair[0] != b"range"]
        path: str = scope["path"]
        if len(path) > 1 and path.endswith("/"):
            inner["path"] = path.rstrip("/") or "/"
            inner["raw_path"] = inner["path"].encode()
        self._place(inner, headers)
        return _Exchange(inner, head, scope["method"], identifier, time.perf_counter())

    def _place(
        self, scope: MutableMapping[str, Any], headers: MutableMapping[bytes, bytes]
    ) -> None:
        """Put the address of the client into the state, and what its proxies say into the scope."""
        peer = (scope.get("client") or ("",))[0]
        scope["state"]["client_ip"] = peer
        if headers.keys().isdisjoint(proxies.HEADERS):
            return
        origin = self._proxies.origin(peer, scope["headers"])
        if origin.address is not None:
            scope["state"]["client_ip"] = origin.address
            scope["client"] = (origin.address, 0)
        if origin.scheme is not None:
            scope["scheme"] = origin.scheme
        if origin.host is not None:
            host = origin.host.encode("latin-1")
            headers[b"host"] = host
            rest = [pair for pair in scope["headers"] if pair[0] != b"host"]
            scope["headers"] = [(b"host", host), *rest]

    async def _serve(
        self, exchange: _Exchange, headers: Mapping[bytes, bytes], receive: Receive, send: Send
    ) -> None:
        try:
            if "\x00" in exchange.scope["path"] or b"%00" in exchange.scope["query_string"]:
                raise Problem(400, "INVALID_REQUEST", "The address holds a NUL character.")
            if not host_allowed(headers.get(b"host"), self._hosts):
                raise Problem(400, "INVALID_REQUEST", "This host is not served here.")
            if self._server.https_only and self._over_http(exchange.scope):
                response = redirection(exchange.scope, self._server, HTTPS_PORT)
                await response(exchange.scope, receive, send)
                return
            if b"content-length" in headers or b"transfer-encoding" in headers:
                check_length(headers.get(b"content-length"), self._limit)
                encoding = headers.get(b"content-encoding", b"").decode("latin-1").strip().lower()
                receive = bounded_receive(receive, self._limit, encoding)
            await self.app(exchange.scope, receive, send)
        except ClientDisconnect:
            exchange.status = exchange.status or CLIENT_CLOSED
        except Exception as error:
            await self._fail(exchange, error, receive, send)

    @staticmethod
    def _over_http(scope: Scope) -> bool:
        return scope["scheme"] == "http" and scope["path"] not in OPEN_PATHS

    async def _fail(
        self, exchange: _Exchange, error: Exception, receive: Receive, send: Send
    ) -> None:
        problem = problem_of(error, exchange.method)
        if problem.status >= 500 and problem.code == "INTERNAL_ERROR":
            self._log.error("request failed", exc_info=error)
        if exchange.expired:
            return
        if exchange.status == 0:
            response = problem_response(problem, Request(exchange.scope))
            await response(exchange.scope, receive, send)
        elif not exchange.complete:
            # Half an answer must not look whole: the server closes the connection on this.
            raise error

    def _answering(self, exchange: _Exchange, send: Send) -> Send:
        https = exchange.scope.get("scheme") == "https"
        identifier = (ids.RAW_HEADER, exchange.identifier.encode("ascii"))

        async def answer(message: Message) -> None:
            if exchange.expired and not message.pop("from_edge", False):
                return
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                present = list(message.get("headers", ()))
                added = security_headers(present, https=https)
                standing = exchange.scope["state"].get(RATE_LIMIT)
                if standing is not None:
                    added.extend(standing.headers())
                message = {**message, "headers": [*present, identifier, *added]}
            elif message["type"] == "http.response.body":
                exchange.complete = not message.get("more_body", False)
                if exchange.head:
                    message = {**message, "body": b""}
            await send(message)

        return answer

    def _expire(self, exchange: _Exchange, send: Send) -> None:
        if exchange.status != 0:
            return
        exchange.expired = True
        task = asyncio.get_running_loop().create_task(self._give_up(exchange, send))
        exchange.scope["state"]["given_up"] = task  # a task without a reference may be collected

    async def _give_up(self, exchange: _Exchange, send: Send) -> None:
        """Answer for a handler that takes too long; what it says later is not heard."""
        response = problem_response(
            unavailable("The request took too long; its outcome is unknown."),
            Request(exchange.scope),
        )

        async def marked(message: Message) -> None:
            message["from_edge"] = True
            await send(message)

        async def no_body() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        await response(exchange.scope, no_body, marked)

    def _close(self, exchange: _Exchange) -> None:
        seconds = time.perf_counter() - exchange.started_s
        route = getattr(exchange.scope.get("route"), "path", None)
        self._metrics.request(exchange.method, route, exchange.status, seconds)
        path: str = exchange.scope["path"]
        self._requests.write(
            self._clock.micros(),
            {
                "method": exchange.method,
                "path": path if path == route else redact_text(path[:_MAX_LOGGED_PATH]),
                "route": route,
                "status": exchange.status,
                "duration_ms": round(seconds * 1000, 3),
                "actor_id": exchange.scope["state"].get("key_id"),
                "client": redact_text(exchange.scope["state"]["client_ip"]),
                "request_id": exchange.identifier,
            },
        )


def untimed(request: Request) -> None:
    """Let this request take as long as it needs (a re-rating, an export)."""
    timer = request.scope.get("state", {}).get("timer")
    if timer is not None:
        timer.cancel()
