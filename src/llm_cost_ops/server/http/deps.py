"""What a route may take from the app that serves it.

What belongs to a room above this one (prices, the ingest writer, the key ring) cannot be typed
here without importing upwards; each of those rooms knows its own type.
"""

from __future__ import annotations

from typing import Any, cast

from starlette.requests import Request

from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.http.idempotency import InFlight
from llm_cost_ops.server.http.metrics import Metrics
from llm_cost_ops.server.settings import Settings


def settings(request: Request) -> Settings:
    return cast("Settings", request.app.state.settings)


def database(request: Request) -> Database:
    return cast("Database", request.app.state.database)


def clock(request: Request) -> Clock:
    return cast("Clock", request.app.state.clock)


def metrics(request: Request) -> Metrics:
    return cast("Metrics", request.app.state.metrics)


def in_flight(request: Request) -> InFlight:
    return cast("InFlight", request.app.state.in_flight)


def prices(request: Request) -> Any:
    """`server.pricing.resolve.Prices`."""
    return request.app.state.prices


def writer(request: Request) -> Any:
    """`server.ingest.writer.Writer`."""
    return request.app.state.writer


def keys(request: Request) -> Any:
    """`server.access.keys.KeyRing`."""
    return request.app.state.keys
