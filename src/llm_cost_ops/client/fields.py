"""The keyword arguments of records and queries. Other spellings (`model_id`, `input_tokens`, ...)
are accepted too: the server normalises them at its door.

Dates are `YYYY-MM-DD` texts or date/datetime values; a bare date is a whole day, a bare end date is
included, a naive datetime is local time. Amounts may be int, float, Decimal or decimal strings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, TypedDict

Money = int | float | Decimal | str
Day = str | date
Names = str | Sequence[str]


class Attribution(TypedDict, total=False):
    """Whom and what a call was for."""

    source: str | None
    organization_id: str | None
    project_id: str | None
    team_id: str | None
    user_id: str | None
    api_key_id: str | None
    environment: str | None
    feature: str | None
    tags: Sequence[str] | None
    metadata: Mapping[str, Any] | None


class UsageFields(Attribution, total=False):
    """One call: token counts, or `usage` (kind: inclusive count), or the provider's `response`."""

    event_id: str | None
    timestamp: Day | None
    provider: str | None
    model: str | None
    model_id: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    input_tokens: int | None
    output_tokens: int | None
    tokens_prompt: int | None
    tokens_completion: int | None
    total_tokens: int | None
    cached_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    usage: Mapping[str, Any] | None
    response: Mapping[str, Any] | None
    api_flavor: str | None
    service_tier: str | None
    processing: str | None
    region: str | None
    latency_ms: float | None
    status: str | None


class CostFields(Attribution, total=False):
    """One call whose cost the caller states."""

    model: str | None
    tokens_used: int | None
    cost: Money | None
    provider: str | None
    timestamp: Day | None
    event_id: str | None
    currency: str | None


class Filters(TypedDict, total=False):
    """Which calls. A list matches any of its values (of tags: all); `filters` takes the same names.

    `days=30` are the last 30 days, `period` is a name like last-7-days or this-month.
    """

    organization_id: str | None
    start_date: Day | None
    end_date: Day | None
    days: int | None
    period: str | None
    timezone: str | None
    provider: Names | None
    model: Names | None
    project_id: Names | None
    user_id: Names | None
    team_id: Names | None
    environment: Names | None
    feature: Names | None
    api_key_id: Names | None
    cost_status: Names | None
    usage_ids: Sequence[str] | None
    tags: Names | None
    metadata: Mapping[str, Any] | None
    filters: Mapping[str, Any] | None


class ListFields(Filters, total=False):
    """Which calls, and which part of the list: `limit`/`offset`, `page`/`per_page` or `cursor`."""

    limit: int | None
    offset: int | None
    page: int | None
    per_page: int | None
    page_size: int | None
    cursor: str | None
    fields: Names | None
    order_by: Names | None


class AggregateFields(Filters, total=False):
    """Which calls, and how they are grouped and measured."""

    group_by: Names | None
    metrics: Names | None
    metric: str | None
    interval: str | None
    order_by: Names | None
    limit: int | None


class PriceFields(TypedDict, total=False):
    """A price: a `pricing_structure` or `prices` per usage kind, from `effective_date` on."""

    provider: str | None
    model: str | None
    currency: str | None
    effective_date: Day | None
    end_date: Day | None
    region: str | None
    service_tier: str | None
    processing: str | None
    pricing_structure: Mapping[str, Any] | None
    prices: Mapping[str, Any] | None


class EstimateFields(TypedDict, total=False):
    """A call to estimate: token counts, or `usage`, or `response`; `prices` instead of the book."""

    id: str | None
    provider: str | None
    model: str | None
    timestamp: Day | None
    date: Day | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    usage: Mapping[str, Any] | None
    response: Mapping[str, Any] | None
    api_flavor: str | None
    service_tier: str | None
    processing: str | None
    region: str | None
    prices: Mapping[str, Any] | None


class BudgetFields(TypedDict, total=False):
    """A budget: a limit for the calls of a scope in each period.

    The scope may be given whole or by its names beside the other fields.
    """

    name: str | None
    description: str | None
    amount: Money | None
    request_limit: int | None
    token_limit: int | None
    currency: str | None
    period: str | None
    every: int | None
    period_days: int | None
    rolling: bool | None
    recurring: bool | None
    start_date: Day | None
    end_date: Day | None
    anchor_date: Day | None
    timezone: str | None
    fiscal_year_start_month: int | None
    scope: Mapping[str, Any] | None
    filters: Mapping[str, Any] | None
    enforcement: str | None
    alert_thresholds: Sequence[Money] | None
    throttle: Mapping[str, Any] | None
    rollover: Mapping[str, Any] | bool | None
    parent_id: str | None
    allocation_percent: Money | None
    allow_overallocation: bool | None
    provider: Names | None
    model: Names | None
    project_id: Names | None
    team_id: Names | None
    user_id: Names | None
    api_key_id: Names | None
    environment: Names | None
    feature: Names | None
    tags: Names | None
    metadata: Mapping[str, Any] | None


class AskFields(Attribution, total=False):
    """A call that is not made yet: its `estimated_cost`, or what bounds it."""

    estimated_cost: Money | None
    currency: str | None
    provider: str | None
    model: str | None
    input_tokens: int | None
    max_tokens: int | None
    usage: Mapping[str, Any] | None
    requests: int | None
    modalities: Sequence[str] | None
    prompt_cache: str | None
    service_tier: str | None
    processing: str | None
    region: str | None
    ttl_seconds: int | None
    max_wait_ms: int | None


class AlertQuery(TypedDict, total=False):
    """Which alerts are listed; `status` and `severity` may name several, with commas."""

    status: str | None
    severity: str | None
    type: str | None
    rule_id: str | None
    budget_id: str | None
    since: Day | None
    until: Day | None
    limit: int | None
    offset: int | None
    page: int | None
    per_page: int | None
    page_size: int | None
    cursor: str | None
    organization_id: str | None


class AlertRuleFields(TypedDict, total=False):
    """A rule: on what it fires (the fields of its type, also as `conditions`), whom it tells
    (`channels`, by id or name) and when it keeps quiet."""

    description: str | None
    enabled: bool | None
    severity: str | None
    scope: Mapping[str, Any] | None
    channels: Sequence[str] | None
    cooldown_minutes: int | None
    auto_clear_minutes: int | None
    quiet_hours: Mapping[str, Any] | None
    escalation: Sequence[Mapping[str, Any]] | None
    notify_resolved: bool | None
    conditions: Mapping[str, Any] | None
    budget_ids: Sequence[str] | None
    thresholds: Sequence[Money] | None
    probability: Money | None
    dimension: str | None
    min_amount: Money | None
    min_severity: str | None
    metric: str | None
    threshold: Money | None
    window: str | None
    window_minutes: int | None
    currency: str | None
    group_by: str | None
    min_requests: int | None
    frequency: str | None
    time: str | None
    weekday: str | None
    timezone: str | None


class ChannelFields(TypedDict, total=False):
    """A channel of alerts: the fields of its type, also as `config`, and for which severities."""

    severities: Sequence[str] | None
    default: bool | None
    enabled: bool | None
    config: Mapping[str, Any] | None
    recipients: Sequence[str] | None
    url: str | None
    secret: str | None
    routing_key: str | None


class RenamedRule(AlertRuleFields, total=False):
    """A change of a rule."""

    name: str | None


class RenamedChannel(ChannelFields, total=False):
    """A change of a channel."""

    name: str | None


class HistoryFields(TypedDict, total=False):
    """Of what: a period and any filter of the lists. A provider's model is a filter, too, but
    `model` of a forecast is its own: name that one in `filters`."""

    organization_id: str | None
    start_date: Day | None
    end_date: Day | None
    timezone: str | None
    interval: str | None
    currency: str | None
    filters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None
    provider: Names | None
    project_id: Names | None
    team_id: Names | None
    user_id: Names | None
    api_key_id: Names | None
    environment: Names | None
    feature: Names | None
    tags: Names | None


class ForecastFields(HistoryFields, total=False):
    """How a forecast is made; `interval` is hourly, daily (the default), weekly or monthly."""

    horizon_days: int | None
    horizon: int | None
    forecast_model: str | None
    drivers: bool | None
    include_history: bool | None
    holidays: Sequence[Day] | None
    group_by: Names | None


class ExaminationFields(HistoryFields, total=False):
    """How anomalies are looked for; each value of `group_by` is a series of its own."""

    sensitivity: str | None
    min_amount: Money | None
    group_by: Names | None
    explain: bool | None
    model: Names | None
