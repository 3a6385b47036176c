"""What operators and their machines ask: live, health, ready, metrics, the API's own document."""

from __future__ import annotations

from collections.abc import Mapping
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


async def openapi(request: Request) -> Response:
    """The OpenAPI document."""
    return json_bytes(msgspec.json.encode(_document(request)))


async def docs(request: Request) -> Response:
    """The document as a page."""
    headers = {"Content-Security-Policy": docs_page.CONTENT_POLICY}
    return HTMLResponse(docs_page.docs_page(_document(request)), headers=headers)


# Not a closure over the app: FastAPI remembers every endpoint that it has looked at, for ever.
def _document(request: Request) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", request.app.state.document())


def operations_router(settings: Settings) -> APIRouter:
    """The routes that the settings switch on."""
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
        router.add_api_route("/openapi.json", openapi, include_in_schema=False)
        router.add_api_route("/docs", docs, include_in_schema=False)
    return router
