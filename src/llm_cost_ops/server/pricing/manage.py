"""Set, change and end an organization's own prices. Every change is a new version; none is lost."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

from sqlalchemy import insert

from llm_cost_ops.core.errors import DomainError, PricingError
from llm_cost_ops.core.ids import single_id
from llm_cost_ops.core.instant import format_micros, parse_end, parse_instant, to_micros
from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.core.money import check_currency
from llm_cost_ops.core.pricing.structures import parse_prices, parse_structure
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.pricing import store
from llm_cost_ops.server.pricing.cards import prices_json
from llm_cost_ops.server.pricing.resolve import OrganizationPrices
from llm_cost_ops.server.pricing.tables import price_versions
from llm_cost_ops.server.pricing.told import tell

FIELDS = frozenset(
    {
        "provider",
        "model",
        "currency",
        "effective_date",
        "end_date",
        "region",
        "service_tier",
        "processing",
        "pricing_structure",
        "prices",
    }
)
_SHORTHAND = ("_per_million", "_per_1m", "_per_1k", "cached_input_discount", "price_per_request")


class PriceUnknown(DomainError):
    """No price of the organization has this id."""

    code = "NOT_FOUND"


def create(
    session: WriteSession, body: Mapping[str, object], prices: OrganizationPrices, actor: Actor
) -> dict[str, Any]:
    """A new price from the `POST /api/v1/pricing` body. Raises PricingError, UsageError."""
    pricing_id = single_id("price", actor.now_us // 1_000, secrets.randbits(80))
    row = _row(_checked(body), prices)
    return _insert(session, row, pricing_id, 1, actor, "pricing.created", None)


def update(
    session: WriteSession,
    pricing_id: str,
    body: Mapping[str, object],
    prices: OrganizationPrices,
    actor: Actor,
) -> dict[str, Any]:
    """A new version: the named fields replace those of the last one.

    Without `effective_date` the new version replaces the last one for its whole validity; with a
    later date the last one stays valid until then. A date at or after the end of the last one
    puts the price in force again. Raises PriceUnknown, PricingError.
    """
    last = _last(session, actor.organization_id, pricing_id)
    changes = _checked(body)
    merged = _merge(cast("dict[str, object]", store.parsed(last["request"])), changes)
    dated = "effective_date" in changes and "end_date" not in changes
    if dated and _begins_after_end(merged):
        del merged["end_date"]
    row = _row(merged, prices)
    return _insert(session, row, pricing_id, last["version"] + 1, actor, "pricing.updated", last)


def end(session: WriteSession, pricing_id: str, actor: Actor) -> dict[str, Any]:
    """End a price now: a version with an end date, or when the last one has not begun yet, one
    that is never in force and cuts off what was. Raises PriceUnknown."""
    last = _last(session, actor.organization_id, pricing_id)
    now_us = actor.now_us
    row = {name: last[name] for name in _COPIED}
    row["prices"] = dumps(store.parsed(last["prices"]))
    structure = store.parsed(last["structure"])
    row["structure"] = None if structure is None else dumps(structure)
    end_us: int = now_us if last["valid_to"] is None else min(last["valid_to"], now_us)
    row["valid_from"] = min(last["valid_from"], now_us)
    row["valid_to"] = end_us
    request = dict(cast("dict[str, object]", store.parsed(last["request"])))
    row["request"] = {**request, "end_date": format_micros(end_us)}
    return _insert(session, row, pricing_id, last["version"] + 1, actor, "pricing.ended", last)


_COPIED = (
    "provider",
    "model",
    "currency",
    "region",
    "service_tier",
    "processing",
    "valid_from",
)


def wire(row: Mapping[str, Any]) -> dict[str, Any]:
    """One price version as the API shows it."""
    prices = store.parsed(row["prices"])
    structure = store.parsed(row["structure"])
    request = cast("dict[str, Any]", store.parsed(row["request"]))
    shown: dict[str, Any] = {
        "id": row["pricing_id"],
        "version": row["version"],
        "provider": row["provider"],
        "model": row["model"],
        "currency": row["currency"],
        "region": row["region"],
        "service_tier": row["service_tier"],
        "processing": row["processing"],
        "effective_date": format_micros(row["valid_from"]),
        "end_date": None if row["valid_to"] is None else format_micros(row["valid_to"]),
        "recorded_at": format_micros(row["recorded_at"]),
        "pricing_structure": request.get("pricing_structure") or structure,
        "prices": prices,
        "source": "operator" if row["organization_id"] == store.OPERATOR else "organization",
    }
    for kind, name in (
        ("input_tokens", "input_price_per_million"),
        ("output_tokens", "output_price_per_million"),
        ("cache_read_tokens", "cached_input_price_per_million"),
    ):
        price = prices.get(kind)
        if price and price["per"] == 1_000_000:
            shown[name] = price["price"]
    return shown


def is_active(row: Mapping[str, Any], at: datetime) -> bool:
    """Whether the version is in force at a time."""
    micros = to_micros(at)
    return row["valid_from"] <= micros and (row["valid_to"] is None or micros < row["valid_to"])


def _checked(body: Mapping[str, object]) -> dict[str, object]:
    fields = dict(body)
    structure = {name: fields.pop(name) for name in list(fields) if name.endswith(_SHORTHAND)}
    if structure:
        given = fields.get("pricing_structure")
        if given is not None and not isinstance(given, Mapping):
            raise PricingError("must be an object", field="pricing_structure")
        fields["pricing_structure"] = {**cast("Mapping[str, object]", given or {}), **structure}
    for name in fields:
        if name not in FIELDS:
            raise PricingError("is not a known field", field=name)
    return fields


def _merge(last: Mapping[str, object], changes: Mapping[str, object]) -> dict[str, object]:
    merged = {**last, **changes}
    new = changes.get("pricing_structure")
    old = last.get("pricing_structure")
    if isinstance(new, Mapping) and isinstance(old, Mapping):
        kept = cast("Mapping[str, object]", old)
        named = cast("Mapping[str, object]", new)
        if named.get("type", kept.get("type")) == kept.get("type"):
            stems = {name.partition("_per_")[0] for name in named}
            rest = {k: v for k, v in kept.items() if k.partition("_per_")[0] not in stems}
            merged["pricing_structure"] = {**rest, **named}
    if "pricing_structure" in changes:
        merged.pop("prices", None)
    elif "prices" in changes:
        merged.pop("pricing_structure", None)
    return merged


def _begins_after_end(request: Mapping[str, object]) -> bool:
    start, end_date = request.get("effective_date"), request.get("end_date")
    if start is None or end_date is None:
        return False
    return parse_instant(start, "effective_date") >= parse_end(end_date)


def _row(request: Mapping[str, object], prices: OrganizationPrices) -> dict[str, Any]:
    provider = prices.provider(text_field(request, "provider"))
    kinds, structure = _price_parts(request)
    start = request.get("effective_date")
    if start is None:
        raise PricingError("is required", field="effective_date")
    valid_from = parse_instant(start, "effective_date")
    end_date = request.get("end_date")
    valid_to = None if end_date is None else parse_end(end_date)
    if valid_to is not None and valid_to <= valid_from:
        raise PricingError("must be after effective_date", field="end_date")
    processing = str(request.get("processing") or "realtime")
    if processing not in ("realtime", "batch"):
        raise PricingError("must be one of: realtime, batch", field="processing")
    return {
        "provider": provider,
        "model": text_field(request, "model"),
        "currency": check_currency(request.get("currency") or "USD"),
        "region": text_field(request, "region") if request.get("region") else None,
        "service_tier": text_field(request, "service_tier")
        if request.get("service_tier")
        else "standard",
        "processing": processing,
        "valid_from": to_micros(valid_from),
        "valid_to": None if valid_to is None else to_micros(valid_to),
        "prices": dumps(prices_json(kinds)),
        "structure": None if structure is None else dumps(structure),
        "request": dict(request),
    }


def _price_parts(request: Mapping[str, object]) -> tuple[Any, Mapping[str, object] | None]:
    structure, prices = request.get("pricing_structure"), request.get("prices")
    if (structure is None) == (prices is None):
        raise PricingError("is required, or prices, but not both", field="pricing_structure")
    if structure is not None:
        if not isinstance(structure, Mapping):
            raise PricingError("must be an object", field="pricing_structure")
        return parse_structure(cast("Mapping[str, object]", structure))
    if not isinstance(prices, Mapping) or not prices:
        raise PricingError("must be an object that names at least one kind", field="prices")
    return parse_prices(cast("Mapping[str, object]", prices)), None


def text_field(request: Mapping[str, object], name: str) -> str:
    value = request.get(name)
    if value is None:
        raise PricingError("is required", field=name)
    if not isinstance(value, str) or not 1 <= len(value) <= 255 or not value.isprintable():
        raise PricingError("must be a string of 1 to 255 printable characters", field=name)
    if value != value.strip():
        raise PricingError("must not have surrounding spaces", field=name)
    limit = {"provider": 64, "region": 64, "service_tier": 32}.get(name, 255)
    if len(value) > limit:
        raise PricingError(f"must be at most {limit} characters", field=name)
    return value


def _last(session: ReadSession, organization_id: str, pricing_id: str) -> Mapping[str, Any]:
    rows: Sequence[Mapping[str, Any]] = [
        row
        for row in store.history(session, organization_id, pricing_id)
        if row["organization_id"] == organization_id
    ]
    if not rows:
        raise PriceUnknown("Pricing not found")
    return rows[-1]


def _insert(
    session: WriteSession,
    row: dict[str, Any],
    pricing_id: str,
    version: int,
    actor: Actor,
    action: str,
    before: Mapping[str, Any] | None,
) -> dict[str, Any]:
    now_us = actor.now_us
    if before is not None:
        now_us = max(now_us, before["recorded_at"] + 1)  # knowledge grows, whatever the clock does
    stored = {
        **row,
        "id": single_id("prv", now_us // 1_000, secrets.randbits(80)),
        "pricing_id": pricing_id,
        "version": version,
        "organization_id": actor.organization_id,
        "recorded_at": now_us,
        "recorded_by": actor.actor_id,
        "request": dumps(_storable(row["request"])),
    }
    session.execute(insert(price_versions).values(**stored))
    shown = None if before is None else wire(before)
    at_its_time = replace(actor, now_us=now_us)
    at_its_time.record(session, action, "pricing", pricing_id, shown, wire(stored))
    tell(session, actor.organization_id, action, pricing_id, wire(stored), now_us=now_us)
    return wire(stored)


def _storable(request: Mapping[str, object]) -> Mapping[str, object]:
    return {name: value for name, value in request.items() if value is not None}
