"""The ingest doors in the OpenAPI document: their shapes come from the structs that decode them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from llm_cost_ops.server.http import idempotency
from llm_cost_ops.server.ingest.schema import WireCost, WireRecord

_MONEY: dict[str, Any] = {"type": ["number", "null"]}
_METADATA: dict[str, Any] = {"type": ["object", "null"]}
_USAGE: dict[str, Any] = {
    "type": ["object", "null"],
    "additionalProperties": {"type": "number", "minimum": 0},
}


def _inline(shape: type[msgspec.Struct]) -> dict[str, Any]:
    """The JSON schema of a struct. `metadata` is kept as raw JSON, which has no schema: it is an
    object."""
    fields: list[Any] = [
        (field.name, field.type) if field.required else (field.name, field.type, field.default)
        for field in msgspec.structs.fields(shape)
        if field.name != "metadata"
    ]
    plain = msgspec.defstruct(shape.__name__, fields, forbid_unknown_fields=True, kw_only=True)
    _, components = msgspec.json.schema_components((plain,))
    found: dict[str, Any] = components[shape.__name__]
    properties: dict[str, Any] = {**found["properties"], "metadata": _METADATA}
    if "cost" in properties:
        amount = [{"type": "number"}, {"type": "string"}]
        properties["cost"] = {"anyOf": amount}
        properties["list_cost"] = {"anyOf": [*amount, {"type": "null"}]}
    if "usage" in properties:
        properties["usage"] = _USAGE
    return {**found, "properties": properties}


ROW: dict[str, Any] = {
    "type": "object",
    "required": [
        "id",
        "event_id",
        "provider",
        "model",
        "total_tokens",
        "total_cost",
        "cost_status",
    ],
    "properties": {
        "id": {"type": "string"},
        "event_id": {"type": "string"},
        "provider": {"type": "string"},
        "model": {"type": "string"},
        "total_tokens": {"type": "integer"},
        "calculated_cost": _MONEY,
        "total_cost": _MONEY,
        "currency": {"type": "string"},
        "cost_status": {"type": "string", "enum": ["priced", "partially_priced", "unpriced"]},
        "price_version": {"type": ["string", "null"]},
        "timestamp": {"type": "string", "format": "date-time"},
    },
}
_RESULTS: dict[str, Any] = {
    "type": "object",
    "required": ["submitted", "created", "duplicates", "failed", "results"],
    "properties": {
        "submitted": {"type": "integer"},
        "created": {"type": "integer"},
        "duplicates": {"type": "integer"},
        "corrected": {"type": "integer"},
        "failed": {"type": "integer"},
        "results": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["index", "status"],
                "properties": {
                    "index": {"type": "integer"},
                    "status": {
                        "type": "string",
                        "enum": ["created", "duplicate", "conflict", "invalid", "corrected"],
                    },
                },
            },
        },
    },
}


def _flag(name: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": {"type": "boolean"}}


_FLAGS = [_flag(name) for name in ("strict", "atomic", "correct")]
_IMPORT: dict[str, Any] = {
    "name": "import_id",
    "in": "query",
    "required": False,
    "schema": {"type": "string", "pattern": "^imp_[0-9A-HJKMNP-TV-Z]{26}$"},
}


def _answer(description: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _single(operation_id: str, summary: str, shape: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "tags": ["ingest"],
        "operationId": operation_id,
        "summary": summary,
        "parameters": [idempotency.PARAMETER, _flag("strict"), _IMPORT],
        "requestBody": {"required": True, "content": {"application/json": {"schema": shape}}},
        "responses": {
            "201": _answer("Recorded.", ROW),
            "200": _answer("Known already: the record that holds its event id.", ROW),
            "404": {"description": "There is no such import."},
            "409": {"description": "The event id holds another payload."},
        },
    }


def _batch(operation_id: str, summary: str, shape: Mapping[str, Any]) -> dict[str, Any]:
    items = {"type": "array", "minItems": 1, "items": shape}
    body = {
        "type": "object",
        "required": ["records"],
        "properties": {"records": items},
        "additionalProperties": False,
    }
    return {
        "tags": ["ingest"],
        "operationId": operation_id,
        "summary": summary,
        "parameters": [idempotency.PARAMETER, *_FLAGS, _IMPORT],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"anyOf": [body, items]}},
                "application/x-ndjson": {"schema": {"type": "string"}},
            },
        },
        "responses": {
            "200": _answer("All were recorded or known.", _RESULTS),
            "207": _answer("Some were refused; each result says so.", _RESULTS),
        },
    }


_RECORD = _inline(WireRecord)
_COST = _inline(WireCost)

paths: dict[str, dict[str, Any]] = {
    "/api/v1/usage": {"post": _single("createUsage", "Record one call, priced by us.", _RECORD)},
    "/api/v1/usage/batch": {"post": _batch("createUsageBatch", "Record many calls.", _RECORD)},
    "/api/v1/costs": {
        "post": _single("createCost", "Record one cost, priced by the caller.", _COST)
    },
    "/api/v1/costs/bulk": {"post": _batch("createCosts", "Record many costs.", _COST)},
}
