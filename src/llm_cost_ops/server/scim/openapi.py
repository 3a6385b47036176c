"""What the OpenAPI document says of SCIM."""

from __future__ import annotations

from typing import Any

JSON = "application/scim+json"
_TEXT = {"type": "string"}
RESOURCE: dict[str, Any] = {
    "type": "object",
    "required": ["schemas"],
    "properties": {
        "schemas": {"type": "array", "items": _TEXT},
        "id": _TEXT,
        "externalId": _TEXT,
        "userName": _TEXT,
        "displayName": _TEXT,
        "active": {"type": "boolean"},
        "meta": {
            "type": "object",
            "properties": {"resourceType": _TEXT, "location": _TEXT, "version": _TEXT},
        },
    },
}
LIST: dict[str, Any] = {
    "type": "object",
    "required": ["schemas", "totalResults"],
    "properties": {
        "schemas": {"type": "array", "items": _TEXT},
        "totalResults": {"type": "integer"},
        "startIndex": {"type": "integer"},
        "itemsPerPage": {"type": "integer"},
        "Resources": {"type": "array", "items": RESOURCE},
    },
}
OPERATIONS: dict[str, Any] = {
    "type": "object",
    "required": ["schemas", "Operations"],
    "properties": {
        "schemas": {"type": "array", "items": _TEXT},
        "Operations": {"type": "array", "items": {"type": "object"}},
    },
}
SEARCH: dict[str, Any] = {
    "type": "object",
    "properties": {
        "schemas": {"type": "array", "items": _TEXT},
        "filter": _TEXT,
        "sortBy": _TEXT,
        "sortOrder": {"enum": ["ascending", "descending"]},
        "startIndex": {"type": "integer"},
        "count": {"type": "integer"},
        "attributes": {"type": "array", "items": _TEXT},
        "excludedAttributes": {"type": "array", "items": _TEXT},
    },
}
ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["schemas", "status"],
    "properties": {
        "schemas": {"type": "array", "items": _TEXT},
        "status": _TEXT,
        "scimType": _TEXT,
        "detail": _TEXT,
    },
}
_ATTRIBUTES = (
    ("attributes", "Attributes to answer, with commas."),
    ("excludedAttributes", "Attributes to leave out, with commas."),
)
_QUERY = (
    ("filter", 'A filter such as `userName eq "ann@example.com"`.'),
    ("sortBy", "The attribute to order by."),
    ("sortOrder", "ascending or descending."),
    ("startIndex", "The first resource, from 1."),
    ("count", "Resources of a page; more than 200 mean 200."),
)
_REFUSED = {
    400: "The request is not valid; `scimType` says how.",
    401: "No token, or not a valid one.",
    403: "The token does not hold what is required.",
    404: "There is no such resource in this organization.",
    409: "The name is taken, or the organization would lose its last administrator.",
    412: "The resource is of another version than `If-Match` names.",
    413: "The request is too large.",
    415: "The body is no JSON.",
    429: "Too often: try again after `Retry-After` seconds.",
    501: "Not served.",
    503: "Not now: try again after `Retry-After` seconds.",
}


def _content(schema: dict[str, Any]) -> dict[str, Any]:
    return {JSON: {"schema": schema}}


def documented(
    status: int,
    schema: dict[str, Any] | None,
    *,
    reads: dict[str, Any] | None = None,
    parameters: str = "",
) -> dict[str, Any]:
    """The keywords of a route: its answers, its body and its parameters. `parameters` are of
    `attributes`, `query` and `match`, with spaces."""
    responses: dict[int | str, dict[str, Any]] = {
        code: {"description": text, "content": _content(ERROR)} for code, text in _REFUSED.items()
    }
    done: dict[str, Any] = {"description": "Done."}
    if schema is not None:
        done["content"] = _content(schema)
    responses[status] = done
    if "none" in parameters:
        responses[304] = {"description": "The client has this version."}
    extra: dict[str, Any] = {}
    if reads is not None:
        extra["requestBody"] = {"required": True, "content": _content(reads)}
    named: list[dict[str, Any]] = []
    if "query" in parameters:
        named += [_parameter("query", *each) for each in _QUERY]
    if "attributes" in parameters:
        named += [_parameter("query", *each) for each in _ATTRIBUTES]
    if "match" in parameters:
        named.append(_parameter("header", "If-Match", "The version to change."))
    if "none" in parameters:
        named.append(_parameter("header", "If-None-Match", "The version that the client has."))
    if named:
        extra["parameters"] = named
    return {"status_code": status, "responses": responses, "openapi_extra": extra}


def _parameter(place: str, name: str, text: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": place,
        "required": False,
        "description": text,
        "schema": {"type": "string"},
    }
