"""Meters, SKU ids and names of sellers and developers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core.focus.entities import model_developer, seller_name, service_name
from llm_cost_ops.core.focus.meters import CALL, meter_of
from llm_cost_ops.core.focus.sku import context_tier, sku_id, sku_price_id
from llm_cost_ops.core.providers.names import PROVIDERS
from llm_cost_ops.core.usage import KINDS, TOKEN_KINDS

UNIT = re.compile(r"(10+ )?[A-Z][a-z]+(-[A-Z][a-z]+)?", re.ASCII)
PART = st.text(st.sampled_from("ab/%2F.- é%C3A9\ud800"), min_size=1, max_size=5)
OPTIONAL = st.none() | PART


def test_every_kind_has_its_own_meter() -> None:
    meters = [CALL, *(meter_of(kind) for kind in KINDS)]
    assert len({meter.slug for meter in meters}) == len(meters)
    assert len({meter.name for meter in meters}) == len(meters)
    for meter in meters:
        assert UNIT.fullmatch(meter.unit)
        assert UNIT.fullmatch(meter.pricing_unit)
        assert meter.pricing_quantity(meter.scale) == 1
        assert (meter.unit == "Tokens") == (meter.kind in TOKEN_KINDS)
        assert (meter.direction is None) == (meter.kind not in TOKEN_KINDS)
        assert meter.cache_action is None or meter.direction == "Input"


@pytest.mark.parametrize(
    ("kind", "name", "unit", "pricing_unit"),
    [
        ("output_audio_tokens", "Audio Output Tokens", "Tokens", "1000000 Tokens"),
        ("cache_image_write_5m_tokens", "Image Cache Write Input Tokens (5m)", "Tokens",
         "1000000 Tokens"),
        ("input_tool_tokens", "Tool Input Tokens", "Tokens", "1000000 Tokens"),
        ("output_citation_tokens", "Citation Output Tokens", "Tokens", "1000000 Tokens"),
        ("cache_storage_token_hours", "Cache Storage Token Hours", "Token-Hours",
         "1000000 Token-Hours"),
        ("input_characters", "Input Characters", "Characters", "1000000 Characters"),
        ("input_document_pages", "Input Document Pages", "Pages", "1000 Pages"),
        ("code_executions", "Code Executions", "Executions", "1000 Executions"),
        ("rerank_searches", "Rerank Searches", "Searches", "1000 Searches"),
        ("output_images", "Output Images", "Images", "Images"),
        ("per_request", "Per Request", "Requests", "Requests"),
    ],
)  # fmt: skip
def test_units_fit_the_kind(kind: str, name: str, unit: str, pricing_unit: str) -> None:
    meter = meter_of(kind)
    assert (meter.name, meter.unit, meter.pricing_unit) == (name, unit, pricing_unit)


def test_prices_of_other_numbers_of_units_are_converted() -> None:
    tokens = meter_of("input_tokens")
    assert tokens.unit_price(Decimal("0.003"), 1000) == 3
    assert tokens.unit_price(Decimal("3"), 1_000_000) == 3
    assert tokens.pricing_quantity(1) == Decimal("0.000001")
    assert meter_of("audio_seconds").unit_price(Decimal(1), 3600) == Decimal(
        "0.00027777777777777778"
    )


@given(st.tuples(PART, PART, PART, OPTIONAL, OPTIONAL, OPTIONAL, OPTIONAL), st.data())
def test_no_two_skus_share_a_price_id(parts: Sequence[str], data: st.DataObject) -> None:
    other = data.draw(st.tuples(PART, PART, PART, OPTIONAL, OPTIONAL, OPTIONAL, OPTIONAL))
    ids: list[tuple[str, str]] = []
    for provider, model, slug, tier, processing, region, context in (parts, other):
        sku = sku_id(provider, model, slug)
        price = sku_price_id(
            sku, service_tier=tier, processing=processing, region=region, context=context
        )
        ids.append((sku, price))
    assert all(text.isascii() for pair in ids for text in pair)
    if ids[0][1] == ids[1][1]:
        assert ids[0][0] == ids[1][0]
    assert (ids[0][0] == ids[1][0]) == (tuple(parts[:3]) == other[:3])


@pytest.mark.parametrize(
    ("provider", "model", "slug", "sku"),
    [
        ("a/b", "c", "d", "a%2Fb/c/d"),
        ("a", "b/c", "d", "a/b/c/d"),
        ("a", "ü%C3%BC", "b", "a/%C3%BC%25C3%25BC/b"),
    ],
)
def test_parts_of_a_sku_are_escaped(provider: str, model: str, slug: str, sku: str) -> None:
    assert sku_id(provider, model, slug) == sku


def test_a_price_id_names_the_region_of_the_call_and_any_where_none_was_named() -> None:
    assert sku_price_id("a/b/c", region="eu") == "a/b/c/standard/realtime/eu/any"
    assert sku_price_id("a/b/c", context="gt200k") == "a/b/c/standard/realtime/any/gt200k"


@pytest.mark.parametrize(
    ("tokens", "bounds", "tier"),
    [
        (5, [], None),
        (200_000, [200_000], "le200k"),
        (200_001, [200_000], "gt200k"),
        (199_999, [199_999], "lt200k"),
        (200_000, [199_999], "ge200k"),
        (128_001, [128_000, 200_000], "gt128k-le200k"),
        (300_000, [128_000, 200_000], "gt200k"),
        (0, [128_500], "le128500"),
        (128_501, [128_500], "gt128500"),
        (1, [0], "gt0"),
    ],
)
def test_prompt_sizes_are_named_by_their_bounds(
    tokens: int, bounds: list[int], tier: str | None
) -> None:
    assert context_tier(tokens, bounds) == tier


@pytest.mark.parametrize(
    ("model", "developer"),
    [
        ("claude-sonnet-4-5", "Anthropic"),
        ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", "Anthropic"),
        ("anthropic/claude-opus-4", "Anthropic"),
        ("GPT-5-mini", "OpenAI"),
        ("o3", "OpenAI"),
        ("eu.amazon.nova-pro-v1:0", "Amazon"),
        ("meta-llama/Llama-3.3-70B", "Meta"),
        ("grok-4", "xAI"),
        ("groked", None),
        ("our-own-model", None),
        ("us", None),
    ],
)
def test_developers_are_told_by_names_or_not_at_all(model: str, developer: str | None) -> None:
    assert model_developer(model) == developer


def test_every_provider_has_a_name_for_itself_and_its_service() -> None:
    assert (seller_name("aws"), service_name("aws")) == ("AWS", "Amazon Bedrock")
    assert (seller_name("lmstudio"), service_name("lmstudio")) == ("lmstudio", "lmstudio API")
    for provider in PROVIDERS:
        assert seller_name(provider).strip()
        assert service_name(provider).strip()
