"""Estimates: the answer shape, inline prices, the book, responses, and one line per line."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from llm_cost_ops.core import jsontext
from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.estimate import estimate_item, estimate_lines
from llm_cost_ops.core.pricing.book import PriceBook

SHARED = Path(os.environ.get("COST_OPS_SHARED", Path(__file__).parents[3] / "shared"))
NOW = datetime(2026, 11, 15, 12, tzinfo=UTC)
PRICES = {"input_tokens": {"price": "1.25"}, "output_tokens": {"price": "10"}}


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return PriceBook.packaged()


def estimate(book: PriceBook | None = None, **item: Any) -> dict[str, Any]:
    return estimate_item(item, book, now=NOW)


def test_inline_prices_need_no_book() -> None:
    answer = estimate(
        id="a", provider="openai", model="x", usage={"input_tokens": 1000}, prices=PRICES,
        expected_cost_usd="ignored",
    )  # fmt: skip
    assert answer == {
        "id": "a",
        "cost_status": "priced",
        "total_cost": Decimal("0.00125"),
        "currency": "USD",
        "lines": [
            {
                "kind": "input_tokens",
                "quantity": 1000,
                "price": Decimal("1.25"),
                "per": 1_000_000,
                "amount": Decimal("0.00125"),
            }
        ],
        "usage": {"input_tokens": 1000},
        "matched": {"provider": "openai", "model": "x", "rule": "inline"},
        "price_version": None,
        "warnings": [],
    }


def test_the_region_that_a_response_reports_stands(book: PriceBook) -> None:
    usage = {"input_tokens": 1_000_000, "output_tokens": 0, "inference_geo": "us"}
    body = {"type": "message", "model": "claude-sonnet-4-6", "usage": usage}
    answer = estimate(book, provider="anthropic", response=body, region="us-east-1")
    assert (answer["total_cost"], answer["warnings"]) == (Decimal("3.3"), [])


def test_a_region_that_is_only_a_label_is_warned_of(book: PriceBook) -> None:
    answer = estimate(
        book, provider="anthropic", model="claude-sonnet-4-6", usage={"input_tokens": 1_000_000},
        region="x",
    )  # fmt: skip
    assert answer["total_cost"] == Decimal(3)
    assert answer["warnings"] == ["x is no region of anthropic and has no part in the price"]


def test_the_book_prices_by_the_time_of_the_call(book: PriceBook) -> None:
    usage = {"input_tokens": 100_000, "output_tokens": 5_000}
    before = estimate(book, provider="openai", model="o3", usage=usage, date="2025-06-09")
    after = estimate(
        book, provider="openai", model="o3", usage=usage, timestamp="2025-06-10T12:00:00Z"
    )
    assert (before["total_cost"], after["total_cost"]) == (Decimal("1.2"), Decimal("0.24"))
    assert before["price_version"] != after["price_version"]
    assert after["matched"]["rule"] == "exact"


def test_without_a_time_it_is_priced_now(book: PriceBook) -> None:
    answer = estimate(book, provider="openai", model="o3", usage={"input_tokens": 1_000_000})
    assert answer["total_cost"] == 2


def test_a_raw_response_brings_its_model_and_tier(book: PriceBook) -> None:
    body = {
        "id": "x",
        "model": "gpt-4o-2024-08-06",
        "service_tier": "default",
        "usage": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12},
    }
    answer = estimate(book, provider="openai", response=body, service_tier="flex")
    assert answer["matched"]["model"] == "gpt-4o"
    assert answer["usage"] == {"input_tokens": 10, "output_tokens": 2}
    assert answer["total_cost"] == Decimal("0.000045")


def test_a_missing_price_is_a_visible_state(book: PriceBook) -> None:
    answer = estimate(book, provider="openai", model="no-such", usage={"input_tokens": 1})
    assert (answer["cost_status"], answer["total_cost"], answer["matched"]) == (
        "unpriced",
        None,
        None,
    )
    assert answer["warnings"] == ["no price for openai/no-such on 2026-11-15"]
    nameless = estimate(None, provider="aws", usage={"input_tokens": 1})
    assert nameless["warnings"] == ["no price for aws (model not given) on 2026-11-15"]


def test_kinds_without_a_price_are_warned_of() -> None:
    answer = estimate(
        provider="openai", model="m", prices=PRICES,
        usage={"input_tokens": 10, "input_audio_tokens": 4},
    )  # fmt: skip
    assert answer["cost_status"] == "partially_priced"
    assert answer["warnings"] == ["no price for input_audio_tokens"]


@pytest.mark.parametrize(
    ("item", "field"),
    [
        ({}, "provider"),
        ({"provider": ""}, "provider"),
        ({"provider": "openai", "model": 5, "usage": {"input_tokens": 1}}, "model"),
        ({"provider": "openai"}, "usage"),
        ({"provider": "openai", "usage": []}, "usage"),
        ({"provider": "openai", "usage": {"tokens": 1}}, "usage.tokens"),
        ({"provider": "openai", "usage": {"input_tokens": 1}, "response": {}}, "usage"),
        ({"provider": "openai", "response": []}, "response"),
        ({"provider": "openai", "usage": {"input_tokens": 1}, "prices": 1}, "prices"),
        ({"provider": "openai", "usage": {"input_tokens": 1}, "timestamp": "soon"}, "timestamp"),
        ({"provider": "openai", "usage": {"input_tokens": 1}, "date": "soon"}, "date"),
        ({"provider": "openai", "usage": {"input_tokens": 1}, "cost": 1}, "cost"),
    ],
)
def test_refusals_name_the_field(item: dict[str, Any], field: str) -> None:
    with pytest.raises(DomainError) as refused:
        estimate_item(item, None, now=NOW)
    assert refused.value.field == field


def test_a_negotiated_discount_shows_list_and_effective_cost(book: PriceBook) -> None:
    from llm_cost_ops.core.pricing.card import Adjustment
    from llm_cost_ops.core.pricing.regions import AdjustmentRule

    half = Adjustment("d", "half", Decimal("0.5"), None, "contract")
    own = book.with_overrides(adjustments=[AdjustmentRule(half)])
    answer = estimate(own, provider="openai", model="o3", usage={"input_tokens": 1_000_000})
    assert (answer["total_cost"], answer["list_cost"]) == (1, 2)


def test_one_answer_a_line_in_order() -> None:
    good = jsontext.dumps(
        {
            "id": 1,
            "provider": "openai",
            "model": "m",
            "usage": {"input_tokens": 8},
            "prices": PRICES,
        }
    )
    bad = '{"id": 2, "provider": "openai"}'
    answers = list(estimate_lines([good, "\n", bad, "[]", "{", '{"id": []}'], None, now=NOW))
    assert [ok for _, ok in answers] == [True, False, False, False, False]
    assert '"total_cost":0.00001' in answers[0][0]
    assert json.loads(answers[1][0]) == {
        "id": 2,
        "error": {
            "code": "USAGE_001",
            "message": "is required, or response",
            "field_errors": {"usage": "is required, or response"},
        },
    }
    assert [json.loads(text)["id"] for text, _ in answers] == [1, 2, None, None, None]
    assert "field_errors" not in json.loads(answers[3][0])["error"]


@pytest.mark.skipif(not SHARED.exists(), reason="the shared cases are not here")
def test_every_shared_case_with_its_own_prices() -> None:
    lines = (SHARED / "cases" / "cost_cases.jsonl").read_text().splitlines()
    answers = [
        json.loads(text, parse_float=Decimal) for text, _ in estimate_lines(lines, None, now=NOW)
    ]
    expected = [Decimal(json.loads(line)["expected_cost_usd_10dp"]) for line in lines]
    assert [answer["total_cost"] for answer in answers] == expected


@pytest.mark.skipif(not SHARED.exists(), reason="the shared cases are not here")
def test_every_shared_response_means_its_usage(book: PriceBook) -> None:
    lines = (SHARED / "cases" / "provider_responses.jsonl").read_text().splitlines()
    answers = [json.loads(text) for text, _ in estimate_lines(lines, book, now=NOW)]
    assert [a["usage"] for a in answers] == [json.loads(line)["expected_usage"] for line in lines]
