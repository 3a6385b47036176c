"""What a rule of alerts says: on what it fires, whom it tells, and when it keeps quiet.

A definition is read strictly and kept in its canonical form: the fields that were given, checked.
Shares are fractions of 1, money is in the rule's currency.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from llm_cost_ops.core.providers.names import provider_id
from llm_cost_ops.core.scope import WHOLE, Scope, parse_scope
from llm_cost_ops.server.alerts.fields import Fields, RuleError, opened
from llm_cost_ops.server.alerts.quiet import Quiet, read_quiet
from llm_cost_ops.server.delivery.notice import Severity

BUDGET, PROJECTED, ANOMALY, USAGE = "budget", "projected_breach", "anomaly", "usage"
ERROR_RATE, CALL_COST, UNPRICED = "error_rate", "call_cost", "unpriced"
PRICE_CHANGE, DIGEST, WEBHOOK = "price_change", "digest", "webhook_disabled"
TYPES = (
    BUDGET, PROJECTED, ANOMALY, USAGE, ERROR_RATE, CALL_COST, UNPRICED, PRICE_CHANGE, DIGEST,
    WEBHOOK,
)  # fmt: skip
SYNONYMS: Mapping[str, str] = {
    "budget_threshold": BUDGET,
    "forecast_exceeded": PROJECTED,
    "projected": PROJECTED,
    "spend_anomaly": ANOMALY,
    "usage_spike": USAGE,
    "error": ERROR_RATE,
    "provider_error": ERROR_RATE,
    "high_cost": CALL_COST,
}
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")
METRICS = ("tokens", "requests", "cost")
WINDOWS = ("hour", "day", "week", "month")
FREQUENCIES = ("daily", "weekly")
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MAX_CHANNELS = 20
MAX_STEPS = 10
MAX_BUDGETS = 1_000
MAX_MINUTES = 60 * 24 * 60
MAX_THRESHOLDS = 20
GROUPS = ("provider", "model", "project_id", "team_id", "user_id", "api_key_id", "environment",
          "feature")  # fmt: skip
_MINUTE_US = 60_000_000
_COOLDOWN_MINUTES: Mapping[str, int] = {USAGE: 60, ERROR_RATE: 60, CALL_COST: 60, UNPRICED: 60}
_CLEAR_MINUTES: Mapping[str, int] = dict.fromkeys((ANOMALY, CALL_COST, PRICE_CHANGE), 24 * 60)


@dataclass(frozen=True, slots=True)
class Step:
    """Of an escalation: so long after the firing, these channels."""

    after_us: int
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule in force. `given` are the fields of its type, as canonical values. Without an `id` it
    is what holds where an organization has no rule."""

    id: str | None
    organization_id: str
    name: str
    type: str
    given: Mapping[str, Any]
    severity: Severity | None = None
    scope: Scope = WHOLE
    channels: tuple[str, ...] = ()
    cooldown_us: int = 0
    clear_after_us: int | None = None
    quiet: Quiet | None = None
    escalation: tuple[Step, ...] = ()
    notify_resolved: bool = True


def canonical(given: Mapping[str, object]) -> dict[str, Any]:
    """The fields of a definition as they are stored. Raises RuleError naming the field."""
    fields = Fields(opened(given, "conditions"))
    kind = _type(fields)
    found: dict[str, Any] = {
        "name": fields.text("name", required=True, most=255),
        "type": kind,
        "enabled": fields.flag("enabled", default=True),
        **_common(fields),
        **_OF_TYPE[kind](fields),
    }
    fields.finish()
    return {name: value for name, value in found.items() if value is not None}


def make_rule(rule_id: str | None, organization_id: str, definition: Mapping[str, Any]) -> Rule:
    """The rule of a canonical definition."""
    kind: str = definition["type"]
    minutes = definition.get("cooldown_minutes", _COOLDOWN_MINUTES.get(kind, 0))
    clear = definition.get("auto_clear_minutes", _CLEAR_MINUTES.get(kind))
    return Rule(
        id=rule_id,
        organization_id=organization_id,
        name=definition["name"],
        type=kind,
        given=definition,
        severity=definition.get("severity"),
        scope=parse_scope(definition.get("scope") or {}),
        channels=tuple(definition.get("channels", ())),
        cooldown_us=minutes * _MINUTE_US,
        clear_after_us=None if clear is None else clear * _MINUTE_US,
        quiet=read_quiet(definition.get("quiet_hours")),
        escalation=tuple(
            Step(step["after_minutes"] * _MINUTE_US, tuple(step["channels"]))
            for step in definition.get("escalation", ())
        ),
        notify_resolved=definition.get("notify_resolved", True),
    )


def default_rule(organization_id: str, kind: str) -> Rule:
    """What holds for budgets and anomalies where an organization has no rule of that type."""
    return make_rule(None, organization_id, {"name": "default", "type": kind})


def _type(fields: Fields) -> str:
    text = fields.text("type", required=True, most=40)
    kind = SYNONYMS.get(text or "", text or "")
    if kind not in TYPES:
        raise RuleError(f"must be one of: {', '.join(TYPES)}", field="type")
    return kind


def _common(fields: Fields) -> dict[str, Any]:
    scope = fields.mapping("scope")
    parsed = None if scope is None else parse_scope(scope, lambda name: provider_id(name) or name)
    quiet = fields.mapping("quiet_hours")
    if quiet is not None:
        read_quiet(quiet)
    return {
        "description": fields.text("description", most=1000),
        "severity": fields.choice("severity", SEVERITIES),
        "scope": None if parsed is None or not parsed.dimensions else parsed.wire(),
        "channels": fields.texts("channels", most=MAX_CHANNELS),
        "cooldown_minutes": fields.whole("cooldown_minutes", 0, MAX_MINUTES),
        "auto_clear_minutes": fields.whole("auto_clear_minutes", 1, MAX_MINUTES),
        "quiet_hours": quiet,
        "escalation": _escalation(fields),
        "notify_resolved": fields.flag("notify_resolved"),
    }


def _escalation(fields: Fields) -> list[dict[str, Any]] | None:
    steps = fields.objects("escalation", most=MAX_STEPS)
    if steps is None:
        return None
    found: list[dict[str, Any]] = []
    for place, given in enumerate(steps):
        step = Fields(given, f"escalation.{place}.")
        found.append(
            {
                "after_minutes": step.whole("after_minutes", 1, MAX_MINUTES, required=True),
                "channels": step.texts("channels", most=MAX_CHANNELS, required=True),
            }
        )
        step.finish()
    return sorted(found, key=lambda step: step["after_minutes"])


def _budget(fields: Fields) -> dict[str, Any]:
    return {
        "budget_ids": fields.texts("budget_ids", most=MAX_BUDGETS),
        "thresholds": fields.shares("thresholds", most=MAX_THRESHOLDS),
    }


def _projected(fields: Fields) -> dict[str, Any]:
    return {
        "budget_ids": fields.texts("budget_ids", most=MAX_BUDGETS),
        "probability": fields.share("probability") or Decimal("0.5"),
    }


def _anomaly(fields: Fields) -> dict[str, Any]:
    return {
        "dimension": fields.text("dimension", most=80),
        "min_amount": fields.money("min_amount"),
        "min_severity": fields.choice("min_severity", ("low", "medium", "high", "critical")),
    }


def _usage(fields: Fields) -> dict[str, Any]:
    window = fields.choice("window", WINDOWS)
    minutes = fields.whole("window_minutes", 1, MAX_MINUTES)
    if window is not None and minutes is not None:
        raise RuleError("contradicts window", field="window_minutes")
    metric = fields.choice("metric", METRICS) or "tokens"
    threshold = fields.money("threshold", required=True)
    if threshold is not None and metric != "cost" and threshold != int(threshold):
        raise RuleError("must be a whole number", field="threshold")
    return {
        "metric": metric,
        "threshold": threshold,
        "window": window if minutes is not None or window else "day",
        "window_minutes": minutes,
        "currency": fields.currency("currency"),
        "group_by": fields.choice("group_by", GROUPS),
    }


def _error_rate(fields: Fields) -> dict[str, Any]:
    return {
        "threshold": fields.share("threshold", required=True),
        "window_minutes": fields.whole("window_minutes", 1, 24 * 60) or 15,
        "min_requests": fields.whole("min_requests", 1, 10**9) or 20,
    }


def _call_cost(fields: Fields) -> dict[str, Any]:
    return {
        "threshold": fields.money("threshold", required=True),
        "currency": fields.currency("currency"),
    }


def _unpriced(fields: Fields) -> dict[str, Any]:
    return {
        "min_requests": fields.whole("min_requests", 1, 10**9) or 1,
        "window_minutes": fields.whole("window_minutes", 60, MAX_MINUTES) or 24 * 60,
    }


def _nothing_further(_fields: Fields) -> dict[str, Any]:
    return {}


def _digest(fields: Fields) -> dict[str, Any]:
    frequency = fields.choice("frequency", FREQUENCIES) or "daily"
    weekday = fields.choice("weekday", WEEKDAYS)
    if weekday is not None and frequency != "weekly":
        raise RuleError("is of a weekly digest only", field="weekday")
    return {
        "frequency": frequency,
        "time": fields.clock_time("time") or "08:00",
        "weekday": weekday or ("monday" if frequency == "weekly" else None),
        "timezone": fields.zone("timezone"),
    }


def digest_slots(definition: Mapping[str, Any]) -> str:
    """The cron expression of a digest."""
    hour, minute = str(definition["time"]).split(":")
    days: Sequence[str] = WEEKDAYS
    weekday = definition.get("weekday")
    day = "*" if weekday is None else str((days.index(weekday) + 1) % 7)
    return f"{int(minute)} {int(hour)} * * {day}"


_OF_TYPE = {
    BUDGET: _budget,
    PROJECTED: _projected,
    ANOMALY: _anomaly,
    USAGE: _usage,
    ERROR_RATE: _error_rate,
    CALL_COST: _call_cost,
    UNPRICED: _unpriced,
    PRICE_CHANGE: _nothing_further,
    WEBHOOK: _nothing_further,
    DIGEST: _digest,
}
