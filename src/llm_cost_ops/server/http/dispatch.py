"""Which route answers: hot paths by one dictionary lookup or by how they begin, all others through
FastAPI."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send


class Dispatch:
    """`hot` routes skip FastAPI's routing and middleware. Those with parameters in their paths are
    tried in order where the path begins as theirs do."""

    def __init__(self, api: FastAPI, hot: Iterable[Route]) -> None:
        self._api = api
        routes = list(hot)
        self._hot = {
            (method, route.path): route
            for route in routes
            if not route.param_convertors
            for method in route.methods or ()
        }
        self._patterns = [
            (route.path.partition("{")[0], route) for route in routes if route.param_convertors
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            route = self._hot.get((scope["method"], scope["path"])) or self._matching(scope)
            if route is not None:
                scope["app"] = self._api
                scope["route"] = route
                scope["endpoint"] = route.endpoint
                scope.setdefault("path_params", {})
                response: Response = await route.endpoint(Request(scope, receive, send))
                await response(scope, receive, send)
                return
        await self._api(scope, receive, send)

    def _matching(self, scope: Scope) -> Route | None:
        """A route with parameters that answers; they are put into the scope."""
        for prefix, route in self._patterns:
            if scope["path"].startswith(prefix):
                match, found = route.matches(scope)
                if match is Match.FULL:
                    scope["path_params"] = found["path_params"]
                    return route
        return None
