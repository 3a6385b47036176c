"""A region has cards, an adjustment or a stated reason to cost the base price, else nothing."""

from __future__ import annotations

from decimal import Decimal

import pytest

from llm_cost_ops.core.pricing.book import PriceBook, Resolution
from llm_cost_ops.core.pricing.rate import rate
from llm_cost_ops.core.pricing.regions import Patterns
from tests.support.price_books import AUTUMN, book_of, find, packaged

RULE = {
    "id": "uplift", "label": "1.1x", "provider": "acme", "models": ["new-*"],
    "regions": ["eu", "europe-*"], "factor": "1.1", "source": "a page",
}  # fmt: skip
PLAIN = [{"prices": {"input_tokens": "10", "web_searches": ["1", 1]}}]
BOOK = book_of(
    [
        {"provider": "acme", "model": "new-m", "cards": PLAIN},
        {"provider": "acme", "model": "old-m", "cards": PLAIN},
        {
            "provider": "acme",
            "model": "new-regional",
            "cards": [*PLAIN, {"prices": {"input_tokens": "12"}, "region": "eu"}],
        },
        {
            "provider": "acme",
            "model": "only-eu",
            "cards": [{"prices": {"input_tokens": "12"}, "region": "eu"}],
        },
        {"provider": "flat", "model": "m", "cards": PLAIN},
    ],
    regions={"acme": {"base": ["global"], "neutral": ["eu", "us-*"]}},
    adjustments=[RULE],
)


def found(model: str, region: str | None, provider: str = "acme") -> Resolution | None:
    return BOOK.resolve(provider, model, at=AUTUMN, region=region)


@pytest.mark.parametrize("region", ["eu", "EU", "europe-west1"])
def test_an_uplift_multiplies_every_token_kind_and_nothing_else(region: str) -> None:
    result = found("new-m", region)
    assert result is not None
    assert [a.id for a in result.adjustments] == ["uplift"]
    rated = rate({"input_tokens": 1_000_000, "web_searches": 1}, result.card, result.adjustments)
    assert (rated.cost, rated.list_cost) == (Decimal(12), Decimal(12))


@pytest.mark.parametrize("region", [None, "", "global", "us-east-1"])
def test_the_base_price_needs_a_reason(region: str | None) -> None:
    result = found("new-m", region)
    assert result is not None
    assert result.adjustments == ()


def test_a_neutral_region_is_the_base_price_for_models_without_uplift() -> None:
    result = found("old-m", "eu")
    assert result is not None
    assert result.adjustments == ()


@pytest.mark.parametrize("model", ["new-m", "old-m"])
def test_an_unlisted_region_is_unpriced(model: str) -> None:
    assert found(model, "atlantis") is None


def test_a_regional_card_replaces_base_and_uplift() -> None:
    result = found("new-regional", "eu")
    assert result is not None
    assert (result.card.region, result.adjustments) == ("eu", ())


def test_a_model_with_regional_cards_has_no_neutral_regions() -> None:
    assert found("new-regional", "us-east-1") is None
    assert found("new-regional", "global") is not None


def test_a_card_in_a_region_that_is_not_neutral_says_nothing_about_the_neutral_ones() -> None:
    """GovCloud cards do not make the commercial regions unknown."""
    assert find("aws", "anthropic.claude-sonnet-4-5-20250929-v1:0", region="eu-central-1")
    gov = find("aws", "anthropic.claude-sonnet-4-5-20250929-v1:0", region="us-gov-west-1")
    assert gov.card.prices["input_tokens"].price == Decimal("3.6")


def test_neutral_regions_may_hold_for_some_models_only() -> None:
    assert (
        packaged().resolve("aws", "amazon.nova-lite-v1:0", at=AUTUMN, region="eu-north-1") is None
    )
    assert find("aws", "amazon.nova-lite-v1:0", region="us-east-1").card.region is None


def test_a_data_zone_is_not_a_resource_region() -> None:
    assert find("azure", "phi-4", region="eastus2").adjustments == ()
    assert packaged().resolve("azure", "phi-4", at=AUTUMN, region="us") is None


def test_a_model_sold_in_a_region_only() -> None:
    assert found("only-eu", None) is None
    assert found("only-eu", "global") is None
    assert found("only-eu", "eu") is not None


def test_a_provider_without_regional_prices_has_one_price() -> None:
    assert found("m", "anywhere", "flat") is not None


def test_an_uplift_may_begin_later() -> None:
    dated = {**RULE, "from": "2027-01-01T00:00Z", "kinds": ["web_searches"]}
    book = book_of([{"provider": "acme", "model": "new-m", "cards": PLAIN}], adjustments=[dated])
    result = book.resolve("acme", "new-m", at=AUTUMN, region="eu")
    assert result is not None
    assert result.adjustments == ()


@pytest.mark.parametrize(
    ("patterns", "name", "expected"),
    [
        ([], "a", False),
        (["a"], "a", True),
        (["a"], "ab", False),
        (["a*"], "ab", True),
        (["*b"], "ab", True),
        (["A*C"], "abc", True),
        (["a.c"], "abc", False),
        (["x", "a*"], "ab", True),
    ],
)
def test_patterns(patterns: list[str], name: str, expected: bool) -> None:
    assert Patterns.of(patterns).match(name) is expected


def test_no_region_of_the_packaged_book_is_both_uplifted_and_base() -> None:
    book = PriceBook.packaged()
    for provider in ("openai", "anthropic", "google", "azure", "mistral", "together"):
        for entry in book.models():
            if entry.provider == provider:
                result = book.resolve(provider, entry.model, at=AUTUMN, region="global")
                assert result is None or not result.adjustments
