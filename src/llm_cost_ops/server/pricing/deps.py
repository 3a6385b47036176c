"""What a route may take of this room from the app that serves it."""

from __future__ import annotations

from typing import cast

from starlette.requests import Request

from llm_cost_ops.server.pricing.resolve import Prices


def prices(request: Request) -> Prices:
    return cast("Prices", request.app.state.prices)
