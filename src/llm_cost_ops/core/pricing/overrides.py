"""One layer of prices laid over the packaged book: the operator's or an organization's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from llm_cost_ops.core.pricing.card import RateCard
from llm_cost_ops.core.pricing.match import match_model
from llm_cost_ops.core.pricing.regions import AdjustmentRule

_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Overrides:
    """Cards, adjustment rules and deployment names of one layer."""

    cards: tuple[RateCard, ...]
    rules: tuple[AdjustmentRule, ...]
    deployments: Mapping[tuple[str, str], str]
    _by_model: dict[tuple[str, str], list[RateCard]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        index: dict[tuple[str, str], list[RateCard]] = {}
        for card in self.cards:
            index.setdefault((card.provider, card.model.lower()), []).append(card)
        object.__setattr__(self, "_by_model", index)

    def knows(self, provider: str, model: str) -> bool:
        """Whether the layer has any price for the model."""
        return (provider, self.name_for(provider, model, None)) in self._by_model

    def name_for(self, provider: str, model: str, canonical: str | None) -> str:
        """The name under which this layer prices the model: as called, by the usual rules, or the
        name that the packaged book knows it by."""
        name = model.strip().lower()
        if (provider, name) in self._by_model:
            return name

        def find(host: str, wanted: str) -> tuple[str, bool] | None:
            return (wanted, False) if (host, wanted) in self._by_model else None

        match = match_model(provider, model, find)
        if match is not None:
            return match.model
        return canonical or name

    def context_cards(
        self,
        key: tuple[str, str],
        tier: str,
        processing: str,
        region: str | None,
        known_at: datetime | None,
    ) -> tuple[RateCard, ...]:
        """The standing versions for one context. A card without a region holds in every region,
        and yields to one that names it."""
        cards = [
            card
            for card in self._by_model.get(key, ())
            if card.service_tier == tier
            and card.processing == processing
            and card.region in (None, region)
            and (known_at is None or card.recorded_at is None or card.recorded_at <= known_at)
        ]
        regional = [card for card in cards if card.region is not None]
        return _standing(regional or cards)


def _standing(cards: list[RateCard]) -> tuple[RateCard, ...]:
    """Of the versions of one price (same start and windows) the one recorded last."""
    latest: dict[tuple[object, ...], RateCard] = {}
    for card in cards:
        key = (card.valid_from, card.windows)
        known = latest.get(key)
        if known is None or _recorded(known) <= _recorded(card):
            latest[key] = card
    return tuple(latest.values())


def _recorded(card: RateCard) -> datetime:
    return card.recorded_at or _BEGINNING
