"""What the routes of schedules take and give, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from llm_cost_ops.server.exports.forms import COMPRESSED, MEDIA_TYPES
from llm_cost_ops.server.http.openapi import JSON, answers, json_body, list_of
from llm_cost_ops.server.schedules.destinations import KINDS as DESTINATIONS
from llm_cost_ops.server.schedules.plan import CATCH_UP, FREQUENCIES
from llm_cost_ops.server.schedules.produce import KINDS
from llm_cost_ops.server.schedules.store import STATUSES

Schema = dict[str, Any]

_NAMED: Schema = {"type": "string"}
_TEXT: Schema = {"type": ["string", "null"]}
_FLAG: Schema = {"type": ["boolean", "null"]}
_INSTANT: Schema = {"type": ["string", "null"], "format": "date-time"}
_DESTINATION: Schema = {
    "type": "object",
    "required": ["type"],
    "properties": {
        "type": {"type": "string", "description": f"One of {', '.join(DESTINATIONS)}."},
    },
    "additionalProperties": True,
}
_FIELDS: Schema = {
    "name": {"type": ["string", "null"], "maxLength": 255},
    "what": {"enum": [*KINDS, None]},
    "frequency": {"enum": [*FREQUENCIES, None]},
    "time": {**_TEXT, "description": "HH:MM in the schedule's zone."},
    "day": {
        "type": ["string", "integer", "null"],
        "description": "A weekday, or a day of the month: of a shorter one the last.",
    },
    "cron": {**_TEXT, "description": "Five fields, in place of time and day."},
    "timezone": {**_TEXT, "description": "IANA name; else that of the organization."},
    "period": {
        **_TEXT,
        "description": "What a run is about: `yesterday`, `last-week`, `last-7-days` ..; else the "
        "hour, day, week or month before it.",
    },
    "catch_up": {"enum": [*CATCH_UP, None]},
    "paused": _FLAG,
    "delivery": {
        "description": "One destination or a list of some.",
        "anyOf": [
            _DESTINATION,
            {"type": "array", "items": _DESTINATION, "minItems": 1},
            {"type": ["string", "null"]},
        ],
    },
    "parameters": {
        "type": ["object", "null"],
        "description": "Of the file, as an export takes them; also possible beside these fields.",
    },
    "organization_id": _TEXT,
}
_BODY: Schema = {"type": "object", "properties": _FIELDS, "additionalProperties": True}
NEW = json_body({**_BODY, "required": ["delivery"]})
CHANGED = json_body(_BODY)

_SCHEDULE: Schema = {
    "type": "object",
    "required": ["id", "name", "what", "frequency", "timezone", "period", "destinations", "paused"],
    "properties": {
        **{n: _FIELDS[n] for n in ("frequency", "time", "cron", "timezone", "period")},
        "id": _NAMED,
        "name": _NAMED,
        "what": {"enum": list(KINDS)},
        "day": _TEXT,
        "catch_up": {"enum": list(CATCH_UP)},
        "parameters": {"type": "object"},
        "destinations": {"type": "array", "items": _DESTINATION},
        "paused": {"type": "boolean"},
        "paused_reason": _TEXT,
        "next_run_at": _INSTANT,
        "last_run": {"type": ["object", "null"]},
        "owner": {"type": "object"},
        "created_at": _INSTANT,
        "created_by": _TEXT,
        "updated_at": _INSTANT,
    },
}
MADE = answers(201, _SCHEDULE, "The schedule, without secrets.")
SCHEDULE = answers(200, _SCHEDULE, "The schedule, without secrets.")
SCHEDULES = answers(200, list_of(_SCHEDULE), "Schedules, the newest first.")

_RUN: Schema = {
    "type": "object",
    "required": ["id", "schedule_id", "scheduled_for", "status", "file", "deliveries"],
    "properties": {
        "id": _NAMED,
        "schedule_id": _NAMED,
        "scheduled_for": _INSTANT,
        "cause": _NAMED,
        "status": {"enum": list(STATUSES)},
        "attempts": {"type": "integer"},
        "period_start": _INSTANT,
        "period_end": _INSTANT,
        "file": {"type": ["object", "null"]},
        "facts": {"type": "object"},
        "deliveries": {"type": "array", "items": {"type": "object"}},
        "error": _TEXT,
        "created_at": _INSTANT,
        "finished_at": _INSTANT,
    },
}
RUN = answers(200, _RUN, "The run.")
BEGUN = answers(202, _RUN, "The run, which is yet to be done.")
RUNS = answers(200, list_of(_RUN), "Runs, the newest first.")
FILE: dict[int | str, Schema] = {
    200: {
        "description": "The file.",
        "content": {
            media.partition(";")[0]: {"schema": {} if media == JSON else {"type": "string"}}
            for media in (*MEDIA_TYPES.values(), *COMPRESSED.values())
        },
    }
}
