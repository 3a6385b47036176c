"""What the ledger's routes take and give, for the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llm_cost_ops.server.http.openapi import answers, conflicts, json_body, list_of

Schema = dict[str, Any]

_AMOUNT: Schema = {"type": ["number", "null"]}
_COUNT: Schema = {"type": "integer"}
_TEXT: Schema = {"type": ["string", "null"]}


def _object(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **(optional or {})},
    }


LABELS = json_body(
    {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "metadata": {"type": ["object", "null"]},
            "tags": {"type": ["array", "null"], "maxItems": 64, "items": {"type": "string"}},
            "organization_id": _TEXT,
        },
    }
)
ARCHIVED = conflicts("Retention has archived the day of the call.")
RELABELLED = {
    **answers(
        200,
        _object({"id": {"type": "string"}, "provider": {"type": "string"}, "total_cost": _AMOUNT}),
        "The call with its new labels.",
    ),
    **ARCHIVED,
}
NEW_IMPORT = json_body(
    {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "format": {"type": ["string", "null"], "maxLength": 64},
            "name": {"type": ["string", "null"], "maxLength": 255},
            "organization_id": _TEXT,
        },
    }
)
_IMPORT = _object(
    {
        "id": {"type": "string"},
        "format": {"type": "string"},
        "name": _TEXT,
        "status": {"type": "string", "enum": ["open", "complete", "undone"]},
        **dict.fromkeys(("created", "duplicate", "corrected", "failed"), _COUNT),
        "created_by": _TEXT,
        "created_at": {"type": "string", "format": "date-time"},
        "undone_at": _TEXT,
    },
    {"voided": _COUNT},
)
STARTED = answers(201, _IMPORT, "The import, open and empty.")
IMPORT = answers(200, _IMPORT, "The import.")
UNDONE = {**IMPORT, **conflicts("Retention has archived some of its calls.")}
IMPORTS = answers(200, list_of(_IMPORT), "Imports, newest first.")
SELECTION = json_body(
    {
        "type": "object",
        "additionalProperties": False,
        "required": ["start_date", "end_date"],
        "properties": {
            "start_date": {"type": "string"},
            "end_date": {"type": "string"},
            "timezone": _TEXT,
            "provider": _TEXT,
            "model": _TEXT,
            "dry_run": {"type": "boolean", "default": True},
            "unpriced_only": {"type": "boolean", "default": False},
            "organization_id": _TEXT,
        },
    }
)
_CHANGE: Mapping[str, Schema] = dict.fromkeys(("old_total", "new_total", "difference"), _AMOUNT)
RERATED = answers(
    200,
    _object(
        {
            "dry_run": {"type": "boolean"},
            **dict.fromkeys(
                ("records", "examined", "archived", "unpriced_before", "unpriced_after"), _COUNT
            ),
            **_CHANGE,
            "currency": _TEXT,
            "by_model": {
                "type": "array",
                "items": _object({"provider": _TEXT, "model": _TEXT, "records": _COUNT, **_CHANGE}),
            },
        },
        {"rerate_id": {"type": "string"}},
    ),
    "What would change, or what did.",
)
UNPRICED = answers(200, list_of({"type": "object"}), "Most calls first.")
PROOF = answers(200, {"type": "object"}, "Whether every rollup equals the ledger.")
