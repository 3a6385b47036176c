from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from llm_cost_ops import AsyncCostOpsClient, CostOpsClient
from llm_cost_ops.client.estimate import estimate_offline, packaged_book
from llm_cost_ops.client.pages import Page
from llm_cost_ops.client.rows import Estimate
from llm_cost_ops.exceptions import ValidationError

SHARED = Path(os.environ.get("COST_OPS_SHARED", Path(__file__).resolve().parents[3] / "shared"))
CASES = SHARED / "cases" / "cost_cases.jsonl"
PRICES = {
    "input_tokens": {"price": "2.5", "per": 1_000_000},
    "output_tokens": {"price": 10, "per": 1_000_000},
}


@pytest.fixture(params=[CostOpsClient, AsyncCostOpsClient])
def client(request: pytest.FixtureRequest) -> Any:
    return request.param(base_url="http://nobody.invalid")


def test_one_call_by_keywords(client: Any) -> None:
    found = client.estimate(
        provider="openai", model="gpt-4o", prompt_tokens=1000, completion_tokens=500, prices=PRICES
    )
    assert isinstance(found, Estimate)
    assert found.total_cost == Decimal("0.0075")
    assert [(line.kind, line.amount) for line in found.lines] == [
        ("input_tokens", Decimal("0.0025")),
        ("output_tokens", Decimal("0.005")),
    ]
    assert json.loads(json.dumps(found.to_dict()))["total_cost"] == 0.0075


def test_one_item_and_many(client: Any) -> None:
    item = {"provider": "openai", "model": "gpt-4o", "usage": {"input_tokens": 4}, "prices": PRICES}
    assert client.estimate(item).total_cost == Decimal("0.00001")
    page = client.estimate([item, {**item, "id": "b"}])
    assert isinstance(page, Page)
    assert [row.id for row in page] == [None, "b"]
    assert page.total_cost == Decimal("0.00002")
    assert client.estimate([]) == []


def test_the_packaged_book_prices_by_the_day(client: Any) -> None:
    found = client.estimate(
        provider="openai", model="gpt-4-turbo", prompt_tokens=1000, completion_tokens=500,
        timestamp=datetime(2025, 1, 15, tzinfo=UTC),
    )  # fmt: skip
    assert found.total_cost == Decimal("0.025")
    assert found.price_version
    assert found.matched.rule == "exact"
    same = client.estimate(
        provider="openai", model="gpt-4-turbo", prompt_tokens=1000, completion_tokens=500,
        date=date(2025, 1, 15),
    )  # fmt: skip
    assert same.total_cost == found.total_cost


def test_a_model_without_a_price_is_not_free(client: Any) -> None:
    found = client.estimate(
        provider="openai", model="no-such-model", prompt_tokens=1, completion_tokens=1
    )
    assert (found.cost_status, found.total_cost) == ("unpriced", None)
    assert "no price for openai/no-such-model" in found.warnings[0]


def test_a_raw_response(client: Any) -> None:
    response = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "gpt-4o",
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }
    found = client.estimate(provider="openai", response=response, prices=PRICES)
    assert found.total_cost == Decimal("0.000075")


@pytest.mark.parametrize(
    ("item", "field"),
    [
        ({"model": "m", "prompt_tokens": 1}, "provider"),
        ({"provider": "openai", "model": "m"}, "usage"),
        ({"provider": "openai", "model": "m", "prompt_tokens": -1}, "input_tokens"),
        ({"provider": "openai", "model": "m", "usage": {}, "oops": 1}, "oops"),
        ({"provider": "openai", "model": "m", "prompt_tokens": 1, "date": "soon"}, "date"),
    ],
)
def test_a_wrong_item_is_named(client: Any, item: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        client.estimate(item)
    assert any(field in name for name in caught.value.field_errors)
    assert caught.value.status_code == 0


def test_two_ways_to_say_it_are_refused(client: Any) -> None:
    with pytest.raises(ValidationError, match="not two of them"):
        client.estimate(provider="openai", model="m", prompt_tokens=1, usage={"input_tokens": 1})


def test_local_arithmetic(client: Any) -> None:
    assert client.calculate_cost(1000, 0.03) == Decimal("0.03")
    assert client.calculate_cost(1000, 0.03) == 0.03


def test_the_book_is_read_once() -> None:
    assert packaged_book() is packaged_book()


@pytest.mark.skipif(not CASES.exists(), reason="COST_OPS_SHARED has no cases")
def test_shared_cases_are_exact() -> None:
    items = [json.loads(line) for line in CASES.read_text(encoding="utf-8").splitlines()]
    page = estimate_offline(items, {}, now=datetime(2026, 1, 1, tzinfo=UTC))
    assert len(page) == len(items)
    wrong = [
        item["id"]
        for item, found in zip(items, page, strict=True)
        if found.total_cost != Decimal(item["expected_cost_usd_10dp"])
    ]
    assert not wrong
