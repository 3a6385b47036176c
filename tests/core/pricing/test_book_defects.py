"""What the public price books get wrong, each as it must be priced instead."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.support.price_books import AUTUMN, at, cost, find, packaged, price

MILLION = 1_000_000


def test_1_hours_dates_and_weekdays_hold_together() -> None:
    usage = {"input_tokens": MILLION}
    before = cost("deepseek", "deepseek-v4-pro", usage, when=at("2026-07-01T02:00:00Z"))
    saturday = cost("deepseek", "deepseek-v4-pro", usage, when=at("2026-11-14T02:00:00Z"))
    friday = cost("deepseek", "deepseek-v4-pro", usage, when=at("2026-11-13T02:00:00Z"))
    assert (before, saturday, friday) == (Decimal("0.435"), Decimal("0.66"), Decimal("1.32"))


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("2025-02-25T17:00:00Z", "0.27"),
        ("2025-02-26T17:00:00Z", "0.135"),
        ("2025-05-14T16:29:59Z", "0.27"),
        ("2025-05-14T16:30:00Z", "0.135"),
        ("2025-05-15T00:29:59Z", "0.135"),
        ("2025-05-15T00:30:00Z", "0.27"),
        ("2025-09-05T17:00:00Z", "0.56"),
        ("2026-01-01T17:00:00Z", "0.28"),
        ("2026-07-24T15:58:59Z", "0.14"),
    ],
)
def test_1_the_night_discount_ended(when: str, expected: str) -> None:
    rated = cost("deepseek", "deepseek-chat", {"input_tokens": MILLION}, when=at(when))
    assert rated == Decimal(expected)


def test_1_a_retired_name_is_unpriced_afterwards() -> None:
    when = at("2026-07-24T15:59:00Z")
    assert packaged().resolve("deepseek", "deepseek-chat", at=when) is None
    reason = packaged().unpriced_reason("deepseek", "deepseek-chat", at=when)
    assert reason == "no_price_at_date"


@pytest.mark.parametrize("context", [{"service_tier": "flex"}, {"service_tier": "turbo"}])
def test_2_a_tier_without_a_row_is_unpriced(context: dict[str, Any]) -> None:
    assert packaged().resolve("openai", "gpt-4o", at=AUTUMN, **context) is None
    reason = packaged().unpriced_reason("openai", "gpt-4o", at=AUTUMN, **context)
    assert reason == "no_price_for_context"


@pytest.mark.parametrize(
    ("provider", "model", "context", "expected"),
    [
        ("openai", "gpt-5", {"processing": "batch"}, "0.625"),
        ("openai", "gpt-5", {"service_tier": "flex"}, "0.625"),
        ("openai", "gpt-5", {"service_tier": "priority"}, "2.5"),
        ("anthropic", "claude-sonnet-4-5", {"processing": "batch"}, "1.5"),
        ("anthropic", "claude-3-opus-20240229", {"processing": "batch"}, "7.5"),
        ("google", "gemini-2.5-pro", {"processing": "batch"}, "0.625"),
    ],
)
def test_2_contexts_are_priced_before_somebody_read_the_page(
    provider: str, model: str, context: dict[str, str], expected: str
) -> None:
    when = at("2025-12-01T00:00:00Z")
    rated = cost(provider, model, {"input_tokens": 100_000}, when=when, **context)
    assert rated == Decimal(expected) / 10


def test_2_an_extended_row_stays_within_its_standard_price() -> None:
    """gpt-5.6-sol was dearer until 2026-08-21: the batch row of after it must not reach before."""
    usage = {"input_tokens": 100_000}
    before = cost(
        "openai", "gpt-5.6-sol", usage, processing="batch", when=at("2026-08-20T00:00:00Z")
    )
    after = cost(
        "openai", "gpt-5.6-sol", usage, processing="batch", when=at("2026-08-21T00:00:00Z")
    )
    assert (before, after) == (Decimal("0.25"), Decimal("0.2"))


def test_2_extended_rows_say_so() -> None:
    assert find("openai", "gpt-5", processing="batch").card.source.endswith("extended by overlay")


def test_2_anthropic_batches_did_not_exist_before_their_release() -> None:
    when = at("2024-10-07T23:59:00Z")
    found = packaged().resolve("anthropic", "claude-3-opus-20240229", at=when, processing="batch")
    assert found is None


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0", "3.6"),
        ("us-gov.anthropic.claude-haiku-4-5-20251001-v1:0", "1.2"),
        ("eu.amazon.nova-lite-v1:0", "0.078"),
        ("eu.amazon.nova-2-lite-v1:0", "0.429"),
        ("jp.amazon.nova-2-lite-v1:0", "0.396"),
        ("us.amazon.nova-2-lite-v1:0", "0.33"),
    ],
)
def test_3_bedrock_geo_specials(model: str, expected: str) -> None:
    assert cost("aws", model, {"input_tokens": 100_000}) == Decimal(expected) / 10


@pytest.mark.parametrize(
    ("provider", "model", "region"),
    [
        ("openai", "gpt-5.4", "br"),
        ("anthropic", "claude-sonnet-4-6", "eu"),
        ("together", "moonshotai/Kimi-K3", "eu"),
        ("aws", "amazon.nova-lite-v1:0", "eu-north-1"),
        ("azure", "phi-4", "us"),
    ],
)
def test_3_a_region_without_a_known_price_is_unpriced(
    provider: str, model: str, region: str
) -> None:
    assert packaged().resolve(provider, model, at=AUTUMN, region=region) is None


@pytest.mark.parametrize(
    ("provider", "model", "region"),
    [
        ("openai", "gpt-5.4", "us-east-1"),
        ("anthropic", "claude-sonnet-4-6", "eu-west-1"),
        ("mistral", "mistral-large-2512", "Frankfurt"),
        ("together", "moonshotai/Kimi-K3", "us-east-1"),
        ("google", "gemini-3.5-flash", "us-east-1"),
        ("azure", "gpt-4o", "us-east-1"),
        ("aws", "amazon.nova-lite-v1:0", "europe-west1"),
    ],
)
def test_3_where_the_application_runs_does_not_change_the_price(
    provider: str, model: str, region: str
) -> None:
    found = find(provider, model, region=region)
    assert (found.card, found.adjustments) == (find(provider, model).card, ())
    assert len(found.warnings) == 1


def test_3_a_region_of_google_is_no_region_of_amazon() -> None:
    uplifted = find("google", "gemini-3.5-flash", region="us-east1")
    assert [a.id for a in uplifted.adjustments] == ["google-regional-endpoint"]
    assert uplifted.warnings == ()


def test_3_a_region_without_uplift_keeps_the_base_price() -> None:
    usage = {"input_tokens": 1000}
    assert cost("openai", "gpt-4o", usage, region="eu") == cost("openai", "gpt-4o", usage)


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-5", "o3", "o4-mini"])
def test_4_azure_global_batch_is_half(model: str) -> None:
    usage = {"input_tokens": 1000, "output_tokens": 1000}
    assert cost("azure", model, usage, processing="batch") * 2 == cost("azure", model, usage)


def test_4_a_fallback_carries_the_standard_price_only() -> None:
    assert find("azure", "gpt-6.1-terra").rule == "provider_fallback"
    contexts: list[dict[str, Any]] = [{"processing": "batch"}, {"service_tier": "flex"}]
    for context in contexts:
        assert packaged().resolve("azure", "gpt-6.1-terra", at=AUTUMN, **context) is None


def test_5_audio_of_the_preview_models_has_its_own_rates() -> None:
    usage = {
        "input_tokens": 1000,
        "input_audio_tokens": 800,
        "output_tokens": 600,
        "output_audio_tokens": 500,
    }
    assert cost("openai", "gpt-4o-audio-preview", usage) == Decimal("0.0735000000")
    assert cost("openai", "gpt-4o-audio-preview-2025-06-03", usage) == Decimal("0.0735000000")


def test_5_a_kind_without_a_price_is_named() -> None:
    usage = {"input_tokens": 1000, "input_audio_tokens": 800, "output_tokens": 10}
    rated = price("openai", "gpt-4o", usage)
    assert (rated.status, rated.missing) == ("partially_priced", ("input_audio_tokens",))


def test_5_text_rate_modalities_are_declared_not_assumed() -> None:
    usage = {"input_tokens": 1000, "input_image_tokens": 900, "output_tokens": 10}
    assert cost("openai", "gpt-4o", usage) == Decimal("0.0026000000")
    assert price("openai", "gpt-3.5-turbo", usage).missing == ("input_image_tokens",)


def test_5_no_declared_kind_has_a_price_of_its_own_in_the_model() -> None:
    for entry in packaged().models():
        priced = {kind for card in entry.cards for kind in card.prices}
        declared = {kind for card in entry.cards for kind in card.inherits}
        assert not priced & declared, f"{entry.provider}/{entry.model}"


def test_6_rerank_images_and_video() -> None:
    assert cost("azure", "cohere-rerank-v4.0-pro", {"rerank_searches": 4}) == Decimal("0.01")
    assert cost("openai", "hd/1024-x-1024/dall-e-3", {"output_images": 3}) == Decimal("0.24")
    assert cost("openai", "sora-2", {"output_video_seconds": 8}) == Decimal("0.8")


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("ft:gpt-4.1-2025-04-14:acme::x", "0.003"),
        ("ft:gpt-4.1-mini-2025-04-14:acme:tag:x", "0.0008"),
        ("ft:gpt-4.1:acme::x", "0.003"),
        ("ft:o4-mini-2025-04-16:acme::x", "0.004"),
        ("ft:gpt-4o-mini-2024-07-18:acme::x", "0.0003"),
        ("ft:gpt-3.5-turbo-0125:acme::x", "0.003"),
    ],
)
def test_8_fine_tuned_models(model: str, expected: str) -> None:
    assert cost("openai", model, {"input_tokens": 1000}) == Decimal(expected)


def test_8_a_fine_tune_never_costs_what_its_base_costs() -> None:
    assert packaged().resolve("openai", "ft:gpt-4-0314:acme::x", at=AUTUMN) is None


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("embed-english-v3.0", "0.1"),
        ("embed-multilingual-light-v3.0", "0.1"),
        ("embed-v4.0", "0.12"),
    ],
)
def test_8_cohere_embeddings(model: str, expected: str) -> None:
    assert cost("cohere", model, {"input_tokens": MILLION}) == Decimal(expected)


def test_8_cohere_embed_v5_is_known() -> None:
    assert find("cohere", "embed-v5.0-pro").card.prices["input_tokens"].price > 0


@pytest.mark.parametrize(
    ("model", "when", "expected"),
    [
        ("mistral-large-latest", "2025-12-01T23:59:59Z", "2"),
        ("mistral-large-latest", "2025-12-02T00:00:00Z", "0.5"),
        ("mistral-large-3", "2026-11-15T00:00:00Z", "0.5"),
        ("ministral-14b-latest", "2026-11-15T00:00:00Z", "0.2"),
        ("mistral-code-latest", "2026-11-15T00:00:00Z", "0.3"),
    ],
)
def test_8_mistral_aliases(model: str, when: str, expected: str) -> None:
    assert cost("mistral", model, {"input_tokens": MILLION}, when=at(when)) == Decimal(expected)


def test_9_the_whisper_minimum_is_data() -> None:
    assert find("groq", "whisper-large-v3-turbo").card.minimums["audio_seconds"] == 10
    assert find("openai", "whisper-1").card.minimums == {}


@pytest.mark.parametrize("model", ["deepseek-r1", "azure_ai/deepseek-r1"])
def test_10_a_host_has_its_own_price(model: str) -> None:
    usage = {"input_tokens": MILLION, "output_tokens": MILLION}
    assert cost("azure", model, usage) == Decimal("6.75")


def test_10_a_name_never_borrows_from_a_provider_that_merely_knows_it() -> None:
    assert packaged().resolve("azure", "deepseek-v4-pro-1", at=AUTUMN) is None
    assert packaged().resolve("groq", "gpt-4o", at=AUTUMN) is None


def test_free_models_are_stated_free() -> None:
    usage = {"input_tokens": 1000, "output_tokens": 10}
    assert cost("openrouter", "deepseek/deepseek-r1:free", usage) == 0
    assert cost("openai", "omni-moderation-latest", {"input_tokens": 7}) == 0


def test_unknown_is_never_zero() -> None:
    """Of all cards, only those that the overlay states free have a zero among their prices."""
    zero = {
        f"{entry.provider}/{entry.model}"
        for entry in packaged().models()
        for card in entry.cards
        if card.source != "overlay" and any(p.price == 0 for p in card.prices.values())
    }
    assert zero == set()


def test_server_side_tools_of_xai_are_billed_by_the_call() -> None:
    usage = {"input_tokens": 1000, "output_tokens": 100, "web_searches": 3, "social_searches": 2}
    tokens = {"input_tokens": 1000, "output_tokens": 100}
    for model in ("grok-4", "grok-4.7", "grok-4-fast"):
        fee = cost("x-ai", model, usage) - cost("x-ai", model, tokens)
        assert fee == Decimal("0.025")
    before = price("x-ai", "grok-4", usage, at("2025-11-18T23:59:59Z"))
    assert before.missing == ("social_searches", "web_searches")


@pytest.mark.parametrize(
    ("provider", "model", "expected"),
    [
        ("google", "gemini-2.5-pro-preview-05-06", "gemini-2.5-pro"),
        ("google", "gemini-2.5-flash-preview-05-20", "gemini-2.5-flash-preview"),
        ("google", "claude-3-5-sonnet-v2@20241022", "claude-3-5-sonnet"),
        ("anthropic", "claude-2.1", "claude-2"),
        ("azure", "tts-hd", "tts-1-hd"),
    ],
)
def test_names_that_the_public_books_leave_out(provider: str, model: str, expected: str) -> None:
    assert find(provider, model).model == expected


def test_flex_on_groq_costs_what_on_demand_does() -> None:
    usage = {"input_tokens": 1000, "cache_read_tokens": 400, "output_tokens": 100}
    standard = cost("groq", "openai/gpt-oss-120b", usage)
    assert cost("groq", "openai/gpt-oss-120b", usage, service_tier="flex") == standard
    assert packaged().resolve("groq", "whisper-large-v3", at=AUTUMN, service_tier="flex") is None


def test_an_arn_of_a_model_states_its_region() -> None:
    arn = "arn:aws:bedrock:{}::foundation-model/meta.llama3-70b-instruct-v1:0".format
    usage = {"input_tokens": MILLION}
    assert cost("aws", arn("us-east-1"), usage) == Decimal("2.65")
    assert cost("aws", arn("eu-west-1"), usage) == Decimal("2.86")
    assert packaged().resolve("aws", arn("eu-north-1"), at=AUTUMN) is None
    profile = "arn:aws:bedrock:eu-north-1:123456789012:inference-profile/eu.amazon.nova-lite-v1:0"
    assert cost("aws", profile, usage) == Decimal("0.078")
