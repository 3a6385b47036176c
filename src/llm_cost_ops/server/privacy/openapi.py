"""What the routes of privacy take and give, for the document."""

from __future__ import annotations

from typing import Any

from llm_cost_ops.server.http.openapi import answers, json_body, list_of
from llm_cost_ops.server.privacy.requests import KINDS, RECTIFIED

Schema = dict[str, Any]
_TEXT: Schema = {"type": "string"}
_MAYBE: Schema = {"type": ["string", "null"]}
NEW_REQUEST = json_body(
    {
        "type": "object",
        "required": ["kind", "subject"],
        "properties": {
            "kind": {"type": "string", "enum": list(KINDS)},
            "subject": {**_TEXT, "maxLength": 255, "description": "A user id or e-mail address."},
            "changes": {
                "type": ["object", "null"],
                "description": f"To rectify: {', '.join(RECTIFIED)}.",
            },
            "organization_id": _MAYBE,
        },
    }
)
_REQUEST: Schema = {
    "type": "object",
    "required": ["id", "kind", "status", "subject"],
    "properties": {
        "id": _TEXT,
        "kind": _TEXT,
        "status": {"type": "string", "enum": ["pending", "done", "failed"]},
        "subject": {**_TEXT, "description": "Of an erasure that is done the pseudonym."},
        "result": {"type": "object"},
        "has_certificate": {"type": "boolean"},
        "created_by": _MAYBE,
        "created_at": {"type": "string", "format": "date-time"},
        "finished_at": {"type": ["string", "null"], "format": "date-time"},
    },
}
MADE = answers(201, _REQUEST, "The request.")
RETRIED = answers(202, _REQUEST, "The request; a worker does it.")
REQUEST = answers(200, _REQUEST, "The request.")
REQUESTS = answers(200, list_of(_REQUEST), "The newest first.")
CERTIFICATE = answers(
    200, {"type": "object", "required": ["digest", "places"]}, "What was erased where."
)
EXPORT_PARAMETERS: Schema = {
    "parameters": [
        {
            "name": "format",
            "in": "query",
            "schema": {"type": "string", "enum": ["json", "csv"], "default": "json"},
        }
    ]
}
EXPORT: dict[int | str, Any] = {
    200: {
        "description": "Everything that is stored about the person.",
        "content": {
            "application/json": {"schema": {"type": "object"}},
            "application/zip": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
