from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from llm_cost_ops import CostRecord, Page
from llm_cost_ops.client.resources import lists
from llm_cost_ops.client.rows import CostSummary, Estimate
from llm_cost_ops.exceptions import APIError, NotFoundError, ValidationError
from llm_cost_ops.testing import FakeServer
from llm_cost_ops.testing.server import Answer

NOW = datetime(2026, 3, 15, 12, 0, tzinfo=UTC)


def add(fake: FakeServer, count: int, **fields: Any) -> None:
    client = fake.client()
    client.costs.bulk_create(
        {"model": "unit-1", "tokens_used": n, "cost": Decimal(n + 1) / 1000, **fields}
        for n in range(count)
    )
    client.session.close()
    fake.requests.clear()


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


def test_list_without_a_limit_is_the_whole_list(api: Any, fake: FakeServer) -> None:
    add(fake, 2500)
    rows = api(api.costs.list)
    assert isinstance(rows, Page)
    assert len(rows) == len({row.id for row in rows}) == 2500
    assert not rows.has_more
    assert sum(row.total_cost for row in rows.data) == rows.total_cost == Decimal("3126.25")
    assert len(fake.requests) == 3


def test_list_without_a_limit_ends_somewhere(
    api: Any, fake: FakeServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    add(fake, 30)
    monkeypatch.setattr(lists, "LIST_ALL_ROWS", 20)
    rows = api(api.costs.list)
    assert (len(rows), rows.has_more) == (20, True)
    assert "iterate with list_stream()" in caplog.text
    caplog.clear()
    assert len(api(api.costs.list, limit=20)) == 20
    assert not caplog.text


@pytest.mark.parametrize(
    ("limit", "count", "more", "requests"),
    [
        (1, 1, True, 1),
        (999, 999, True, 1),
        (1000, 1000, True, 1),
        (1001, 1001, True, 2),
        (2100, 2100, False, 3),
        (1_000_000, 2100, False, 3),
        (0, 0, False, 0),
    ],
)
def test_a_limit_above_the_servers_is_collected(
    api: Any, fake: FakeServer, limit: int, count: int, more: bool, requests: int
) -> None:
    add(fake, 2100)
    rows = api(api.costs.list, limit=limit)
    assert (len(rows), rows.has_more, len(fake.requests)) == (count, more, requests)
    assert len({row.id for row in rows}) == count


def test_pages(api: Any, fake: FakeServer) -> None:
    add(fake, 250)
    seen: list[str] = []
    page = 1
    while True:
        response = api(api.costs.list, page=page, per_page=100)
        seen += [row.id for row in response.data]
        if not response.has_more:
            break
        page += 1
    assert page == 3
    assert len(set(seen)) == 250
    assert len(fake.requests) == 3


def test_a_page_may_be_sized_by_limit(api: Any, fake: FakeServer) -> None:
    add(fake, 25)
    assert [len(api(api.costs.list, page=n, limit=10)) for n in (1, 2, 3)] == [10, 10, 5]
    assert len(api(api.costs.list, per_page=7)) == 7
    assert len(api(api.costs.list, page_size=8)) == 8


def test_large_pages_are_collected(api: Any, fake: FakeServer) -> None:
    add(fake, 2600)
    first = api(api.costs.list, page=1, per_page=1300)
    second = api(api.costs.list, page=2, per_page=1300)
    assert (len(first), first.has_more, len(second), second.has_more) == (1300, True, 1300, False)
    assert len({row.id for row in (*first, *second)}) == 2600


def test_offsets(api: Any, fake: FakeServer) -> None:
    add(fake, 230)
    rows = [api(api.costs.list, limit=100, offset=offset) for offset in (0, 100, 200, 300)]
    assert [len(page) for page in rows] == [100, 100, 30, 0]
    assert not rows[3]
    assert len({row.id for page in rows for row in page}) == 230


def test_cursors(api: Any, fake: FakeServer) -> None:
    add(fake, 25)
    first = api(api.costs.list, limit=10)
    second = api(api.costs.list, limit=10, cursor=first.next_cursor)
    rest = api(api.costs.list, cursor=second.next_cursor)
    assert [len(page) for page in (first, second, rest)] == [10, 10, 5]
    assert len({row.id for page in (first, second, rest) for row in page}) == 25


@pytest.mark.parametrize("method", ["list_stream", "list_paginated"])
def test_streams(api: Any, fake: FakeServer, method: str) -> None:
    add(fake, 2500)
    rows = api.rows(getattr(api.costs, method), organization_id=None)
    assert len({row.id for row in rows}) == 2500
    assert isinstance(rows[0], CostRecord)
    assert len(fake.requests) == 3
    assert len(api.rows(getattr(api.costs, method), limit=7, page_size=3)) == 7
    assert [r.query["limit"] for r in list(fake.requests)[3:]] == [["3"], ["3"], ["1"]]


def test_a_stream_reads_no_further_than_it_is_asked(fake: FakeServer) -> None:
    add(fake, 2500)
    with fake.client() as client:
        stream = client.costs.list_stream()
        assert not fake.requests
        next(stream)
        assert len(fake.requests) == 1


def answers(monkeypatch: pytest.MonkeyPatch, fake: FakeServer, *bodies: object) -> list[str]:
    """The fake answers these bodies, the last one over and over; gives the queries asked."""
    left = [json.dumps(body).encode() for body in bodies]
    asked: list[str] = []

    def handle(method: str, url: str, headers: Any, body: bytes) -> Answer:
        asked.append(url.partition("?")[2])
        return Answer(200, {}, left.pop(0) if len(left) > 1 else left[0])

    monkeypatch.setattr(fake, "handle", handle)
    return asked


def test_a_list_by_offset_goes_on_by_offset(
    api: Any, fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = {"data": [{"id": "a"}, {"id": "b"}], "has_more": True, "next_cursor": None}
    asked = answers(monkeypatch, fake, page, {**page, "has_more": False})
    assert [row.id for row in api(api.costs.list, offset=4)] == ["a", "b"] * 2
    assert ["offset=4" in asked[0], "offset=6" in asked[1]] == [True, True]


def test_a_server_that_repeats_a_cursor_is_not_followed_for_ever(
    api: Any, fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, fake, {"data": [{"id": "a"}], "has_more": True, "next_cursor": "same"})
    with pytest.raises(APIError, match="same cursor"):
        api(api.costs.list)


@pytest.mark.parametrize("body", [{"data": [], "has_more": True}, [], {"data": []}])
def test_an_empty_page_ends_a_list(
    api: Any, fake: FakeServer, monkeypatch: pytest.MonkeyPatch, body: object
) -> None:
    asked = answers(monkeypatch, fake, body)
    rows = api(api.costs.list)
    assert rows == []
    assert not rows.has_more
    assert len(asked) == 1


def test_a_bare_array_is_a_list(
    api: Any, fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, fake, [{"id": "a", "cost": 0.5}, {"id": "b", "cost": 0.25}])
    assert api(api.costs.list).total_cost == 0.75
    assert len(api(api.costs.list, limit=1)) == 1


@pytest.mark.parametrize("envelope", [False, True])
def test_a_single_object_may_be_wrapped(
    api: Any, fake: FakeServer, monkeypatch: pytest.MonkeyPatch, envelope: bool
) -> None:
    row = {"id": "cost-123", "model": "gpt-4", "tokens_used": 1000, "cost": 0.03}
    answers(monkeypatch, fake, {"data": row} if envelope else row)
    entry = api(api.costs.create, model="gpt-4", tokens_used=1000, cost=0.03)
    assert (entry.id, entry.model, entry.tokens_used) == ("cost-123", "gpt-4", 1000)


def test_data_beside_other_fields_is_a_field(
    api: Any, fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, fake, {"id": "x", "data": {"a": 1}})
    assert api(api.costs.get, "x").data.a == 1


@pytest.mark.parametrize(
    ("body", "text"), [(5, "of type int"), ([], "of type list"), (None, "empty")]
)
def test_an_answer_of_another_shape_is_an_error(
    api: Any, fake: FakeServer, monkeypatch: pytest.MonkeyPatch, body: object, text: str
) -> None:
    answers(monkeypatch, fake, body)
    with pytest.raises(APIError, match=text):
        api(api.costs.get, "x")
    with pytest.raises(APIError):
        api(api.costs.aggregate) if body != [] else api(api.costs.summary)


def test_filters_in_both_documented_shapes(api: Any, fake: FakeServer) -> None:
    client = fake.client()
    for model, user, team in (
        ("a", "u1", "x"),
        ("b", "u1", "y"),
        ("c", "u2", "x"),
        ("a", "u2", "y"),
    ):
        client.costs.create(
            model=model, tokens_used=1, cost=1, user_id=user, metadata={"team": team}, tags=[team]
        )
    assert len(api(api.costs.list, model="a")) == 2
    assert len(api(api.costs.list, filters={"model": ["a", "b"], "user_id": "u1"})) == 2
    assert len(api(api.costs.list, metadata={"team": "x"})) == 2
    assert len(api(api.costs.list, filters={"metadata": {"team": "x"}, "model": ["a"]})) == 1
    assert len(api(api.costs.list, tags=["x"], user_id="u2")) == 1
    ids = [row["id"] for row in fake.rows[1:3]]
    assert {row.id for row in api(api.costs.list, usage_ids=ids)} == set(ids)


def test_fields_and_order(api: Any, fake: FakeServer) -> None:
    add(fake, 5)
    rows = api(
        api.costs.list,
        start_date=NOW - timedelta(days=7),
        end_date=NOW,
        fields=["id", "model", "cost", "created_at"],
        limit=1000,
        order_by=["-cost"],
    )
    assert [row.amount for row in rows] == [Decimal(n) / 1000 for n in (5, 4, 3, 2, 1)]
    assert set(rows[0]) == {"id", "model", "cost", "created_at"}


def test_days_are_whole_and_the_last_one_is_included(api: Any, fake: FakeServer) -> None:
    client = fake.client()
    for day in ("2025-01-31T23:59:59Z", "2025-02-01T00:00:00Z"):
        client.costs.create(model="m", tokens_used=1, cost=1, timestamp=day)
    assert len(api(api.costs.list, start_date="2025-01-01", end_date="2025-01-31")) == 1
    assert len(api(api.costs.list, start_date=date(2025, 1, 31), end_date=date(2025, 2, 1))) == 2
    with pytest.raises(ValidationError) as caught:
        api(api.costs.list, start_date="01/02/2025")
    assert caught.value.errors == {"start_date": "must be in ISO 8601 format (YYYY-MM-DD)"}


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
    for user, age in (("a", 1), ("a", 29), ("a", 31), ("b", 2)):
        client.costs.create(
            model="m", tokens_used=1, cost=1, user_id=user, timestamp=NOW - timedelta(days=age)
        )
    policy = api.client._caller.policy
    object.__setattr__(policy, "now", lambda: NOW)
    found = api(
        api.costs.batch_query, filters=[{"user_id": u, "days": 30} for u in ("a", "b", "c")]
    )
    assert [(row.user_id, row.total_cost, row.total_requests) for row in found] == [
        ("a", 2, 2), ("b", 1, 1), ("c", 0, 0),
    ]  # fmt: skip
    with pytest.raises(ValidationError, match="days"):
        api(api.costs.batch_query, filters=[{"days": "30"}])


def test_breakdown_and_query(api: Any, fake: FakeServer) -> None:
    add(fake, 3, user_id="u1")
    add(fake, 1, user_id="u2")
    rows = api(api.costs.breakdown, dimensions=["user_id", "model"], metrics=["sum"])
    assert [(r.dimension, r.value, r.count) for r in rows] == [
        ("user_id", "u1", 3), ("user_id", "u2", 1), ("model", "unit-1", 4),
    ]  # fmt: skip
    found = api(api.costs.query, filters={"cost": {"gte": Decimal("0.002")}, "user_id": "u1"})
    assert [row.cost for row in found] == [Decimal("0.003"), Decimal("0.002")]


def test_tutorial_spellings(api: Any, fake: FakeServer) -> None:
    add(fake, 3)
    assert len(api(api.costs.get_costs, limit=2)) == 2
    rows = api(api.costs.get_cost_breakdown, granularity="month", group_by="model")
    assert [(r.model, r.month, r.count) for r in rows] == [("unit-1", "2026-03", 3)]
    object.__setattr__(api.client._caller.policy, "now", lambda: NOW)
    rows = api(api.costs.get_cost_trends, days=7)
    assert [(r.day, r.count) for r in rows] == [("2026-03-15", 3)]
    assert fake.requests[-1].query["start_date"] == ["2026-03-08"]


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
