"""What the pricing routes take and give, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from llm_cost_ops.core.usage import KINDS
from llm_cost_ops.server.http.openapi import answers, json_body

Schema = dict[str, Any]

_NAMED: Schema = {"type": "string"}
_TEXT: Schema = {"type": ["string", "null"]}
_INSTANT: Schema = {"type": ["string", "null"], "format": "date-time"}
_FIELDS: Schema = {
    "provider": _NAMED,
    "model": _NAMED,
    "currency": {"type": "string", "default": "USD"},
    "effective_date": _NAMED,
    "end_date": _NAMED,
    "region": _NAMED,
    "service_tier": _NAMED,
    "processing": {"type": "string", "enum": ["realtime", "batch"]},
    "pricing_structure": {
        "type": "object",
        "properties": {
            "type": {"type": "string", "enum": ["per_token", "per_request", "tiered", "formula"]}
        },
    },
    "prices": {"type": "object"},
    "organization_id": _TEXT,
}
NEW_PRICE = json_body(
    {
        "type": "object",
        "required": ["provider", "model", "effective_date"],
        "properties": _FIELDS,
    }
)
NEW_VERSION = json_body({"type": "object", "properties": _FIELDS})
_PRICE: Schema = {
    "type": "object",
    "required": ["id", "version", "provider", "model", "currency", "prices"],
    "properties": {
        "id": _NAMED,
        "version": {"type": "integer"},
        "provider": _NAMED,
        "model": _NAMED,
        "currency": _NAMED,
        "region": _TEXT,
        "service_tier": _TEXT,
        "processing": _NAMED,
        "effective_date": _INSTANT,
        "end_date": _INSTANT,
        "pricing_structure": {"type": ["object", "null"]},
        "prices": {"type": "object"},
        "source": {"enum": ["organization", "operator", "public"]},
        "priced_records": {"type": "integer"},
    },
}
MADE = answers(201, _PRICE, "The price; `priced_records` calls had waited for it.")
PRICE = answers(200, _PRICE, "The price.")


def _listed(item: Schema) -> Schema:
    return {
        "type": "object",
        "required": ["data", "has_more", "next_cursor"],
        "properties": {
            "data": {"type": "array", "items": item},
            "has_more": {"type": "boolean"},
            "next_cursor": _TEXT,
        },
    }


PRICES = answers(200, _listed(_PRICE), "Own prices first, then the public book.")
_AMOUNT: Schema = {"type": ["number", "string", "null"]}
NEW_ADJUSTMENT = json_body(
    {
        "type": "object",
        "additionalProperties": False,
        "required": ["label"],
        "properties": {
            "label": {"type": "string", "minLength": 1, "maxLength": 255},
            "provider": _TEXT,
            "model": _TEXT,
            "kinds": {"type": ["array", "null"], "items": {"enum": sorted(KINDS)}},
            "factor": _AMOUNT,
            "discount_percent": _AMOUNT,
            "position": {"type": ["integer", "null"], "minimum": 0},
            "effective_date": _TEXT,
            "end_date": _TEXT,
            "organization_id": _TEXT,
        },
    }
)
_ADJUSTMENT: Schema = {
    "type": "object",
    "required": ["id", "position", "label", "factor"],
    "properties": {
        "id": _NAMED,
        "position": {"type": "integer"},
        "label": _NAMED,
        "provider": _TEXT,
        "model": _TEXT,
        "kinds": {"type": ["array", "null"], "items": _NAMED},
        "factor": {"type": "number"},
        "effective_date": _INSTANT,
        "end_date": _INSTANT,
    },
}
ADJUSTED = answers(201, _ADJUSTMENT, "The discount.")
ADJUSTMENTS = answers(200, _listed(_ADJUSTMENT), "Discounts in their order.")
NEW_DEPLOYMENT = json_body(
    {
        "type": "object",
        "additionalProperties": False,
        "required": ["deployment"],
        "properties": {
            "provider": {"type": ["string", "null"], "default": "azure"},
            "deployment": {"type": "string", "minLength": 1, "maxLength": 255},
            "model": {"type": ["string", "null"], "description": "null removes the mapping."},
            "region": _TEXT,
            "organization_id": _TEXT,
        },
    }
)
_DEPLOYMENT: Schema = {
    "type": "object",
    "required": ["provider", "deployment", "model", "region"],
    "properties": {"provider": _NAMED, "deployment": _NAMED, "model": _TEXT, "region": _TEXT},
}
DEPLOYED = answers(200, _DEPLOYMENT, "The mapping.")
DEPLOYMENTS = answers(200, _listed(_DEPLOYMENT), "All mappings.")
