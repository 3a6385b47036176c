"""The fake itself: users of the SDK trust it in their tests."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_cost_ops.exceptions import (
    ConflictError,
    NetworkError,
    PermissionDenied,
    ServerError,
    ValidationError,
)
from llm_cost_ops.testing import FakeServer
from llm_cost_ops.testing.server import ADDRESS

CALL: dict[str, Any] = {
    "provider": "openai",
    "model": "unit-1",
    "prompt_tokens": 1000,
    "completion_tokens": 500,
}


def test_it_is_reached_three_ways(fake: FakeServer) -> None:
    with requests.Session() as session:
        fake.mount(session, "http://mine.test")
        assert session.get("http://mine.test/health").json()["status"] == "healthy"
    with httpx.Client(transport=fake.transport()) as http:  # type: ignore[arg-type]
        assert http.get(f"{ADDRESS}/health").json()["status"] == "healthy"
    with fake.serve() as url, requests.Session() as session:
        assert session.get(f"{url}/health").json()["status"] == "healthy"
        assert session.get(f"{url}/nothing").status_code == 404
        assert session.put(f"{url}/health").status_code == 405
    assert [r.path for r in fake.requests][:3] == ["/health"] * 3


@given(st.lists(st.tuples(st.integers(0, 10**7), st.integers(1, 10**7)), max_size=20))
@settings(max_examples=25, deadline=None)
def test_its_money_is_exact(calls: list[tuple[int, int]]) -> None:
    fake = FakeServer(now=lambda: datetime(2026, 3, 15, tzinfo=UTC))
    fake.prices.add(
        {
            "provider": "openai",
            "model": "odd",
            "prices": {
                "input_tokens": {"price": "0.1234567", "per": 1_000_000},
                "output_tokens": {"price": "9.87654321", "per": 1_000_000},
            },
            "effective_date": "2025-01-01",
        },
        "price_odd",
        fake.now(),
    )
    client = fake.client()
    rows = client.usage.batch_create(
        {"provider": "openai", "model": "odd", "prompt_tokens": a, "completion_tokens": b}
        for a, b in calls
    )
    expected = [
        (Decimal("0.1234567") * a / 10**6 + Decimal("9.87654321") * b / 10**6).quantize(
            Decimal("1E-10")
        )
        for a, b in calls
    ]
    assert [row.total_cost for row in rows] == expected
    assert client.costs.summary().total_cost == sum(expected)
    groups = client.costs.aggregate(group_by=["model"])
    assert sum(group.total_cost for group in groups) == sum(expected)
    client.session.close()


def test_faults_come_in_the_order_they_were_asked_for(fake: FakeServer) -> None:
    client = fake.client(max_retries=0)
    fake.fail_next(500)
    fake.drop_next()
    fake.fail_next(503, retry_after=3, code="BUSY", after_work=True)
    with pytest.raises(ServerError, match="injected 500"):
        client.usage.create(CALL)
    with pytest.raises(NetworkError):
        client.usage.create(CALL)
    assert not fake.rows
    with pytest.raises(ServerError) as caught:
        client.usage.create(CALL)
    assert (caught.value.code, caught.value.response.headers["retry-after"]) == ("BUSY", "3")
    assert len(fake.rows) == 1
    client.usage.create(CALL)
    assert len(fake.rows) == 2


def test_an_idempotency_key_replays_the_first_answer(fake: FakeServer) -> None:
    client = fake.client()
    first = client.usage.create(CALL, event_id="e", idempotency_key="k")
    again = client.usage.create(CALL, event_id="e", idempotency_key="k")
    assert first == again
    with pytest.raises(Exception, match="another body"):
        client.usage.create(CALL, event_id="other", idempotency_key="k")
    assert len(fake.rows) == 1


def test_ids_are_unique_for_ever(fake: FakeServer) -> None:
    client = fake.client()
    result = client.usage.batch_create(
        [
            {**CALL, "event_id": "a"},
            {**CALL, "event_id": "a"},
            {**CALL, "event_id": "a", "user_id": "u"},
        ]
    )
    assert [row.status for row in result] == ["created", "duplicate", "conflict"]
    assert result[0].id == result[1].id
    client.costs.delete(result[0].id)
    assert client.usage.create({**CALL, "event_id": "a"}).id == result[0].id
    assert not fake.rows
    assert client.usage.create({**CALL, "event_id": "a"}, source="other").id != result[0].id


def test_an_atomic_refusal_leaves_no_trace(fake: FakeServer) -> None:
    client = fake.client()
    bad = {**CALL, "prompt_tokens": -1}
    with pytest.raises(ValidationError):
        client.usage.batch_create([{**CALL, "event_id": "a"}, bad], atomic=True)
    assert client.usage.batch_create([{**CALL, "event_id": "a"}]).created == 1


def test_another_organization_is_refused() -> None:
    client = FakeServer(organization_id="org-a").client()
    assert client.usage.create(CALL).organization_id == "org-a"
    for call in (
        lambda: client.usage.create(CALL, organization_id="org-b"),
        lambda: client.usage.batch_create([{**CALL, "organization_id": "org-b"}]),
        lambda: client.costs.list(organization_id="org-b"),
    ):
        with pytest.raises(PermissionDenied):
            call()


@pytest.mark.parametrize(
    ("change", "errors"),
    [
        ({"provider": None}, {"provider": "is required"}),
        ({"model": None}, {"model": "is required"}),
        ({"completion_tokens": None}, {"completion_tokens": "is required"}),
        ({"prompt_tokens": -1}, {"prompt_tokens": "must be greater than 0"}),
        ({"completion_tokens": -1}, {"completion_tokens": "must be greater than or equal to 0"}),
        ({"prompt_tokens": 0, "completion_tokens": 0}, {"prompt_tokens": "must be greater than 0"}),
        ({"prompt_tokens": 1.5}, {"prompt_tokens": "must be an integer"}),
        ({"prompt_tokens": True}, {"prompt_tokens": "must be an integer"}),
        ({"cached_tokens": 1001}, {"cached_tokens": "must not exceed prompt_tokens"}),
        ({"reasoning_tokens": 501}, {"reasoning_tokens": "must not exceed completion_tokens"}),
        ({"total_tokens": 1},
         {"total_tokens": "must be the sum of prompt_tokens and completion_tokens"}),
        ({"oops": 1}, {"oops": "is not a known field"}),
        ({"metadata": [1]}, {"metadata": "must be an object"}),
        ({"timestamp": "soon"}, {"timestamp": "must be in ISO 8601 format (YYYY-MM-DD)"}),
        ({"usage": {"input_tokens": 1}},
         {"usage": "must not be given together with prompt_tokens"}),
    ],
)  # fmt: skip
def test_a_false_record_is_refused_in_the_documented_words(
    fake: FakeServer, change: dict[str, Any], errors: dict[str, str]
) -> None:
    with pytest.raises(ValidationError) as caught:
        fake.client().usage.create({**CALL, **change})
    assert caught.value.field_errors == errors
    assert caught.value.request_id
    assert not fake.rows


@pytest.mark.parametrize(
    "change", [{"cached_tokens": 1000}, {"reasoning_tokens": 500}, {"completion_tokens": 0}]
)
def test_the_other_side_of_each_bound_is_accepted(fake: FakeServer, change: dict[str, Any]) -> None:
    fake.client().usage.create({**CALL, **change})
    assert len(fake.rows) == 1


def test_a_body_that_is_no_json_is_a_400(fake: FakeServer) -> None:
    for body in (b"{", b"[1, NaN]", b"\xff"):
        answer = fake.handle("POST", f"{ADDRESS}/api/v1/usage", {}, body)
        assert answer.status == 400
        assert json.loads(answer.body)["error"]["code"] == "INVALID_REQUEST"


def test_raw_responses_are_read_like_the_server_does(fake: FakeServer) -> None:
    response = {
        "id": "msg_1", "type": "message", "model": "claude-3-5-sonnet-20241022",
        "usage": {"input_tokens": 100, "cache_read_input_tokens": 50, "output_tokens": 20},
    }  # fmt: skip
    usage = fake.client().usage.create(provider="anthropic", response=response)
    assert usage.model == "claude-3-5-sonnet-20241022"
    assert usage.usage.input_tokens == 150
    assert usage.cached_tokens == 50


def test_time_zones_cut_days(fake: FakeServer) -> None:
    client = fake.client()
    client.costs.create(model="m", tokens_used=1, cost=1, timestamp="2026-03-08T04:30:00Z")
    for zone, day in (("UTC", "2026-03-08"), ("America/New_York", "2026-03-07")):
        assert client.costs.aggregate(group_by="day", timezone=zone)[0].day == day
    with pytest.raises(ValidationError):
        client.costs.aggregate(group_by="day", timezone="Mars/Olympus")
    with pytest.raises(ValidationError, match="unknown dimension"):
        client.costs.aggregate(group_by="colour")
    with pytest.raises(ValidationError, match="is not a known parameter"):
        client.costs.list(filters={"colour": "red"})


def test_currencies_are_not_added(fake: FakeServer) -> None:
    client = fake.client()
    for currency in ("EUR", "USD"):
        client.costs.create(model="m", tokens_used=1, cost=1, currency=currency)
    summary = client.costs.summary()
    assert summary.total_requests == 2
    assert [(part.currency, part.total_cost) for part in summary.currencies] == [
        ("EUR", 1),
        ("USD", 1),
    ]
    assert (summary.total_cost, summary.currency) == (None, None)
    groups = client.costs.aggregate(group_by="model")
    assert {(group.currency, group.total_cost) for group in groups} == {("EUR", 1), ("USD", 1)}
    assert groups.totals == {"EUR": 1, "USD": 1}


def test_a_conflict_is_a_conflict(fake: FakeServer) -> None:
    client = fake.client()
    client.costs.create(model="m", tokens_used=1, cost=1, event_id="e")
    with pytest.raises(ConflictError):
        client.costs.create(model="m", tokens_used=1, cost=2, event_id="e")
    change = client._caller.write("PATCH", f"/costs/{fake.rows[0]['id']}", {"cost": 5})
    with pytest.raises(ValidationError) as caught:
        client.costs._driver.run(change)
    assert caught.value.field_errors == {"cost": "cannot be changed; only metadata and tags can"}
