"""What operators and their machines ask: live, health, ready, metrics, the API's own document."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import msgspec
from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, Response

from llm_cost_ops.core.instant import format_instant
from llm_cost_ops.server.http import deps, docs_page
from llm_cost_ops.server.http.body import json_bytes, json_response
from llm_cost_ops.server.http.health import Health
from llm_cost_ops.server.http.openapi import answers
from llm_cost_ops.server.http.routing import StrictRoute
from llm_cost_ops.server.settings import Settings

_STATUS: dict[str, Any] = {
    "type": "object",
    "required": ["status", "timestamp"],
    "properties": {
        "status": {"type": "string"},
        "timestamp": {"type": "string", "format": "date-time"},
        "version": {"type": "string"},
        "uptime_seconds": {"type": "integer"},
        "checks": {"type": "object"},
        "warnings": {"type": "array", "items": {"type": "string"}},
    },
}


def _health(request: Request) -> Health:
    return cast("Health", request.app.state.health)


async def live(request: Request) -> Response:
    """Whether the process answers at all. Never looks at the database."""
    return json_response(
        {"status": "alive", "timestamp": format_instant(deps.clock(request).now())}
    )


async def health(request: Request) -> Response:
    """The checks: 503 without a database; `degraded` with 200 without a cache."""
    status, body = await _health(request).health()
    return json_response(body, status)


async def ready(request: Request) -> Response:
    """Whether requests should be sent here: 503 while stopping or before migrations."""
    status, body = await _health(request).ready()
    return json_response(body, status)


async def metrics(request: Request) -> Response:
    """Prometheus metrics of all worker processes."""
    text, media_type = await run_in_threadpool(deps.metrics(request).expose)
    return Response(text, media_type=media_type)


def operations_router(settings: Settings, document: Callable[[], Mapping[str, Any]]) -> APIRouter:
    """The routes that the settings switch on. `document` gives the OpenAPI document."""
    router = APIRouter(tags=["operations"], route_class=StrictRoute)
    for path, endpoint, said in (
        ("/live", live, "Alive."),
        ("/health", health, "Healthy or degraded."),
        ("/ready", ready, "Ready."),
    ):
        responses = answers(200, _STATUS, said)
        if endpoint is not live:
            responses |= answers(503, _STATUS, "Not healthy, or not ready.")
        router.add_api_route(
            path, endpoint, responses=responses, operation_id=f"get{path[1:].title()}"
        )
    for path, endpoint in (("/health/live", live), ("/health/ready", ready)):
        router.add_api_route(path, endpoint, include_in_schema=False)
    if settings.metrics.enabled:
        router.add_api_route(
            settings.metrics.path,
            metrics,
            operation_id="getMetrics",
            response_class=Response,
            responses={200: {"description": "Text format.", "content": {"text/plain": {}}}},
        )
    if settings.docs.enabled:
        _add_docs(router, document)
    return router


def _add_docs(router: APIRouter, document: Callable[[], Mapping[str, Any]]) -> None:
    async def openapi() -> Response:
        return json_bytes(msgspec.json.encode(document()))

    async def docs() -> Response:
        page = docs_page.docs_page(document())
        headers = {"Content-Security-Policy": docs_page.CONTENT_POLICY}
        return HTMLResponse(page, headers=headers)

    router.add_api_route("/openapi.json", openapi, include_in_schema=False)
    router.add_api_route("/docs", docs, include_in_schema=False)
