"""Queries of the fake server over its rows: filters, pages, groups and totals, all exact."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.instant import is_bare_date, parse_instant
from llm_cost_ops.core.money import EXACT, PLACES
from llm_cost_ops.testing.refusal import Refusal, invalid

Row = dict[str, Any]
Query = Mapping[str, list[str]]

PAGE_LIMIT = 1000
DEFAULT_LIMIT = 100
PARTS = {"limit", "offset", "page", "per_page", "page_size", "cursor", "fields", "order_by"}
SHAPES = {"group_by", "metrics", "metric", "timezone", "interval"}
EQUAL = (
    "provider", "model", "organization_id", "project_id", "team_id", "user_id", "api_key_id",
    "environment", "feature", "cost_status", "source", "currency", "service_tier",
)  # fmt: skip
BUCKETS = {
    "hour": "%Y-%m-%dT%H:00:00%z",
    "day": "%Y-%m-%d",
    "week": "%G-W%V",
    "month": "%Y-%m",
}
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


def matching(rows: Iterable[Row], query: Query) -> list[Row]:
    """The rows that all filters of a query let through. Raises Refusal for an unknown one."""
    tests: list[Callable[[Row], bool]] = []
    for name, values in query.items():
        if name in PARTS | SHAPES:
            continue
        tests.append(_test(name, values))
    return [row for row in rows if all(test(row) for test in tests)]


def _test(name: str, values: list[str]) -> Callable[[Row], bool]:
    if name in EQUAL:
        return lambda row: str(row.get(name)) in values
    if name == "usage_ids":
        return lambda row: row["id"] in values
    if name == "tags":
        return lambda row: any(tag in row["tags"] for tag in values)
    if name.startswith("metadata."):
        key = name.removeprefix("metadata.")
        return lambda row: _as_text(row["metadata"].get(key)) in values
    if name in ("start_date", "end_date"):
        return _date_test(name, values[0])
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


def _date_test(name: str, text: str) -> Callable[[Row], bool]:
    try:
        at = parse_instant(text, name)
    except DomainError as error:
        raise invalid(name, error.message) from None
    if name == "start_date":
        return lambda row: parse_instant(row["timestamp"]) >= at
    if is_bare_date(text):
        after = at + timedelta(days=1)
        return lambda row: parse_instant(row["timestamp"]) < after
    return lambda row: parse_instant(row["timestamp"]) <= at


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
        "pagination": {"limit": limit, "offset": start, "total": len(ordered)},
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
        raise invalid(name, "must be an integer")
    return int(first[name])


def _ordered(rows: list[Row], order: list[str]) -> list[Row]:
    ordered = list(reversed(rows))
    for name in reversed(order or ["-timestamp"]):
        field = name.lstrip("-")
        known = [row for row in ordered if row.get(field) is not None]
        rest = [row for row in ordered if row.get(field) is None]
        known.sort(key=lambda row: row[field], reverse=name.startswith("-"))
        ordered = known + rest
    return ordered


def summary(rows: list[Row]) -> dict[str, Any]:
    """Totals. Unpriced calls are counted, and in no amount."""
    currencies = sorted({row["currency"] for row in rows}) or ["USD"]
    parts = [_totals([r for r in rows if r["currency"] == c], c) for c in currencies]
    whole = dict(parts[0])
    whole["total_requests"] = len(rows)
    whole["total_tokens"] = sum(row["total_tokens"] for row in rows)
    if len(parts) > 1:
        whole["currencies"] = parts
    return whole


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
        "unpriced_count": sum(row["cost_status"] == "unpriced" for row in rows),
        "partially_priced_count": sum(row["cost_status"] == "partially_priced" for row in rows),
    }


def aggregate(rows: list[Row], query: Query) -> list[Row]:
    """Totals per group, dearest first."""
    keys = names(query, "group_by")
    zone = _zone(query.get("timezone", ["UTC"])[0])
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(_group(row, key, zone) for key in keys), []).append(row)
    result = [
        {**dict(zip(keys, group, strict=True)), **_measures(members)}
        for group, members in groups.items()
    ]
    return sorted(result, key=lambda row: row["total_cost"], reverse=True)


def _measures(rows: list[Row]) -> dict[str, Any]:
    costs = [row["total_cost"] for row in rows if row["total_cost"] is not None]
    total = _sum(costs)
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
        "unpriced_count": sum(row["cost_status"] == "unpriced" for row in rows),
    }


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ValueError, KeyError, OSError):
        raise Refusal(
            422, "VALIDATION_ERROR", "unknown time zone", {"timezone": "is not an IANA time zone"}
        ) from None


def _group(row: Row, key: str, zone: ZoneInfo) -> Any:
    if key in BUCKETS:
        local = parse_instant(row["timestamp"]).astimezone(UTC).astimezone(zone)
        return local.strftime(BUCKETS[key])
    if key.startswith("metadata."):
        return _as_text(row["metadata"].get(key.removeprefix("metadata.")))
    if key.startswith("tag:"):
        return key.removeprefix("tag:") in row["tags"]
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


def _ratio(total: Decimal, count: int) -> Decimal | None:
    return EXACT.divide(total, Decimal(count)).quantize(QUANTUM, context=EXACT) if count else None
