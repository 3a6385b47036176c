"""Records as the fake server reads them: aliases resolved, faults named, usage made canonical."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

from llm_cost_ops.client.catalog import provider_of
from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.instant import format_instant, parse_instant
from llm_cost_ops.core.money import from_e10, parse_decimal, to_e10
from llm_cost_ops.core.providers.extract import extract
from llm_cost_ops.core.providers.names import provider_id
from llm_cost_ops.core.usage import Quantity, check_usage
from llm_cost_ops.testing.refusal import Refusal, invalid

SPELLINGS = {
    "model_id": "model",
    "model_name": "model",
    "input_tokens": "prompt_tokens",
    "tokens_prompt": "prompt_tokens",
    "output_tokens": "completion_tokens",
    "tokens_completion": "completion_tokens",
    "organizationId": "organization_id",
    "amount": "cost",
}
DIMENSIONS = (
    "organization_id", "project_id", "team_id", "user_id", "api_key_id", "environment", "feature",
    "latency_ms", "status", "region",
)  # fmt: skip
COUNTS = {
    "prompt_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
    "cached_tokens": "cache_read_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "reasoning_tokens": "output_reasoning_tokens",
}
COMMON = {"event_id", "source", "timestamp", "provider", "model", "tags", "metadata", *DIMENSIONS}
USAGE_FIELDS = {
    *COMMON, *COUNTS, "total_tokens", "usage", "response", "api_flavor", "service_tier",
    "processing",
}  # fmt: skip
COST_FIELDS = {*COMMON, "tokens_used", "total_tokens", "cost", "currency"}
INSIDE = (
    ("cached_tokens", "prompt_tokens"),
    ("cache_write_tokens", "prompt_tokens"),
    ("reasoning_tokens", "completion_tokens"),
)

Row = dict[str, Any]


def usage_call(given: object, now: datetime) -> Row:
    """A usage record, not yet priced. Raises Refusal."""
    fields = _fields(given, USAGE_FIELDS)
    provider = fields.get("provider")
    if not isinstance(provider, str):
        raise invalid("provider", "is required")
    row = _common(fields, now)
    row["provider"] = provider_id(provider) or provider
    if not row["model"] and "response" not in fields:
        raise invalid("model", "is required")
    try:
        usage = _measured(fields, row)
    except DomainError as error:
        field = error.field or "usage"
        raise invalid(field, error.message) from None
    if not row["model"]:
        raise invalid("model", "is required")
    return _counted(row, usage, fields)


def cost_call(given: object, now: datetime) -> Row:
    """A caller-priced record. Raises Refusal."""
    fields = _fields(given, COST_FIELDS)
    for name in ("model", "cost"):
        if fields.get(name) is None:
            raise invalid(name, "is required")
    try:
        units = to_e10(parse_decimal(fields["cost"], "cost"), "cost")
    except DomainError as error:
        raise invalid("cost", error.message) from None
    if units < 0:
        raise invalid("cost", "must be greater than or equal to 0")
    row = _common(fields, now)
    row["source"] = fields.get("source", "manual")
    row["provider"] = fields.get("provider") or provider_of(str(fields["model"])) or "custom"
    row["currency"] = fields.get("currency", "USD")
    tokens = _count(fields, "tokens_used" if "tokens_used" in fields else "total_tokens") or 0
    row.update(total_tokens=tokens, tokens_used=tokens, usage={}, cost_status="priced")
    return with_cost(row, from_e10(units))


def with_cost(row: Row, cost: Decimal | None) -> Row:
    """The row with its cost under every documented name."""
    row.update(total_cost=cost, calculated_cost=cost, cost=cost, amount=cost)
    return row


def _fields(given: object, known: set[str]) -> Row:
    if not isinstance(given, Mapping):
        raise Refusal(422, "USAGE_001", "Invalid usage record format")
    fields: Row = {}
    for name, value in cast("Mapping[str, Any]", given).items():
        canonical = name if name in known else SPELLINGS.get(name, name)
        if canonical not in known:
            raise invalid(name, "is not a known field")
        if value is not None:
            fields[canonical] = value
    return fields


def _common(fields: Mapping[str, Any], now: datetime) -> Row:
    try:
        at = parse_instant(fields["timestamp"]) if "timestamp" in fields else now
    except DomainError as error:
        raise invalid("timestamp", error.message) from None
    metadata = fields.get("metadata", {})
    if not isinstance(metadata, dict):
        raise invalid("metadata", "must be an object")
    return {
        "event_id": fields.get("event_id"),
        "source": fields.get("source", "api"),
        "model": fields.get("model"),
        "currency": "USD",
        "timestamp": format_instant(at),
        "created_at": format_instant(at),
        "tags": fields.get("tags", []),
        "metadata": metadata,
        "service_tier": fields.get("service_tier", "standard"),
        "processing": fields.get("processing", "realtime"),
        **{name: fields.get(name) for name in DIMENSIONS},
    }


def _measured(fields: Row, row: Row) -> dict[str, Quantity]:
    ways = [name for name in ("usage", "response") if name in fields]
    if "prompt_tokens" in fields or "completion_tokens" in fields:
        ways.append("prompt_tokens")
    if len(ways) > 1:
        raise invalid(ways[0], f"must not be given together with {ways[1]}")
    if "response" in fields:
        found = extract(row["provider"], fields["response"], fields.get("api_flavor"))
        row["model"] = row["model"] or found.model
        row["service_tier"] = found.service_tier or row["service_tier"]
        row["processing"] = fields.get("processing") or found.processing or "realtime"
        row["region"] = found.region or row["region"]
        return found.usage
    if "usage" in fields:
        if not isinstance(fields["usage"], dict):
            raise invalid("usage", "must be an object")
        return check_usage(cast("dict[str, object]", fields["usage"]))
    return _from_counts(fields)


def _from_counts(fields: Row) -> dict[str, Quantity]:
    for name in ("prompt_tokens", "completion_tokens"):
        if name not in fields:
            raise invalid(name, "is required")
    counts = {name: _count(fields, name) or 0 for name in COUNTS}
    if not counts["prompt_tokens"] and not counts["completion_tokens"]:
        raise invalid("prompt_tokens", "must be greater than 0")
    for part, whole in INSIDE:
        if counts[part] > counts[whole]:
            raise invalid(part, f"must not exceed {whole}")
    total = _count(fields, "total_tokens")
    if total is not None and total != counts["prompt_tokens"] + counts["completion_tokens"]:
        raise invalid("total_tokens", "must be the sum of prompt_tokens and completion_tokens")
    return check_usage({COUNTS[name]: count for name, count in counts.items()})


def _count(fields: Mapping[str, Any], name: str) -> int | None:
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid(name, "must be an integer")
    if value < 0:
        bound = "0" if name == "prompt_tokens" else "or equal to 0"
        raise invalid(name, f"must be greater than {bound}")
    return value


def _counted(row: Row, usage: dict[str, Quantity], fields: Mapping[str, Any]) -> Row:
    if not usage:
        field = next(name for name in ("usage", "response", "prompt_tokens") if name in fields)
        raise invalid(field, "must name at least one quantity greater than 0")
    row["usage"] = usage
    row.update({name: usage.get(kind, 0) for name, kind in COUNTS.items()})
    row["total_tokens"] = row["tokens_used"] = row["prompt_tokens"] + row["completion_tokens"]
    return row
