"""What people write of a budget, checked and in one spelling, and the budget that it makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import cast

from llm_cost_ops.core.budget import (
    CUSTOM,
    ENFORCEMENTS,
    MAX_COUNT,
    MAX_LIMIT_E10,
    SOFT,
    THROTTLE,
    WHOLE_SHARE,
    Budget,
    BudgetError,
    Limits,
    Rollover,
    Throttling,
)
from llm_cost_ops.core.instant import is_bare_date, parse_day
from llm_cost_ops.core.money import E10, EXACT, check_currency, parse_decimal
from llm_cost_ops.core.period import ALL_TIME, local_day, time_zone, window_between
from llm_cost_ops.core.recurrence import PERIODS, default_anchor
from llm_cost_ops.core.scope import COLUMNS, parse_scope

ALIASES = {
    "limit": "amount",
    "limit_amount": "amount",
    "max_budget": "amount",
    "budget": "amount",
    "mode": "enforcement",
    "enforcement_mode": "enforcement",
    "thresholds": "alert_thresholds",
    "alert_threshold": "alert_thresholds",
    "time_zone": "timezone",
    "filters": "scope",
    "interval": "every",
    "max_requests": "request_limit",
    "max_tokens": "token_limit",
    "parent": "parent_id",
    "tag": "tags",
}
PERIOD_ALIASES = {
    "hour": "hourly", "day": "daily", "week": "weekly", "month": "monthly",
    "quarter": "quarterly", "year": "annual", "yearly": "annual", "annually": "annual",
}  # fmt: skip
FIELDS = (
    "name", "description", "amount", "request_limit", "token_limit", "currency", "period", "every",
    "period_days", "rolling", "recurring", "start_date", "end_date", "anchor_date", "timezone",
    "fiscal_year_start_month", "scope", "enforcement", "alert_thresholds", "throttle", "rollover",
    "parent_id", "allocation_percent", "allow_overallocation",
)  # fmt: skip
_IN_SCOPE = (*COLUMNS, "tags", "metadata")
DEFAULT_THRESHOLDS = (Decimal("0.5"), Decimal("0.8"), Decimal(1))
MAX_THRESHOLDS = 20
MAX_EVERY = 400
MAX_DELAY_MS = 10_000
Fields = dict[str, object]


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the organization says where a budget does not."""

    currency: str = "USD"
    zone: str = "UTC"
    fiscal_month: int = 1
    provider: Callable[[str], str] = str


def canonical(given: Mapping[str, object]) -> Fields:
    """The fields under their own names; dimensions beside the scope join it. Raises BudgetError for
    one that is not known or comes twice."""
    fields: Fields = {}
    scope: Fields = {}
    for name, value in given.items():
        if name in _IN_SCOPE or name == "tag":
            scope["tags" if name == "tag" else name] = value
            continue
        known = ALIASES.get(name, name)
        if known not in FIELDS:
            raise BudgetError("is not a known field", field=name)
        if known in fields:
            raise BudgetError(f"is another name of {known}, which is given too", field=name)
        fields[known] = value
    if scope:
        held = fields.get("scope")
        if held is not None and not isinstance(held, Mapping):
            raise BudgetError("must be an object", field="scope")
        fields["scope"] = {**cast("Fields", held or {}), **scope}
    return fields


def make_budget(
    given: Mapping[str, object],
    *,
    budget_id: str,
    organization_id: str,
    defaults: Defaults,
    made_us: int,
    counts_from_us: int | None = None,
) -> Budget:
    """The budget that the canonical fields describe, made at a time (microseconds). It counts from
    the period of that time on, or from `counts_from_us`. Raises DomainError naming the field."""
    zone_name = _text(given, "timezone", 64) or defaults.zone
    zone = time_zone(zone_name)
    period, every = _period(given)
    starts, ends = _bounds(given, zone_name)
    rolling = _flag(given, "rolling", default=False)
    if rolling and (period == CUSTOM or every != 1):
        raise BudgetError("is possible for named periods only", field="rolling")
    recurring = _flag(given, "recurring", default=period != CUSTOM)
    if rolling and not recurring:
        raise BudgetError("must be true: a rolling period has no end", field="recurring")
    scope = given.get("scope")
    if scope is not None and not isinstance(scope, Mapping):
        raise BudgetError("must be an object", field="scope")
    enforcement = _choice(given, "enforcement", ENFORCEMENTS, SOFT)
    anchor = _anchor(given, period, defaults)
    if given.get("period_days") is not None and given.get("anchor_date") is None:
        anchor = local_day(starts if starts > ALL_TIME.start_us else made_us, zone)
    budget = Budget(
        id=budget_id,
        organization_id=organization_id,
        name=_text(given, "name", 255, required=True) or "",
        currency=check_currency(given.get("currency") or defaults.currency),
        limits=_limits(given),
        period=period,
        zone=zone_name,
        anchor=anchor,
        every=every,
        rolling=rolling,
        recurring=recurring,
        starts_us=starts,
        ends_us=ends,
        scope=parse_scope(cast("Fields", scope or {}), defaults.provider),
        enforcement=enforcement,
        thresholds=_thresholds(given),
        throttling=_throttling(given) if enforcement == THROTTLE else None,
        rollover=_rollover(given, rolling),
        parent_id=_text(given, "parent_id", 40),
        share=_percent(given, "allocation_percent"),
        overallocate=_flag(given, "allow_overallocation", default=False),
    )
    return _counting(budget, made_us, counts_from_us)


def _counting(budget: Budget, made_us: int, counts_from_us: int | None) -> Budget:
    if counts_from_us is None:
        at = min(max(made_us, budget.starts_us), budget.ends_us - 1)
        if budget.slide is not None:
            counts_from_us = max(budget.starts_us, budget.slide.at(at).start_us)
        else:
            counts_from_us = budget.window_of(at).start_us
    return replace(budget, counts_from_us=counts_from_us)


def _period(given: Mapping[str, object]) -> tuple[str, int]:
    name = _text(given, "period", 32) or "monthly"
    name = PERIOD_ALIASES.get(name, name)
    days = _count(given, "period_days", 1, MAX_EVERY)
    every = _count(given, "every", 1, MAX_EVERY) or 1
    if days is not None:
        if name != CUSTOM or every != 1:
            raise BudgetError("belongs to the period custom alone", field="period_days")
        return "daily", days
    if name != CUSTOM and name not in PERIODS:
        raise BudgetError(f"must be one of: {', '.join((*PERIODS, CUSTOM))}", field="period")
    if name == CUSTOM and (given.get("start_date") is None or given.get("end_date") is None):
        raise BudgetError("needs start_date and end_date, or period_days", field="period")
    if every != 1 and name in (CUSTOM, "hourly"):
        raise BudgetError("is possible for days, weeks and months only", field="every")
    return name, every


def _bounds(given: Mapping[str, object], zone_name: str) -> tuple[int, int]:
    start, end = _text(given, "start_date", 40), _text(given, "end_date", 40)
    window = window_between(start, end, time_zone(zone_name))
    if window.is_empty:
        raise BudgetError("must be after start_date", field="end_date")
    return window.start_us, window.end_us


def _anchor(given: Mapping[str, object], period: str, defaults: Defaults) -> date:
    text = _text(given, "anchor_date", 10)
    fiscal = _count(given, "fiscal_year_start_month", 1, 12) or defaults.fiscal_month
    if text is None:
        return default_anchor(period, fiscal)
    if not is_bare_date(text):
        raise BudgetError("must be a date", field="anchor_date")
    return parse_day(text, "anchor_date")


def _limits(given: Mapping[str, object]) -> Limits:
    amount = given.get("amount")
    e10 = None if amount is None else parse_amount(amount, "amount")
    requests = _count(given, "request_limit", 0, MAX_COUNT)
    tokens = _count(given, "token_limit", 0, MAX_COUNT)
    shared = given.get("allocation_percent") is not None
    if e10 is None and requests is None and tokens is None and not shared:
        raise BudgetError("is required, or request_limit or token_limit", field="amount")
    return Limits(e10, requests, tokens)


def parse_amount(value: object, field: str, *, positive: bool = False) -> int:
    """Money in units of 1e-10: at most ten places, because a limit is exact. Raises DomainError."""
    units = parse_decimal(value, field).scaleb(10, EXACT)
    if units != units.to_integral_value():
        raise BudgetError("must have at most ten decimal places", field=field)
    if not int(positive) <= int(units) <= MAX_LIMIT_E10:
        bounds = "above 0 and at most" if positive else "between 0 and"
        raise BudgetError(f"must be {bounds} {MAX_LIMIT_E10 // E10}", field=field)
    return int(units)


def _thresholds(given: Mapping[str, object]) -> tuple[int, ...]:
    """Fractions of the limit in millionths; numbers above 10 are percentages, and then all are."""
    value = given.get("alert_thresholds")
    listed = DEFAULT_THRESHOLDS if value is None else value
    items = cast("list[object]", listed if isinstance(listed, list | tuple) else [listed])
    if len(items) > MAX_THRESHOLDS:
        raise BudgetError(f"must be at most {MAX_THRESHOLDS} numbers", field="alert_thresholds")
    numbers = [parse_decimal(item, "alert_thresholds") for item in items]
    scale = WHOLE_SHARE // 100 if any(number > 10 for number in numbers) else WHOLE_SHARE
    levels = {int(number * scale) for number in numbers}
    if any(not 0 < level <= 10 * WHOLE_SHARE for level in levels):
        raise BudgetError("must be above 0 and at most 10", field="alert_thresholds")
    return tuple(sorted(levels))


def _throttling(given: Mapping[str, object]) -> Throttling:
    value = given.get("throttle")
    if value is None:
        return Throttling(WHOLE_SHARE * 8 // 10, None, 1_000)
    if not isinstance(value, Mapping):
        raise BudgetError("must be an object", field="throttle")
    inner = cast("Mapping[str, object]", value)
    for name in inner:
        if name not in ("above", "per_minute", "delay_ms"):
            raise BudgetError("is not a known field", field=f"throttle.{name}")
    above = parse_decimal(inner.get("above", Decimal("0.8")), "throttle.above")
    if not 0 <= above <= 10:
        raise BudgetError("must be between 0 and 10", field="throttle.above")
    per_minute = _count(inner, "per_minute", 0, 10**9, "throttle.")
    delay = _count(inner, "delay_ms", 0, MAX_DELAY_MS, "throttle.")
    if per_minute is None and delay is None:
        raise BudgetError("needs per_minute or delay_ms", field="throttle")
    return Throttling(int(above * WHOLE_SHARE), per_minute, delay or 0)


def _rollover(given: Mapping[str, object], rolling: bool) -> Rollover | None:
    value = given.get("rollover")
    if value is None or value is False:
        return None
    if rolling or given.get("amount") is None:
        raise BudgetError("is possible for amounts of calendar periods only", field="rollover")
    if value is True:
        return Rollover(WHOLE_SHARE)
    if not isinstance(value, Mapping):
        raise BudgetError("must be true, false or an object", field="rollover")
    inner = cast("Mapping[str, object]", value)
    for name in inner:
        if name not in ("percent", "cap"):
            raise BudgetError("is not a known field", field=f"rollover.{name}")
    share = _percent(inner, "percent", "rollover.")
    cap = inner.get("cap")
    return Rollover(
        WHOLE_SHARE if share is None else share,
        None if cap is None else parse_amount(cap, "rollover.cap"),
    )


def _percent(given: Mapping[str, object], name: str, prefix: str = "") -> int | None:
    value = given.get(name)
    if value is None:
        return None
    percent = parse_decimal(value, prefix + name)
    if not 0 < percent <= 100:
        raise BudgetError("must be above 0 and at most 100", field=prefix + name)
    return int(percent * (WHOLE_SHARE // 100))


def _text(
    given: Mapping[str, object], name: str, longest: int, *, required: bool = False
) -> str | None:
    value = given.get(name)
    if value is None and not required:
        return None
    if not isinstance(value, str) or not 1 <= len(value) <= longest or not value.isprintable():
        text = f"must be a string of 1 to {longest} printable characters"
        raise BudgetError("is required" if value is None else text, field=name)
    if value != value.strip():
        raise BudgetError("must not begin or end with spaces", field=name)
    return value


def _count(
    given: Mapping[str, object], name: str, low: int, high: int, prefix: str = ""
) -> int | None:
    value = given.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise BudgetError(f"must be a whole number from {low} to {high}", field=prefix + name)
    return value


def _flag(given: Mapping[str, object], name: str, *, default: bool) -> bool:
    value = given.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise BudgetError("must be true or false", field=name)
    return value


def _choice(given: Mapping[str, object], name: str, choices: tuple[str, ...], default: str) -> str:
    value = given.get(name)
    if value is None:
        return default
    if value not in choices:
        raise BudgetError(f"must be one of: {', '.join(choices)}", field=name)
    return cast("str", value)
