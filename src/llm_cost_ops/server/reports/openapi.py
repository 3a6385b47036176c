"""What the routes of reports take and give, for the document."""

from __future__ import annotations

from typing import Any

from llm_cost_ops.core.period import PERIODS
from llm_cost_ops.core.report.allocate import BASES
from llm_cost_ops.core.report.compare import COMPARISONS
from llm_cost_ops.server.http.openapi import JSON, answers, json_body, list_of
from llm_cost_ops.server.reports.asked import FORM_ALIASES, FORMS, HISTORY_DAYS, MAX_HISTORY_DAYS
from llm_cost_ops.server.reports.drawing import MEDIA_TYPES
from llm_cost_ops.server.reports.store import STATUSES
from llm_cost_ops.server.reports.types import SECTIONS, TYPES

Schema = dict[str, Any]
_TEXT: Schema = {"type": "string"}
_MAYBE: Schema = {"type": ["string", "null"]}
_FORM: Schema = {"type": "string", "enum": [*FORMS, *FORM_ALIASES]}
_TIME: Schema = {"type": "string", "format": "date-time"}
_NAMES: Schema = {"type": "array", "items": {"type": "string"}}
_NUMBER: Schema = {"type": ["number", "string"]}
_SECTION: Schema = {
    "oneOf": [
        {
            "type": "string",
            "enum": sorted({name for plan in SECTIONS.values() for name, _ in plan}),
        },
        {
            "type": "object",
            "required": ["section"],
            "properties": {
                "section": _TEXT,
                "title": {**_TEXT, "minLength": 1, "maxLength": 255},
                "group_by": _NAMES,
            },
        },
    ]
}
_SECTIONS: Schema = {"type": "array", "items": _SECTION, "minItems": 1, "maxItems": 30}
_RATE: Schema = {
    "type": "object",
    "required": ["currency", "date", "rate", "source"],
    "properties": {
        "currency": _TEXT,
        "date": {"type": "string", "format": "date"},
        "rate": {**_NUMBER, "description": "What one unit is in the currency of the report."},
        "source": {**_TEXT, "minLength": 1, "maxLength": 255},
    },
}
_RULE: Schema = {
    "type": "object",
    "required": ["name", "shared"],
    "properties": {
        "name": {**_TEXT, "minLength": 1, "maxLength": 255},
        "shared": {"type": "array", "items": _MAYBE, "minItems": 1,
                   "description": "Whose cost is divided; null is of calls that name nobody."},
        "by": {"type": "string", "enum": list(BASES), "default": "cost"},
        "shares": {"type": "object", "additionalProperties": _NUMBER,
                   "description": "Of `fixed`: parts of 1."},
    },
}  # fmt: skip
ASKED = json_body(
    {
        "type": "object",
        "description": "Further fields are filters of calls, as in `GET /api/v1/costs`.",
        "properties": {
            "type": {"type": "string", "enum": [*TYPES], "default": "cost_summary"},
            "format": {**_FORM, "default": "pdf", "description": "Drawn when nothing else is."},
            "title": {**_TEXT, "minLength": 1, "maxLength": 255},
            "start_date": _TEXT,
            "end_date": _TEXT,
            "period": {**_TEXT, "examples": [*PERIODS]},
            "days": {"type": "integer", "minimum": 1},
            "timezone": _TEXT,
            "filters": {"type": ["object", "array"]},
            "group_by": _NAMES,
            "include_charts": {"type": "boolean", "default": True},
            "compare": {"type": "string", "enum": [*COMPARISONS], "default": COMPARISONS[0]},
            "currency": {**_TEXT, "description": "Needs a rate of every other one."},
            "rates": {"type": "array", "items": _RATE, "minItems": 1},
            "charge_by": {**_TEXT, "default": "project_id"},
            "allocation": {"type": "array", "items": _RULE, "minItems": 1},
            "sections": {**_SECTIONS, "description": "Of the type custom."},
            "template": {**_TEXT, "description": "Name or id of kept sections."},
            "horizon_days": {"type": "integer", "minimum": 1},
            "history_days": {
                "type": "integer", "minimum": 1, "maximum": MAX_HISTORY_DAYS,
                "description": "What a forecast is made of: days before the end of the period; "
                f"else {HISTORY_DAYS}, or the period if that is longer.",
            },
            "forecast_model": _TEXT,
            "confidence_level": _NUMBER,
            "wait": {"type": "boolean", "default": False,
                     "description": "Answer when the report is made."},
            "organization_id": _TEXT,
        },
        "additionalProperties": True,
    }
)  # fmt: skip
_REPORT: Schema = {
    "type": "object",
    "required": ["id", "type", "status", "format", "created_at"],
    "properties": {
        "id": _TEXT,
        "organization_id": _TEXT,
        "type": {"type": "string", "enum": [*TYPES]},
        "title": _TEXT,
        "status": {"type": "string", "enum": [*STATUSES]},
        "format": {"type": "string", "enum": [*FORMS]},
        "error": {**_MAYBE, "description": "Why it could not be made."},
        "request": {"type": "object"},
        "limited_to": {"type": ["array", "null"], "items": {"type": "object"}},
        "download_url": _MAYBE,
        "created_by": _MAYBE,
        "created_at": _TIME,
        "finished_at": {**_TIME, "type": ["string", "null"]},
        "expires_at": _TIME,
    },
}
MADE = {
    **answers(202, _REPORT, "The report; a worker makes it, or the first request."),
    **answers(201, _REPORT, "The report, when it was waited for."),
}
REPORT = answers(200, _REPORT, "The report.")
REPORTS = answers(200, list_of(_REPORT), "The newest first.")
LISTED: Schema = {
    "parameters": [
        {"name": "type", "in": "query", "schema": {"type": "string", "enum": [*TYPES]}},
        {"name": "status", "in": "query", "schema": {"type": "string", "enum": [*STATUSES]}},
    ]
}
DOWNLOAD: Schema = {"parameters": [{"name": "format", "in": "query", "schema": _FORM}]}
FILE: dict[int | str, Any] = {
    200: {
        "description": "The report as a file.",
        "content": {
            media.partition(";")[0]: {"schema": {} if media == JSON else {"type": "string"}}
            for media in (*MEDIA_TYPES.values(), JSON)
        },
    }
}
NEW_TEMPLATE = json_body(
    {
        "type": "object",
        "required": ["name", "sections"],
        "properties": {
            "name": {**_TEXT, "minLength": 1, "maxLength": 255},
            "sections": _SECTIONS,
            "organization_id": _TEXT,
        },
    }
)
_TEMPLATE: Schema = {
    "type": "object",
    "required": ["id", "name", "sections"],
    "properties": {
        "id": _TEXT,
        "name": _TEXT,
        "sections": {"type": "array"},
        "created_by": _MAYBE,
        "created_at": _TIME,
    },
}
TEMPLATE = answers(201, _TEMPLATE, "The kept sections.")
TEMPLATES = answers(200, list_of(_TEMPLATE), "The newest first.")
