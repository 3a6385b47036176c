"""The limits of models come by the names that their prices have."""

from __future__ import annotations

import json
from importlib import resources

import pytest

from llm_cost_ops.core.pricing.book import PriceBook
from llm_cost_ops.core.pricing.maxima import max_output_tokens


@pytest.mark.parametrize(
    ("provider", "model", "tokens"),
    [("openai", "gpt-4o", 16_384), ("anthropic", "claude-sonnet-4-5", 64_000)],
)
def test_models_that_limit_their_output(provider: str, model: str, tokens: int) -> None:
    series = PriceBook.packaged().resolve_series(provider, model)
    assert series is not None
    assert max_output_tokens(series.provider, series.model) == tokens


def test_what_no_source_states_has_no_limit() -> None:
    assert max_output_tokens("openai", "nobody-knows") is None
    assert max_output_tokens("nobody", "gpt-4o") is None


def test_every_limit_belongs_to_a_priced_model() -> None:
    data = resources.files("llm_cost_ops.core.pricing") / "data" / "max_output_tokens.json"
    limits = json.loads(data.read_text(encoding="utf-8"))
    priced = {(entry.provider, entry.model) for entry in PriceBook.packaged().models()}
    named = {(provider, model) for provider, models in limits.items() for model in models}
    assert len(named) > 1500
    assert named <= priced
    assert all(tokens > 0 for models in limits.values() for tokens in models.values())
