"""The most output tokens of each model of the book, as LiteLLM's file states them.

A row counts for the model that the finished book takes its name for, so that limits and prices
know a model by the same name. Of several rows the greatest stands: the limit is an upper bound.
"""

from __future__ import annotations

import json

from llm_cost_ops.core.pricing.book import PriceBook

from .litellm import limits

RULES = frozenset({"exact", "alias", "bedrock_id"})
"""A row that the book only knows as a snapshot or variant of a model may have limits of its own."""


def maxima_text(book: str) -> str:
    """{provider: {model: tokens}}, sorted, a line per model. Raises PricingError for no book."""
    prices = PriceBook.load(book)
    found: dict[str, dict[str, int]] = {}
    for provider, model, tokens in limits():
        series = prices.resolve_series(provider, model)
        if series is None or series.rule not in RULES:
            continue
        models = found.setdefault(series.provider, {})
        models[series.model] = max(tokens, models.get(series.model, 0))
    return json.dumps(found, indent=0, sort_keys=True, ensure_ascii=False) + "\n"
