"""The worked numbers of the 22 situations that the price book must get right, one row each.

Every number is priced with the packaged book; the row number is in the test's name.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

from llm_cost_ops.core.pricing.card import Adjustment, KindPrice, RateCard
from llm_cost_ops.core.pricing.rate import rate
from llm_cost_ops.core.pricing.regions import AdjustmentRule
from tests.support.price_books import AUTUMN, at, card, cost, find, packaged, price

MILLION = 1_000_000
HUNDRED_K = 100_000


def test_row_01_cached_input_is_a_subset_of_the_prompt() -> None:
    usage = {"input_tokens": 2006, "cache_read_tokens": 1920, "output_tokens": 300}
    assert cost("openai", "gpt-5", usage) == Decimal("0.0033475000")


def test_row_01_cache_writes_cost_a_quarter_more_from_gpt_5_6_on() -> None:
    usage = {"input_tokens": 1000, "cache_write_tokens": 1000}
    assert cost("openai", "gpt-5.6-sol", usage) == Decimal("0.0050000000")


def test_row_02_anthropic_cache_writes_by_lifetime() -> None:
    usage = {
        "input_tokens": 1627,
        "cache_write_tokens": 123,
        "cache_write_5m_tokens": 100,
        "cache_write_1h_tokens": 23,
        "cache_read_tokens": 1000,
        "output_tokens": 97,
    }
    assert cost("anthropic", "claude-sonnet-4-5", usage) == Decimal("0.0037800000")


@pytest.mark.parametrize(
    ("model", "read"),
    [("claude-sonnet-4-5", "0.3"), ("claude-opus-5-5", "0.2"), ("claude-fable-5-1", "0.25")],
)
def test_row_02_cache_reads_follow_no_common_ratio(model: str, read: str) -> None:
    usage = {"input_tokens": MILLION // 10, "cache_read_tokens": MILLION // 10}
    assert cost("anthropic", model, usage) == Decimal(read) / 10


@pytest.mark.parametrize(
    ("prompt", "expected"), [(200_000, "0.2600000000"), (200_001, "0.5150025000")]
)
def test_row_03_gemini_tier_begins_above_200k(prompt: int, expected: str) -> None:
    usage = {"input_tokens": prompt, "output_tokens": 1000}
    assert cost("google", "gemini-2.5-pro", usage) == Decimal(expected)


def test_row_04_gemini_thoughts_and_tool_prompt_are_additive() -> None:
    usage = {
        "input_tokens": 150,
        "input_tool_tokens": 50,
        "cache_read_tokens": 40,
        "output_tokens": 320,
        "output_reasoning_tokens": 300,
    }
    assert cost("google", "gemini-2.5-flash", usage) == Decimal("0.0008342000")


def test_row_05_xai_reasoning_is_outside_completion_tokens() -> None:
    usage = {
        "input_tokens": 10_120,
        "cache_read_tokens": 128,
        "output_tokens": 1499 + 2809,
        "output_reasoning_tokens": 2809,
    }
    ticks = cost("x-ai", "grok-4.3", usage) * 10**10
    assert ticks == 232_856_000, "the provider reported cost_in_usd_ticks 232856000"


@pytest.mark.parametrize(
    ("processing", "expected"), [("batch", "1.1250000000"), ("realtime", "2.2500000000")]
)
def test_row_06_batch(processing: str, expected: str) -> None:
    usage = {"input_tokens": MILLION, "output_tokens": HUNDRED_K}
    assert cost("openai", "gpt-5", usage, processing=processing) == Decimal(expected)


def test_row_06_batch_rates_are_rows_not_a_factor() -> None:
    """OpenAI's gpt-4.1 and Gemini keep cached input at the standard rate, Anthropic halves it, and
    searches never become cheaper."""

    def batch(provider: str, model: str, kind: str) -> tuple[Decimal, Decimal]:
        standard = find(provider, model).card.prices[kind].price
        return standard, find(provider, model, processing="batch").card.prices[kind].price

    assert batch("openai", "gpt-4.1", "cache_read_tokens") == (Decimal("0.5"), Decimal("0.5"))
    assert batch("google", "gemini-2.5-pro", "cache_read_tokens")[1] == Decimal("0.125")
    assert batch("anthropic", "claude-sonnet-4-6", "cache_read_tokens") == (
        Decimal("0.3"),
        Decimal("0.15"),
    )
    assert batch("anthropic", "claude-sonnet-4-6", "web_searches") == (Decimal(10), Decimal(10))


@pytest.mark.parametrize(
    ("tier", "expected"),
    [("flex", "0.8437500000"), ("default", "1.6875000000"), ("priority", "3.3750000000")],
)
def test_row_07_service_tiers(tier: str, expected: str) -> None:
    usage = {"input_tokens": MILLION, "cache_read_tokens": 500_000, "output_tokens": HUNDRED_K}
    assert cost("openai", "gpt-5", usage, service_tier=tier) == Decimal(expected)


@pytest.mark.parametrize(("model", "factor"), [("gpt-5", "2"), ("o3", "1.75"), ("gpt-4o", "1.7")])
def test_row_07_the_priority_multiplier_differs_by_model(model: str, factor: str) -> None:
    standard = find("openai", model).card.prices["input_tokens"].price
    priority = find("openai", model, service_tier="priority").card.prices["input_tokens"].price
    assert priority == standard * Decimal(factor)


def test_row_08_audio_text_and_cache_are_partitioned() -> None:
    usage = {
        "input_tokens": 1000,
        "input_audio_tokens": 600,
        "cache_read_tokens": 300,
        "cache_audio_read_tokens": 200,
        "output_tokens": 500,
        "output_audio_tokens": 400,
    }
    assert cost("openai", "gpt-realtime", usage) == Decimal("0.0413200000")


@pytest.mark.parametrize("extra", [{}, {"output_image_tokens": 1056}])
def test_row_09_image_tokens(extra: dict[str, int]) -> None:
    usage = {"input_tokens": 100, "input_text_tokens": 70, "input_image_tokens": 30}
    rated = cost("openai", "gpt-image-1", {**usage, "output_tokens": 1056, **extra})
    assert rated == Decimal("0.0428900000")


def test_row_10_web_searches_of_anthropic() -> None:
    usage = {"input_tokens": 1000, "output_tokens": 500, "web_searches": 3}
    assert cost("anthropic", "claude-sonnet-4-5", usage) == Decimal("0.0405000000")


@pytest.mark.parametrize(
    ("provider", "model", "per_thousand"),
    [
        ("openai", "gpt-5", 10),
        ("openai", "gpt-4o-search-preview", 25),
        ("openai", "gpt-4o-mini-search-preview", 25),
        ("google", "gemini-2.5-pro", 35),
    ],
)
def test_row_10_search_prices(provider: str, model: str, per_thousand: int) -> None:
    searches = find(provider, model).card.prices["web_searches"]
    assert searches.price * 1000 / searches.per == per_thousand


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("global.anthropic.claude-sonnet-4-5-20250929-v1:0", "4.5000000000"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "4.9500000000"),
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", "4.9500000000"),
    ],
)
def test_row_11_bedrock_global_and_geo_profiles(model: str, expected: str) -> None:
    usage = {"input_tokens": MILLION, "output_tokens": HUNDRED_K}
    assert cost("aws", model, usage) == Decimal(expected)


def test_row_12_us_inference_of_anthropic() -> None:
    usage = {"input_tokens": 10_000, "cache_read_tokens": 4000, "output_tokens": 1000}
    assert cost("anthropic", "claude-sonnet-5", usage, region="us") == Decimal("0.0250800000")
    assert cost("anthropic", "claude-sonnet-5", usage, region="global") == Decimal("0.0228000000")


def test_row_12_residency_multiplies_tokens_only() -> None:
    usage = {"input_tokens": 1000, "web_searches": 1}
    assert cost("anthropic", "claude-sonnet-5", usage, region="us") == Decimal("0.0122000000")


@pytest.mark.parametrize(
    ("provider", "model", "region", "factor"),
    [
        ("openai", "gpt-5.4", "eu", "1.1"),
        ("google", "gemini-3.8-flash", "europe-west1", "1.1"),
        ("azure", "gpt-6-sol", "apac", "1.1"),
        ("mistral", "mistral-small-latest", "eu", "1.1"),
        ("together", "zai-org/GLM-5.3", "us", "1.25"),
    ],
)
def test_row_12_residency_of_other_providers(
    provider: str, model: str, region: str, factor: str
) -> None:
    usage = {"input_tokens": 10_000}
    base = cost(provider, model, usage)
    assert cost(provider, model, usage, region=region) == base * Decimal(factor)


@pytest.mark.parametrize("name", ["azure/eu/gpt-4o", "eu/gpt-4o"])
def test_row_13_azure_data_zone_in_the_name(name: str) -> None:
    usage = {"input_tokens": 4321, "output_tokens": 876}
    assert cost("azure", name, usage) == Decimal("0.0215187500")
    assert cost("azure", "gpt-4o", usage, region="eu") == Decimal("0.0215187500")


def test_row_13_azure_deployment_mapped_to_model_and_zone() -> None:
    book = packaged().with_overrides(deployments={("azure", "chat-prod"): "eu/gpt-4o"})
    found = book.resolve("azure", "Chat-Prod", at=AUTUMN)
    assert found is not None
    assert (found.rule, found.model) == ("deployment", "gpt-4o")
    rated = rate({"input_tokens": 4321, "output_tokens": 876}, found.card, found.adjustments)
    assert rated.cost == Decimal("0.0215187500")


def test_row_14_provisioned_capacity_as_a_price_of_the_organization() -> None:
    """50 units at 1.00 for 730 hours over 2e9 tokens is 18.25 per million, marginal price zero."""
    monthly = 50 * Decimal("1.00") * 730
    assert monthly == Decimal(36_500)
    per_million = monthly / (2_000_000_000 // MILLION)
    assert per_million == Decimal("18.25")
    own = card("ptu-prod", str(per_million), provider="azure")
    book = packaged().with_overrides([own])
    found = book.resolve("azure", "ptu-prod", at=AUTUMN)
    assert found is not None
    assert rate({"input_tokens": MILLION}, found.card).cost == Decimal("18.2500000000")


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("2026-07-01T02:00:00Z", "0.435"),
        ("2026-08-16T15:59:59Z", "0.435"),
        ("2026-08-16T16:00:00Z", "0.66"),
        ("2026-11-16T00:59:59Z", "0.66"),
        ("2026-11-16T01:00:00Z", "1.32"),
        ("2026-11-16T03:59:59Z", "1.32"),
        ("2026-11-16T04:00:00Z", "0.66"),
        ("2026-11-16T05:59:59Z", "0.66"),
        ("2026-11-16T06:00:00Z", "1.32"),
        ("2026-11-16T09:59:59Z", "1.32"),
        ("2026-11-16T10:00:00Z", "0.66"),
        ("2026-11-14T02:00:00Z", "0.66"),
        ("2026-11-15T07:00:00Z", "0.66"),
        ("2026-08-22T02:00:00Z", "1.32"),
        ("2026-08-23T02:00:00Z", "0.66"),
        ("2026-10-01T02:00:00Z", "0.66"),
        ("2026-10-08T02:00:00Z", "1.32"),
    ],
)
def test_row_15_deepseek_peak_hours(when: str, expected: str) -> None:
    """Flat before the change; then Beijing office hours, at first daily, later on working days."""
    rated = cost("deepseek", "deepseek-v4-pro", {"input_tokens": MILLION}, when=at(when))
    assert rated == Decimal(expected)


def test_row_16_embedding_and_rerank() -> None:
    embedded = cost("openai", "text-embedding-3-small", {"input_tokens": 1_000_003})
    assert embedded == Decimal("0.0200000600")
    assert cost("cohere", "rerank-v3.5", {"rerank_searches": 7}) == Decimal("0.0140000000")


@pytest.mark.parametrize(
    "model", ["ft:gpt-4o-2024-08-06:acme::a1b2", "ft:gpt-4o", "ft:gpt-4o:acme::x"]
)
def test_row_17_fine_tuned(model: str) -> None:
    usage = {"input_tokens": 10_000, "output_tokens": 1000}
    assert cost("openai", model, usage) == Decimal("0.0525000000")


def test_row_18_characters_seconds_and_requests() -> None:
    assert cost("openai", "tts-1", {"input_characters": 12_345}) == Decimal("0.1851750000")
    sonar = cost("perplexity", "sonar", {"input_tokens": 100, "output_tokens": 500})
    assert sonar == Decimal("0.0126000000")


@pytest.mark.parametrize(("seconds", "billed"), [(3, 10), (10, 10), (11, 11)])
def test_row_18_groq_whisper_bills_ten_seconds_at_least(seconds: int, billed: int) -> None:
    rated = price("groq", "whisper-large-v3", {"audio_seconds": seconds})
    exact = Fraction(billed) * Fraction("0.111") / 3600
    assert rated.cost == round(Decimal(exact.numerator) / exact.denominator, 10)
    assert rated.cost != Decimal(0)


def test_row_18_three_seconds_of_whisper() -> None:
    assert cost("groq", "whisper-large-v3", {"audio_seconds": 3}) == Decimal("0.0003083333")


@pytest.mark.parametrize(
    ("when", "expected"), [("2025-06-09T23:59:59Z", "1.2"), ("2025-06-10T00:00:00Z", "0.24")]
)
def test_row_19_price_of_the_day(when: str, expected: str) -> None:
    usage = {"input_tokens": 100_000, "output_tokens": 5_000}
    assert cost("openai", "o3", usage, when=at(when)) == Decimal(expected)


def test_row_20_negotiated_discount_keeps_the_list_cost_apart() -> None:
    discount = Adjustment("d12", "12% off", Decimal("0.88"), None, "contract")
    searches = Adjustment(
        "d12s", "12% off", Decimal("0.88"), frozenset({"web_searches"}), "contract"
    )
    rules = [AdjustmentRule(discount, "anthropic"), AdjustmentRule(searches, "anthropic")]
    found = (
        packaged()
        .with_overrides(adjustments=rules)
        .resolve("anthropic", "claude-sonnet-4-5", at=AUTUMN)
    )
    assert found is not None
    usage = {"input_tokens": 1000, "output_tokens": 500, "web_searches": 3}
    rated = rate(usage, found.card, found.adjustments)
    assert (rated.cost, rated.list_cost) == (Decimal("0.0356400000"), Decimal("0.0405000000"))


def test_row_21_cohere_billed_units() -> None:
    usage = {"input_tokens": 13, "output_tokens": 8}
    assert cost("cohere", "command-r-plus", usage) == Decimal("0.0001125000")


def test_row_22_gemini_cache_storage_is_its_own_kind() -> None:
    """100,000 cached tokens for 12 hours at 4.50 per million and hour."""
    usage = {"cache_storage_token_hours": 1_200_000}
    assert cost("google", "gemini-2.5-pro", usage) == Decimal("5.4000000000")


def test_rounding_happens_once_and_half_to_even() -> None:
    """0.03317125245 is ...2524 in ten places, ...2525 under half-up."""
    given = RateCard("x", "p", "m", {"input_tokens": KindPrice(Decimal("0.03317125245"), 1)})
    assert rate({"input_tokens": 1}, given).cost == Decimal("0.0331712524")
