"""The call that a reservation becomes in the ledger when it is settled, or when nobody settles it.

It has the time of the reservation, so that it counts in the period that held it, and the id of the
reservation as its event id unless another is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from llm_cost_ops.core.errors import PriceNotFound, UsageError
from llm_cost_ops.core.instant import format_micros, from_micros
from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.core.pricing.rate import UNPRICED
from llm_cost_ops.server.budgets.allowed import outside
from llm_cost_ops.server.budgets.ask import CONTEXT, LABELS, NO_PRICE
from llm_cost_ops.server.budgets.errand import Errand
from llm_cost_ops.server.budgets.store import call_of
from llm_cost_ops.server.http.problems import Problem
from llm_cost_ops.server.ingest.draft import (
    PENDING_VOLUME,
    RESERVATION,
    Door,
    draft_cost,
    draft_usage,
)
from llm_cost_ops.server.ingest.strict import settle_metadata
from llm_cost_ops.server.ingest.validate import Invalid, cost_from, record_from
from llm_cost_ops.server.ledger.entry import Entry
from llm_cost_ops.server.ledger.reached import is_entry_reached
from llm_cost_ops.server.ledger.rerate import MANUAL
from llm_cost_ops.server.pricing.resolve import OrganizationPrices

ESTIMATED = "estimated"
FIELDS = frozenset(
    {
        "cost", "currency", "tokens_used", "usage", "response", "api_flavor", "provider", "model",
        "event_id", "source", "prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens",
        "cache_write_tokens", "reasoning_tokens", "latency_ms", "status", *CONTEXT,
    }
)  # fmt: skip
_COUNTS = ("input_tokens", "output_tokens")
_TOKENS = ("tokens_used", "total_tokens", "prompt_tokens", "completion_tokens")


def settled_entry(errand: Errand, row: Mapping[str, Any], now_us: int) -> Entry:
    """The priced call of a settlement, in the currency of the reservation: in another one nothing
    of the cost would count against what was held. It has the requests that were reserved, and a
    bare cost the tokens, because nobody said how many were used. Raises DomainError or Problem
    naming the field.
    """
    for name in errand.body:
        if name not in FIELDS:
            known = "belongs to the reservation" if name in LABELS else "is not a known field"
            raise UsageError(name[:255], known)
    call = call_of(row)
    call.pop("usage", None)
    unpriced = call.pop(NO_PRICE, False)
    fields: dict[str, Any] = {
        **{name: call[name] for name in call if name not in CONTEXT or "cost" not in errand.body},
        "timestamp": format_micros(int(row["created_at"])),
        "event_id": row["id"],
        "source": RESERVATION,
        **errand.body,
    }
    if "cost" in errand.body and ("usage" in errand.body or "response" in errand.body):
        raise UsageError("cost", "must not be given together with usage or response")
    door = Door(
        row["organization_id"],
        cast("OrganizationPrices", errand.prices),
        now_us,
        recorded_by=errand.actor_id,
    )
    if fields["source"] == RESERVATION and fields["event_id"] != row["id"]:
        raise UsageError(
            "event_id", f"needs another source than {RESERVATION}, whose ids are its own"
        )
    entry = _priced(errand, row, fields, door)
    entry.requests = int(row["requests"])
    if "cost" in errand.body and not any(name in errand.body for name in _TOKENS):
        entry.total_tokens = int(row["tokens"])
    if not unpriced:
        check_currency_of(row, errand, entry.currency)
    if not errand.reach.is_everything and not is_entry_reached(entry, errand.reach):
        raise outside(errand.reach)
    return entry


def check_currency_of(row: Mapping[str, Any], errand: Errand, currency: str) -> None:
    """Raises UsageError when a settlement is not in the currency of its reservation."""
    if currency != row["currency"]:
        given = "currency" if "cost" in errand.body else "usage"
        text = f"must be priced in {row['currency']}, the currency of the reservation"
        raise UsageError(given, text)


def is_unpriced(row: Mapping[str, Any]) -> bool:
    """Whether no price was known when it was reserved, so that any currency may settle it."""
    return bool(call_of(row).get(NO_PRICE, False))


def _priced(errand: Errand, row: Mapping[str, Any], fields: dict[str, Any], door: Door) -> Entry:
    if "cost" in errand.body:
        fields.setdefault("currency", row["currency"])
        cost = cost_from(fields)
        if isinstance(cost, Invalid):
            raise Problem(422, cost.code, cost.message, cost.field_errors)
        settle_metadata([cost])
        return draft_cost(cost, door)
    record = record_from(fields)
    if isinstance(record, Invalid):
        raise Problem(422, record.code, record.message, record.field_errors)
    settle_metadata([record])
    entry = draft_usage(record, door)
    if entry.cost_status == UNPRICED and entry.volume != PENDING_VOLUME:
        at = from_micros(entry.timestamp).date()
        raise PriceNotFound(entry.provider, entry.model_name, at)
    return entry


def estimated_entry(row: Mapping[str, Any], now_us: int) -> Entry:
    """The call that nobody settled: it may have been made and billed, so it costs its estimate
    until somebody says otherwise."""
    call = call_of(row)
    usage = cast("dict[str, Any]", call.get("usage") or {})
    tags, metadata = call.get("tags"), call.get("metadata")
    entry = Entry(
        organization_id=row["organization_id"],
        source=RESERVATION,
        event_id=row["id"],
        payload_digest=ESTIMATED,
        timestamp=int(row["created_at"]),
        received_at=now_us,
        provider=call["provider"],
        model_name=call["model"],
        status=ESTIMATED,
        requests=int(row["requests"]),
        total_tokens=int(row["tokens"]),
        cost_e10=int(row["amount_e10"]),
        currency=row["currency"],
        cost_status="priced",
        price_rule=MANUAL,
        tags=dumps(tags) if tags else None,
        metadata=dumps(_sorted(metadata)) if metadata else None,
        recorded_by=row["created_by"],
        **_context(call),
    )
    entry.input_tokens, entry.output_tokens = (int(usage.get(name, 0)) for name in _COUNTS)
    for name in LABELS:
        if name not in ("tags", "metadata"):
            setattr(entry, name, call.get(name))
    return entry


def _context(call: Mapping[str, Any]) -> dict[str, Any]:
    """What else decides the price of a call, as `draft.Door.context` has it."""
    tier = call.get("service_tier")
    return {
        "service_tier": "standard" if tier in (None, "default") else tier,
        "processing": call.get("processing") or "realtime",
        "region": call.get("region"),
    }


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value)
        return {name: _sorted(items[name]) for name in sorted(items)}
    if isinstance(value, list):
        return [_sorted(item) for item in cast("list[Any]", value)]
    return value
