"""The rows that readers produce and the merge works on. All money is exact Decimal, never float."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal

MILLION = 1_000_000
THOUSAND = 1_000
HOUR = 3_600

GENAI = "genai-prices"
LITELLM = "litellm"
OVERLAY = "overlay"
TIME_OF_DAY = "time-of-day"
"""Note of a card whose source gives hours without dates; only the overlay can price it."""

TierRow = tuple[int, Decimal, bool]
"""(input tokens, price, inclusive): the price once a request has more (or as many) input tokens."""


@dataclass(frozen=True)
class Price:
    """`price` for every `per` units."""

    price: Decimal
    per: int = MILLION
    tiers: tuple[TierRow, ...] = ()

    def times(self, factor: Decimal) -> Price:
        tiers = tuple((above, price * factor, inclusive) for above, price, inclusive in self.tiers)
        return Price(self.price * factor, self.per, tiers)

    @property
    def unit(self) -> Decimal:
        """The base price of one unit, for comparisons between sources that use other `per`s."""
        return self.price / self.per


@dataclass(frozen=True)
class Window:
    """Local minutes of the day in `zone`; Monday is weekday 0."""

    zone: str
    weekdays: tuple[int, ...]
    start_minute: int
    end_minute: int


@dataclass
class Card:
    """The prices of one model in one context and one span of time."""

    prices: dict[str, Price]
    source: str
    region: str | None = None
    tier: str = "standard"
    processing: str = "realtime"
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    windows: tuple[Window, ...] = ()
    inherits: frozenset[str] = frozenset()
    minimums: dict[str, Decimal] = field(default_factory=dict)
    checked_at: date | None = None
    kind_sources: dict[str, str] = field(default_factory=dict)
    note: str = ""

    @property
    def context(self) -> tuple[str | None, str, str]:
        return (self.region, self.tier, self.processing)

    def supplement(self, kind: str, price: Price, source: str) -> None:
        """Add a kind that this card's own source lacks, keeping where it came from."""
        self.prices[kind] = price
        self.kind_sources[kind] = source

    def span(self, start: datetime | None, end: datetime | None) -> Card:
        return replace(
            self,
            valid_from=start,
            valid_to=end,
            prices=dict(self.prices),
            minimums=dict(self.minimums),
            kind_sources=dict(self.kind_sources),
        )

    def covers(self, at: datetime) -> bool:
        return (self.valid_from is None or self.valid_from <= at) and (
            self.valid_to is None or at < self.valid_to
        )


@dataclass
class Model:
    """One model of one provider, the other names it answers to, and its cards."""

    provider: str
    id: str
    aliases: set[str] = field(default_factory=set)
    cards: list[Card] = field(default_factory=list)
    mode: str | None = None
    accepts: frozenset[str] = frozenset()

    @property
    def key(self) -> str:
        return self.id.lower()

    def of(self, region: str | None, tier: str, processing: str) -> list[Card]:
        return [card for card in self.cards if card.context == (region, tier, processing)]

    def current(self, at: datetime, context: tuple[str | None, str, str]) -> Card | None:
        found = [card for card in self.of(*context) if card.covers(at) and not card.windows]
        return found[-1] if found else None


Catalogue = dict[tuple[str, str], Model]
"""(provider, lower-case model id) to model."""


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def by_key(models: Iterable[Model]) -> Catalogue:
    """Index models. Raises ValueError when two models of a provider share an id."""
    index: Catalogue = {}
    for model in models:
        key = (model.provider, model.key)
        if key in index:
            raise ValueError(f"{model.provider}/{model.id} appears twice")
        index[key] = model
    return index
