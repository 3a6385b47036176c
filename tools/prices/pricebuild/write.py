"""The compiled book: a header line, then one line per model in provider and model order.

A line is {"provider","model","aliases"?,"via"?,"cards":[..]}; "cards" comes last so that a reader
can index a line by its head and parse the cards when they are first needed. Prices are decimal
strings for one million units, or [price, per] or [price, per, [[above, price, inclusive]..]].
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from .rows import MILLION, Card, Catalogue, Model, Price, Window

FORMAT = 1


def book_text(
    catalogue: Catalogue, header: Mapping[str, Any], via: Mapping[tuple[str, str], str]
) -> str:
    """The whole file. Models without a priced card are left out: they are unpriced anyway."""
    lines = [_dump({"format": FORMAT, **header})]
    names = _free_names(catalogue)
    for key in sorted(catalogue):
        model = catalogue[key]
        cards = [card for card in model.cards if card.prices]
        if cards:
            lines.append(_line(model, cards, names, via.get(key)))
    return "\n".join(lines) + "\n"


def _line(
    model: Model, cards: Iterable[Card], names: Mapping[tuple[str, str], str], via: str | None
) -> str:
    aliases = sorted(a for a in model.aliases if names.get((model.provider, a)) == model.key)
    entry: dict[str, Any] = {"provider": model.provider, "model": model.id}
    if aliases:
        entry["aliases"] = aliases
    if via:
        entry["via"] = via
    ordered = sorted(cards, key=_card_order)
    entry["cards"] = [_card(model, card) for card in ordered]
    return _dump(entry)


def _free_names(catalogue: Catalogue) -> dict[tuple[str, str], str]:
    """Which model owns each alias: ids own their names, then models in catalogue order."""
    owners: dict[tuple[str, str], str] = {}
    for model in catalogue.values():
        for alias in model.aliases:
            if (model.provider, alias) not in catalogue:
                owners.setdefault((model.provider, alias), model.key)
    return owners


def _card_order(card: Card) -> tuple[Any, ...]:
    return (
        card.region or "",
        card.tier != "standard",
        card.tier,
        card.processing != "realtime",
        card.processing,
        _stamp(card.valid_from) or "",
        bool(card.windows),
        json.dumps([_window(w) for w in card.windows]),
    )


def _card(model: Model, card: Card) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if card.region:
        content["region"] = card.region
    if card.tier != "standard":
        content["tier"] = card.tier
    if card.processing != "realtime":
        content["processing"] = card.processing
    if card.valid_from:
        content["from"] = _stamp(card.valid_from)
    if card.valid_to:
        content["to"] = _stamp(card.valid_to)
    if card.windows:
        content["windows"] = [_window(window) for window in card.windows]
    content["prices"] = {kind: _price(card.prices[kind]) for kind in sorted(card.prices)}
    if card.inherits:
        content["inherits"] = sorted(card.inherits)
    if card.minimums:
        content["minimums"] = {kind: plain(v) for kind, v in sorted(card.minimums.items())}
    digest = hashlib.sha256(_dump([model.provider, model.id, content]).encode()).hexdigest()
    entry = {"id": f"prc_{digest[:16]}", **content, "source": _source(card)}
    if card.checked_at:
        entry["checked"] = card.checked_at.isoformat()
    return entry


def _source(card: Card) -> str:
    """The card's source, with the kinds that came from elsewhere."""
    text = card.source + (", start extended by overlay" if card.note == "backdated" else "")
    by_source: dict[str, list[str]] = {}
    for kind, source in sorted(card.kind_sources.items()):
        if kind in card.prices and source != card.source:
            by_source.setdefault(source, []).append(kind)
    parts = [f"{source} for {', '.join(kinds)}" for source, kinds in sorted(by_source.items())]
    return "; ".join([text, *parts])


def _window(window: Window) -> list[Any]:
    return [window.zone, list(window.weekdays), window.start_minute, window.end_minute]


def _price(price: Price) -> Any:
    if price.tiers:
        tiers = [[above, plain(value), inclusive] for above, value, inclusive in price.tiers]
        return [plain(price.price), price.per, tiers]
    return plain(price.price) if price.per == MILLION else [plain(price.price), price.per]


def plain(number: Decimal) -> str:
    """Digits without exponent and trailing zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _stamp(instant: datetime | None) -> str | None:
    return instant.strftime("%Y-%m-%dT%H:%MZ") if instant else None


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
