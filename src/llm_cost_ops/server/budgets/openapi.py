"""What the routes of budgets take and give, for the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llm_cost_ops.core.budget import ENFORCEMENTS
from llm_cost_ops.core.pricing.bound import CACHES
from llm_cost_ops.core.recurrence import PERIODS
from llm_cost_ops.server.budgets.adjust import KINDS
from llm_cost_ops.server.budgets.ask import BASES, DEFAULT_TTL_S, MAX_TTL_S, MAX_WAIT_MS
from llm_cost_ops.server.http import idempotency
from llm_cost_ops.server.http.openapi import answers, conflicts, json_body, list_of

Schema = dict[str, Any]

_NAMED: Schema = {"type": "string"}
_TEXT: Schema = {"type": ["string", "null"]}
_FLAG: Schema = {"type": ["boolean", "null"]}
_COUNT: Schema = {"type": ["integer", "null"], "minimum": 0}
_GIVEN: Schema = {"type": ["number", "string", "null"]}
_MONEY: Schema = {"type": ["number", "null"]}
_INSTANT: Schema = {"type": ["string", "null"], "format": "date-time"}
_ONE_OR_MORE: Schema = {
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]
}
_DIMENSIONS = (
    "provider", "model", "project_id", "team_id", "user_id", "api_key_id", "environment",
    "feature", "tags",
)  # fmt: skip
_SCOPE: Schema = {
    "type": ["object", "null"],
    "description": "A call counts when every dimension has one of its values.",
    "properties": {
        **dict.fromkeys(_DIMENSIONS, _ONE_OR_MORE),
        "metadata": {"type": "object", "additionalProperties": _ONE_OR_MORE},
    },
}
_BUDGET_FIELDS: Schema = {
    "name": {"type": "string", "minLength": 1, "maxLength": 255},
    "description": _TEXT,
    "amount": _GIVEN,
    "request_limit": _COUNT,
    "token_limit": _COUNT,
    "currency": _TEXT,
    "period": {"type": ["string", "null"], "enum": [*PERIODS, "custom", None]},
    "every": {"type": ["integer", "null"], "minimum": 1},
    "period_days": {"type": ["integer", "null"], "minimum": 1},
    "rolling": _FLAG,
    "recurring": _FLAG,
    "start_date": _TEXT,
    "end_date": _TEXT,
    "anchor_date": _TEXT,
    "timezone": _TEXT,
    "fiscal_year_start_month": {"type": ["integer", "null"], "minimum": 1, "maximum": 12},
    "scope": _SCOPE,
    "enforcement": {"type": ["string", "null"], "enum": [*ENFORCEMENTS, None]},
    "alert_thresholds": {"type": ["array", "null"], "items": {"type": ["number", "string"]}},
    "throttle": {
        "type": ["object", "null"],
        "properties": {"above": _GIVEN, "per_minute": _COUNT, "delay_ms": _COUNT},
    },
    "rollover": {
        "type": ["object", "boolean", "null"],
        "properties": {"percent": _GIVEN, "cap": _GIVEN},
    },
    "parent_id": _TEXT,
    "allocation_percent": _GIVEN,
    "allow_overallocation": _FLAG,
    "organization_id": _TEXT,
}
NEW_BUDGET = json_body({"type": "object", "required": ["name"], "properties": _BUDGET_FIELDS})
CHANGED_BUDGET = json_body({"type": "object", "properties": _BUDGET_FIELDS})
ENFORCEMENT = json_body(
    {
        "type": "object",
        "required": ["enforcement"],
        "properties": {
            name: _BUDGET_FIELDS[name] for name in ("enforcement", "throttle", "organization_id")
        },
    }
)
_BUDGET: Schema = {
    "type": "object",
    "required": ["id", "name", "amount", "spent", "reserved", "remaining", "utilization"],
    "properties": {
        "id": _TEXT,
        "name": _NAMED,
        "amount": _MONEY,
        "limit": _MONEY,
        "currency": _NAMED,
        "spent": _MONEY,
        "reserved": _MONEY,
        "remaining": _MONEY,
        "utilization": _MONEY,
        "period_start": _INSTANT,
        "period_end": _INSTANT,
        "status": {"enum": ["ok", "exceeded", "inactive"]},
    },
}
_ARCHIVED = conflicts(
    "Its period reaches into days of which only sums are kept, which tell too little."
)
MADE = {
    **answers(201, _BUDGET, "The budget, with what its period has spent already."),
    **_ARCHIVED,
}
BUDGET = answers(200, _BUDGET, "The budget and where it stands.")
CHANGED = {**BUDGET, **_ARCHIVED}
BUDGETS = answers(200, list_of(_BUDGET), "Budgets in the order in which they were made.")
_PROJECTED: Schema = {
    **_BUDGET["properties"],
    "burn_rate": _MONEY,
    "projected_spend": _MONEY,
    "days_left": _MONEY,
    "projection": {"type": ["object", "null"]},
}
STATUS = answers(200, {**_BUDGET, "properties": _PROJECTED}, "Where it stands and is heading.")
ADJUSTMENT = json_body(
    {
        "type": "object",
        "required": ["type", "amount", "reason"],
        "properties": {
            "type": {"enum": list(KINDS)},
            "amount": {"type": ["number", "string"]},
            "reason": {"type": "string", "minLength": 1, "maxLength": 1000},
            "to_budget_id": _TEXT,
            "organization_id": _TEXT,
        },
    }
)
ADJUSTED = answers(201, _BUDGET, "The budget; `budgets` are all that changed.")
_CHANGE: Schema = {
    "type": "object",
    "properties": {
        "id": _NAMED,
        "budget_id": _NAMED,
        "type": _NAMED,
        "amount": {"type": "number"},
        "reason": _NAMED,
        "actor_id": _TEXT,
        "created_at": _INSTANT,
    },
}
ADJUSTMENTS = answers(200, list_of(_CHANGE), "Changes, newest first.")

_ASKED_TEXTS = (
    "project_id", "team_id", "user_id", "api_key_id", "environment", "feature", "service_tier",
    "processing", "region", "organization_id",
)  # fmt: skip
_ASK: Schema = {
    "type": "object",
    "properties": {
        "estimated_cost": _GIVEN,
        "currency": _TEXT,
        "provider": _TEXT,
        "model": _TEXT,
        "input_tokens": _COUNT,
        "max_tokens": _COUNT,
        "usage": {"type": ["object", "null"]},
        "requests": {"type": ["integer", "null"], "minimum": 1},
        "modalities": {
            "type": ["array", "null"],
            "items": {"enum": ["text", "audio", "image", "video"]},
        },
        "prompt_cache": {"enum": [*CACHES, None]},
        **dict.fromkeys(_ASKED_TEXTS, _TEXT),
        "tags": {"type": ["array", "null"], "items": {"type": "string"}},
        "metadata": {"type": ["object", "null"]},
        "ttl_seconds": {
            "type": ["integer", "null"],
            "minimum": 1,
            "maximum": MAX_TTL_S,
            "default": DEFAULT_TTL_S,
        },
        "max_wait_ms": {
            "type": ["integer", "null"],
            "minimum": 0,
            "maximum": MAX_WAIT_MS,
            "default": 0,
        },
    },
}  # fmt: skip
_ASSUMED: Schema = {
    "type": "integer",
    "description": "The model's own limit, taken because the call gave none.",
}
_RESERVED: Schema = {
    "type": "object",
    "required": ["reservation_id", "amount", "currency", "expires_at", "budgets"],
    "properties": {
        "reservation_id": _NAMED,
        "amount": {"type": "number"},
        "currency": _NAMED,
        "basis": {"enum": list(BASES)},
        "max_tokens": _ASSUMED,
        "expires_at": _INSTANT,
        "delay_ms": {"type": "integer"},
        "budgets": {"type": "array", "items": {"type": "object"}},
    },
}
_CHECKED: Schema = {
    "type": "object",
    "required": ["allowed", "amount", "budgets"],
    "properties": {
        "allowed": {"type": "boolean"},
        "amount": _MONEY,
        "basis": {"enum": list(BASES)},
        "max_tokens": _ASSUMED,
        "reason": _TEXT,
        "budgets": {"type": "array", "items": {"type": "object"}},
    },
}
_SETTLEMENT: Schema = {
    "type": "object",
    "description": "`cost`, or `usage` or `response`, which are priced from the price book.",
    "properties": {
        "cost": _GIVEN,
        "currency": _TEXT,
        "usage": {"type": ["object", "null"]},
        "response": {"type": ["object", "null"]},
        "api_flavor": _TEXT,
        "provider": _TEXT,
        "model": _TEXT,
        "event_id": _TEXT,
        "source": _TEXT,
        "organization_id": _TEXT,
    },
}
_RESOLVED: Schema = {
    "type": "object",
    "required": ["reservation_id", "status"],
    "properties": {
        "reservation_id": _NAMED,
        "status": {"enum": ["open", "settled", "released", "expired"]},
        "cost": _MONEY,
        "released": _MONEY,
        "currency": _NAMED,
        "record_id": _TEXT,
    },
}
_REFUSED: Schema = {"$ref": "#/components/responses/Error"}
_RESERVATION_ID: Schema = {
    "name": "reservation_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string"},
}


def _operation(
    name: str,
    summary: str,
    responses: Mapping[int | str, Any],
    body: Mapping[str, Any] | None = None,
    parameters: tuple[Schema, ...] = (),
) -> Schema:
    made: Schema = {
        "operationId": name,
        "summary": summary,
        "tags": ["budgets"],
        "responses": {str(status): answer for status, answer in responses.items()},
    }
    if body is not None:
        made.update(body)
    if parameters:
        made["parameters"] = list(parameters)
    return made


_ONE = "/api/v1/budgets/reservations/{reservation_id}"
paths: Mapping[str, Mapping[str, Any]] = {
    "/api/v1/budgets/reserve": {
        "post": _operation(
            "reserveBudget",
            "Hold the most that a call can cost in every budget that it counts in, or in none.",
            {
                **answers(201, _RESERVED, "What is held, and what is left."),
                "402": _REFUSED,
                "409": _REFUSED,
                "429": _REFUSED,
            },
            json_body(_ASK),
            (idempotency.PARAMETER,),
        )
    },
    "/api/v1/budgets/check": {
        "post": _operation(
            "checkBudget",
            "Would this call fit now? Nothing is held.",
            answers(200, _CHECKED, "Whether it fits, and into what."),
            json_body(_ASK),
        )
    },
    f"{_ONE}/settle": {
        "post": _operation(
            "settleReservation",
            "Record what the call did cost; what it did not need is given back.",
            {**answers(200, _RESOLVED, "What it cost."), "409": _REFUSED},
            json_body(_SETTLEMENT),
            (_RESERVATION_ID,),
        )
    },
    f"{_ONE}/release": {
        "post": _operation(
            "releaseReservation",
            "The call was not made: give everything back.",
            {**answers(200, _RESOLVED, "What was given back."), "409": _REFUSED},
            None,
            (_RESERVATION_ID,),
        )
    },
    _ONE: {
        "get": _operation(
            "getReservation",
            "What became of a reservation so far.",
            answers(200, _RESOLVED, "The reservation."),
            None,
            (_RESERVATION_ID,),
        )
    },
}
