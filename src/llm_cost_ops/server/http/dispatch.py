"""Which route answers: hot paths by one dictionary lookup, all others through FastAPI."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send


class Dispatch:
    """`hot` routes have no path parameters; they skip FastAPI's routing and middleware."""

    def __init__(self, api: FastAPI, hot: Iterable[Route]) -> None:
        self._api = api
        self._hot = {(method, route.path): route for route in hot for method in route.methods or ()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            route = self._hot.get((scope["method"], scope["path"]))
            if route is not None:
                scope["app"] = self._api
                scope["route"] = route
                scope["endpoint"] = route.endpoint
                scope["path_params"] = {}
                response: Response = await route.endpoint(Request(scope, receive, send))
                await response(scope, receive, send)
                return
        await self._api(scope, receive, send)
