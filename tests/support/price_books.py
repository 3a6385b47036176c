"""Price books for tests: the packaged one, read once, and small ones made from cards."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from llm_cost_ops.core.pricing.book import PriceBook, Resolution
from llm_cost_ops.core.pricing.card import KindPrice, RateCard
from llm_cost_ops.core.pricing.rate import RatedUsage, rate

AUTUMN = datetime(2026, 11, 15, 12, tzinfo=UTC)
MILLION = 1_000_000


@lru_cache(maxsize=1)
def packaged() -> PriceBook:
    return PriceBook.packaged()


def at(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def find(provider: str, model: str, when: datetime = AUTUMN, **context: Any) -> Resolution:
    found = packaged().resolve(provider, model, at=when, **context)
    assert found is not None, f"{provider}/{model} has no price"
    return found


def price(
    provider: str,
    model: str,
    usage: Mapping[str, Any],
    when: datetime = AUTUMN,
    **context: Any,
) -> RatedUsage:
    found = find(provider, model, when, **context)
    return rate(usage, found.card, found.adjustments)


def cost(provider: str, model: str, usage: Mapping[str, Any], **context: Any) -> Decimal:
    """The cost of a call that the packaged book prices whole."""
    when = context.pop("when", AUTUMN)
    rated = price(provider, model, usage, when, **context)
    assert rated.status == "priced", rated.missing
    assert rated.cost is not None
    return rated.cost


def card(model: str = "m", price: str = "1", **fields: Any) -> RateCard:
    """A card of provider `acme` that prices input tokens."""
    provider = fields.pop("provider", "acme")
    card_id = fields.pop("id", f"own-{model}-{price}")
    return RateCard(
        card_id, provider, model, {"input_tokens": KindPrice(Decimal(price), MILLION)}, **fields
    )


def book_of(models: Sequence[Mapping[str, Any]] = (), **header: Any) -> PriceBook:
    """A compiled book with these model lines; a card without id or source gets one."""
    first = {
        "format": 1, "version": "t", "built_at": "2026-01-01", "sources": {},
        "regions": {}, "adjustments": [], **header,
    }  # fmt: skip
    lines = [json.dumps(first)]
    for model in models:
        cards = [
            {"id": f"prc_{model['model']}_{index}", "source": "overlay", **item}
            for index, item in enumerate(model["cards"])
        ]
        head = {key: value for key, value in model.items() if key != "cards"}
        lines.append(json.dumps({**head, "cards": cards}, separators=(",", ":")))
    return PriceBook.load("\n".join(lines) + "\n")
