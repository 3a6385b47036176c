"""Every operation of the API with a request that it takes, so that what must hold for all of them
is tested on all of them. A test fails when one is missing here."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.application import Application
from tests.support.export_operations import BY_LINK, EXPORTS
from tests.support.operation import Body, Operation
from tests.support.people_operations import KEPT_OF_PEOPLE, PEOPLE, ROLES, SEVERAL

RECORD: Body = {
    "event_id": "@new",
    "provider": "openai",
    "model": "gpt-4o",
    "prompt_tokens": 10,
    "completion_tokens": 2,
    "total_tokens": 12,
    "timestamp": "2025-11-01T00:00:00Z",
    "source": "tests",
    **{name: name for name in ("project_id", "team_id", "user_id", "api_key_id", "feature")},
    "environment": "test",
    "status": "success",
    "latency_ms": 5,
    "region": "eu",
    "service_tier": "standard",
    "processing": "realtime",
    "tags": ["a"],
    "metadata": {"a": {"b": ["c"]}},
}
_USAGE: Body = {"event_id": "@new", "provider": "openai", "model": "gpt-4o"}
_RESPONSE: Body = {
    "event_id": "@new",
    "provider": "openai",
    "response": {
        "id": "chatcmpl-1",
        "model": "gpt-4o",
        "service_tier": "default",
        "usage": {
            "prompt_tokens": 5,
            "completion_tokens": 3,
            "total_tokens": 8,
            "prompt_tokens_details": {"cached_tokens": 1},
        },
    },
}
_COST: Body = {
    **{k: v for k, v in RECORD.items() if k in ("event_id", "provider", "model", "timestamp")},
    "cost": "1.25",
    "currency": "USD",
    "tags": ["a"],
    "metadata": {"a": "b"},
}
PRICE: Body = {
    "provider": "custom",
    "model": "@new",
    "currency": "USD",
    "effective_date": "2025-01-01",
    "end_date": "2026-01-01",
    "region": "eu",
    "service_tier": "standard",
    "processing": "realtime",
}
STRUCTURES: tuple[Body, ...] = (
    {"type": "per_token", "input_price_per_million": 1, "output_price_per_million": "2.5"},
    {"type": "per_request", "price_per_request": "0.5"},
    {
        "type": "tiered",
        "mode": "graduated",
        "tiers": [
            {"up_to": 1000, "input_price_per_million": 1, "output_price_per_million": 2},
            {"up_to": None, "input_price_per_million": 1, "output_price_per_million": 2},
        ],
    },
    {"type": "formula", "expression": "input_tokens * 0.1"},
)
_QUERY: Body = {
    "filters": [{"field": "model", "operator": "contains", "value": "x"}],
    "group_by": ["model", "metadata.a"],
    "metrics": ["p50"],
    "order_by": ["-total_cost"],
    "limit": 5,
    "start_date": "2025-01-01",
    "end_date": "2025-12-01",
    "timezone": "Europe/Berlin",
}
_ITEM: Body = {
    "id": "a",
    "provider": "openai",
    "model": "gpt-4o",
    "timestamp": "2025-11-01T00:00:00Z",
    "usage": {"input_tokens": 5},
    "service_tier": "standard",
    "processing": "realtime",
    "region": "eu",
    "prices": {"input_tokens": {"price": 1, "per": 1_000_000}},
}
_BUDGET: Body = {
    "name": "x",
    "description": "x",
    "amount": "5.5",
    "request_limit": 10,
    "token_limit": 1000,
    "currency": "USD",
    "period": "monthly",
    "every": 1,
    "rolling": False,
    "recurring": True,
    "start_date": "2025-01-01",
    "end_date": "2090-01-01",
    "anchor_date": "2025-01-31",
    "timezone": "Europe/Berlin",
    "scope": {"team_id": "a", "model": ["b"], "tags": ["c"], "metadata": {"d": "e"}},
    "enforcement": "throttle",
    "alert_thresholds": ["0.5", 1],
    "throttle": {"above": "0.8", "per_minute": 100, "delay_ms": 0},
    "rollover": {"percent": 50, "cap": 3},
    "allow_overallocation": True,
}
_ASK: Body = {
    "provider": "openai",
    "model": "gpt-4o",
    "input_tokens": 10,
    "max_tokens": 5,
    "modalities": ["text"],
    "prompt_cache": "none",
    **{n: n for n in ("project_id", "team_id", "user_id", "api_key_id", "environment", "feature")},
    "service_tier": "standard",
    "processing": "realtime",
    "tags": ["a"],
    "metadata": {"a": {"b": ["c"]}},
    "ttl_seconds": 60,
    "max_wait_ms": 0,
}
RULE: Body = {
    "name": "x",
    "type": "usage",
    "description": "x",
    "enabled": True,
    "severity": "warning",
    "scope": {"team_id": "a", "model": ["b"], "tags": ["c"], "metadata": {"d": "e"}},
    "channels": [],
    "cooldown_minutes": 5,
    "auto_clear_minutes": 60,
    "quiet_hours": {
        "start": "22:00",
        "end": "07:00",
        "timezone": "Europe/Berlin",
        "days": ["mon"],
        "hold_critical": True,
    },
    "escalation": [],
    "notify_resolved": True,
    "metric": "cost",
    "threshold": "5.5",
    "window": "day",
    "currency": "USD",
    "group_by": "user_id",
}
_RULES: tuple[Body, ...] = (
    RULE,
    {"name": "x", "type": "budget", "budget_ids": [], "thresholds": ["0.5", 80]},
    {"name": "x", "type": "projected_breach", "probability": "0.8"},
    {"name": "x", "type": "anomaly", "dimension": "model", "min_amount": 5, "min_severity": "low"},
    {"name": "x", "type": "error_rate", "threshold": "0.1", "window_minutes": 5,
     "min_requests": 3},
    {"name": "x", "type": "call_cost", "conditions": {"threshold": 10}},
    {"name": "x", "type": "unpriced"},
    {"name": "x", "type": "price_change"},
    {"name": "x", "type": "digest", "frequency": "weekly", "weekday": "monday", "time": "08:00",
     "timezone": "Europe/Berlin"},
)  # fmt: skip
_CHANNELS: tuple[Body, ...] = (
    {"name": "@new", "type": "email", "recipients": ["ops@example.com"], "severities": ["info"],
     "default": False, "enabled": True},
    {"name": "@new", "type": "webhook", "url": "https://example.com/hook",
     "secret": "0123456789abcdef01234567"},
    {"name": "@new", "type": "pagerduty", "config": {"routing_key": "a" * 32}},
)  # fmt: skip
_LABELS: Body = {"metadata": {"a": {"b": ["c"]}}, "tags": ["a"]}


OPERATIONS: Mapping[str, Operation] = {
    "createUsage": Operation(
        "write:costs", (RECORD, {**_USAGE, "usage": {"input_tokens": 5}}, _RESPONSE)
    ),
    "createUsageBatch": Operation(
        "write:costs", ({"records": [RECORD, {**_RESPONSE, "event_id": "response"}]},)
    ),
    "createCost": Operation("write:costs", (_COST,)),
    "createCosts": Operation("write:costs", ({"records": [_COST]},)),
    "updateCost": Operation("write:costs", (_LABELS,)),
    "replaceCostLabels": Operation("write:costs", (_LABELS,)),
    "deleteCost": Operation("write:costs"),
    "startImport": Operation("write:costs", ({"format": "csv", "name": "x"},)),
    "completeImport": Operation("write:costs"),
    "undoImport": Operation("write:costs"),
    **dict.fromkeys(
        ("listCosts", "getCost", "listCostEntries", "getUsage", "listUsageHistory"),
        Operation("read:costs"),
    ),
    **dict.fromkeys(("aggregateCosts", "summarizeCosts", "analyzeCosts"), Operation("read:costs")),
    "breakDownCosts": Operation("read:costs", query="?group_by=model"),
    **dict.fromkeys(("listImports", "getImport", "verifyLedger"), Operation("read:costs")),
    **dict.fromkeys(
        ("listPricing", "getPricing", "listPriceAdjustments", "listDeployments", "listUnpriced"),
        Operation("read:costs"),
    ),
    **EXPORTS,
    "breakDownCostsByBody": Operation(
        "read:costs", ({"dimensions": ["model"], "filters": {"model": {"eq": "x"}}},)
    ),
    "queryCosts": Operation(
        "read:costs",
        (
            _QUERY,
            {"filters": {"metadata.a": ["x"], "tags": ["a"]}, "fields": ["id"], "page": 1},
            {"queries": [{"group_by": ["model"], "filters": {"model": "x"}}]},
        ),
    ),
    "estimateCosts": Operation("read:costs", ({"items": [_ITEM]},)),
    "estimateCost": Operation(
        "read:costs", ({"provider": "openai", "response": _RESPONSE["response"]},)
    ),
    "createPricing": Operation(
        "write:pricing",
        (
            *({**PRICE, "pricing_structure": structure} for structure in STRUCTURES),
            {**PRICE, "prices": {"input_tokens": {"price": "3.5", "per": 1_000_000}}},
        ),
    ),
    "updatePricing": Operation(
        "write:pricing", ({"effective_date": "2025-02-01", "pricing_structure": STRUCTURES[0]},)
    ),
    "endPricing": Operation("write:pricing"),
    "createPriceAdjustment": Operation(
        "write:pricing",
        (
            {
                "label": "x",
                "provider": "openai",
                "model": "gpt-4o",
                "kinds": ["input_tokens"],
                "factor": "0.9",
                "position": 3,
                "effective_date": "2025-01-01",
                "end_date": "2026-01-01",
            },
            {"label": "x", "discount_percent": 5},
        ),
    ),
    "removePriceAdjustment": Operation("write:pricing"),
    "setDeployment": Operation(
        "write:pricing",
        ({"provider": "azure", "deployment": "@new", "model": "gpt-4o", "region": "eu"},),
    ),
    "rerate": Operation(
        "write:pricing",
        (
            {
                "start_date": "2025-01-01",
                "end_date": "2026-01-01",
                "provider": "openai",
                "model": "gpt-4o",
                "dry_run": True,
                "unpriced_only": False,
                "timezone": "UTC",
            },
        ),
    ),
    "listProviders": Operation("read:costs"),
    "registerProvider": Operation("write:pricing", ({"id": "@new", "name": "x"},)),
    "removeProvider": Operation("write:pricing"),
    "createBudget": Operation("write:budgets", (_BUDGET, {"name": "x", "amount": 5})),
    "updateBudget": Operation("write:budgets", ({"amount": 7, "rollover": True},)),
    "changeBudget": Operation("write:budgets", ({"name": "y"},)),
    "setBudgetEnforcement": Operation("write:budgets", ({"enforcement": "hard"},)),
    "deleteBudget": Operation("write:budgets"),
    "adjustBudget": Operation(
        "write:budgets", ({"type": "increase", "amount": "0.5", "reason": "x"},)
    ),
    **dict.fromkeys(
        (
            "listBudgets",
            "getBudget",
            "getBudgetStatus",
            "getCurrentBudget",
            "getReservation",
            "listBudgetAdjustments",
        ),
        Operation("read:budgets"),
    ),
    "checkBudget": Operation("read:budgets", (_ASK, {"estimated_cost": "0.01"})),
    "reserveBudget": Operation(
        "write:costs",
        (
            _ASK,
            {"estimated_cost": "0.01"},
            {"provider": "openai", "model": "gpt-4o", "usage": {"input_tokens": 5}},
        ),
    ),
    "settleReservation": Operation("write:costs", ({"cost": "0.05"},)),
    "createForecast": Operation(
        "write:forecasts",
        (
            {"model": "linear", "horizon_days": 7, "confidence_level": 0.9, "interval": "daily"},
            {"forecast_model": "moving_average", "holidays": ["2025-12-25"], "drivers": False},
        ),
    ),
    "forecastBudget": Operation(
        "read:forecasts", ({"amount": 5, "period": "monthly", "alert_thresholds": [0.5]},)
    ),
    "detectAnomaliesByBody": Operation(
        "read:forecasts",
        (
            {"method": "zscore", "threshold": 3.0, "start_date": "2025-11-01"},
            {"interval": "hourly", "group_by": ["provider", "tag"], "min_amount": "0.5"},
        ),
    ),
    "judgeAnomaly": Operation("write:forecasts", ({"is_anomaly": False, "note": "x"},)),
    **dict.fromkeys(
        (
            "listForecasts",
            "getForecast",
            "detectAnomalies",
            "listAnomalies",
            "getAnomaly",
            "getCauses",
        ),
        Operation("read:forecasts"),
    ),
    "releaseReservation": Operation("write:costs"),
    "createWebhook": Operation(
        "write:webhooks",
        (
            {
                "url": "https://example.com/hook",
                "events": ["cost.created", "budget.threshold"],
                "secret": "your-webhook-secret",
                "description": "x",
                "enabled": True,
            },
            {"url": "https://example.com/hook", "events": ["*"]},
        ),
    ),
    "updateWebhook": Operation("write:webhooks", ({"events": ["cost.created"], "enabled": True},)),
    "changeWebhook": Operation("write:webhooks", ({"description": "y"},)),
    "rotateWebhookSecret": Operation("write:webhooks", ({"overlap_hours": 1},)),
    "replayWebhook": Operation(
        "write:webhooks",
        ({"start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z", "status": "all"},),
    ),
    **dict.fromkeys(
        ("deleteWebhook", "testWebhook", "redeliverWebhook"), Operation("write:webhooks")
    ),
    **dict.fromkeys(
        (
            "listWebhooks",
            "listWebhookEvents",
            "getWebhook",
            "listWebhookDeliveries",
            "getWebhookDelivery",
        ),
        Operation("read:webhooks"),
    ),
    "createAlertRule": Operation("write:alerts", _RULES),
    "updateAlertRule": Operation("write:alerts", ({"threshold": 7},)),
    "changeAlertRule": Operation("write:alerts", ({"name": "y"},)),
    "deleteAlertRule": Operation("write:alerts"),
    "createAlertChannel": Operation("write:alerts", _CHANNELS),
    "updateAlertChannel": Operation("write:alerts", ({"enabled": False},)),
    "changeAlertChannel": Operation("write:alerts", ({"default": True},)),
    "deleteAlertChannel": Operation("write:alerts"),
    "testAlertChannel": Operation("write:alerts"),
    "snoozeAlert": Operation("write:alerts", ({"minutes": 5, "comment": "x"}, {"minutes": 10})),
    "acknowledgeAlert": Operation("write:alerts", ({"comment": "x"},)),
    "commentOnAlert": Operation("write:alerts", ({"comment": "x"},)),
    "resolveAlert": Operation("write:alerts"),  # after which nothing else can be done to it
    **dict.fromkeys(
        (
            "listAlerts",
            "listBudgetAlerts",
            "getAlert",
            "listAlertHistory",
            "listAlertRules",
            "getAlertRule",
            "listAlertChannels",
            "getAlertChannel",
        ),
        Operation("read:alerts"),
    ),
    "createApiKey": Operation(
        "write:api_keys",
        ({"name": "x", "scopes": ["read:costs"], "expires_at": "2027-01-01T00:00:00Z"},),
    ),
    "updateApiKey": Operation("write:api_keys", ({"name": "y", "allowed_networks": []},)),
    "rotateApiKey": Operation("write:api_keys"),  # after which it cannot be rotated again
    "getApiKey": Operation("read:api_keys"),
    "listApiKeys": Operation("read:api_keys"),
    "revokeApiKey": Operation("write:api_keys"),
    "createOAuthClient": Operation(
        "write:api_keys",
        (
            {
                "name": "x",
                "redirect_uris": ["https://app.example.com/callback"],
                "grant_types": ["authorization_code", "refresh_token"],
                "scopes": ["read:api_keys"],
                "public": True,
            },
        ),
    ),
    "rotateOAuthClientSecret": Operation("write:api_keys"),
    "listOAuthClients": Operation("read:api_keys"),
    "getOAuthClient": Operation("read:api_keys"),
    "deleteOAuthClient": Operation("write:api_keys"),
    "validateApiKey": Operation(None),
    "getCurrentOrganization": Operation(None),
    **PEOPLE,
    **ROLES,
    **KEPT_OF_PEOPLE,
    "listScimTokens": Operation("read:api_keys"),
}
SIGNING_IN = frozenset(
    {
        "changePassword",
        "confirmEmailChange",
        "confirmPasswordReset",
        "confirmSecondFactor",
        "disableSecondFactor",
        "enrollSecondFactor",
        "getMe",
        "initiateSso",
        "listSessions",
        "login",
        "logout",
        "renewRecoveryCodes",
        "requestEmailChange",
        "requestPasswordReset",
        "revokeSession",
        "switchOrganization",
    }
)
"""What people do with their own account, which no key can do: tests/server/signin and
tests/security have their tests."""
BY_BODY = frozenset({"refreshToken", "revokeToken"})
"""Operations whose credential stands in the body: `test_tokens` has them."""
APART = SIGNING_IN | BY_BODY | SEVERAL | BY_LINK
_numbers = itertools.count(1)


def new_text() -> str:
    """A text that no test has used yet."""
    return f"new-{next(_numbers)}"


def fresh(value: Any) -> Any:
    """The value with a new text for each `@new`, a new address for each `@mail`."""
    if isinstance(value, dict):
        return {name: fresh(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [fresh(inner) for inner in value]
    if value == "@mail":
        return f"{new_text()}@example.com"
    return new_text() if value == "@new" else value


@dataclass(frozen=True)
class Called:
    """An operation as the document has it."""

    id: str
    method: str
    path: str
    parameters: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)

    @property
    def operation(self) -> Operation:
        return OPERATIONS[self.id]

    def at(self, ids: Mapping[str, str]) -> str:
        """Its path with ids in it, and the query that it requires."""
        return self.path.format(**ids) + self.operation.query


def operations(application: Application) -> Iterator[Called]:
    """All operations under /api of the app's own document, but for those of signing in."""
    document = application.get("/openapi.json").json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if path.startswith("/api/") and operation["operationId"] not in APART:
                parameters = tuple(operation.get("parameters", ()))
                yield Called(operation["operationId"], method.upper(), path, parameters)
