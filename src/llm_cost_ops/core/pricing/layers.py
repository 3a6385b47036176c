"""From a call's names and context to its card series, through all layers of prices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from llm_cost_ops.core.pricing.catalog import Catalog, Entry
from llm_cost_ops.core.pricing.match import Match, match_model
from llm_cost_ops.core.pricing.overrides import Overrides
from llm_cost_ops.core.pricing.regions import AdjustmentRule
from llm_cost_ops.core.pricing.series import CardSeries, Layer

_STANDARD_TIERS = frozenset(
    {"", "standard", "default", "auto", "on_demand", "standard_only", "not_available"}
)


@dataclass(frozen=True, slots=True)
class Call:
    """What decides a price beside the time: names and normalised context."""

    provider: str
    model: str
    tier: str
    processing: str
    region: str | None

    @classmethod
    def of(
        cls,
        provider: str,
        model: str,
        service_tier: str | None,
        processing: str | None,
        region: str | None,
    ) -> Call:
        """Normalise the context. A tier named "batch" is how some providers report batch."""
        tier = (service_tier or "").strip().lower()
        mode = (processing or "realtime").strip().lower()
        if tier == "batch":
            tier, mode = "standard", "batch"
        elif tier in _STANDARD_TIERS:
            tier = "standard"
        return cls(provider, model, tier, mode, (region or "").strip().lower() or None)


class Layers:
    """The packaged catalog under layers of overrides, the most important first."""

    def __init__(self, catalog: Catalog, overrides: tuple[Overrides, ...]) -> None:
        self.catalog = catalog
        self.overrides = overrides

    def series(self, call: Call, known_at: datetime | None) -> CardSeries | None:
        """All prices of the call's context through time, or None when there is none."""
        deployed, match = self.match(call.provider, call.model)
        stated = match.region if match else None
        layers, own_name = self._own(call, call.region or stated, match, known_at)
        entry = self._entry(match)
        label: str | None = None
        if entry is not None:
            region = call.region or stated
            if call.region and not self._is_region(entry, call.region):
                label, region = (None if layers else call.region), stated
            public = self._public(entry, call, region)
            layers += [public] if public else []
        if not layers:
            return None
        rule = match.rule if match else "exact"
        if entry is not None and entry.via:
            rule = "provider_fallback"
        provider = match.provider if match and own_name is None else call.provider
        model = own_name or (entry.model if entry else call.model)
        return CardSeries(provider, model, "deployment" if deployed else rule, layers, label)

    def match(self, provider: str, model: str) -> tuple[bool, Match | None]:
        """(whether the name is a deployment of the organization, model of the packaged book)."""
        for overrides in self.overrides:
            target = overrides.deployments.get((provider, model.strip().lower()))
            if target is not None:
                return True, self._find(provider, target)
        return False, self._find(provider, model)

    def knows(self, provider: str, model: str) -> bool:
        """Whether any layer has a price for the model, in whatever context."""
        own = any(overrides.knows(provider, model) for overrides in self.overrides)
        return own or self.match(provider, model)[1] is not None

    def _find(self, provider: str, model: str) -> Match | None:
        def find(host: str, name: str) -> tuple[str, bool] | None:
            found = self.catalog.find(host, name)
            return (found[0].key, found[1]) if found else None

        return match_model(provider, model, find)

    def _entry(self, match: Match | None) -> Entry | None:
        found = self.catalog.find(match.provider, match.model) if match else None
        return found[0] if found else None

    def _own(
        self, call: Call, region: str | None, match: Match | None, known_at: datetime | None
    ) -> tuple[list[Layer], str | None]:
        """Layers of override cards, and the model name of the first."""
        layers: list[Layer] = []
        own_name: str | None = None
        for overrides in self.overrides:
            name = overrides.name_for(call.provider, call.model, match.model if match else None)
            key = (call.provider, name)
            cards = overrides.context_cards(key, call.tier, call.processing, region, known_at)
            if cards:
                own_name = own_name or cards[0].model
                names = (call.model.lower(), name)
                rules = self._contract(call.provider, names, region, own=True)
                layers.append(Layer(cards, rules))
        return layers, own_name

    def _public(self, entry: Entry, call: Call, region: str | None) -> Layer | None:
        """Cards of the packaged book for the context: those of the region, or the base cards
        where an adjustment or a policy says what the region costs."""
        context = [
            card
            for card in entry.cards
            if card.service_tier == call.tier and card.processing == call.processing
        ]
        names = (entry.key, call.model.lower())
        contract = self._contract(call.provider, names, call.region or region, own=False)
        base = tuple(card for card in context if card.region is None)
        if region is None:
            return Layer(base, contract) if base else None
        regional = tuple(card for card in context if card.region == region)
        if regional:
            return Layer(regional, contract)
        rules = self.catalog.adjustments
        listed = tuple(r for r in rules if r.concerns(entry.provider, names, region))
        if base and (listed or self._means_base(entry, region)):
            return Layer(base, (*listed, *contract))
        return None

    def _is_region(self, entry: Entry, region: str) -> bool:
        """Whether a given region is one of the host's, priced or not."""
        policy = self.catalog.regions.get(entry.provider)
        if policy is None or policy.knows(region):
            return True
        rules = self.catalog.adjustments
        listed = any(r.concerns(entry.provider, (entry.key,), region) for r in rules)
        return listed or any(card.region == region for card in entry.cards)

    def _means_base(self, entry: Entry, region: str) -> bool:
        policy = self.catalog.regions.get(entry.provider)
        if policy is None or policy.base.match(region):
            return True
        if not (policy.neutral.match(region) and policy.models.match(entry.key)):
            return False
        return not any(c.region and policy.neutral.match(c.region) for c in entry.cards)

    def _contract(
        self, provider: str, names: Sequence[str], region: str | None, *, own: bool
    ) -> tuple[AdjustmentRule, ...]:
        """Rules of all layers in order, the operator's before the organization's."""
        return tuple(
            rule
            for overrides in reversed(self.overrides)
            for rule in overrides.rules
            if (rule.own_prices or not own) and rule.concerns(provider, names, region)
        )
