"""What the OpenAPI document says of the audit log."""

from __future__ import annotations

from typing import Any

from llm_cost_ops.server.http.openapi import JSON, answers, json_body, list_of

_TEXT: dict[str, Any] = {"type": "string"}
_MAYBE: dict[str, Any] = {"type": ["string", "null"]}
_TIME: dict[str, Any] = {"type": "string", "format": "date-time"}
_OBJECT: dict[str, Any] = {"type": ["object", "null"]}
_NUMBER: dict[str, Any] = {"type": "integer", "minimum": 0}

ENTRY: dict[str, Any] = {
    "type": "object",
    "required": ["id", "seq", "timestamp", "action", "resource_type", "resource_id", "outcome"],
    "properties": {
        "id": _TEXT,
        "seq": _NUMBER,
        "timestamp": _TIME,
        "actor_kind": _MAYBE,
        "actor_id": _MAYBE,
        "user_id": _MAYBE,
        "user_email": _MAYBE,
        "ip": _MAYBE,
        "action": _TEXT,
        "resource_type": _TEXT,
        "resource_id": _TEXT,
        "outcome": {"type": "string", "enum": ["success", "denied", "failure"]},
        "before": _OBJECT,
        "after": _OBJECT,
        "request_id": _MAYBE,
        "previous_hash": _MAYBE,
        "hash": _MAYBE,
    },
}
PROVEN: dict[str, Any] = {
    "type": "object",
    "required": ["ok", "organization_id", "entries", "removed", "head_seq", "head_hash"],
    "properties": {
        "ok": {"type": "boolean"},
        "organization_id": _TEXT,
        "entries": _NUMBER,
        "removed": _NUMBER,
        "head_seq": _NUMBER,
        "head_hash": _TEXT,
        "checkpoints": _NUMBER,
        "checkpoints_of_unknown_keys": _NUMBER,
        "first_bad_seq": {"type": ["integer", "null"]},
        "fault": {
            "type": ["string", "null"],
            "enum": [
                "edited", "deleted", "reordered", "inserted", "truncated", "rewritten",
                "checkpoint", None,
            ],
        },
        "message": _MAYBE,
    },
}  # fmt: skip
CHECKPOINT: dict[str, Any] = {
    "type": "object",
    "required": [
        "organization_id", "seq", "hash", "created_at", "key_id", "public_key", "signature",
    ],
    "properties": {
        "organization_id": _TEXT,
        "seq": _NUMBER,
        "hash": _TEXT,
        "created_at": _TIME,
        "key_id": _TEXT,
        "public_key": _TEXT,
        "signature": _TEXT,
    },
}  # fmt: skip
ENTRIES = answers(200, list_of(ENTRY), "Entries, the newest first.")
CHECKPOINTS = answers(200, list_of(CHECKPOINT), "Checkpoints, the oldest first.")
PROOF = answers(200, PROVEN, "What was found.")
KEPT = json_body(
    {
        "type": "object",
        "required": ["checkpoints"],
        "properties": {"checkpoints": {"type": "array", "items": CHECKPOINT}},
    }
)
EXPORT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file.",
        "content": {
            "text/csv": {"schema": _TEXT},
            JSON: {"schema": {"type": "array", "items": ENTRY}},
            "application/x-ndjson": {"schema": _TEXT},
        },
    }
}
