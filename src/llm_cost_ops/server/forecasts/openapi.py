"""What the routes of forecasts and anomalies take and give, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from llm_cost_ops.anomalies import METHODS, SENSITIVITIES, SEVERITIES
from llm_cost_ops.forecasting.forecast import MAX_HORIZON, MODELS
from llm_cost_ops.server.analytics.schemas import WHICH, takes
from llm_cost_ops.server.forecasts.terms import MAX_DAYS, STEPS
from llm_cost_ops.server.http.openapi import answers, json_body, list_of

Schema = dict[str, Any]

_TEXT: Schema = {"type": ["string", "null"]}
_NAMED: Schema = {"type": "string"}
_NUMBER: Schema = {"type": ["number", "null"]}
_GIVEN: Schema = {"type": ["number", "string", "null"]}
_FLAG: Schema = {"type": ["boolean", "null"]}
_OBJECT: Schema = {"type": ["object", "null"]}
_INSTANT: Schema = {"type": "string", "format": "date-time"}
_NAMES: Schema = {"type": ["array", "string", "null"], "items": _NAMED}
_STEP: Schema = {"type": ["string", "null"], "enum": [*STEPS, None]}
_MODEL: Schema = {"type": ["string", "null"], "enum": [*MODELS, None]}
_PERIOD: Schema = {
    "start_date": _TEXT,
    "end_date": _TEXT,
    "timezone": _TEXT,
    "currency": _TEXT,
    "filters": {"type": ["object", "array", "null"]},
    "organization_id": _TEXT,
}
_HORIZON: Schema = {
    "horizon_days": {"type": ["integer", "null"], "minimum": 1, "maximum": MAX_DAYS},
    "horizon": {
        "type": ["integer", "null"],
        "minimum": 1,
        "maximum": MAX_HORIZON,
        "description": "Steps of the interval.",
    },
}
_HOW: Schema = {
    "model": _MODEL,
    "forecast_model": _MODEL,
    "confidence_level": _GIVEN,
}
NEW_FORECAST = json_body(
    {
        "type": "object",
        "description": "Filters of the lists are fields, too; `model` as a filter is in `filters`.",
        "properties": {
            **_HORIZON,
            **_HOW,
            "interval": _STEP,
            "drivers": _FLAG,
            "include_history": _FLAG,
            "holidays": _NAMES,
            "group_by": _NAMES,
            **_PERIOD,
        },
    }
)
EXAMINED = json_body(
    {
        "type": "object",
        "properties": {
            "method": {"type": ["string", "null"], "enum": [*METHODS, None]},
            "threshold": _GIVEN,
            "sensitivity": {"type": ["string", "null"], "enum": [*SENSITIVITIES, None]},
            "min_amount": _GIVEN,
            "interval": _STEP,
            "group_by": _NAMES,
            "explain": _FLAG,
            **_PERIOD,
        },
    }
)
BUDGET_ASKED = json_body(
    {
        "type": "object",
        "description": "`budget_id`, or the fields of a budget that is not stored.",
        "properties": {
            "budget_id": _TEXT,
            **_HOW,
            "alert_thresholds": {
                "type": ["array", "null"],
                "items": {"type": ["number", "string"]},
            },
            "amount": _GIVEN,
            "period": _TEXT,
            "scope": _OBJECT,
            "currency": _TEXT,
            "timezone": _TEXT,
            "organization_id": _TEXT,
        },
    }
)
JUDGED = json_body(
    {
        "type": "object",
        "properties": {
            "is_anomaly": {
                "enum": [True, False, None, "true", "false", "none"],
                "description": "null, or none, takes back what was said.",
            },
            "note": {**_TEXT, "maxLength": 255},
            "organization_id": _TEXT,
        },
        "required": ["is_anomaly"],
    }
)


def _parameter(name: str, description: str, schema: Schema | None = None) -> Schema:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": description,
        "schema": schema or _NAMED,
    }


_INTERVAL = _parameter("interval", "Steps.", {"type": "string", "enum": [*STEPS]})
_SAME = tuple(each for each in WHICH if each["name"] != "model")
LISTED = takes(
    _parameter("horizon_days", "Forecast so many days instead of listing; nothing is stored."),
    _parameter("horizon", "The same in steps of the interval."),
    _parameter("model", "The model of the forecast.", {"type": "string", "enum": [*MODELS]}),
    _parameter("confidence_level", "The share of outcomes inside the interval, 0.5 to 0.99."),
    _parameter("group_by", "Dimensions, each value of which is forecast by itself, too."),
    _INTERVAL,
    *_SAME,
)
SEARCHED = takes(
    _parameter("method", "How points are judged.", {"type": "string", "enum": [*METHODS]}),
    _parameter("threshold", "A multiple of the method's unit."),
    _parameter(
        "sensitivity", "How readily points are flagged.",
        {"type": "string", "enum": [*SENSITIVITIES]},
    ),
    _parameter("min_amount", "The least difference from the expected cost."),
    _parameter("group_by", "Dimensions, each value of which is a series of its own."),
    _parameter("explain", "With the causes of each.", {"type": "boolean"}),
    _INTERVAL,
    *WHICH,
)  # fmt: skip
FOUND_FILTERS = (
    "interval", "dimension", "value", "currency", "severity", "episode_id", "is_anomaly",
    "start_date", "end_date",
)  # fmt: skip
FOUND_ASKED = takes(
    _INTERVAL,
    _parameter("dimension", "total, provider, model or project_id."),
    _parameter("value", "A value of the dimension."),
    _parameter("currency", "A currency."),
    _parameter("severity", "A severity.", {"type": "string", "enum": [*SEVERITIES]}),
    _parameter("episode_id", "Those of one episode."),
    _parameter("is_anomaly", "What was said of them.", {"enum": ["true", "false"]}),
    _parameter("start_date", "ISO 8601: a bare date is a whole day in the time zone."),
    _parameter("end_date", "ISO 8601: a bare date is included, an instant is excluded."),
)

_PREDICTION: Schema = {
    "type": "object",
    "required": ["date", "value", "predicted_cost", "lower_bound", "upper_bound"],
    "properties": {
        "date": _NAMED,
        **dict.fromkeys(("value", "predicted_cost", "lower_bound", "upper_bound"), _NUMBER),
        "year_ago": _NUMBER,
    },
}
FORECAST: Schema = {
    "type": "object",
    "required": ["model", "frequency", "predictions", "backtest", "currency", "left_out"],
    "properties": {
        "id": _NAMED,
        "model": _NAMED,
        "requested_model": _NAMED,
        "frequency": _NAMED,
        "currency": _NAMED,
        "confidence_level": _NUMBER,
        "predictions": {"type": "array", "items": _PREDICTION},
        "total": {"type": "object"},
        "backtest": {
            "type": "object",
            "properties": dict.fromkeys(("mase", "smape", "coverage"), _NUMBER),
        },
        "drivers": _OBJECT,
        "year_over_year": _OBJECT,
        "left_out": {"type": "array", "items": {"type": "object"}},
        "groups": {"type": "array", "items": {"type": "object"}},
        "limited_to": {
            "type": "array",
            "items": {"type": "object"},
            "description": "Conditions of roles: it is about these calls alone.",
        },
        "created_at": _INSTANT,
    },
}
MADE = answers(201, FORECAST, "The forecast, as it is stored.")
READ = answers(200, FORECAST, "The forecast.")
FORECASTS = answers(
    200,
    {"anyOf": [list_of(FORECAST), FORECAST]},
    "Forecasts, the newest first; with a horizon or a model the forecast itself.",
)
BUDGET = answers(
    200,
    {
        "type": "object",
        "required": ["amount", "spent", "projected_spend", "breach_probability", "breach_date"],
        "properties": {
            "budget_id": _TEXT,
            **dict.fromkeys(
                ("amount", "spent", "remaining", "projected_spend", "lower_bound", "upper_bound",
                 "daily_rate", "days_remaining", "breach_probability"), _NUMBER,
            ),
            **dict.fromkeys(
                ("breach_date", "breach_date_earliest", "breach_date_latest"), _TEXT
            ),
            "risk_level": {"enum": ["low", "medium", "high", "critical"]},
            "status": {"enum": ["on_track", "at_risk", "exceeded"]},
            "alert_thresholds": {"type": "array", "items": {"type": "object"}},
            "predictions": {"type": "array", "items": {"type": "object"}},
        },
    },
    "Where the budget's period ends, and how likely and when its limit is passed.",
)  # fmt: skip
_ANOMALY: Schema = {
    "type": "object",
    "required": ["date", "actual_cost", "expected_cost", "lower", "upper", "severity", "score"],
    "properties": {
        "id": _NAMED,
        "date": _NAMED,
        "dimension": _NAMED,
        "value": _NAMED,
        "currency": _NAMED,
        **dict.fromkeys(("actual_cost", "expected_cost", "lower", "upper", "score"), _NUMBER),
        "severity": {"enum": [*SEVERITIES]},
        "is_anomaly": _FLAG,
        "causes": _OBJECT,
    },
}
ANOMALIES = answers(200, list_of(_ANOMALY), "Anomalies.")
ANOMALY = answers(200, _ANOMALY, "The anomaly.")
CAUSES = answers(
    200,
    {
        "type": "object",
        "required": ["jump", "drivers", "members", "rest"],
        "properties": {
            **dict.fromkeys(("actual_cost", "expected_cost", "jump"), _NUMBER),
            "drivers": {"type": "array", "items": {"type": "object"}},
            "members": {"type": "object"},
            "rest": {"type": "object"},
        },
    },
    "The parts of the jump, which sum to it exactly.",
)
