"""What became of each item of a batch: one result per item sent, in the order of sending."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from llm_cost_ops import CostRecord, UsageRecord
from llm_cost_ops.client.pages import BatchResult
from llm_cost_ops.exceptions import ValidationError
from llm_cost_ops.testing import FakeServer

CALL: dict[str, Any] = {
    "provider": "openai",
    "model": "unit-1",
    "prompt_tokens": 1000,
    "completion_tokens": 500,
}
COST: dict[str, Any] = {"model": "m", "tokens_used": 1, "cost": 1.5}
MIXED: list[dict[str, Any]] = [
    {**CALL, "event_id": "new"},
    {**CALL, "event_id": "stored"},
    {**CALL, "event_id": "negative", "prompt_tokens": -1},
    {**CALL, "event_id": "stored", "prompt_tokens": 7},
    {**CALL, "event_id": "unpriced", "model": "nobody-knows"},
    {**CALL, "event_id": "new"},
]
STATUSES = ["created", "duplicate", "invalid", "conflict", "created", "duplicate"]
REFUSED = {
    2: {"prompt_tokens": "must be greater than 0"},
    3: {"event_id": "was already recorded with another payload"},
}


def test_each_item_has_its_fate_in_the_order_of_sending(api: Any, fake: FakeServer) -> None:
    stored = api(api.usage.create, CALL, event_id="stored")
    result = api(api.usage.batch_create, MIXED)
    assert isinstance(result, BatchResult)
    assert all(isinstance(row, UsageRecord) for row in result.results)
    assert [row.index for row in result.results] == list(range(len(MIXED)))
    assert [row.event_id for row in result.results] == [item["event_id"] for item in MIXED]
    assert [row.status for row in result.results] == STATUSES
    assert (result.submitted, result.created, result.duplicates, result.failed) == (6, 2, 2, 2)

    new, known, *_, unpriced, again = result.results
    assert (known.id, again.id) == (stored.id, new.id), "a duplicate names the call stored before"
    assert known.total_cost == again.total_cost == Decimal("0.025")
    assert (unpriced.cost_status, unpriced.total_cost) == ("unpriced", None)
    assert [row["id"] for row in fake.rows] == [stored.id, new.id, unpriced.id]


def test_a_refused_item_says_why_and_costs_nothing(api: Any) -> None:
    api(api.usage.create, CALL, event_id="stored")
    result = api(api.usage.batch_create, MIXED)
    invalid, conflict = result.failures
    assert [(row.index, row.status) for row in result.failures] == [(2, "invalid"), (3, "conflict")]
    assert invalid.error.code == "VALIDATION_ERROR"
    assert invalid.error.message == "prompt_tokens must be greater than 0"
    assert conflict.error.code == "CONFLICT"
    assert {row.index: row.error.field_errors for row in result.failures} == REFUSED
    assert [row.get("total_cost") for row in result.failures] == [None, None]
    assert [row.get("error") for row in result.results if row not in result.failures] == [None] * 4


def test_refused_items_are_raised_by_their_place_with_the_rest_stored(api: Any) -> None:
    api(api.usage.create, CALL, event_id="stored")
    result = api(api.usage.batch_create, MIXED)
    with pytest.raises(ValidationError, match=r"2 of 6 records .* first records\[2\]") as caught:
        result.raise_for_failures()
    assert caught.value.field_errors == {
        "records[2]": "prompt_tokens must be greater than 0",
        "records[3]": "event_id was already recorded with another payload",
    }
    assert caught.value.completed is result


def test_places_count_through_all_batches(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long list goes out in several requests, of which each counts its own from 0."""
    api(api.usage.create, CALL, event_id="stored")
    monkeypatch.setattr("llm_cost_ops.client.resources.records.batches.__defaults__", (2, 10**6))
    result = api(api.usage.batch_create, MIXED)
    assert [row.index for row in result.results] == list(range(len(MIXED)))
    assert [row.status for row in result.results] == STATUSES
    assert {row.index: row.error.field_errors for row in result.failures} == REFUSED


def test_a_batch_sent_again_holds_the_same_calls(api: Any, fake: FakeServer) -> None:
    api(api.usage.create, CALL, event_id="stored")
    first = api(api.usage.batch_create, MIXED)
    second = api(api.usage.batch_create, MIXED)
    again = ["duplicate" if status == "created" else status for status in STATUSES]
    assert [row.status for row in second.results] == again
    assert [row.get("id") for row in second.results] == [row.get("id") for row in first.results]
    assert len(fake.rows) == 3


def test_the_results_of_costs_carry_what_was_sent(api: Any) -> None:
    stored = api(api.costs.create, COST, event_id="stored")
    items = [
        {**COST, "event_id": "new", "cost": 0.25},
        {**COST, "event_id": "stored"},
        {"model": "m", "tokens_used": 3, "event_id": "no-cost"},
        {**COST, "event_id": "stored", "cost": 2},
    ]
    result = api(api.costs.bulk_create, items, atomic=False)
    assert all(isinstance(row, CostRecord) for row in result.results)
    assert [row.status for row in result.results] == STATUSES[:4]
    assert [row.event_id for row in result.results] == [item["event_id"] for item in items]
    new, known, invalid, conflict = result.results
    assert (new.cost, known.cost, known.id) == (Decimal("0.25"), Decimal("1.5"), stored.id)
    assert (invalid.tokens_used, invalid.error.field_errors) == (3, {"cost": "is required"})
    assert (conflict.error.code, conflict.error.field_errors) == ("CONFLICT", REFUSED[3])
