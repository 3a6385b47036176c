"""A rate card: the prices of one model in one context (region, tier, processing, validity)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from types import MappingProxyType

_NO_MINIMUMS: Mapping[str, Decimal] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Tier:
    """A price that replaces the base price for the whole request above a number of input tokens."""

    above_input_tokens: int
    price: Decimal
    inclusive: bool = False


@dataclass(frozen=True, slots=True)
class KindPrice:
    """`price` for every `per` units; tiers in ascending order of their threshold."""

    price: Decimal
    per: int
    tiers: tuple[Tier, ...] = ()


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """Local minutes of the day, start inclusive and end exclusive; Monday is weekday 0."""

    time_zone: str
    weekdays: frozenset[int]
    start_minute: int
    end_minute: int


@dataclass(frozen=True, slots=True)
class Adjustment:
    """A factor on some prices, applied in order: a residency multiplier or a negotiated discount.

    Scope `list` belongs to the public price; scope `contract` parts effective from list cost.
    `kinds` None means every token kind.
    """

    id: str
    label: str
    factor: Decimal
    kinds: frozenset[str] | None
    scope: str


@dataclass(frozen=True, slots=True)
class RateCard:
    """Prices of one provider, model, region, tier and processing in [valid_from, valid_to)."""

    id: str
    provider: str
    model: str
    prices: Mapping[str, KindPrice]
    currency: str = "USD"
    region: str | None = None
    service_tier: str = "standard"
    processing: str = "realtime"
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    windows: tuple[TimeWindow, ...] = ()
    inherits: frozenset[str] = frozenset()
    minimums: Mapping[str, Decimal] = field(default_factory=lambda: _NO_MINIMUMS)
    structure: Mapping[str, object] | None = None
    source: str = ""
    source_version: str = ""
    checked_at: date | None = None
    recorded_at: datetime | None = None
