"""LiteLLM's names and fields as prices of ours."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tools.prices.pricebuild.litellm import STANDARD, Row, cards_of
from tools.prices.pricebuild.litellm_fields import Field, exact, parse_field, per_second
from tools.prices.pricebuild.litellm_names import Place, place
from tools.prices.pricebuild.rows import Card, Price

CHAT = Place("openai", "m", None, 0)


def entry(**fields: object) -> dict[str, object]:
    """A row as read from the file: decimals as text become exact decimals."""
    return {
        key: Decimal(value) if isinstance(value, str) and value[0].isdigit() else value
        for key, value in {"mode": "chat", **fields}.items()
    }


def cards(where: Place = CHAT, name: str = "m", **fields: object) -> dict[tuple[str, str], Card]:
    return {(c.tier, c.processing): c for c in cards_of(name, entry(**fields), where)}


@pytest.mark.parametrize(
    ("name", "provider", "expected"),
    [
        ("gpt-4o", "openai", Place("openai", "gpt-4o", None, 0)),
        ("azure/eu/gpt-4o", "azure", Place("azure", "gpt-4o", "eu", 0)),
        ("azure/global-standard/gpt-4o", "azure", Place("azure", "gpt-4o", "global", 0)),
        ("azure/us-gov/gpt-4o", "azure", Place("azure", "gpt-4o", "us-gov", 0)),
        ("azure/mistral-large-latest", "azure", Place("azure", "mistral-large-latest", None, 2)),
        ("azure_ai/deepseek-r1", "azure_ai", Place("azure", "deepseek-r1", None, 1)),
        ("bedrock/us-gov-west-1/a.b", "bedrock", Place("aws", "a.b", "us-gov-west-1", 1)),
        ("bedrock/invoke/a.b", "bedrock", Place("aws", "a.b", None, 1)),
        ("bedrock/*/1-month-commitment/a.b", "bedrock", None),
        ("gemini/gemini-x", "gemini", Place("google", "gemini-x", None, 0)),
        ("vertex_ai/gemini-x", "vertex_ai-language-models", Place("google", "gemini-x", None, 2)),
        ("gemini-x", "vertex_ai-language-models", Place("google", "gemini-x", None, 3)),
        ("together-ai-4.1b-8b", "together_ai", None),
        ("fireworks-ai-default", "fireworks_ai", None),
        ("ollama/llama", "ollama", None),
        ("sample_spec", "one of https://docs.litellm.ai/docs/providers", None),
    ],
)
def test_places(name: str, provider: str, expected: Place | None) -> None:
    assert place(name, provider) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("input_cost_per_token", Field("input_tokens", None, STANDARD, 1_000_000)),
        (
            "cache_creation_input_token_cost_above_1hr_above_200k_tokens",
            Field("cache_write_1h_tokens", 200_000, STANDARD, 1_000_000),
        ),
        (
            "output_cost_per_token_above_272k_tokens_priority",
            Field("output_tokens", 272_000, ("priority", "realtime"), 1_000_000),
        ),
        (
            "ocr_cost_per_page_batches",
            Field("input_document_pages", None, ("standard", "batch"), 1000),
        ),
        ("max_tokens", None),
        ("input_cost_per_token_sometimes", None),
        ("output_cost_per_second_1080p", None),
    ],
)
def test_fields(name: str, expected: Field | None) -> None:
    assert parse_field(name) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Decimal("3.625e-9"), Decimal("3.625e-9")),
        (2, Decimal(2)),
        (0, Decimal(0)),
        (Decimal("4.5000000000000003e-07"), Decimal("4.5e-7")),
        (Decimal("0.15000999999999998e-6"), Decimal("0.15001e-6")),
        (Decimal("-1"), None),
        (True, None),
        ("1", None),
        (None, None),
        (Decimal("Infinity"), None),
    ],
)
def test_exact_numbers(value: object, expected: Decimal | None) -> None:
    assert exact(value) == expected


def test_a_rounded_price_per_second_is_put_back_to_its_price_per_hour() -> None:
    assert per_second(Decimal("0.000833333333333")) == Price(Decimal(3), 3600)
    assert per_second(Decimal("0.0001")) == Price(Decimal("0.36"), 3600)


def test_contexts_are_cards_of_their_own() -> None:
    found = cards(
        input_cost_per_token="2e-06",
        output_cost_per_token="8e-06",
        input_cost_per_token_batches="1e-06",
        input_cost_per_token_flex="1.5e-06",
        search_context_cost_per_query={"low": Decimal("0.01"), "high": Decimal("0.01")},
    )
    assert found.keys() == {STANDARD, ("standard", "batch"), ("flex", "realtime")}
    assert found[("standard", "batch")].prices == {
        "input_tokens": Price(Decimal(1)),
        "web_searches": Price(Decimal(10), 1000),
    }, "a kind without a batch price is not given the standard one"


def test_a_context_that_is_not_listed_has_no_card() -> None:
    assert cards(input_cost_per_token="2e-06").keys() == {STANDARD}


def test_tiers_belong_to_their_context() -> None:
    found = cards(
        input_cost_per_token="1e-06",
        input_cost_per_token_above_200k_tokens="2e-06",
        input_cost_per_token_priority="3e-06",
        output_cost_per_token_above_200k_tokens="9e-06",
    )
    assert found[STANDARD].prices["input_tokens"].tiers == ((200_000, Decimal(2), False),)
    assert found[("priority", "realtime")].prices["input_tokens"].tiers == ()
    assert "output_tokens" not in found[STANDARD].prices, "a tier without a base price"


def test_the_threshold_of_xai_is_inclusive() -> None:
    found = cards(
        Place("x-ai", "grok", None, 1),
        input_cost_per_token="1e-06",
        input_cost_per_token_above_200k_tokens="2e-06",
    )
    assert found[STANDARD].prices["input_tokens"].tiers == ((200_000, Decimal(2), True),)


def test_zeros_are_dropped() -> None:
    assert cards(input_cost_per_token=0, output_cost_per_token="0.0") == {}


def test_ranges_of_whole_requests() -> None:
    found = cards(
        tiered_pricing=[
            {"range": [0, 32_000], "input_cost_per_token": Decimal("1e-6")},
            {"range": [32_000, 128_000], "input_cost_per_token": Decimal("2e-6")},
            {"max_results_range": [0, 5], "input_cost_per_query": Decimal("1")},
        ]
    )
    assert found[STANDARD].prices == {
        "input_tokens": Price(Decimal(1), 1_000_000, ((32_000, Decimal(2), False),))
    }


def test_ranges_that_do_not_start_at_zero_are_not_taken() -> None:
    ranges = [{"range": [10, 20], "input_cost_per_token": Decimal("1e-6")}]
    assert cards(tiered_pricing=ranges) == {}


@pytest.mark.parametrize(
    ("mode", "field", "value", "kind", "price"),
    [
        ("audio_transcription", "input_cost_per_second", "0.0001", "audio_seconds", "0.36/3600"),
        ("realtime", "input_cost_per_second", "0.0001", "audio_seconds", "0.36/3600"),
        ("video_generation", "output_cost_per_second", "0.1", "output_video_seconds", "0.1/1"),
        ("chat", "output_cost_per_video_per_second", "0.1", "output_video_seconds", "0.1/1"),
        ("image_generation", "output_cost_per_image", "0.04", "output_images", "0.04/1"),
        ("rerank", "input_cost_per_query", "0.002", "rerank_searches", "2/1000"),
        ("search", "input_cost_per_query", "0.002", "web_searches", "2/1000"),
        ("chat", "input_cost_per_request", "0.005", "requests", "5/1000"),
        ("chat", "code_interpreter_cost_per_session", "0.03", "code_executions", "30/1000"),
        ("chat", "input_cost_per_text_message", "0.004", "input_text_messages", "4/1000"),
        ("audio_speech", "input_cost_per_character", "1.5e-05", "input_characters", "15/1000000"),
    ],
)
def test_other_meters(mode: str, field: str, value: str, kind: str, price: str) -> None:
    amount, per = price.split("/")
    found = cards(mode=mode, **{field: value})[STANDARD].prices[kind]  # pyright: ignore[reportArgumentType]
    assert found == Price(Decimal(amount), int(per))


def test_what_token_prices_bill_is_not_billed_again() -> None:
    found = cards(
        mode="audio_transcription", input_cost_per_token="1e-6", input_cost_per_second="1"
    )
    assert found[STANDARD].prices.keys() == {"input_tokens"}


def test_a_sized_image_row_prices_the_image() -> None:
    sized = cards(name="low/1024-x-1024/m", mode="image_generation", input_cost_per_image="0.009")
    assert sized[STANDARD].prices == {"output_images": Price(Decimal("0.009"), 1)}
    assert cards(mode="image_generation", input_cost_per_image="0.009") == {}


def test_search_prices_that_depend_on_the_context_size_are_not_guessed() -> None:
    sizes = {"low": Decimal("0.005"), "high": Decimal("0.012")}
    found = cards(input_cost_per_token="1e-6", search_context_cost_per_query=sizes)
    assert found[STANDARD].prices.keys() == {"input_tokens"}


def test_modalities_by_flag_and_by_list() -> None:
    row = Row(CHAT, {"supports_vision": True, "supported_modalities": ["text", "audio"]})
    assert row.accepts == {"image", "audio"}
