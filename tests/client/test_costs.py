from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from llm_cost_ops import CostRecord
from llm_cost_ops.client.rows import CostSummary, Estimate
from llm_cost_ops.exceptions import NotFoundError, ValidationError
from llm_cost_ops.testing import FakeServer
from tests.client.answering import add, answers

NOW = datetime(2026, 3, 15, 12, 0, tzinfo=UTC)


def test_create_states_the_cost(api: Any) -> None:
    entry = api(
        api.costs.create,
        model="gpt-4",
        tokens_used=1500,
        cost=0.045,
        user_id="user-123",
        metadata={"endpoint": "/api/chat", "temperature": 0.7},
    )
    assert isinstance(entry, CostRecord)
    assert entry.cost == entry.amount == 0.045
    assert (entry.model, entry.tokens_used, entry.user_id) == ("gpt-4", 1500, "user-123")
    assert entry.metadata == {"endpoint": "/api/chat", "temperature": 0.7}
    assert json.loads(json.dumps(entry.to_dict()))["cost"] == 0.045


@pytest.mark.parametrize(
    ("cost", "sent"),
    [(3 * 0.003, "0.009"), (Decimal("0.12345678905"), "0.123456789"), ("1.50", '"1.50"'), (2, "2")],
)
def test_costs_are_rounded_once_and_sent_exactly(
    api: Any, fake: FakeServer, cost: Any, sent: str
) -> None:
    api(api.costs.create, model="m", tokens_used=1, cost=cost)
    assert f'"cost":{sent}' in fake.requests[-1].body.decode()


def test_a_wrong_cost_is_refused(api: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        api(api.costs.create, model="m", tokens_used=1, cost="12 EUR")
    assert "cost" in caught.value.errors
    with pytest.raises(ValidationError):
        api(api.costs.create, model="m", tokens_used=1, cost=float("nan"))


def test_the_life_of_an_entry(api: Any) -> None:
    entry = api(
        api.costs.create, model="gpt-4", tokens_used=1000, cost=0.03, metadata={"test": True}
    )
    assert api(api.costs.get, entry.id).model == "gpt-4"
    assert api(api.costs.get, id=entry.id).id == entry.id
    assert api(api.costs.get, usage_id=entry.id).id == entry.id
    updated = api(api.costs.update, entry.id, metadata={"test": True, "updated": True}, tags=["t"])
    assert updated.metadata.get("updated")
    assert updated.tags == ["t"]
    assert api(api.costs.delete, entry.id) is None
    for again in (api.costs.get, api.costs.delete):
        with pytest.raises(NotFoundError):
            api(again, entry.id)
    with pytest.raises(NotFoundError, match=r"no cost of usage"):
        api(api.costs.get, usage_id=entry.id)


def test_a_lost_delete_is_repeated_without_a_404(api: Any, fake: FakeServer) -> None:
    entry = api(api.costs.create, model="m", tokens_used=1, cost=1)
    fake.drop_next(after_work=True)
    assert api(api.costs.delete, entry.id) is None
    assert [r.method for r in fake.requests] == ["POST", "DELETE", "DELETE"]
    assert not fake.rows


def test_bulk_create_gives_the_entries(api: Any, fake: FakeServer) -> None:
    entries = [{"model": "gpt-4", "tokens_used": n * 100, "cost": n * 0.003} for n in range(1, 11)]
    created = api(api.costs.bulk_create, entries)
    assert len(created) == 10
    assert [entry.model for entry in created] == ["gpt-4"] * 10
    assert created[2].cost == 0.009
    assert sum(entry.cost for entry in created) == Decimal("0.165")
    assert [entry.id for entry in created] == [row["id"] for row in fake.rows]


def test_bulk_create_is_all_or_nothing_unless_told_otherwise(api: Any, fake: FakeServer) -> None:
    entries = [{"model": "m", "tokens_used": 1, "cost": 1}, {"model": "m", "tokens_used": 1}]
    with pytest.raises(ValidationError) as caught:
        api(api.costs.bulk_create, entries)
    assert caught.value.errors == {"records[1].cost": "is required"}
    assert not fake.rows
    result = api(api.costs.bulk_create, entries, atomic=False)
    assert [row.status for row in result] == ["created", "invalid"]
    assert len(fake.rows) == 1


def test_aggregate(api: Any, fake: FakeServer) -> None:
    client = fake.client()
    for provider, model, tokens in (("openai", "unit-1", 1000), ("openai", "unit-1", 3000)):
        client.usage.create(
            provider=provider, model=model, prompt_tokens=tokens, completion_tokens=0
        )
    client.costs.create(model="claude-2", tokens_used=1, cost=Decimal("0.5"), user_id="u")
    groups = api(
        api.costs.aggregate, group_by=["provider", "model"], metrics=["sum", "count", "avg"]
    )
    assert fake.requests[-1].query["group_by"] == ["provider,model"]
    assert fake.requests[-1].query["metrics"] == ["sum,count,avg"]
    assert [(g.provider, g.model, g.total_cost, g.count) for g in groups.data] == [
        ("anthropic", "claude-2", Decimal("0.5"), 1),
        ("openai", "unit-1", Decimal("0.04"), 2),
    ]
    assert groups[1].avg == groups[1].sum / 2 == Decimal("0.02")
    assert f"{groups[0].total_cost:.2f}" == "0.50"
    assert groups.total_cost == Decimal("0.54")


def test_groups_beyond_the_first_answer_are_fetched(
    api: Any, fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = {"data": [{"model": "a", "total_cost": 1}], "has_more": True, "next_cursor": None}
    last = {"data": [{"model": "b", "total_cost": 2}], "has_more": False}
    asked = answers(monkeypatch, fake, first, last)
    groups = api(api.costs.aggregate, group_by="model")
    assert ([g.model for g in groups], groups.total_cost) == (["a", "b"], 3)
    assert asked == ["group_by=model", "group_by=model&offset=1"]
    asked = answers(monkeypatch, fake, first)
    groups = api(api.costs.aggregate, group_by="model", limit=1)
    assert (len(groups), groups.has_more) == (1, True)
    assert asked == ["group_by=model&limit=1"]


def test_summary(api: Any, fake: FakeServer) -> None:
    add(fake, 4)
    fake.client().usage.create(
        provider="openai", model="no-such-model-at-all", prompt_tokens=5, completion_tokens=5
    )
    for method in (api.costs.summary, api.costs.get):
        summary = api(method, start_date="2026-03-01", end_date="2026-03-31")
        assert isinstance(summary, CostSummary)
        assert summary.total_cost == Decimal("0.01")
        assert summary.avg_cost_per_request == Decimal("0.0025")
        assert (summary.total_requests, summary.unpriced_count) == (5, 1)


def test_unknown_cost_is_none_and_in_no_total(api: Any) -> None:
    usage = api(
        api.usage.create, provider="openai", model="no-such-model-at-all", prompt_tokens=5,
        completion_tokens=5,
    )  # fmt: skip
    assert usage.calculated_cost is None
    assert usage.cost_status == "unpriced"
    rows = api(api.costs.list)
    assert rows.total_cost == 0
    with pytest.raises(TypeError):
        sum(row.total_cost for row in rows)


def test_batch_query(api: Any, fake: FakeServer) -> None:
    client = fake.client()
    for user, age in (("a", 1), ("a", 29), ("a", 30), ("b", 2)):
        client.costs.create(
            model="m", tokens_used=1, cost=1, user_id=user, timestamp=NOW - timedelta(days=age)
        )
    found = api(
        api.costs.batch_query, filters=[{"user_id": u, "days": 30} for u in ("a", "b", "c")]
    )
    assert [(row.user_id, row.total_cost, row.total_requests) for row in found] == [
        ("a", 2, 2), ("b", 1, 1), ("c", 0, 0),
    ]  # fmt: skip
    assert len(fake.requests) == 5
    many = api(api.costs.batch_query, filters=({"user_id": str(n)} for n in range(101)))
    assert [row.user_id for row in many] == [str(n) for n in range(101)]
    assert len(fake.requests) == 7
    with pytest.raises(ValidationError) as caught:
        api(api.costs.batch_query, filters=[{"days": "thirty"}])
    assert "days" in caught.value.errors


def test_breakdown_and_query(api: Any, fake: FakeServer) -> None:
    add(fake, 3, user_id="u1")
    add(fake, 1, user_id="u2")
    rows = api(api.costs.breakdown, dimensions=["user_id", "model"], metrics=["sum"])
    assert [(r.dimension, r.value, r.count) for r in rows] == [
        ("user_id", "u1", 3), ("user_id", "u2", 1), ("model", "unit-1", 4),
    ]  # fmt: skip
    found = api(api.costs.query, filters={"cost": {"gte": Decimal("0.002")}, "user_id": "u1"})
    assert [row.cost for row in found] == [Decimal("0.002"), Decimal("0.003")]


def test_tutorial_spellings(api: Any, fake: FakeServer) -> None:
    add(fake, 3)
    assert len(api(api.costs.get_costs, limit=2)) == 2
    rows = api(api.costs.get_cost_breakdown, granularity="month", group_by="model")
    assert [(r.model, r.month, r.count) for r in rows] == [("unit-1", "2026-03", 3)]
    for asked in ({}, {"days": 7}, {"period": "this-month"}):
        rows = api(api.costs.get_cost_trends, **asked)
        assert [(r.day, r.count) for r in rows] == [("2026-03-15", 3)]
    days = [request.query.get("days") for request in list(fake.requests)[-3:]]
    assert days == [["30"], ["7"], None]


def test_estimates_by_the_server(api: Any, fake: FakeServer) -> None:
    one = api(api.costs.estimate, provider="openai", model="unit-1", prompt_tokens=1000,
              completion_tokens=500)  # fmt: skip
    assert isinstance(one[0], Estimate)
    assert one[0].total_cost == Decimal("0.025")
    items = [{"id": n, "provider": "openai", "model": "unit-1", "usage": {"input_tokens": n}}
             for n in (1, 2)]  # fmt: skip
    two = api(api.costs.estimate, items)
    assert [(row.id, row.total_cost) for row in two] == [
        (1, Decimal("0.00001")),
        (2, Decimal("0.00002")),
    ]
    assert not fake.rows
    assert all("idempotency-key" not in request.headers for request in fake.requests)
    with pytest.raises(ValidationError, match="not two of them"):
        api(api.costs.estimate, provider="openai", model="m", prompt_tokens=1, usage={})
    with pytest.raises(ValidationError, match="either a list"):
        api(api.costs.estimate, items, model="m")
