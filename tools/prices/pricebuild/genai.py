"""Reader of the genai-prices package: models with dated segments, one set per price context.

Their batch, flex and priority variants carry the date on which somebody read the page, not the
date on which the provider began to charge it. A variant is therefore extended back to the start
of the standard price that it belongs to, and the extended part is marked as ours.
"""

from __future__ import annotations

import importlib
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from .genai_names import names_of
from .rows import GENAI, HOUR, MILLION, THOUSAND, TIME_OF_DAY, Card, Model, Price, midnight

DEFAULT_TIER = ("service_tier", "default")
_SUFFIXES = (
    ("_mtok", "_tokens", MILLION),
    ("_hours", "_seconds", HOUR),
    ("_mchars", "_characters", MILLION),
    ("_kpages", "_pages", THOUSAND),
    ("_kcount", "", THOUSAND),
)


def read() -> tuple[list[Model], str]:
    """(models, version). Needs the genai-prices package in the running environment."""
    data: Any = importlib.import_module("genai_prices.data")
    version = importlib.import_module("importlib.metadata").version("genai-prices")
    models: list[Model] = []
    for provider in data.providers:
        models += [model_of(provider.id, model) for model in provider.models]
    return models, version


def find_id(provider_id: str, name: str) -> str | None:
    """Which model their own matching picks within one provider, for cross-checks."""
    data: Any = importlib.import_module("genai_prices.data")
    provider = next((p for p in data.providers if p.id == provider_id), None)
    found = provider.find_model(name) if provider else None
    return found.id if found else None


def model_of(provider: str, source: Any) -> Model:
    """One of their models with its dated cards per context and its names."""
    model = Model(provider, source.id, names_of(provider, source) - {source.id.lower()})
    standard = _standard(source)
    model.cards += standard
    contexts: dict[tuple[str | None, str, str], list[Any]] = {}
    for variant in source.price_variants or ():
        context = _context(variant.when)
        if context is not None:
            contexts.setdefault(context, []).append(variant)
    for context, variants in contexts.items():
        model.cards += _variant_cards(context, variants, standard)
    return model


def _context(when: dict[str, str]) -> tuple[str | None, str, str] | None:
    """(region, tier, processing), or None for a context that equals the standard one."""
    if len(when) != 1:
        raise ValueError(f"price context with several keys: {when}")
    ((key, value),) = when.items()
    if (key, value) == DEFAULT_TIER or (key, value) == ("search_type", "web"):
        return None
    if key == "processing":
        return (None, "standard", value)
    if key in ("service_tier", "speed"):
        return (None, value, "realtime")
    if key == "route":
        return (value, "standard", "realtime")
    if key == "search_type":
        return (None, f"{value}-search", "realtime")
    raise ValueError(f"unknown price context {when}: teach _context about it")


def _kind_price(key: str, value: Any) -> tuple[str, Price]:
    for suffix, unit, per in _SUFFIXES:
        if key.endswith(suffix):
            kind = key.removesuffix(suffix) + unit
            if isinstance(value, Decimal):
                return kind, Price(value, per)
            tiers = tuple(_tier(t.start, t.price) for t in value.tiers)
            return kind, Price(value.base, per, tiers)
    raise ValueError(f"unknown price key {key}: teach _SUFFIXES about it")


def _tier(start: int, price: Decimal) -> tuple[int, Decimal, bool]:
    """Their only comparison is `>`; a start of 199,999 stands for "200,000 or more"."""
    return (start + 1, price, True) if start % 1000 == 999 else (start, price, False)


def _prices(model_price: Any) -> dict[str, Price]:
    entries = vars(model_price).items()
    return dict(_kind_price(key, value) for key, value in entries if value is not None)


def _standard(source: Any) -> list[Card]:
    if not isinstance(source.prices, list):
        return [Card(_prices(source.prices), GENAI)]
    dated = [(_start(entry.constraint), entry.prices) for entry in source.prices]
    if any(start is _UNDATED for start, _ in dated):
        return [Card({}, GENAI, note=TIME_OF_DAY)]
    cards: list[Card] = []
    for index, (start, prices) in enumerate(dated):
        end = dated[index + 1][0] if index + 1 < len(dated) else None
        card = Card(_prices(prices), GENAI)
        cards.append(card.span(start if index else None, end))
    return cards


class _TimeOfDay(datetime):
    """Marks a constraint that has no date."""


_UNDATED = _TimeOfDay(1970, 1, 1, tzinfo=UTC)


def _start(constraint: Any) -> datetime | None:
    if constraint is None:
        return None
    if hasattr(constraint, "start_date"):
        return midnight(constraint.start_date)
    return _UNDATED


def _variant_cards(
    context: tuple[str | None, str, str], variants: list[Any], standard: list[Card]
) -> list[Card]:
    """Cards of one context: the standard prices of each span with the variant's laid over them.

    The first active variant wins, as in their engine.
    """
    region, tier, processing = context
    starts = sorted({s for v in variants if (s := _start(v.constraint)) is not None})
    spans = _spans(standard, starts)
    cards: list[Card] = []
    for start, end, base in spans:
        active = _active(variants, start)
        backdated = False
        if active is None:
            active = _active(variants, end) if _same_base(base, end, starts) else None
            backdated = True
        if active is None:
            continue
        prices = {**base.prices, **_prices(active.prices)}
        card = Card(prices, GENAI, region, tier, processing, start, end)
        if backdated:
            card.note = "backdated"
        cards.append(card)
    return _joined(cards)


def _spans(
    standard: list[Card], starts: list[datetime]
) -> list[tuple[datetime | None, datetime | None, Card]]:
    spans: list[tuple[datetime | None, datetime | None, Card]] = []
    for card in standard:
        cuts = [s for s in starts if card.covers(s) and s != card.valid_from]
        bounds = [card.valid_from, *cuts, card.valid_to]
        spans += [(bounds[i], bounds[i + 1], card) for i in range(len(bounds) - 1)]
    return spans


def _active(variants: list[Any], at: datetime | None) -> Any:
    for variant in variants:
        start = _start(variant.constraint)
        if start is None or (at is not None and start <= at):
            return variant
    return None


def _same_base(base: Card, end: datetime | None, starts: list[datetime]) -> bool:
    """Whether the span that follows, where a variant is known, has the same standard price."""
    return end is not None and end in starts and base.covers(end)


def _joined(cards: list[Card]) -> list[Card]:
    """Neighbouring spans with equal prices as one; an extended span keeps its mark."""
    joined: list[Card] = []
    for card in cards:
        last = joined[-1] if joined else None
        if last and last.valid_to == card.valid_from is not None and last.prices == card.prices:
            last.valid_to = card.valid_to
            last.note = last.note or card.note
        else:
            joined.append(card)
    return joined
