"""The compiled price book as text, read line by line: heads at once, cards when first needed.

The first line holds version, date, sources, region policies and adjustments; every other line is
one model (see tools/prices/pricebuild/write.py for the form).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from llm_cost_ops.core.errors import PricingError
from llm_cost_ops.core.pricing.card import Adjustment, KindPrice, RateCard, Tier, TimeWindow
from llm_cost_ops.core.pricing.regions import AdjustmentRule, Patterns, RegionPolicy
from llm_cost_ops.core.usage import KINDS

FORMAT = 1
MILLION = 1_000_000
_CARDS = ',"cards":'


class Entry:
    """One model of the book. `via` names the provider whose prices this host charges."""

    __slots__ = ("_cards", "_catalog", "_raw", "aliases", "key", "model", "provider", "via")

    def __init__(self, catalog: Catalog, line: str) -> None:
        head, separator, cards = line.partition(_CARDS)
        if not separator:
            raise PricingError("a line of the price book has no cards")
        fields = json.loads(head + "}")
        self.provider: str = fields["provider"]
        self.model: str = fields["model"]
        self.key = self.model.lower()
        self.aliases: tuple[str, ...] = tuple(fields.get("aliases", ()))
        self.via: str | None = fields.get("via")
        self._catalog = catalog
        self._raw = cards[:-1]
        self._cards: tuple[RateCard, ...] | None = None

    @property
    def raw(self) -> str:
        """The JSON text of the cards: equal text means equal prices."""
        return self._raw

    @property
    def cards(self) -> tuple[RateCard, ...]:
        if self._cards is None:
            self._cards = tuple(self._catalog.card(self, item) for item in json.loads(self._raw))
        return self._cards


class Catalog:
    """All models of one compiled book, by provider and lower-case name."""

    def __init__(self, text: str) -> None:
        first, _, rest = text.partition("\n")
        header = _header(first)
        self.version: str = header["version"]
        self.built_at: date = date.fromisoformat(header["built_at"])
        self.sources: Mapping[str, str] = header["sources"]
        self.regions = {name: _policy(given) for name, given in header["regions"].items()}
        self.adjustments = tuple(_rule(given) for given in header["adjustments"])
        self._ids: dict[str, dict[str, Entry]] = {}
        self._aliases: dict[str, dict[str, Entry]] = {}
        for line in rest.split("\n"):
            if line:
                self._index(Entry(self, line))

    def _index(self, entry: Entry) -> None:
        self._ids.setdefault(entry.provider, {})[entry.key] = entry
        if entry.aliases:
            names = self._aliases.setdefault(entry.provider, {})
            for alias in entry.aliases:
                names[alias] = entry

    def find(self, provider: str, name: str) -> tuple[Entry, bool] | None:
        """(model, whether the name is an alias) for a lower-case name of the provider."""
        entry = self._ids.get(provider, {}).get(name)
        if entry is not None:
            return entry, False
        entry = self._aliases.get(provider, {}).get(name)
        return None if entry is None else (entry, True)

    def providers(self) -> tuple[str, ...]:
        return tuple(self._ids)

    def entries(self) -> Iterator[Entry]:
        """All models in provider and model order."""
        for models in self._ids.values():
            yield from models.values()

    def card(self, entry: Entry, item: Mapping[str, Any]) -> RateCard:
        """One rate card from its JSON object."""
        source: str = item["source"]
        checked = item.get("checked")
        return RateCard(
            id=item["id"],
            provider=entry.provider,
            model=entry.model,
            prices={_kind(kind): _price(value) for kind, value in item["prices"].items()},
            region=item.get("region"),
            service_tier=item.get("tier", "standard"),
            processing=item.get("processing", "realtime"),
            valid_from=_instant(item.get("from")),
            valid_to=_instant(item.get("to")),
            windows=tuple(_window(window) for window in item.get("windows", ())),
            inherits=frozenset(item.get("inherits", ())),
            minimums={kind: Decimal(v) for kind, v in item.get("minimums", {}).items()},
            source=source,
            source_version=self.sources.get(source.split(";")[0].split(",")[0], self.version),
            checked_at=date.fromisoformat(checked) if checked else None,
        )


def _header(line: str) -> dict[str, Any]:
    try:
        header = json.loads(line)
    except ValueError:
        raise PricingError("the price book is not in its compiled form") from None
    if not isinstance(header, dict) or "format" not in header:
        raise PricingError("the price book is not in its compiled form")
    if header["format"] != FORMAT:
        raise PricingError(f"price book format {header['format']} is not {FORMAT}")
    return header  # pyright: ignore[reportUnknownVariableType]


def _policy(given: Mapping[str, Any]) -> RegionPolicy:
    return RegionPolicy(
        Patterns.of(given["base"]),
        Patterns.of(given.get("neutral", ())),
        Patterns.of(given.get("neutral_models", ("*",))),
        Patterns.of(given.get("known", ("*",))),
    )


def _rule(given: Mapping[str, Any]) -> AdjustmentRule:
    kinds = frozenset(given["kinds"]) if "kinds" in given else None
    adjustment = Adjustment(given["id"], given["label"], Decimal(given["factor"]), kinds, "list")
    return AdjustmentRule(
        adjustment,
        given["provider"],
        Patterns.of(given["models"]),
        Patterns.of(given["regions"]),
        _instant(given.get("from")),
    )


def _kind(kind: str) -> str:
    if kind not in KINDS:
        raise PricingError(f"the price book prices an unknown usage kind: {kind}")
    return kind


def _price(value: Any) -> KindPrice:
    if isinstance(value, str):
        return KindPrice(Decimal(value), MILLION)
    tiers = value[2] if len(value) > 2 else ()
    return KindPrice(
        Decimal(value[0]),
        value[1],
        tuple(Tier(above, Decimal(price), inclusive) for above, price, inclusive in tiers),
    )


def _window(value: Any) -> TimeWindow:
    zone, weekdays, start, end = value
    return TimeWindow(zone, frozenset(weekdays), start, end)


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
