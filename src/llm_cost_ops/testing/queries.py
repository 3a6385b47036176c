"""Queries of the fake server over its rows: filters, pages, groups and totals, all exact."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from llm_cost_ops.core.buckets import GRAINS, Buckets, buckets
from llm_cost_ops.core.instant import parse_instant, to_micros
from llm_cost_ops.core.money import EXACT, PLACES
from llm_cost_ops.core.period import Window, last_days, named_period, time_zone, window_between
from llm_cost_ops.testing.refusal import invalid

Row = dict[str, Any]
Query = Mapping[str, list[str]]

PAGE_LIMIT = 1000
DEFAULT_LIMIT = 100
PARTS = {"limit", "offset", "page", "per_page", "page_size", "cursor", "fields", "order_by"}
SHAPES = {"group_by", "metrics", "metric", "timezone", "interval"}
PERIODS = {"start_date", "end_date", "days", "period"}
EQUAL = (
    "provider", "model", "organization_id", "project_id", "team_id", "user_id", "api_key_id",
    "environment", "feature", "cost_status", "source", "currency", "service_tier",
)  # fmt: skip
OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda value, bound: value == bound,
    "in": lambda value, bound: value in bound,
    "gt": lambda value, bound: value > bound,
    "gte": lambda value, bound: value >= bound,
    "lt": lambda value, bound: value < bound,
    "lte": lambda value, bound: value <= bound,
    "contains": lambda value, bound: bound in value,
}
QUANTUM = Decimal(1).scaleb(-PLACES)


def names(query: Query, key: str) -> list[str]:
    """The values of a parameter, repeated or separated by commas."""
    return [part for value in query.get(key, []) for part in value.split(",") if part]


def matching(rows: Iterable[Row], query: Query, now: datetime) -> list[Row]:
    """The rows that all filters of a query let through. Raises Refusal or DomainError."""
    zone = time_zone(query.get("timezone", ["UTC"])[0])
    first = {name: values[0] for name, values in query.items()}
    if "days" in first:
        window = last_days(_number(first, "days"), now, zone)
    elif "period" in first:
        window = named_period(first["period"], now, zone)
    else:
        window = window_between(first.get("start_date"), first.get("end_date"), zone)
    tests = [
        _test(name, values)
        for name, values in query.items()
        if name not in PARTS | SHAPES | PERIODS
    ]
    return [
        row
        for row in rows
        if window.start_us <= _micros(row) < window.end_us and all(test(row) for test in tests)
    ]


def _micros(row: Row) -> int:
    return to_micros(parse_instant(row["timestamp"]))


def _test(name: str, values: list[str]) -> Callable[[Row], bool]:
    if len(values) == 1 and "." not in name:
        values = values[0].split(",")
    if name in EQUAL:
        return lambda row: str(row.get(name)) in values
    if name == "usage_ids":
        return lambda row: row["id"] in values
    if name == "tags":
        return lambda row: all(tag in row["tags"] for tag in values)
    if name.startswith("metadata."):
        key = name.removeprefix("metadata.")
        return lambda row: _as_text(row["metadata"].get(key)) in values
    raise invalid(name, "is not a known parameter")


def compared(rows: list[Row], operators: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """The rows for which every `{"field": {"gte": 1, ..}}` holds; an unknown value fails each."""
    for name, tests in operators.items():
        for operator, bound in tests.items():
            test = OPERATORS.get(operator)
            if test is None:
                raise invalid(name, f"has an unknown operator {operator!r}")
            rows = [row for row in rows if row.get(name) is not None and test(row[name], bound)]
    return rows


def page(rows: list[Row], query: Query) -> dict[str, Any]:
    """One page in any of the documented ways to ask for one."""
    first = {name: values[0] for name, values in query.items()}
    limit_name = next((n for n in ("limit", "per_page", "page_size") if n in first), None)
    limit = min(PAGE_LIMIT, _number(first, limit_name) if limit_name else DEFAULT_LIMIT)
    start = _start(first, limit)
    ordered = _ordered(rows, names(query, "order_by"))
    part = ordered[start : start + limit]
    end = start + len(part)
    has_more = end < len(ordered)
    wanted = names(query, "fields")
    if wanted:
        part = [{name: row[name] for name in wanted if name in row} for row in part]
    return {
        "data": part,
        "has_more": has_more,
        "next_cursor": f"c{end}" if has_more else None,
        "pagination": {"limit": limit, "offset": start},
    }


def _start(first: Mapping[str, str], limit: int) -> int:
    if "cursor" in first:
        text = first["cursor"].removeprefix("c")
        if not text.isdigit():
            raise invalid("cursor", "is not a cursor of this list")
        return int(text)
    if "page" in first:
        return (max(1, _number(first, "page")) - 1) * limit
    return _number(first, "offset") if "offset" in first else 0


def _number(first: Mapping[str, str], name: str) -> int:
    if not first[name].isdigit():
        raise invalid(name, "must be a whole number")
    return int(first[name])


def _ordered(rows: list[Row], order: list[str]) -> list[Row]:
    ordered = list(rows)
    for name in reversed(order or ["timestamp"]):
        field = name.lstrip("-")
        known = [row for row in ordered if row.get(field) is not None]
        rest = [row for row in ordered if row.get(field) is None]
        known.sort(key=lambda row: row[field], reverse=name.startswith("-"))
        ordered = known + rest
    return ordered


def summary(rows: list[Row]) -> dict[str, Any]:
    """Totals. Unpriced calls are counted, and in no amount; currencies are never added."""
    currencies = sorted({row["currency"] for row in rows}) or ["USD"]
    parts = [_totals([r for r in rows if r["currency"] == c], c) for c in currencies]
    if len(parts) == 1:
        return parts[0]
    whole = {**_totals(rows, ""), "total_cost": None, "avg_cost_per_request": None}
    return {**whole, "currency": None, "currencies": parts}


def _totals(rows: list[Row], currency: str) -> dict[str, Any]:
    costs = [row["total_cost"] for row in rows if row["total_cost"] is not None]
    total = _sum(costs)
    tokens: dict[str, Any] = {}
    for row in rows:
        for kind, quantity in row["usage"].items():
            tokens[kind] = tokens.get(kind, 0) + quantity
    return {
        "total_cost": total,
        "currency": currency,
        "total_requests": len(rows),
        "avg_cost_per_request": _ratio(total, len(costs)),
        "total_tokens": sum(row["total_tokens"] for row in rows),
        "tokens": tokens,
        **_waiting(rows),
    }


def aggregate(rows: list[Row], query: Query) -> list[Row]:
    """Totals per group and currency, in the order of the groups' names, unknown ones last."""
    keys = names(query, "group_by")
    grains = {key: _buckets(rows, key, query) for key in keys if key in GRAINS}
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        group = (*(_group(row, key, grains.get(key)) for key in keys), row["currency"])
        groups.setdefault(group, []).append(row)
    ordered = sorted(groups, key=lambda group: [(part is None, str(part)) for part in group])
    return [
        {**dict(zip((*keys, "currency"), group, strict=True)), **_measures(groups[group])}
        for group in ordered
    ]


def dearest_first(groups: list[Row]) -> list[Row]:
    """Groups by their total, those of unknown cost last."""
    return sorted(groups, key=lambda row: (row["total_cost"] is None, -(row["total_cost"] or 0)))


def _buckets(rows: list[Row], grain: str, query: Query) -> Buckets | None:
    times = [_micros(row) for row in rows]
    zone = time_zone(query.get("timezone", ["UTC"])[0])
    return buckets(Window(min(times), max(times) + 1), grain, zone) if times else None


def _measures(rows: list[Row]) -> dict[str, Any]:
    costs = [row["total_cost"] for row in rows if row["total_cost"] is not None]
    total = _sum(costs) if costs else None
    return {
        "total_cost": total,
        "cost": total,
        "sum": total,
        "count": len(rows),
        "requests": len(rows),
        "avg": _ratio(total, len(costs)),
        "min": min(costs, default=None),
        "max": max(costs, default=None),
        "tokens": sum(row["total_tokens"] for row in rows),
        **_waiting(rows),
    }


def _waiting(rows: list[Row]) -> dict[str, int]:
    statuses = [row["cost_status"] for row in rows]
    return {f"{name}_count": statuses.count(name) for name in ("unpriced", "partially_priced")}


def _group(row: Row, key: str, grain: Buckets | None) -> Any:
    if grain is not None:
        return grain.label(grain.find(_micros(row)))
    if key.startswith("metadata."):
        return _as_text(row["metadata"].get(key.removeprefix("metadata.")))
    name = key if key in EQUAL else f"{key}_id"
    if name not in EQUAL:
        raise invalid("group_by", f"has an unknown dimension {key!r}")
    return row.get(name)


def _as_text(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)


def _sum(costs: Iterable[Decimal]) -> Decimal:
    total = Decimal(0)
    for cost in costs:
        total = EXACT.add(total, cost)
    return total.quantize(QUANTUM, context=EXACT)


def _ratio(total: Decimal | None, count: int) -> Decimal | None:
    if total is None:
        return None
    return EXACT.divide(total, Decimal(count)).quantize(QUANTUM, context=EXACT) if count else None
