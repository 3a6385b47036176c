"""What a route may take of this room from the app that serves it."""

from __future__ import annotations

from typing import cast

from starlette.requests import Request

from llm_cost_ops.server.alerts.desk import AlertDesk


def desk(request: Request) -> AlertDesk:
    return cast("AlertDesk", request.app.state.alerts)
