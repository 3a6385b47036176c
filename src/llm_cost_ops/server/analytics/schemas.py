"""What the reads take and give, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from llm_cost_ops.core.buckets import GRAINS
from llm_cost_ops.core.period import PERIODS
from llm_cost_ops.server.http.openapi import JSON, list_of

Schema = dict[str, Any]
NDJSON = "application/x-ndjson"

_AMOUNT: Schema = {"type": ["number", "null"], "description": "Exact digits; null is unknown."}
_COUNT: Schema = {"type": "integer"}
_TEXT: Schema = {"type": ["string", "null"]}
_NAMED: Schema = {"type": "string"}

ROW: Schema = {
    "type": "object",
    "description": "One call, net of its corrections.",
    "properties": {
        "id": _NAMED,
        "event_id": _NAMED,
        "source": _NAMED,
        "provider": _NAMED,
        "model": _NAMED,
        "prompt_tokens": _COUNT,
        "completion_tokens": _COUNT,
        "total_tokens": _COUNT,
        "usage": {"type": "object", "additionalProperties": {"type": "number"}},
        "total_cost": _AMOUNT,
        "cost": _AMOUNT,
        "amount": _AMOUNT,
        "calculated_cost": _AMOUNT,
        "list_cost": _AMOUNT,
        "currency": _NAMED,
        "cost_status": {"enum": ["priced", "partially_priced", "unpriced"]},
        "price_version": _TEXT,
        "timestamp": {"type": "string", "format": "date-time"},
        "tags": {"type": "array", "items": _NAMED},
        "metadata": {"type": "object"},
    },
    "additionalProperties": True,
}
_LINE: Schema = {
    "type": "object",
    "required": ["kind", "quantity", "price", "per", "amount"],
    "properties": {
        "kind": _NAMED,
        "quantity": {"type": "number"},
        "price": {"type": "number"},
        "per": _COUNT,
        "amount": {"type": "number"},
    },
}
CALL: Schema = {
    **ROW,
    "description": "One call with the lines of its cost.",
    "properties": {
        **ROW["properties"],
        "lines": {"type": "array", "items": _LINE},
        "missing_kinds": {"type": "array", "items": _NAMED},
    },
}
ENTRY: Schema = {
    "type": "object",
    "required": ["id", "record_id", "kind", "cost"],
    "properties": {
        "id": _NAMED,
        "record_id": _NAMED,
        "kind": {"enum": ["call", "rerate", "recount", "void"]},
        "cost": _AMOUNT,
        "recorded_at": {"type": "string", "format": "date-time"},
    },
    "additionalProperties": True,
}
_TOTALS: Schema = {
    "total_cost": _AMOUNT,
    "currency": _TEXT,
    "total_requests": _COUNT,
    "avg_cost_per_request": _AMOUNT,
    "total_tokens": _COUNT,
    "tokens": {"type": "object", "additionalProperties": {"type": "number"}},
    "unpriced_count": _COUNT,
    "partially_priced_count": _COUNT,
    "currencies": {"type": "array", "items": {"type": "object"}},
}
GROUP: Schema = {
    "type": "object",
    "description": "A group: its dimensions by the names asked for, its currency, its metrics.",
    "required": ["currency", "total_cost", "sum", "count", "requests", "avg", "min", "max"],
    "properties": {
        "currency": _NAMED,
        **dict.fromkeys(("total_cost", "sum", "cost", "avg", "min", "max"), _AMOUNT),
        **dict.fromkeys(("count", "requests", "tokens", "unpriced_count"), _COUNT),
    },
    "additionalProperties": True,
}
SUMMARY: Schema = {
    "type": "object",
    "required": ["total_cost", "currency", "total_requests", "unpriced_count"],
    "properties": {
        **_TOTALS,
        "top_models": {"type": "array", "items": {"type": "object"}},
        "daily_trend": {"type": "array", "items": {"type": "object"}},
    },
    "additionalProperties": True,
}
_BROKEN_DOWN: Schema = {
    "type": "object",
    "required": ["total_cost", "currency", "total_requests", "breakdown"],
    "properties": {**_TOTALS, "breakdown": {"type": "array", "items": {"type": "object"}}},
}
LISTED: dict[int | str, Schema] = {
    200: {
        "description": "A page of calls, with `group_by` totals and their breakdown; a stream has "
        "a call per line.",
        "content": {
            JSON: {"schema": {"anyOf": [list_of(ROW), _BROKEN_DOWN]}},
            NDJSON: {"schema": {"type": "string"}},
        },
    }
}
ANY_OBJECT: Schema = {"type": "object", "additionalProperties": True}


def _parameter(name: str, description: str, schema: Schema | None = None) -> Schema:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": description,
        "schema": schema or _NAMED,
    }


def _listed(name: str, description: str) -> Schema:
    return _parameter(name, description, {"type": "array", "items": {**_NAMED, "minLength": 1}})


WHICH: tuple[Schema, ...] = (
    _parameter("start_date", "ISO 8601: a bare date is a whole day in the time zone."),
    _parameter("end_date", "ISO 8601: a bare date is included, an instant is excluded."),
    _parameter("period", f"{', '.join(PERIODS)}, any last-N-days or last-N-hours."),
    _parameter("days", "The whole days of which the last is today.", {"type": "integer"}),
    _parameter("timezone", "An IANA time zone; the organization's by default."),
    _listed("provider", "Any of these providers, repeated or with commas."),
    _listed("model", "Any of these models."),
    _listed("project_id", "Any of these projects."),
    _listed("team_id", "Any of these teams."),
    _listed("user_id", "Any of these users."),
    _listed("api_key_id", "Any of these keys, as the caller named them."),
    _listed("environment", "Any of these environments."),
    _listed("feature", "Any of these features."),
    _listed("status", "Any of these statuses of calls."),
    _listed("source", "Any of these sources."),
    _listed("cost_status", "Any of: priced, partially_priced, unpriced."),
    _listed("service_tier", "Any of these service tiers."),
    _listed("processing", "Any of: realtime, batch."),
    _listed("region", "Any of these regions."),
    _listed("currency", "Any of these currencies."),
    _listed("import_id", "Any of these imports."),
    _listed("usage_ids", "Any of these calls."),
    _listed("tags", "All of these tags, compared exactly. `metadata.<key>=value` is read too."),
    _parameter("min_cost", "Calls that cost at least this much.", {"type": "number"}),
    _parameter("max_cost", "Calls that cost at most this much.", {"type": "number"}),
)
PAGED: tuple[Schema, ...] = (
    _parameter("cursor", "`next_cursor` of the page before, with the same other parameters."),
    _parameter("limit", "Rows per page, 1000 at most.", {"type": "integer", "minimum": 1}),
    _parameter("offset", "Rows to leave out.", {"type": "integer", "minimum": 0}),
    _parameter("page", "The number of the page, from 1.", {"type": "integer", "minimum": 1}),
    _parameter("per_page", "The same as limit.", {"type": "integer", "minimum": 1}),
    _listed("fields", "The fields to show; all by default."),
    _listed("order_by", "Fields, `-` before a descending one; the oldest first by default."),
)
STREAMED = _parameter(
    "stream", "All rows as NDJSON, as `Accept: application/x-ndjson` has them.", {"type": "boolean"}
)
GROUPED: tuple[Schema, ...] = (
    _listed("group_by", "Dimensions: fields, tag, tag:<key>, metadata.<key>, hour, day, week ..."),
    _listed("metrics", "Beyond the usual: p1 to p99, stddev, tokens (by kind), list_cost ..."),
    _listed("order_by", "Dimensions or metrics, `-` before a descending one."),
    _parameter("limit", "Groups at most; all by default.", {"type": "integer", "minimum": 1}),
    _parameter("offset", "Groups to leave out.", {"type": "integer", "minimum": 0}),
)
INTERVAL = _parameter(
    "interval", "A row per bucket of time.", {"type": "string", "enum": [*GRAINS]}
)


def takes(*parameters: Schema) -> Schema:
    """The part of an operation that says which parameters it reads."""
    return {"parameters": list(parameters)}


QUERY_BODY: Schema = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "description": "The parameters of the lists and aggregates as fields; "
                    "`filters` takes {field: value | [values] | {operator: value}} or a list of "
                    "{field, operator, value} with eq, ne, in, nin, gt, gte, lt, lte, contains, "
                    "exists. `queries` is a list of such queries, answered in order.",
                    "properties": {
                        "filters": {"type": ["object", "array", "null"]},
                        "group_by": {"type": ["array", "string", "null"]},
                        "dimensions": {"type": ["array", "string", "null"]},
                        "metrics": {"type": ["array", "string", "null"]},
                        "order_by": {"type": ["array", "string", "null"]},
                        "limit": {"type": ["integer", "null"], "minimum": 1},
                        "queries": {"type": ["array", "null"], "items": {"type": "object"}},
                    },
                    "additionalProperties": True,
                }
            }
        },
    }
}
