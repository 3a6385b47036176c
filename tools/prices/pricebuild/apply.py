"""Application of the overlay to the merged catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from .overlay import Overlay, instant, matches, price, selected, windows
from .rows import LITELLM, OVERLAY, Card, Catalogue, Model, Price

STANDARD = (None, "standard", "realtime")
TOKENS = "_tokens"


def apply_models(catalogue: Catalogue, overlay: Overlay) -> None:
    for entry in overlay["models"]:
        key = (entry["provider"], entry["model"].lower())
        model = catalogue.get(key)
        if model is None:
            model = catalogue[key] = Model(entry["provider"], entry["model"])
        taken = {alias.lower() for alias in entry.get("aliases", ())}
        model.aliases |= taken
        _give_up_names(catalogue, model, taken | {model.key})
        for kind in entry.get("remove_kinds", ()):
            for card in model.cards:
                card.prices.pop(kind, None)
        cards = [card for given in entry.get("cards", ()) for card in _cards(given, entry)]
        if entry["mode"] == "replace":
            model.cards = cards
        else:
            for card in cards:
                _patch(model, card)


def _give_up_names(catalogue: Catalogue, owner: Model, names: set[str]) -> None:
    """A name has one owner: the model that the overlay gives it to."""
    for model in catalogue.values():
        if model is not owner and model.provider == owner.provider:
            model.aliases -= names


def _cards(given: Mapping[str, Any], entry: Mapping[str, Any]) -> Iterator[Card]:
    spans = given.get("spans") or [[given.get("from"), given.get("to")]]
    for start, end in spans:
        yield Card(
            {kind: price(value) for kind, value in given["prices"].items()},
            OVERLAY,
            given.get("region"),
            given.get("tier", "standard"),
            given.get("processing", "realtime"),
            instant(start),
            instant(end),
            windows(given.get("windows", ())),
            frozenset(given.get("inherits", ())),
            {kind: Decimal(value) for kind, value in given.get("minimums", {}).items()},
            entry["checked_at"],
        )


def _patch(model: Model, card: Card) -> None:
    """Lay the card over those of its context and span; add it when there is none."""
    touched = [own for own in model.of(*card.context) if _overlap(own, card)]
    if not touched or card.windows:
        model.cards.append(card)
    for own in touched:
        for kind, value in card.prices.items():
            own.supplement(kind, value, OVERLAY)
        own.minimums.update(card.minimums)
        own.inherits |= card.inherits
        own.checked_at = card.checked_at


def _overlap(own: Card, card: Card) -> bool:
    starts = own.valid_from is None or card.valid_to is None or own.valid_from < card.valid_to
    ends = own.valid_to is None or card.valid_from is None or card.valid_from < own.valid_to
    return starts and ends


def apply_fees(catalogue: Catalogue, overlay: Overlay) -> None:
    """Add what a call of a tool costs, whichever model calls it, from a day on."""
    for entry in overlay["fees"]:
        fees = {kind: price(value) for kind, value in entry["prices"].items()}
        for model in _chosen(catalogue, entry):
            model.cards = [part for card in model.cards for part in _charged(card, fees, entry)]


def _charged(card: Card, fees: Mapping[str, Price], entry: Mapping[str, Any]) -> list[Card]:
    since = instant(entry["from"])
    new = {kind: fee for kind, fee in fees.items() if kind not in card.prices}
    over = card.valid_to is not None and since is not None and card.valid_to <= since
    if card.context != STANDARD or not new or over:
        return [card]
    begun = card.valid_from is not None and since is not None and card.valid_from >= since
    later = card if begun else card.span(since, card.valid_to)
    for kind, fee in new.items():
        later.supplement(kind, fee, OVERLAY)
    later.checked_at = entry["checked_at"]
    return [later] if begun else [card.span(card.valid_from, since), later]


def apply_close(catalogue: Catalogue, overlay: Overlay) -> None:
    """End the cards of a tier that a provider withdrew."""
    for entry in overlay["close"]:
        for model in _chosen(catalogue, entry):
            for card in model.cards:
                if card.tier == entry["tier"] and card.valid_to is None:
                    card.valid_to = instant(entry["to"])


def apply_derived(catalogue: Catalogue, overlay: Overlay) -> None:
    for entry in overlay["derive"]:
        context = (None, entry.get("tier", "standard"), entry.get("processing", "realtime"))
        for model in _chosen(catalogue, entry):
            known = model.of(*context)
            if entry.get("where_context_exists") and not known:
                continue
            since = instant(entry.get("since"))
            for base in [card for card in model.of(*STANDARD) if not card.windows]:
                for start, end in _uncovered(base, known, since):
                    model.cards.append(_derived(base, start, end, context, entry))


def _derived(
    base: Card,
    start: datetime | None,
    end: datetime | None,
    context: tuple[str | None, str, str],
    entry: Mapping[str, Any],
) -> Card:
    factor = Decimal(entry["factor"])
    keep = set(entry.get("keep", ()))
    prices: dict[str, Price] = {}
    for kind, value in base.prices.items():
        if kind in keep or not kind.endswith(TOKENS):
            prices[kind] = value
        elif matches(kind, entry["kinds"]):
            prices[kind] = value.times(factor)
    return Card(prices, OVERLAY, *context, start, end, checked_at=entry["checked_at"])


def _uncovered(
    base: Card, known: Iterable[Card], since: datetime | None
) -> list[tuple[datetime | None, datetime | None]]:
    """The parts of the base card's span, from `since` on, that no known card covers."""
    start = base.valid_from
    if since is not None and (start is None or start < since):
        start = since
    if base.valid_to is not None and start is not None and start >= base.valid_to:
        return []
    spans: list[tuple[datetime | None, datetime | None]] = []
    position: datetime | None = start
    for card in sorted(known, key=lambda c: (c.valid_from is not None, c.valid_from or start)):
        if not _overlap(base.span(position, base.valid_to), card):
            continue
        if card.valid_from is not None and (position is None or position < card.valid_from):
            spans.append((position, card.valid_from))
        if card.valid_to is None:
            return spans
        position = card.valid_to
    if position is None or base.valid_to is None or position < base.valid_to:
        spans.append((position, base.valid_to))
    return spans


def apply_free(catalogue: Catalogue, overlay: Overlay) -> None:
    """State what is free as zero prices: a card without prices would be unpriced."""
    for entry in overlay["free"]:
        for model in _chosen(catalogue, entry):
            zero = {"input_tokens": Price(Decimal(0)), "output_tokens": Price(Decimal(0))}
            model.cards = [
                Card(zero, OVERLAY, inherits=_FREE_KINDS, checked_at=entry["checked_at"])
            ]


_FREE_KINDS = frozenset(
    {"cache_read_tokens", "cache_write_tokens", "input_image_tokens", "input_audio_tokens",
     "input_video_tokens"}
)  # fmt: skip


def apply_fallbacks(catalogue: Catalogue, overlay: Overlay) -> dict[tuple[str, str], str]:
    """Copy the maker's token prices to hosts that charge the same; returns {model key: maker}."""
    copied: dict[tuple[str, str], str] = {}
    for entry in overlay["fallbacks"]:
        host, maker = entry["provider"], entry["from_provider"]
        names = {
            name
            for model in catalogue.values()
            if model.provider == host
            for name in (model.key, *model.aliases)
        }
        for model in [m for m in catalogue.values() if m.provider == maker]:
            if model.key in names or not selected({**entry, "provider": maker}, maker, model.id):
                continue
            cards = [_tokens_only(card) for card in model.of(*STANDARD)]
            if not any(card.prices for card in cards):
                continue
            twin = Model(host, model.id, model.aliases - names, cards, model.mode, model.accepts)
            catalogue[(host, model.key)] = twin
            names |= {model.key, *model.aliases}
            copied[(host, model.key)] = maker
    return copied


def _tokens_only(card: Card) -> Card:
    copy = card.span(card.valid_from, card.valid_to)
    copy.prices = {k: p for k, p in copy.prices.items() if k.endswith(TOKENS)}
    return copy


def apply_inherits(catalogue: Catalogue, overlay: Overlay) -> None:
    """Declare kinds billed at the parent's rate; a kind with a price of its own is never one."""
    for model in catalogue.values():
        own = {kind for card in model.cards for kind in card.prices}
        granted: set[str] = set()
        for entry in overlay["inherits"]:
            if selected(entry, model.provider, model.id) and (
                "accepts" not in entry or entry["accepts"] in model.accepts
            ):
                granted |= set(entry["kinds"])
        for card in model.cards:
            card.inherits = (card.inherits | granted) - own


def _chosen(catalogue: Catalogue, entry: Mapping[str, Any]) -> list[Model]:
    return [m for m in catalogue.values() if selected(entry, m.provider, m.id)]


_MODALITIES = {
    "input_image_tokens": "input_tokens",
    "input_video_tokens": "input_tokens",
    "input_audio_tokens": "input_tokens",
    "output_image_tokens": "output_tokens",
    "output_audio_tokens": "output_tokens",
    "output_video_tokens": "output_tokens",
}


def fold_equal_modalities(catalogue: Catalogue) -> None:
    """Replace a LiteLLM modality price that repeats the text rate by a declaration.

    Their image and audio fields carry no long-context tiers, so a repeated base rate would miss
    them; billing "at the text rate" does not.
    """
    for model in catalogue.values():
        for card in model.cards:
            for kind, parent in _MODALITIES.items():
                value, base = card.prices.get(kind), card.prices.get(parent)
                source = card.kind_sources.get(kind, card.source)
                if value is None or base is None or source != LITELLM:
                    continue
                if not value.tiers and value.price * base.per == base.price * value.per:
                    del card.prices[kind]
                    card.kind_sources.pop(kind, None)
                    card.inherits |= {kind}
