from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops import UsageRecord
from llm_cost_ops.client.pages import BatchResult
from llm_cost_ops.client.resources.records import batches, identified
from llm_cost_ops.exceptions import (
    APIError,
    ConflictError,
    NotFoundError,
    ServerError,
    ValidationError,
)
from llm_cost_ops.testing import FakeServer

CALL: dict[str, Any] = {
    "provider": "openai",
    "model": "unit-1",
    "prompt_tokens": 1000,
    "completion_tokens": 500,
}


@dataclass
class Call:
    provider: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    user_id: str | None = None


def sent(fake: FakeServer, index: int = -1) -> dict[str, Any]:
    return json.loads(fake.requests[index].body)


def test_create_gives_the_priced_record(api: Any, fake: FakeServer) -> None:
    usage = api(api.usage.create, **CALL, total_tokens=1500, organization_id="org-abc")
    assert isinstance(usage, UsageRecord)
    assert usage.calculated_cost == Decimal("0.025")
    assert (usage.provider, usage.model, usage.total_tokens) == ("openai", "unit-1", 1500)
    assert usage.organization_id == "org-abc"
    assert usage.id == fake.rows[0]["id"]


@pytest.mark.parametrize(
    "record", [dict(CALL), Call(**CALL), UsageRecord(CALL)], ids=["dict", "dataclass", "row"]
)
def test_create_takes_one_object(api: Any, record: object) -> None:
    assert api(api.usage.create, record).total_cost == Decimal("0.025")


def test_arguments_are_laid_over_the_object(api: Any) -> None:
    usage = api(api.usage.create, CALL, prompt_tokens=0, user_id="u1")
    assert usage.total_cost == Decimal("0.015")
    assert usage.user_id == "u1"


def test_none_is_not_given(api: Any, fake: FakeServer) -> None:
    api(api.usage.create, **CALL, metadata=None, user_id=None)
    assert set(sent(fake)) == {*CALL, "event_id"}


def test_the_spellings_of_submit_are_the_servers_to_resolve(api: Any, fake: FakeServer) -> None:
    usage = api(
        api.usage.submit,
        organization_id="org-123",
        provider="openai",
        model_id="unit-1",
        input_tokens=1000,
        output_tokens=500,
        total_tokens=1500,
        metadata={"team": "support"},
    )
    assert (usage.model, usage.total_cost) == ("unit-1", Decimal("0.025"))
    assert usage.metadata == {"team": "support"}


def test_a_row_of_one_server_may_be_sent_to_another(api: Any, drive: Any) -> None:
    row = api(api.usage.create, **CALL, cached_tokens=10, tags=["t"], latency_ms=7)
    other = FakeServer()
    second = drive(other)
    copied = second(second.usage.create, row)
    names = ("event_id", "provider", "model", "usage", "tags", "latency_ms", "timestamp")
    assert {name: copied[name] for name in names} == {name: row[name] for name in names}
    assert "total_cost" not in sent(other)


def test_each_call_has_its_own_event_id(api: Any, fake: FakeServer) -> None:
    for _ in range(2):
        api(api.usage.create, CALL)
    assert len(fake.rows) == 2
    assert len({row["event_id"] for row in fake.rows}) == 2


def test_a_given_event_id_is_recorded_once(api: Any, fake: FakeServer) -> None:
    first = api(api.usage.create, CALL, event_id="e1")
    second = api(api.usage.create, CALL, event_id="e1")
    assert second.id == first.id
    with pytest.raises(ConflictError) as caught:
        api(api.usage.create, CALL, event_id="e1", prompt_tokens=999)
    assert caught.value.status_code == 409
    assert len(fake.rows) == 1


@pytest.mark.parametrize("lost", ["dropped", "answered 503"])
def test_a_lost_answer_is_repeated_and_nothing_doubled(
    api: Any, fake: FakeServer, lost: str
) -> None:
    if lost == "dropped":
        fake.drop_next(after_work=True)
    else:
        fake.fail_next(503, after_work=True)
    usage = api(api.usage.create, CALL)
    first, second = fake.requests
    assert first.body == second.body
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert [row["id"] for row in fake.rows] == [usage.id]


def test_the_idempotency_key_may_be_chosen_and_differs_by_call(api: Any, fake: FakeServer) -> None:
    api(api.usage.create, CALL, idempotency_key="mine")
    api(api.usage.create, CALL)
    api(api.usage.create, CALL)
    keys = [request.headers["idempotency-key"] for request in fake.requests]
    assert keys[0] == "mine"
    assert len(set(keys)) == 3


def test_a_chosen_idempotency_key_repeats_the_same_body(api: Any, fake: FakeServer) -> None:
    """An event id made for each call would make the repetition another request: a 422."""
    first = api(api.usage.create, CALL, idempotency_key="mine")
    again = api(api.usage.create, CALL, idempotency_key="mine")
    assert again.id == first.id
    assert len(fake.rows) == 1
    priced = {"model": "gpt-4", "tokens_used": 1, "cost": "0.1"}
    stated = [api(api.costs.create, priced, idempotency_key="other").id for _ in range(2)]
    assert stated[0] == stated[1]


def test_a_refused_record_names_its_fields(api: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        api(api.usage.create, **{**CALL, "prompt_tokens": -1})
    assert caught.value.field_errors == {"prompt_tokens": "must be greater than 0"}
    assert caught.value.status_code == 422


def test_what_is_no_record_is_refused_before_anything_is_sent(api: Any, fake: FakeServer) -> None:
    with pytest.raises(ValidationError):
        api(api.usage.create, ...)
    assert not fake.requests


def test_get(api: Any) -> None:
    usage = api(api.usage.create, CALL)
    assert api(api.usage.get, usage.id).total_cost == usage.total_cost
    assert api(api.usage.get_usage_by_id, usage.id).id == usage.id
    with pytest.raises(NotFoundError):
        api(api.usage.get, "usg_nothing")
    with pytest.raises(NotFoundError):
        api(api.usage.get, "../costs")


def test_labels_change_and_calls_are_voided(api: Any, fake: FakeServer) -> None:
    usage = api(api.usage.create, CALL, metadata={"a": 1}, tags=["x"])
    changed = api(api.usage.update, usage.id, tags=["y"])
    assert (changed.tags, changed.metadata, changed.total_cost) == (
        ["y"],
        {"a": 1},
        usage.total_cost,
    )
    assert api(api.usage.delete_usage, usage.id) is None
    assert not fake.rows


def test_history(api: Any) -> None:
    for number in range(5):
        api(api.usage.create, CALL, user_id=f"u{number % 2}")
    for method in (api.usage.list, api.usage.history, api.usage.get_usage):
        assert len(api(method, user_id="u1")) == 2
    assert len(api.rows(api.usage.list_stream, page_size=2)) == 5


def test_pages_of_the_history_above_the_servers_hundred(api: Any, fake: FakeServer) -> None:
    api(api.usage.list, page=2, per_page=100)
    assert fake.requests[-1].query == {"page": ["2"], "per_page": ["100"]}
    api(api.usage.list, page=3, per_page=101)
    assert fake.requests[-1].query == {"offset": ["202"], "limit": ["101"]}


def test_batch_create(api: Any, fake: FakeServer) -> None:
    result = api(api.usage.batch_create, [CALL, Call(**CALL), {**CALL, "event_id": "e1"}])
    assert isinstance(result, BatchResult)
    assert (result.submitted, result.created, result.failed) == (3, 3, 0)
    assert [row.total_cost for row in result] == [Decimal("0.025")] * 3
    assert [row.id for row in result] == [row["id"] for row in fake.rows]
    assert result[2].event_id == "e1"


def test_a_bad_record_does_not_stop_the_others(api: Any, fake: FakeServer) -> None:
    bad = {"provider": "openai", "model": "unit-1", "prompt_tokens": 5}
    result = api(api.usage.batch_create, [CALL, bad, {**CALL, "event_id": "e"}, CALL])
    assert [row.status for row in result] == ["created", "invalid", "created", "created"]
    assert result.failed == 1
    assert result[1].error.field_errors == {"completion_tokens": "is required"}
    with pytest.raises(ValidationError, match="completion_tokens is required"):
        result.raise_for_failures()
    assert len(fake.rows) == 3


def test_an_atomic_batch_is_stored_whole_or_not(api: Any, fake: FakeServer) -> None:
    bad = {"provider": "openai", "model": "unit-1", "prompt_tokens": 5}
    with pytest.raises(ValidationError) as caught:
        api(api.usage.batch_create, [CALL, bad], atomic=True)
    assert caught.value.field_errors == {"records[1].completion_tokens": "is required"}
    assert not fake.rows


def test_an_empty_batch_sends_nothing(api: Any, fake: FakeServer) -> None:
    assert api(api.usage.batch_create, []) == []
    assert not fake.requests


def test_a_long_batch_is_sent_in_several(api: Any, fake: FakeServer) -> None:
    result = api(api.usage.batch_create, ({**CALL, "event_id": f"e{n}"} for n in range(10_001)))
    assert [len(json.loads(r.body)["records"]) for r in fake.requests] == [10_000, 1]
    assert len({r.headers["idempotency-key"] for r in fake.requests}) == 2
    assert [row.index for row in result] == list(range(10_001))
    assert [row.event_id for row in result] == [f"e{n}" for n in range(10_001)]
    assert result.created == len(fake.rows) == 10_001


def test_what_was_stored_before_a_failure_is_told(
    api: Any, fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm_cost_ops.client.resources.records.batches.__defaults__", (2, 10**6))
    answered = fake.handle
    calls = 0

    def handle(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            fake.fail_next(500, times=4)
        return answered(*args)

    monkeypatch.setattr(fake, "handle", handle)
    with pytest.raises(ServerError) as caught:
        api(api.usage.batch_create, [CALL] * 3)
    completed = caught.value.completed
    assert completed is not None
    assert [row.id for row in completed] == [row["id"] for row in fake.rows]
    assert len(completed) == 2


def test_a_batch_answer_of_another_length_is_not_believed(
    api: Any, fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from llm_cost_ops.testing.server import Answer

    monkeypatch.setattr(fake, "handle", lambda *_: Answer(200, {}, b'{"results": []}'))
    with pytest.raises(APIError, match="0 results for 1 records"):
        api(api.usage.batch_create, [CALL])
    monkeypatch.setattr(fake, "handle", lambda *_: Answer(200, {}, b"{}"))
    with pytest.raises(APIError, match="no results"):
        api(api.usage.batch_create, [CALL])


@given(
    st.lists(st.text(max_size=40), max_size=60),
    st.integers(1, 7),
    st.integers(60, 400),
)
def test_batches_keep_all_records_in_order_within_the_limits(
    texts: list[str], max_records: int, max_bytes: int
) -> None:
    records = [identified({"t": text, "event_id": "e"}) for text in texts]
    found = list(batches(iter(records), max_records, max_bytes))
    assert [record for batch in found for record in batch.records] == records
    place = 0
    for batch in found:
        assert batch.start == place
        place += len(batch.records)
        assert 1 <= len(batch.records) <= max_records
        assert len(batch.body) <= max_bytes or len(batch.records) == 1
        assert [r["t"] for r in json.loads(batch.body)["records"]] == [
            r["t"] for r in batch.records
        ]


def test_a_batch_is_no_smaller_than_its_limits_ask() -> None:
    records = [{"event_id": "e", "t": "x" * 10} for _ in range(10)]
    one = len(next(batches(records, 1, 10**6)).body) - len(b'{"records":[]}')
    exact = len(b'{"records":[]}') + 5 * one + 5
    assert [len(batch.records) for batch in batches(records, 100, exact)] == [5, 5]
    assert [len(batch.records) for batch in batches(records, 100, exact - 1)] == [4, 4, 2]


def test_the_tutorials_spelling(api: Any, fake: FakeServer) -> None:
    fake.prices.add(
        {
            "provider": "openai",
            "model": "gpt-unit",
            "effective_date": "2025-01-01",
            "prices": {
                "input_tokens": {"price": 1, "per": 1000},
                "output_tokens": {"price": 2, "per": 1000},
                "requests": {"price": "0.01", "per": 1},
            },
        },
        "price_requests",
        fake.now(),
    )
    usage = api(api.usage.create_usage, model="gpt-unit", tokens_prompt=10, tokens_completion=5)
    assert usage.provider == "openai"
    assert usage.total_cost == Decimal("0.03")
    usage = api(
        api.usage.create_usage,
        model="gpt-unit",
        tokens_prompt=10,
        tokens_completion=5,
        request_count=3,
    )
    assert usage.total_cost == Decimal("0.05")


def test_settings_of_the_client_go_into_each_record(drive: Any, fake: FakeServer) -> None:
    api = drive(fake, organization_id="org-1", environment="production")
    api(api.usage.create, CALL)
    api(api.usage.create, CALL, environment="test")
    api(api.costs.create, model="unit-1", tokens_used=1, cost=1)
    assert [row["environment"] for row in fake.rows] == ["production", "test", "production"]
    assert {row["organization_id"] for row in fake.rows} == {"org-1"}
    api(api.costs.list)
    assert fake.requests[-1].query["organization_id"] == ["org-1"]
