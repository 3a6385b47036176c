"""From pins and overlay to the text of the book: every step in the order it happens."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from . import apply, genai, litellm
from .merge import Merge, Report
from .overlay import Overlay, load, matches, selected
from .rows import LITELLM, TIME_OF_DAY, Catalogue, Model, by_key, midnight
from .write import book_text

ROOT = Path(__file__).resolve().parents[3]
OVERLAY = ROOT / "prices" / "overlay"
SCHEMA = ROOT / "prices" / "schema" / "overlay.schema.json"


LEAST_PER_MILLION = Decimal("0.001")
MOST_PER_MILLION = Decimal(1000)


class StalePin(Exception):
    """An installed source differs from the pinned version."""


def build(pins: Mapping[str, str], built_at: date) -> tuple[str, Report]:
    """(text of the book, what the merge decided). Raises StalePin, ValueError."""
    overlay = load(OVERLAY, SCHEMA)
    models, genai_version = genai.read()
    rows, litellm_version = litellm.read()
    for name, found in (("genai-prices", genai_version), ("litellm", litellm_version)):
        if pins[name] != found:
            raise StalePin(f"{name} {found} is installed, {pins[name]} is pinned")
    rows = _without_dropped(rows, overlay)
    _drop_aliases(models, overlay)
    _ignore_kinds(rows, overlay)
    merge = Merge(by_key(models), midnight(built_at), genai.find_id, _flat(overlay))
    catalogue = merge.add(rows)
    apply.apply_models(catalogue, overlay)
    _refuse_undated(catalogue)
    _refuse_implausible(catalogue)
    apply.apply_fees(catalogue, overlay)
    apply.apply_close(catalogue, overlay)
    apply.apply_derived(catalogue, overlay)
    apply.apply_free(catalogue, overlay)
    apply.fold_equal_modalities(catalogue)
    via = apply.apply_fallbacks(catalogue, overlay)
    apply.apply_inherits(catalogue, overlay)
    header = {
        "version": built_at.strftime("%Y.%m.%d"),
        "built_at": built_at.isoformat(),
        "sources": {"genai-prices": genai_version, "litellm": litellm_version},
        "regions": _regions(overlay),
        "adjustments": _adjustments(overlay),
    }
    return book_text(catalogue, header, via), merge.report


def _without_dropped(rows: list[litellm.Row], overlay: Overlay) -> list[litellm.Row]:
    dropped = overlay["drop"]
    return [r for r in rows if not any(selected(e, r.provider, r.id) for e in dropped)]


def _drop_aliases(models: list[Model], overlay: Overlay) -> None:
    for model in models:
        for entry in overlay["drop_aliases"]:
            if entry["provider"] in ("*", model.provider):
                model.aliases = {a for a in model.aliases if not matches(a, entry["models"])}


def _ignore_kinds(rows: list[litellm.Row], overlay: Overlay) -> None:
    for entry in overlay["ignore_kinds"]:
        for row in rows:
            if selected(entry, row.provider, row.id):
                for card in row.cards:
                    for kind in entry["kinds"]:
                        card.prices.pop(kind, None)


def _flat(overlay: Overlay) -> Any:
    def keep(provider: str, model: str) -> bool:
        return any(selected(entry, provider, model) for entry in overlay["keep_flat"])

    return keep


def _refuse_undated(catalogue: Catalogue) -> None:
    """A time-of-day price without dates can only be wrong; the overlay must state the history."""
    left = [
        f"{model.provider}/{model.id}"
        for model in catalogue.values()
        if any(card.note == TIME_OF_DAY for card in model.cards)
    ]
    if left:
        raise ValueError(f"time-of-day prices without an overlay history: {', '.join(left)}")


def _refuse_implausible(catalogue: Catalogue) -> None:
    """LiteLLM now and then carries a price per thousand as one per token, or a price per step."""
    found = [
        f"{model.provider}/{model.id} {kind} {card.prices[kind].price:f}"
        for model in catalogue.values()
        for card in model.cards
        for kind in ("input_tokens", "output_tokens")
        if card.source == LITELLM
        and kind in card.prices
        and not LEAST_PER_MILLION <= card.prices[kind].price <= MOST_PER_MILLION
    ]
    if found:
        raise ValueError("implausible prices; drop or correct them: " + "; ".join(found))


def _regions(overlay: Overlay) -> dict[str, Any]:
    names = ("base", "neutral", "neutral_models", "known")
    return {
        entry["provider"]: {name: entry[name] for name in names if name in entry}
        for entry in overlay["regions"]
    }


def _adjustments(overlay: Overlay) -> list[dict[str, Any]]:
    """In file and entry order, which is the order in which they apply."""
    fields = ("id", "label", "provider", "models", "regions", "factor", "kinds", "from", "source")
    return [
        {
            **{name: entry[name] for name in fields if name in entry},
            "checked": entry["checked_at"].isoformat(),
        }
        for entry in overlay["adjustments"]
    ]
