"""What a route may take from the app that serves it; rooms above have a `deps` of their own."""

from __future__ import annotations

from typing import cast

from starlette.requests import Request

from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.engine import Database
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
