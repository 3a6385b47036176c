"""The documented pricing structures and the `prices` shape."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.pricing import structures
from llm_cost_ops.core.pricing.card import Tier
from llm_cost_ops.core.pricing.structures import parse_prices, parse_structure, structure_cost

PER_TOKEN = {"input_price_per_million": 10, "output_price_per_million": Decimal("30.0")}


def cost(structure: dict[str, Any], usage: dict[str, Any], volume: int = 0) -> Fraction:
    _, kept = parse_structure(structure)
    assert kept is not None
    return structure_cost(kept, usage, volume)


def test_per_token_with_a_cached_input_discount() -> None:
    prices, kept = parse_structure(
        {"type": "per_token", **PER_TOKEN, "cached_input_discount": "0.5"}
    )
    assert kept is None
    assert {kind: price.price for kind, price in prices.items()} == {
        "input_tokens": 10,
        "output_tokens": 30,
        "cache_read_tokens": 5,
    }


def test_per_thousand_is_stored_per_million() -> None:
    prices, _ = parse_structure({"input_price_per_1k": "0.03", "output_price_per_1m": 60})
    assert (prices["input_tokens"].price, prices["output_tokens"].price) == (30, 60)


@pytest.mark.parametrize(
    ("structure", "field"),
    [
        ({"type": "per_hour"}, "type"),
        ({"type": "per_token"}, "input_price_per_million"),
        ({**PER_TOKEN, "price": 1}, "price"),
        ({**PER_TOKEN, "input_price_per_1k": 1}, "input_price_per_1k"),
        ({**PER_TOKEN, "cached_input_discount": Decimal("1.01")}, "cached_input_discount"),
        ({**PER_TOKEN, "cached_input_discount": -1}, "cached_input_discount"),
        ({**PER_TOKEN, "cached_input_discount": 1, "cached_input_price_per_million": 1},
         "cached_input_discount"),
        ({"input_price_per_million": "1E+99"}, "input_price_per_million"),
        ({"type": "per_request"}, "price_per_request"),
        ({"type": "per_request", "price_per_request": -1}, "price_per_request"),
        ({"type": "per_request", "price_per_request": 1, "included_requests": -1},
         "included_requests"),
        ({"type": "per_request", "price_per_request": 1, "overage_price_per_request": 1},
         "overage_price_per_request"),
        ({"type": "per_request", "price_per_request": 1, "x": 1}, "x"),
        ({"type": "tiered", "tiers": []}, "tiers"),
        ({"type": "tiered", "tiers": [1]}, "tiers[0]"),
        ({"type": "tiered", "mode": "both", "tiers": []}, "mode"),
        ({"type": "tiered", "tiers": [{"up_to": 5, "price_per_million": 1}]}, "tiers[0].up_to"),
        ({"type": "tiered", "tiers": [{"price_per_million": 1}, {"price_per_million": 1}]},
         "tiers[0].up_to"),
        ({"type": "tiered", "tiers": [{"up_to": 0, "price_per_million": 1}]}, "tiers[0].up_to"),
        ({"type": "tiered", "tiers": [{"input_price_per_million": 1}]}, "tiers[0]"),
        ({"type": "tiered", "tiers": [{"price_per_million": 1, "cap": 1}]}, "tiers[0].cap"),
        ({"type": "formula"}, "expression"),
        ({"type": "formula", "expression": "1", "x": 1}, "x"),
    ],
)  # fmt: skip
def test_refusals_name_the_field(structure: dict[str, Any], field: str) -> None:
    with pytest.raises(DomainError) as refused:
        parse_structure(structure)
    assert refused.value.field == f"pricing_structure.{field}"


def test_a_bad_formula_is_refused_when_the_price_is_set() -> None:
    with pytest.raises(DomainError):
        parse_structure({"type": "formula", "formula": "input_tokens ** 2"})


@pytest.mark.parametrize(
    ("extra", "volume", "requests", "expected"),
    [
        ({}, 1_000, 2, "0.04"),
        ({"included_requests": 10}, 8, 1, "0"),
        ({"included_requests": 10}, 9, 2, "0.02"),
        ({"included_requests": 10}, 10, 1, "0.02"),
        ({"included_requests": 10, "overage_price_per_request": "0.05"}, 9, 2, "0.07"),
        ({"included_requests": 10, "overage_price_per_request": "0.05"}, 50, 2, "0.10"),
    ],
)
def test_per_request(extra: dict[str, Any], volume: int, requests: int, expected: str) -> None:
    structure = {"type": "per_request", "price_per_request": "0.02", **extra}
    assert cost(structure, {"requests": requests}, volume) == Fraction(expected)


TIERS = [
    {"up_to": 100, "input_price_per_million": 10, "output_price_per_million": 20},
    {"up_to": 200, "price_per_million": 5},
    {"price_per_million": 1},
]


@pytest.mark.parametrize(
    ("mode", "volume", "usage", "millionths"),
    [
        ("graduated", 0, {"input_tokens": 50, "output_tokens": 50}, 50 * 10 + 50 * 20),
        ("graduated", 0, {"input_tokens": 90, "output_tokens": 20}, 900 + 10 * 20 + 10 * 5),
        ("graduated", 150, {"input_tokens": 100}, 50 * 5 + 50 * 1),
        ("graduated", 500, {"input_tokens": 100}, 100),
        ("volume", 0, {"input_tokens": 100}, 1000),
        ("volume", 0, {"input_tokens": 101}, 505),
        ("volume", 100, {"output_tokens": 101}, 101),
    ],
)
def test_tiered(mode: str, volume: int, usage: dict[str, int], millionths: int) -> None:
    structure = {"type": "tiered", "mode": mode, "tiers": TIERS}
    assert cost(structure, usage, volume) == Fraction(millionths, 1_000_000)


@given(st.lists(st.integers(0, 150), min_size=1, max_size=12))
def test_graduated_calls_sum_to_the_graduated_total(calls: list[int]) -> None:
    structure = {
        "type": "tiered",
        "tiers": [{"up_to": 100, "price_per_1k": 3}, {"up_to": 300, "price_per_1k": 2},
                  {"price_per_1k": 1}],
    }  # fmt: skip
    total, volume = Fraction(0), 0
    for tokens in calls:
        total += cost(structure, {"input_tokens": tokens}, volume)
        volume += tokens
    assert total == cost(structure, {"input_tokens": volume})


def test_formulas_are_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structures, "_formulas", {})
    _, kept = parse_structure({"type": "formula", "expression": "requests * 0.5"})
    assert kept is not None
    assert structure_cost(kept, {}, 0) == structure_cost(kept, {}, 0) == Fraction(1, 2)


def test_formula_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structures, "_formulas", dict.fromkeys(map(str, range(1_000))))
    _, kept = parse_structure({"type": "formula", "expression": "requests"})
    assert kept is not None
    assert structure_cost(kept, {}, 0) == 1


@pytest.mark.parametrize(
    ("structure", "metric"),
    [
        (None, None),
        ({"type": "formula", "expression": "1"}, None),
        ({"type": "per_request", "price_per_request": "1"}, None),
        ({"type": "per_request", "price_per_request": "1", "included_requests": 1}, "requests"),
        ({"type": "tiered"}, "total_tokens"),
    ],
)
def test_which_volume_is_needed(structure: dict[str, Any] | None, metric: str | None) -> None:
    assert structures.volume_metric(structure) == metric


def test_prices_shape_with_tiers_in_any_order() -> None:
    prices = parse_prices(
        {
            "input_tokens": {
                "price": "1.5",
                "tiers": [
                    {"above_input_tokens": 200, "price": 3},
                    {"above_input_tokens": 100, "price": "2", "inclusive": True},
                ],
            }
        }
    )
    assert prices["input_tokens"].per == 1_000_000
    assert prices["input_tokens"].tiers == (Tier(100, Decimal(2), True), Tier(200, Decimal(3)))


@pytest.mark.parametrize(
    ("prices", "field"),
    [
        ({"tokens": {"price": 1}}, "prices.tokens"),
        ({"input_tokens": 1}, "prices.input_tokens"),
        ({"input_tokens": {}}, "prices.input_tokens.price"),
        ({"input_tokens": {"price": 1, "unit": 1}}, "prices.input_tokens.unit"),
        ({"input_tokens": {"price": 1, "per": 0}}, "prices.input_tokens.per"),
        ({"input_tokens": {"price": 1, "per": True}}, "prices.input_tokens.per"),
        ({"input_tokens": {"price": 1, "tiers": {}}}, "prices.input_tokens.tiers"),
        ({"input_tokens": {"price": 1, "tiers": [1]}}, "prices.input_tokens.tiers[0]"),
        ({"input_tokens": {"price": 1, "tiers": [{"price": 1}]}},
         "prices.input_tokens.tiers[0].above_input_tokens"),
        ({"input_tokens": {"price": 1, "tiers": [{"above_input_tokens": 1, "price": 1,
                                                  "inclusive": "yes"}]}},
         "prices.input_tokens.tiers[0].inclusive"),
        ({"input_tokens": {"price": 1, "tiers": [{"above_input_tokens": 1}]}},
         "prices.input_tokens.tiers[0].price"),
    ],
)  # fmt: skip
def test_prices_refusals_name_the_field(prices: dict[str, Any], field: str) -> None:
    with pytest.raises(DomainError) as refused:
        parse_prices(prices)
    assert refused.value.field == field
