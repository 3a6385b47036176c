"""What a route may take of this room from the app that serves it."""

from __future__ import annotations

from typing import cast

from starlette.requests import Request

from llm_cost_ops.server.ingest.writer import Writer


def writer(request: Request) -> Writer:
    return cast("Writer", request.app.state.writer)
