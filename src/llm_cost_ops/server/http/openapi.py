"""The OpenAPI document: what FastAPI knows, what hot routes add, what holds for all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from fastapi.openapi.utils import get_openapi
from starlette.routing import BaseRoute

from llm_cost_ops.server.http.routing import Room

TITLE = "LLM Cost Ops"
DESCRIPTION = (
    "Exact cost accounting for LLM calls. Money is a JSON number with exact digits; times are UTC; "
    "lists are `{data, has_more, next_cursor, pagination}`; errors are "
    "`{error: {code, message, field_errors?, request_id}}`."
)
JSON = "application/json"
ERROR_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "request_id"],
            "properties": {
                "code": {"type": "string", "examples": ["VALIDATION_ERROR"]},
                "message": {"type": "string"},
                "field_errors": {
                    "type": "object",
                    "additionalProperties": {"type": "string"},
                },
                "request_id": {"type": "string"},
            },
        }
    },
}
_TEXTS = {
    "400": "The request cannot be read.",
    "401": "No API key, or not a valid one.",
    "403": "The key does not hold what is required.",
    "404": "There is no such thing in this organization.",
    "409": "It conflicts with what is stored, or a twin is being worked on.",
    "413": "The body is too large.",
    "415": "The body's media type or encoding is not one of ours.",
    "422": "The request is not valid; `field_errors` says where.",
    "429": "Too often: try again after `Retry-After` seconds.",
    "503": "Not now: try again after `Retry-After` seconds.",
}
_SECURITY: list[dict[str, list[str]]] = [{"Bearer": []}, {"ApiKey": []}]


def answers(
    status: int, schema: Mapping[str, Any], description: str
) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that answers JSON."""
    return {status: {"description": description, "content": {JSON: {"schema": dict(schema)}}}}


def conflicts(description: str) -> dict[int | str, dict[str, Any]]:
    """The part of the `responses` of a route that says when it answers 409."""
    return {409: _error(description)}


def json_body(schema: Mapping[str, Any], *, required: bool = True) -> dict[str, Any]:
    """The part of an operation that says which JSON it reads."""
    return {"requestBody": {"required": required, "content": {JSON: {"schema": dict(schema)}}}}


def list_of(item: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a list answer."""
    return {
        "type": "object",
        "required": ["data", "has_more", "next_cursor", "pagination"],
        "properties": {
            "data": {"type": "array", "items": dict(item)},
            "has_more": {"type": "boolean"},
            "next_cursor": {"type": ["string", "null"]},
            "pagination": {"type": "object"},
        },
    }


def document(routes: Sequence[BaseRoute], rooms: Sequence[Room], version: str) -> dict[str, Any]:
    """The whole document, the same for the same code: paths and methods are sorted."""
    base = get_openapi(title=TITLE, version=version, description=DESCRIPTION, routes=list(routes))
    paths: dict[str, dict[str, Any]] = deepcopy(base.get("paths", {}))
    for room in rooms:
        for path, operations in room.paths.items():
            paths.setdefault(path, {}).update(deepcopy(dict(operations)))
    for path, method, demanded in _demanded(routes):
        if method in paths.get(path, {}):
            paths[path][method].update(demanded)
    for path, operations in paths.items():
        for operation in operations.values():
            _complete(path, operation)
    components = base.setdefault("components", {})
    schemas: dict[str, Any] = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["Error"] = ERROR_SCHEMA
    components["schemas"] = dict(sorted(schemas.items()))
    components["responses"] = {"Error": _error("The one shape of all errors.")}
    components.setdefault("securitySchemes", {}).update(
        Bearer={"type": "http", "scheme": "bearer", "description": "An API key."},
        ApiKey={"type": "apiKey", "in": "header", "name": "X-API-Key"},
    )
    sent = {event: each for room in rooms for event, each in deepcopy(dict(room.sends)).items()}
    if sent:
        base["webhooks"] = dict(sorted(sent.items()))
    base["paths"] = {path: dict(sorted(paths[path].items())) for path in sorted(paths)}
    return base


def _demanded(routes: Sequence[BaseRoute]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, method and what the route or its dependencies say that they demand (`demands`)."""
    for route in routes:
        dependencies = getattr(getattr(route, "dependant", None), "dependencies", ())
        for call in (getattr(route, "endpoint", None), *(each.call for each in dependencies)):
            found = getattr(call, "demands", None)
            if found is not None:
                for method in getattr(route, "methods", ()):
                    yield getattr(route, "path", ""), method.lower(), found


def _complete(path: str, operation: dict[str, Any]) -> None:
    """Add the errors that every operation of its kind can answer; a route of SCIM tells its own."""
    if path.startswith("/scim/"):
        operation["responses"].pop("422", None)
        operation["security"] = _SECURITY
        return
    responses: dict[str, Any] = operation.setdefault("responses", {})
    statuses = ["503"]
    if path.startswith("/api/"):
        if operation.get("security") != []:  # what anybody may call says so itself
            operation["security"] = _SECURITY
        statuses += ["401", "403", "429"]
        if operation.get("parameters") or "requestBody" in operation:
            statuses.append("422")
    if "requestBody" in operation:
        statuses += ["400", "413", "415"]
    if "{" in path:
        statuses.append("404")
    for status in statuses:
        if status == "422" or status not in responses:
            responses[status] = _error(_TEXTS[status])
    if path.startswith("/api/"):
        responses.setdefault("default", {"$ref": "#/components/responses/Error"})
    ordered = {status: responses[status] for status in sorted(responses)}
    operation["responses"] = ordered


def _error(description: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
