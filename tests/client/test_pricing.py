from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from llm_cost_ops.client.rows import Estimate, Price
from llm_cost_ops.exceptions import NotFoundError, ValidationError
from llm_cost_ops.testing import FakeServer

STRUCTURE = {
    "type": "per_token",
    "input_price_per_million": 10.0,
    "output_price_per_million": 30.0,
    "cached_input_discount": 0.5,
}
NEW = {"provider": "openai", "model": "own", "pricing_structure": STRUCTURE, "currency": "USD"}


def test_create_update_get(api: Any, fake: FakeServer) -> None:
    created = api(api.pricing.create, **NEW, effective_date="2025-01-01")
    assert isinstance(created, Price)
    updated = api(
        api.pricing.update,
        pricing_id=created.id,
        input_price_per_million=9.0,
        output_price_per_million=27.0,
        effective_date="2025-02-01",
    )
    assert updated.version == 2
    sent = json.loads(fake.requests[-1].body)
    assert sent == {
        "effective_date": "2025-02-01",
        "pricing_structure": {
            "type": "per_token",
            "input_price_per_million": 9.0,
            "output_price_per_million": 27.0,
        },
    }
    assert updated.pricing_structure.cached_input_discount == 0.5
    assert api(api.pricing.get, updated.id).id == updated.id
    january = api(api.pricing.get, provider="openai", model="own", date="2025-01-31")
    today = api(api.pricing.get, provider="openai", model="own")
    assert updated.id == created.id
    assert (january.version, today.version) == (1, 2)


@pytest.mark.parametrize(
    ("day", "cost"), [("2025-01-31T23:59:59Z", "0.0225"), ("2025-02-01T00:00:00Z", "0.02025")]
)
def test_a_call_is_priced_by_its_own_day(api: Any, day: str, cost: str) -> None:
    created = api(api.pricing.create, **NEW, effective_date="2025-01-01")
    api(
        api.pricing.update, created.id, input_price_per_million=9, output_price_per_million=27,
        effective_date="2025-02-01",
    )  # fmt: skip
    usage = api(
        api.usage.create, provider="openai", model="own", prompt_tokens=1000, cached_tokens=500,
        completion_tokens=500, timestamp=day,
    )  # fmt: skip
    assert usage.total_cost == Decimal(cost)


def test_update_leaves_other_fields_beside_the_structure(api: Any, fake: FakeServer) -> None:
    created = api(api.pricing.create, NEW, effective_date="2025-01-01")
    api(api.pricing.update, created.id, end_date="2026-01-01")
    assert json.loads(fake.requests[-1].body) == {"end_date": "2026-01-01"}
    api(api.pricing.update_pricing, created.id, type="per_request", price_per_request=0.01)
    assert json.loads(fake.requests[-1].body) == {
        "pricing_structure": {"type": "per_request", "price_per_request": 0.01}
    }


def test_list(api: Any) -> None:
    for model in ("a", "b"):
        api(api.pricing.create, {**NEW, "model": model}, effective_date="2025-01-01")
    api(api.pricing.create, {**NEW, "model": "c"}, effective_date="2099-01-01")
    assert {p.model for p in api(api.pricing.list, provider="openai", active=True)} == {
        "a",
        "b",
        "unit-1",
    }
    assert len(api(api.pricing.list_pricing, provider="openai")) == 3
    assert len(api(api.pricing.list_pricing, provider="openai", active=False)) == 4
    assert len(api(api.pricing.list, provider="cohere")) == 0


def test_get_falls_back_on_the_price_book(api: Any) -> None:
    price = api(api.pricing.get_model_pricing, provider="openai", model="gpt-4-turbo")
    assert price.prices.input_tokens.price == 10
    with pytest.raises(NotFoundError, match="Pricing table not found for openai/nothing") as caught:
        api(api.pricing.get, provider="openai", model="nothing")
    assert caught.value.code == "COST_001"
    with pytest.raises(ValidationError):
        api(api.pricing.get, provider="openai")


def test_of_several_prices_the_standard_one_is_got(api: Any) -> None:
    for tier in ("flex", None, "priority"):
        api(api.pricing.create, {**NEW, "service_tier": tier}, effective_date="2025-01-01")
    price = api(api.pricing.get, provider="openai", model="own")
    assert price.get("service_tier") in (None, "standard")


def test_delete_ends_a_price(api: Any, fake: FakeServer) -> None:
    created = api(api.pricing.create, NEW, effective_date="2025-01-01")
    assert api(api.pricing.delete, created.id) is None
    with pytest.raises(NotFoundError):
        api(api.pricing.get, provider="openai", model="own")
    usage = {"provider": "openai", "model": "own", "prompt_tokens": 1, "completion_tokens": 1}
    for at, status in (("2026-03-15T11:59:59Z", "priced"), ("2026-03-15T12:00:00Z", "unpriced")):
        assert api(api.usage.create, usage, timestamp=at).cost_status == status


def test_a_wrong_structure_is_named(api: Any) -> None:
    magic = {**NEW, "pricing_structure": {"type": "magic"}, "effective_date": "2025-01-01"}
    with pytest.raises(ValidationError) as caught:
        api(api.pricing.create, magic)
    assert "pricing_structure.type" in caught.value.field_errors


def test_a_call_waits_for_its_price(api: Any) -> None:
    usage = api(
        api.usage.create, provider="openai", model="own", prompt_tokens=1000, completion_tokens=0
    )
    assert usage.total_cost is None
    (waiting,) = api(api.pricing.unpriced)
    assert (waiting.provider, waiting.model, waiting.unpriced_count) == ("openai", "own", 1)
    api(api.pricing.create, NEW, effective_date="2025-01-01")
    assert api(api.usage.get, usage.id).total_cost == Decimal("0.01")
    assert api(api.pricing.unpriced) == []


def test_rerating_tells_the_difference_before_it_is_made(api: Any, fake: FakeServer) -> None:
    price = api(api.pricing.create, NEW, effective_date="2025-01-01")
    usage = api(
        api.usage.create, provider="openai", model="own", prompt_tokens=1000, completion_tokens=0
    )
    api(api.pricing.update, price.id, input_price_per_million=12, effective_date="2026-01-01")
    span = {"start_date": "2026-03-01", "end_date": "2026-03-31", "model": "own"}
    preview = api(api.pricing.rerate, **span)
    assert json.loads(fake.requests[-1].body) == {**span, "dry_run": True}
    assert (preview.records, preview.old_total) == (1, Decimal("0.01"))
    assert preview.new_total == Decimal("0.012")
    assert api(api.usage.get, usage.id).total_cost == Decimal("0.01")
    done = api(api.pricing.rerate, **span, dry_run=False)
    assert done.difference == Decimal("0.002")
    assert done.rerate_id
    assert api(api.usage.get, usage.id).total_cost == Decimal("0.012")


def test_estimate_cost(api: Any) -> None:
    found = api(
        api.pricing.estimate_cost, provider="openai", model="unit-1", prompt_tokens=1000,
        completion_tokens=0,
    )  # fmt: skip
    assert isinstance(found, Estimate)
    assert found.total_cost == Decimal("0.01")


def test_top_consumers_and_analytics(api: Any, fake: FakeServer) -> None:
    for user, cost in (("a", 1), ("b", 3), ("c", 2)):
        api(api.costs.create, model="m", tokens_used=1, cost=cost, user_id=user)
    api(
        api.usage.create,
        provider="x-ai",
        model="?",
        prompt_tokens=1,
        completion_tokens=1,
        user_id="d",
    )
    top = api(api.analytics.get_top_consumers, "user_id", limit=2)
    assert [(row.user_id, row.total_cost) for row in top] == [("b", 3), ("c", 2)]
    assert top.has_more
    rows = api(api.analytics.query, group_by=["model"], metrics=["total_cost"])
    assert {row.model for row in rows} == {"m", "?"}
    assert fake.requests[-1].path == "/api/v1/analytics"
