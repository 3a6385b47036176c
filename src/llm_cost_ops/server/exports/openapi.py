"""What the routes of ordered exports take and give, for the document."""

from __future__ import annotations

from typing import Any

from llm_cost_ops.core.focus.columns import VERSIONS
from llm_cost_ops.core.focus.periods import GRAINS
from llm_cost_ops.server.exports.asked import FOCUS_FILES, TYPES
from llm_cost_ops.server.exports.forms import ALIASES, COMPRESSED, FOCUS, MEDIA_TYPES
from llm_cost_ops.server.exports.store import STATUSES
from llm_cost_ops.server.http.openapi import ERROR_SCHEMA, JSON, answers, json_body, list_of

Schema = dict[str, Any]
_TEXT: Schema = {"type": "string"}
_MAYBE: Schema = {"type": ["string", "null"]}
_COUNT: Schema = {"type": "integer"}
_INSTANT: Schema = {"type": ["string", "null"], "format": "date-time"}
_NAMES: Schema = {"type": ["array", "string", "null"], "items": _TEXT}


def _one_of(*names: str) -> Schema:
    return {"type": ["string", "null"], "enum": [*names, None]}


NEW = json_body(
    {
        "type": "object",
        "description": "The parameters of `GET /costs/export` as fields, and filters as `POST "
        "/costs/query` takes them.",
        "properties": {
            "format": _one_of(*MEDIA_TYPES, FOCUS, *ALIASES),
            "type": _one_of(*TYPES),
            "include_fields": _NAMES,
            "start_date": _MAYBE,
            "end_date": _MAYBE,
            "period": _MAYBE,
            "timezone": _MAYBE,
            "filters": {"type": ["object", "array", "null"]},
            "group_by": _NAMES,
            "metrics": _NAMES,
            "compression": _one_of("gzip", "zstd", "none"),
            "focus_version": _one_of(*VERSIONS),
            "focus_file": _one_of(*FOCUS_FILES),
            "focus_grain": _one_of(*GRAINS),
            "organization_id": _MAYBE,
        },
        "additionalProperties": True,
    }
)
EXPORT: Schema = {
    "type": "object",
    "required": ["id", "status", "type", "format", "progress"],
    "properties": {
        "id": _TEXT,
        "status": {"type": "string", "enum": list(STATUSES)},
        "type": _TEXT,
        "format": _TEXT,
        "query": {"type": "object", "description": "What was asked for."},
        "progress": {
            "type": "object",
            "properties": {
                "rows": _COUNT,
                "rows_expected": {"type": ["integer", "null"], "description": "An estimate."},
                "bytes": _COUNT,
                "fraction": {"type": ["number", "null"], "description": "From 0 to 1."},
            },
        },
        "file_name": _TEXT,
        "media_type": _TEXT,
        "size_bytes": {"type": ["integer", "null"]},
        "sha256": {"type": ["string", "null"], "description": "Of the file, in hexadecimal."},
        "totals": {
            "type": "array",
            "items": {"type": "object"},
            "description": "The sums of the file's rows per currency; of FOCUS none.",
        },
        "reason": {**_MAYBE, "description": "Why it failed."},
        "download_url": {**_MAYBE, "description": "Null unless the file is there."},
        "created_by": _MAYBE,
        "created_at": _INSTANT,
        "started_at": _INSTANT,
        "finished_at": _INSTANT,
        "expires_at": _INSTANT,
    },
}
ORDERED = answers(202, EXPORT, "The export; a worker makes it.")
ONE = answers(200, EXPORT, "The export and how far it is.")
LISTED = answers(200, list_of(EXPORT), "The newest first.")
STATUS: Schema = {
    "name": "status",
    "in": "query",
    "required": False,
    "description": "Those with this status.",
    "schema": {"type": "string", "enum": list(STATUSES)},
}
_FILES: Schema = {
    media.partition(";")[0]: {"schema": {} if media == JSON else {"type": "string"}}
    for media in (*MEDIA_TYPES.values(), *COMPRESSED.values())
}
_HEADERS: Schema = {
    "ETag": {"schema": _TEXT, "description": "The file's SHA-256."},
    "Accept-Ranges": {"schema": _TEXT},
}


def _refused(description: str) -> Schema:
    return {"description": description, "content": {JSON: {"schema": ERROR_SCHEMA}}}


FILE: dict[int | str, Schema] = {
    200: {"description": "The file.", "content": _FILES, "headers": _HEADERS},
    206: {"description": "The bytes that were asked for.", "content": _FILES, "headers": _HEADERS},
    409: _refused("It is not made yet, or was never."),
    410: _refused("EXPORT_EXPIRED: its file is no longer there."),
    416: _refused("The range begins behind the last byte; `Content-Range` has the size."),
}
DOWNLOAD: Schema = {
    "parameters": [
        {
            "name": "Range",
            "in": "header",
            "required": False,
            "description": "One range of bytes, such as `bytes=1000-`.",
            "schema": _TEXT,
        },
        {
            "name": "If-Range",
            "in": "header",
            "required": False,
            "description": "The ETag of the part that is there: the whole file if it is another.",
            "schema": _TEXT,
        },
    ]
}
