"""Estimates: the cost of a call that is not stored, from the price book or from given prices.

The item and answer shapes are those of `POST /api/v1/costs/estimate`; the command line and the SDK
use the same functions without a server.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import cast

from llm_cost_ops.core import jsontext
from llm_cost_ops.core.errors import DomainError, UsageError
from llm_cost_ops.core.instant import parse_instant
from llm_cost_ops.core.pricing.book import PriceBook, Resolution
from llm_cost_ops.core.pricing.card import Adjustment, RateCard
from llm_cost_ops.core.pricing.rate import NOT_PRICED, RatedUsage, rate
from llm_cost_ops.core.pricing.structures import parse_prices
from llm_cost_ops.core.providers.extract import Extracted, extract
from llm_cost_ops.core.providers.names import provider_id
from llm_cost_ops.core.usage import Quantity, check_usage

FIELDS = frozenset(
    {
        "id", "provider", "model", "timestamp", "date", "usage", "response", "api_flavor",
        "service_tier", "processing", "region", "prices",
    }
)  # fmt: skip


def estimate_item(
    item: Mapping[str, object], book: PriceBook | None, *, now: datetime
) -> dict[str, object]:
    """One estimate item to one element of the answer's `data`.

    `now` prices an item without `timestamp` or `date`. Raises DomainError with the field at fault.
    """
    for name in item:
        if name not in FIELDS and not name.startswith("expected_"):
            raise UsageError(name, "is not a known field")
    provider_name = _text(item, "provider", required=True) or ""
    provider = provider_id(provider_name) or provider_name
    extracted = _extracted(item, provider)
    usage = extracted.usage if extracted else _given_usage(item)
    model = _text(item, "model") or (extracted.model if extracted else None)
    card, adjustments, matched, warnings = _price_of(item, book, provider, model, extracted, now)
    rated = rate(usage, card, adjustments) if card else NOT_PRICED
    notes = [*(extracted.warnings if extracted else ()), *warnings]
    notes += rated.warnings
    return _answer(item, rated, usage, card, matched, notes)


def estimate_lines(
    lines: Iterable[str], book: PriceBook | None, *, now: datetime
) -> Iterator[tuple[str, bool]]:
    """One JSON answer line per non-empty input line, in order, and whether the item was accepted.

    A refused item answers `{"id", "error": {...}}` in its place.
    """
    for line in lines:
        if not line.strip():
            continue
        item: object = None
        try:
            item = jsontext.loads(line)
            if not isinstance(item, dict):
                raise UsageError("item", "must be a JSON object")
            fields = cast("dict[str, object]", item)
            answer = estimate_item(fields, book, now=now)
            yield jsontext.dumps(answer), True
        except DomainError as error:
            yield (
                jsontext.dumps({"id": _id_of(cast("object", item)), "error": error_body(error)}),
                False,
            )


def error_body(error: DomainError) -> dict[str, object]:
    """The error object of answers: code, message and, where one field is at fault, field_errors."""
    body: dict[str, object] = {"code": error.code, "message": error.message}
    if error.field_errors:
        body["field_errors"] = error.field_errors
    return body


def _id_of(item: object) -> object:
    value = cast("dict[str, object]", item).get("id") if isinstance(item, dict) else None
    return value if isinstance(value, str | int) else None


def _text(item: Mapping[str, object], name: str, *, required: bool = False) -> str | None:
    value = item.get(name)
    if value is None and not required:
        return None
    if not isinstance(value, str) or not value or len(value) > 512:
        raise UsageError(name, "is required" if value is None else "must be a non-empty string")
    return value


def _given_usage(item: Mapping[str, object]) -> dict[str, Quantity]:
    usage = item.get("usage")
    if not isinstance(usage, Mapping):
        raise UsageError("usage", "is required, or response")
    return check_usage(cast("Mapping[str, object]", usage))


def _extracted(item: Mapping[str, object], provider: str) -> Extracted | None:
    response = item.get("response")
    if response is None:
        return None
    if "usage" in item:
        raise UsageError("usage", "must not be given together with response")
    if not isinstance(response, Mapping):
        raise UsageError("response", "must be an object")
    return extract(provider, cast("Mapping[str, object]", response), _text(item, "api_flavor"))


def _instant(item: Mapping[str, object], now: datetime) -> datetime:
    if item.get("timestamp") is not None:
        return parse_instant(item["timestamp"], "timestamp")
    if item.get("date") is not None:
        return parse_instant(item["date"], "date")
    return now


def _price_of(
    item: Mapping[str, object],
    book: PriceBook | None,
    provider: str,
    model: str | None,
    extracted: Extracted | None,
    now: datetime,
) -> tuple[RateCard | None, tuple[Adjustment, ...], dict[str, object] | None, list[str]]:
    at = _instant(item, now)
    tier = (extracted.service_tier if extracted else None) or _text(item, "service_tier")
    processing = _text(item, "processing") or (extracted.processing if extracted else None)
    region = (extracted.region if extracted else None) or _text(item, "region")
    prices = item.get("prices")
    if prices is not None:
        if not isinstance(prices, Mapping):
            raise UsageError("prices", "must be an object")
        card = RateCard(
            "inline", provider, model or "", parse_prices(cast("Mapping[str, object]", prices))
        )
        return card, (), {"provider": provider, "model": model, "rule": "inline"}, []
    found: Resolution | None = None
    if book is not None and model is not None:
        found = book.resolve(
            provider, model, at=at, service_tier=tier, processing=processing, region=region
        )
    if found is None:
        where = f"{provider}/{model}" if model else f"{provider} (model not given)"
        return None, (), None, [f"no price for {where} on {at.date().isoformat()}"]
    matched: dict[str, object] = {
        "provider": found.provider,
        "model": found.model,
        "rule": found.rule,
    }
    return found.card, found.adjustments, matched, list(found.warnings)


def _answer(
    item: Mapping[str, object],
    rated: RatedUsage,
    usage: Mapping[str, Quantity],
    card: RateCard | None,
    matched: Mapping[str, object] | None,
    warnings: list[str],
) -> dict[str, object]:
    lines = [
        {
            "kind": line.kind,
            "quantity": line.quantity,
            "price": line.price,
            "per": line.per,
            "amount": line.amount,
        }
        for line in rated.lines
    ]
    answer: dict[str, object] = {
        "id": item.get("id"),
        "cost_status": rated.status,
        "total_cost": rated.cost,
        "currency": card.currency if card else "USD",
        "lines": lines,
        "usage": dict(usage),
        "matched": matched,
        "price_version": None if card is None or card.id == "inline" else card.id,
        "warnings": warnings,
    }
    if rated.list_cost_e10 != rated.cost_e10:
        answer["list_cost"] = cast("Decimal", rated.list_cost)
    return answer
