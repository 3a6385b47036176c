"""The price book: which rate card prices a call of a provider's model at an instant.

Cards come in layers, the organization's own over the operator's over the packaged book. Within
the packaged book the precedence of sources was settled when it was built.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from importlib import resources

from llm_cost_ops.core.pricing.card import Adjustment, RateCard
from llm_cost_ops.core.pricing.catalog import Catalog, Entry
from llm_cost_ops.core.pricing.layers import Call, Layers
from llm_cost_ops.core.pricing.overrides import Overrides
from llm_cost_ops.core.pricing.regions import AdjustmentRule
from llm_cost_ops.core.pricing.series import CardSeries

STALE_AFTER_DAYS = 45
"""A book older than this warns: providers change prices about monthly."""

MAX_CACHED_SERIES = 20_000
_Key = tuple[str, str, str | None, str | None, str | None]


@dataclass(frozen=True, slots=True)
class Resolution:
    """The card that prices a call, and by which rule its model was recognised.

    Rules: exact, alias, snapshot, fine_tuned, bedrock_id, prefix, deployment, provider_fallback.
    `warnings` say in words what was given and had no part in the price.
    """

    card: RateCard
    adjustments: tuple[Adjustment, ...]
    provider: str
    model: str
    rule: str
    warnings: tuple[str, ...] = ()


class PriceBook:
    """An immutable view of a compiled book and prices laid over it. Threads may share one."""

    def __init__(self, catalog: Catalog, overrides: tuple[Overrides, ...] = ()) -> None:
        self._catalog = catalog
        self._layers = Layers(catalog, overrides)
        self._series: dict[_Key, CardSeries | None] = {}

    @classmethod
    def load(cls, text: str) -> PriceBook:
        """From the text of a compiled book. Raises PricingError when it is not one."""
        return cls(Catalog(text))

    @classmethod
    def packaged(cls) -> PriceBook:
        """The book that ships with this package; about 20 ms and 3 MB."""
        data = resources.files("llm_cost_ops.core.pricing") / "data" / "book.jsonl"
        return cls.load(data.read_text(encoding="utf-8"))

    @property
    def version(self) -> str:
        return self._catalog.version

    @property
    def built_at(self) -> date:
        return self._catalog.built_at

    @property
    def sources(self) -> Mapping[str, str]:
        """Public price books by name, with their versions."""
        return self._catalog.sources

    def age_days(self, today: date) -> int:
        """Days since the book was built."""
        return (today - self.built_at).days

    def providers(self) -> tuple[str, ...]:
        """Canonical ids of the providers that the packaged book has prices for."""
        return self._catalog.providers()

    def models(self) -> Iterator[Entry]:
        """Every model of the packaged book, in provider and model order."""
        return self._catalog.entries()

    def card(self, card_id: str) -> RateCard | None:
        """The card with this id (the `price_version` of a record), for explaining a past price."""
        for overrides in self._layers.overrides:
            for card in overrides.cards:
                if card.id == card_id:
                    return card
        mentioned = (e for e in self._catalog.entries() if f'"{card_id}"' in e.raw)
        cards = (card for entry in mentioned for card in entry.cards)
        return next((card for card in cards if card.id == card_id), None)

    def with_overrides(
        self,
        cards: Sequence[RateCard] = (),
        adjustments: Sequence[AdjustmentRule] = (),
        deployments: Mapping[tuple[str, str], str] | None = None,
    ) -> PriceBook:
        """A view with these prices over everything that the book already holds.

        Call it first with the operator's and then with the organization's. `deployments` maps
        (provider, lower-case deployment name) to a model name as the provider writes it;
        `eu/gpt-4o` also states the data zone. Of several versions of one price (same model,
        context, start and windows) the one with the latest `recorded_at` stands.
        """
        layer = Overrides(tuple(cards), tuple(adjustments), dict(deployments or {}))
        return PriceBook(self._catalog, (layer, *self._layers.overrides))

    def resolve(
        self,
        provider: str,
        model: str,
        *,
        at: datetime,
        service_tier: str | None = None,
        processing: str | None = None,
        region: str | None = None,
        known_at: datetime | None = None,
    ) -> Resolution | None:
        """The card for one call at an aware instant, or None when the book has no price for it.

        A tier, processing or region without a price of its own is None, never the standard price. A
        region that none of the provider's can be is a label of the caller, and is warned of.
        `known_at` leaves out overrides that were recorded later.
        """
        if known_at is None:
            series = self.resolve_series(provider, model, service_tier, processing, region)
        else:
            call = Call.of(provider, model, service_tier, processing, region)
            series = self._layers.series(call, known_at)
        found = series.at(at) if series else None
        if series is None or found is None:
            return None
        label = f"{series.label} is no region of {series.provider} and has no part in the price"
        warnings = (label,) if series.label else ()
        return Resolution(found[0], found[1], series.provider, series.model, series.rule, warnings)

    def resolve_series(
        self,
        provider: str,
        model: str,
        service_tier: str | None = None,
        processing: str | None = None,
        region: str | None = None,
    ) -> CardSeries | None:
        """All prices of a context through time: the fast path for many calls of one model."""
        key = (provider, model, service_tier, processing, region)
        try:
            return self._series[key]
        except KeyError:
            if len(self._series) >= MAX_CACHED_SERIES:
                self._series.clear()
            series = self._series[key] = self._layers.series(Call.of(*key), None)
            return series

    def unpriced_reason(
        self,
        provider: str,
        model: str,
        *,
        at: datetime,
        service_tier: str | None = None,
        processing: str | None = None,
        region: str | None = None,
    ) -> str | None:
        """Why `resolve` has no answer: unknown_model, no_price_for_context, no_price_at_date."""
        series = self.resolve_series(provider, model, service_tier, processing, region)
        if series is not None:
            return None if series.at(at) else "no_price_at_date"
        return "no_price_for_context" if self._layers.knows(provider, model) else "unknown_model"
