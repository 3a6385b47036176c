"""What a route may take of this room from the app that serves it."""

from __future__ import annotations

from typing import cast

from starlette.requests import Request

from llm_cost_ops.server.budgets.desk import Desk


def desk(request: Request) -> Desk:
    return cast("Desk", request.app.state.desk)
