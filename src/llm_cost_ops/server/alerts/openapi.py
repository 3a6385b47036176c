"""What the routes of alerts take and give, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from llm_cost_ops.server.alerts.rules import (
    FREQUENCIES,
    GROUPS,
    METRICS,
    SEVERITIES,
    SYNONYMS,
    TYPES,
    WEEKDAYS,
    WINDOWS,
)
from llm_cost_ops.server.alerts.store import STATUSES
from llm_cost_ops.server.delivery.channels import CHANNELS
from llm_cost_ops.server.http.openapi import answers, json_body, list_of

Schema = dict[str, Any]

_NAMED: Schema = {"type": "string"}
_TEXT: Schema = {"type": ["string", "null"]}
_FLAG: Schema = {"type": ["boolean", "null"]}
_COUNT: Schema = {"type": ["integer", "null"], "minimum": 0}
_MONEY: Schema = {"type": ["number", "string", "null"]}
_INSTANT: Schema = {"type": ["string", "null"], "format": "date-time"}
_TEXTS: Schema = {"type": ["array", "null"], "items": {"type": "string"}}
_SEVERITY: Schema = {"enum": list(SEVERITIES)}
_QUIET: Schema = {
    "type": ["object", "null"],
    "description": "Notices wait for the end of these hours; critical ones pass unless held.",
    "properties": {
        "start": _NAMED,
        "end": _NAMED,
        "timezone": _TEXT,
        "days": _TEXTS,
        "hold_critical": _FLAG,
    },
}
_STEP: Schema = {
    "type": "object",
    "required": ["after_minutes", "channels"],
    "properties": {"after_minutes": {"type": "integer", "minimum": 1}, "channels": _TEXTS},
}
_RULE_FIELDS: Schema = {
    "name": {"type": "string", "minLength": 1, "maxLength": 255},
    "type": {"enum": [*TYPES, *SYNONYMS]},
    "description": _TEXT,
    "enabled": _FLAG,
    "severity": {"enum": [*SEVERITIES, None]},
    "scope": {"type": ["object", "null"]},
    "channels": _TEXTS,
    "cooldown_minutes": _COUNT,
    "auto_clear_minutes": _COUNT,
    "quiet_hours": _QUIET,
    "escalation": {"type": ["array", "null"], "items": _STEP},
    "notify_resolved": _FLAG,
    "conditions": {"type": ["object", "null"]},
    "budget_ids": _TEXTS,
    "thresholds": {"type": ["array", "null"], "items": {"type": ["number", "string"]}},
    "probability": _MONEY,
    "dimension": _TEXT,
    "min_amount": _MONEY,
    "min_severity": _TEXT,
    "metric": {"enum": [*METRICS, None]},
    "threshold": _MONEY,
    "window": {"enum": [*WINDOWS, None]},
    "window_minutes": _COUNT,
    "currency": _TEXT,
    "group_by": {"enum": [*GROUPS, None]},
    "min_requests": _COUNT,
    "frequency": {"enum": [*FREQUENCIES, None]},
    "time": _TEXT,
    "weekday": {"enum": [*WEEKDAYS, None]},
    "timezone": _TEXT,
    "organization_id": _TEXT,
}
NEW_RULE = json_body({"type": "object", "required": ["name", "type"], "properties": _RULE_FIELDS})
CHANGED_RULE = json_body(
    {
        "type": "object",
        "properties": {
            **_RULE_FIELDS,
            "clear": {**_TEXTS, "description": "Names of fields to take away."},
        },
    }
)
_RULE: Schema = {
    "type": "object",
    "required": ["id", "name", "type", "enabled"],
    "properties": {
        **{
            name: shape
            for name, shape in _RULE_FIELDS.items()
            if name not in ("organization_id", "conditions")
        },
        "id": _NAMED,
        "type": {"enum": list(TYPES)},
        "created_at": _INSTANT,
        "updated_at": _INSTANT,
        "created_by": _TEXT,
    },
}
RULE_MADE = answers(201, _RULE, "The rule.")
RULE = answers(200, _RULE, "The rule.")
RULES = answers(200, list_of(_RULE), "Rules in the order in which they were made.")

_CHANNEL_FIELDS: Schema = {
    "name": {"type": "string", "minLength": 1, "maxLength": 255},
    "type": {"enum": [*CHANNELS, "mail", "smtp", "msteams", "microsoft_teams"]},
    "severities": {"type": ["array", "null"], "items": _SEVERITY},
    "default": _FLAG,
    "enabled": _FLAG,
    "config": {"type": ["object", "null"]},
    "recipients": _TEXTS,
    "url": _TEXT,
    "secret": _TEXT,
    "routing_key": _TEXT,
    "organization_id": _TEXT,
}
NEW_CHANNEL = json_body(
    {"type": "object", "required": ["name", "type"], "properties": _CHANNEL_FIELDS}
)
CHANGED_CHANNEL = json_body({"type": "object", "properties": _CHANNEL_FIELDS})
_CHANNEL: Schema = {
    "type": "object",
    "required": ["id", "name", "type", "severities", "default", "enabled", "encrypted"],
    "properties": {
        "id": _NAMED,
        "name": _NAMED,
        "type": {"enum": list(CHANNELS)},
        "config": {"type": ["object", "null"], "description": "Without secrets."},
        "severities": {"type": "array", "items": _SEVERITY},
        "default": {"type": "boolean"},
        "enabled": {"type": "boolean"},
        "encrypted": {"type": "boolean"},
        "readable": {"type": "boolean"},
        "created_at": _INSTANT,
        "updated_at": _INSTANT,
    },
}
CHANNEL_MADE = answers(201, _CHANNEL, "The channel, without its secrets.")
CHANNEL = answers(200, _CHANNEL, "The channel, without its secrets.")
CHANNELS_LISTED = answers(200, list_of(_CHANNEL), "Channels in the order in which they were made.")
TESTED = answers(
    200,
    {
        "type": "object",
        "required": ["delivered", "results"],
        "properties": {
            "channel_id": _NAMED,
            "delivered": {"type": "boolean"},
            "results": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "delivered": {"type": "boolean"},
                        "detail": _NAMED,
                        "status": {"type": ["integer", "null"]},
                    },
                },
            },
        },
    },
    "How the test message went, for each addressee.",
)

_ALERT: Schema = {
    "type": "object",
    "required": ["id", "type", "severity", "status", "title", "summary", "fired_at"],
    "properties": {
        "id": _NAMED,
        "type": {"enum": list(TYPES)},
        "severity": _SEVERITY,
        "status": {"enum": list(STATUSES)},
        "title": _NAMED,
        "summary": _NAMED,
        "rule_id": _TEXT,
        "budget_id": _TEXT,
        "facts": {"type": "array", "items": {"type": "object"}},
        "drivers": {"type": "array", "items": {"type": "object"}},
        "details": {"type": "object"},
        "dedup_key": _NAMED,
        "occurrences": {"type": "integer"},
        **dict.fromkeys(
            ("since", "fired_at", "last_seen_at", "acknowledged_at", "snoozed_until",
             "resolved_at"),
            _INSTANT,
        ),
        "history": {"type": "array", "items": {"type": "object"}},
        "deliveries": {"type": "array", "items": {"type": "object"}},
    },
}  # fmt: skip
ALERT = answers(200, _ALERT, "The alert with its history and who was told.")
ALERTS = answers(200, list_of(_ALERT), "Alerts, the newest first.")
HISTORY = answers(200, list_of({"type": "object"}), "What happened, the oldest first.")
_COMMENT: Schema = {"type": ["string", "null"], "maxLength": 2000}
CLOSING = json_body(
    {"type": "object", "properties": {"comment": _COMMENT, "organization_id": _TEXT}}
)
SNOOZE = json_body(
    {
        "type": "object",
        "description": "`minutes` from now, or `until` an instant.",
        "properties": {
            "minutes": {"type": ["integer", "null"], "minimum": 1},
            "until": _TEXT,
            "comment": _COMMENT,
            "organization_id": _TEXT,
        },
    }
)
COMMENT = json_body(
    {
        "type": "object",
        "required": ["comment"],
        "properties": {
            "comment": {"type": "string", "minLength": 1, "maxLength": 2000},
            "organization_id": _TEXT,
        },
    }
)
