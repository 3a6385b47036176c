"""Routes that read their bodies strictly, and the base of the shapes that they read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from llm_cost_ops.core.jsontext import JsonError
from llm_cost_ops.server.http.body import decode
from llm_cost_ops.server.http.problems import Problem

MAX_NAMED = 20


class Wire(BaseModel):
    """A request body: unknown fields are refused with their name, nothing is converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class StrictRequest(Request):
    """A request whose `json()` is strict."""

    _strict: Any

    async def json(self) -> Any:
        if not hasattr(self, "_strict"):
            self._strict = strict_json(await self.body())
        return self._strict


def strict_json(data: bytes) -> Any:
    """Like `body.decode`, for use while FastAPI reads a body. Raises Problem 400."""
    try:
        return decode(data)
    except JsonError as error:
        raise Problem(400, error.code, error.message) from None


def media_type(headers: Headers) -> str:
    """The media type of the body in lower case, without parameters; empty when none is given."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def require_json(headers: Headers, *others: str) -> str:
    """The media type of the body. Raises Problem 415 unless it is JSON, one of `others`, or absent.

    A page of another origin may send text/plain without asking; JSON in it is not accepted.
    """
    kind = media_type(headers)
    if not kind or kind == "application/json" or kind in others:
        return kind
    if kind.startswith("application/") and kind.endswith("+json"):
        return kind
    accepted = ", ".join(("application/json", *others))
    raise Problem(
        415,
        "UNSUPPORTED_MEDIA_TYPE",
        f"The body must be {accepted}.",
        headers={"Accept": accepted},
    )


class StrictRoute(APIRoute):
    """A FastAPI route that refuses what is not strict JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()
        takes_body = self.body_field is not None

        async def strict(request: Request) -> Response:
            if takes_body:
                require_json(request.headers)
            return await handler(StrictRequest(request.scope, request.receive))

        return strict


def refuse_unknown(request: Request, known: Collection[str]) -> None:
    """Raises Problem 422 for a query parameter that is not known, or given twice: a misspelt filter
    that is ignored gives a wrong total, and so does one of two."""
    given = Counter(name for name, _ in request.query_params.multi_items())
    errors = {
        name[:64]: "must be given once" if name in known else "is not a known parameter"
        for name in sorted(given)
        if name not in known or given[name] > 1
    }
    if errors:
        shown = dict(list(errors.items())[:MAX_NAMED])
        raise Problem(422, "VALIDATION_ERROR", "The request is not valid.", shown)


@dataclass(frozen=True, slots=True)
class Room:
    """What a room serves: FastAPI routes, plain routes for the hot paths, and for those their part
    of the OpenAPI document (path -> method -> operation); and what it sends to others (event ->
    method -> operation)."""

    name: str
    router: APIRouter | None = None
    routes: Sequence[Route] = ()
    paths: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    sends: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])


def room_router(prefix: str, tag: str) -> APIRouter:
    """The router of a room: strict bodies, its paths below `prefix`, its name in the document."""
    return APIRouter(prefix=prefix, tags=[tag], route_class=StrictRoute, strict_content_type=False)


def beside(router: APIRouter, path: str, other: str, suffix: str) -> APIRouter:
    """The routes of a router that begin with `path` under another one, beside the document; their
    operations have `suffix` behind their names."""
    made = APIRouter()
    for route in [*router.routes]:
        if isinstance(route, APIRoute):
            made.add_api_route(
                route.path.replace(path, other, 1),
                route.endpoint,
                methods=sorted(route.methods or ()),
                status_code=route.status_code,
                dependencies=route.dependencies,
                include_in_schema=False,
                operation_id=f"{route.operation_id}{suffix}",
            )
    return made
