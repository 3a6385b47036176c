"""From what happens in the ledger to what a receiver gets: which events, in which form."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from llm_cost_ops.core import signature
from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.server.webhooks.catalogue import EVENTS
from llm_cost_ops.server.webhooks.sign import MAX_BODY_BYTES, fitting
from llm_cost_ops.server.webhooks.sign import body_of as body_of_event
from tests.server.webhooks.conftest import SECRET, Place, answered, body_of
from tests.support.sink import Reply

CALL = {"provider": "openai", "model": "gpt-4o", "prompt_tokens": 1000, "completion_tokens": 500}
PRICE: dict[str, Any] = {
    "provider": "openai",
    "model": "gpt-4o",
    "effective_date": "2026-01-01",
    "pricing_structure": {
        "type": "per_token",
        "input_price_per_million": 1,
        "output_price_per_million": 1,
    },
}
"""A price of one's own for old calls."""


def record(place: Place, **fields: Any) -> str:
    body = {**CALL, "timestamp": "2026-11-01T11:00:00Z", **fields}
    return str(answered(place.app.post("/api/v1/usage", json=body), 201)["id"])


def types(place: Place) -> list[str]:
    return [body_of(got)["type"] for got in place.receiver.got]


def test_a_recorded_call_reaches_the_receiver_once(place: Place) -> None:
    made = place.register("cost.created", "usage.submitted")
    record_id = record(place, user_id="u1", tags=["a"], metadata={"k": 1})
    place.work()
    place.work()
    assert sorted(types(place)) == ["cost.created", "usage.submitted"]
    for got in place.receiver.got:
        body = body_of(got)
        assert set(body) == {"type", "event", "id", "created_at", "timestamp", "data"}
        assert body["event"] == body["type"]
        assert body["created_at"] == body["timestamp"] == "2026-11-01T12:00:00Z"
        data = body["data"]
        assert (data["id"], data["cost"]) == (record_id, Decimal("0.0075"))
        assert (data["user_id"], data["tags"], data["metadata"]) == ("u1", ["a"], {"k": 1})
        assert got.header("content-type") == "application/json"
    rows = place.deliveries(made["id"])
    assert [row["status"] for row in rows] == ["delivered", "delivered"]
    assert {row["last_status_code"] for row in rows} == {200}


def test_headers_of_a_delivery(sqlite_place: Place) -> None:
    place = sqlite_place
    made = place.register("cost.created")
    record(place)
    place.work()
    (got,) = place.receiver.got
    plain = signature.plain(SECRET, got.body)
    at_s = place.clock.micros() // 1_000_000
    assert got.header("X-Webhook-Signature") == plain
    assert got.header("X-LLM-CostOps-Signature") == f"sha256={plain}"
    assert got.header("X-LLM-CostOps-Event") == "cost.created"
    assert got.header("X-LLM-CostOps-Timestamp") == str(at_s)
    (row,) = place.deliveries(made["id"])
    assert got.header("X-LLM-CostOps-Delivery-ID") == row["id"]
    timed = signature.timed(SECRET, at_s, got.body)
    assert got.header("X-LLM-CostOps-Signature-V2") == f"t={at_s},v1={timed}"
    assert got.header("webhook-id") == body_of(got)["id"] == row["event_id"]
    assert signature.standard_matches(
        [made["signing_secret"]],
        got.header("webhook-id"),
        got.header("webhook-timestamp"),
        got.body,
        got.header("webhook-signature"),
        now_s=at_s,
    )


@pytest.mark.parametrize("kind", EVENTS.values(), ids=lambda kind: kind.name)
def test_type_is_spelled_as_it_was_registered(sqlite_place: Place, kind: Any) -> None:
    place = sqlite_place
    published = kind.name not in ("usage.submitted", "cost.created", "cost.updated", "cost.deleted")
    for spelling in (kind.name, *kind.aliases):
        place.receiver.got.clear()
        made = place.register(spelling)
        if published:
            place.publish(kind.name, {"budget_name": "b", "utilization": Decimal("0.8")})
        else:
            record_id = record(place)
            path = f"/api/v1/costs/{record_id}"
            assert place.app.request("PATCH", path, json={"tags": ["x"]}).status_code == 200
            assert place.app.delete(path).status_code == 204
        place.work()
        assert types(place) == [spelling]
        assert place.deliveries(made["id"])[0]["event"] == kind.name
        assert place.app.delete(f"/api/v1/webhooks/{made['id']}").status_code == 204


def test_changes_of_a_call_are_told_in_their_order(place: Place) -> None:
    place.register("*")
    record_id = record(place)
    place.later(1)
    path = f"/api/v1/costs/{record_id}"
    assert place.app.request("PATCH", path, json={"metadata": {"team": "x"}}).status_code == 200
    place.work()
    place.later(1)
    assert place.app.delete(path).status_code == 204
    place.work()
    assert types(place) == ["usage.submitted", "cost.created", "cost.updated", "cost.deleted"]
    updated, deleted = (body_of(got)["data"] for got in place.receiver.got[2:])
    assert (updated["id"], updated["metadata"]) == (record_id, {"team": "x"})
    assert (deleted["id"], deleted["cost"]) == (record_id, Decimal("0.0075"))
    assert deleted["cost_status"] == "voided"


def test_a_call_without_a_price_has_a_cost_when_its_price_comes(place: Place) -> None:
    place.register("usage.submitted", "cost.created", "pricing.updated")
    record_id = record(place, model="new-model")
    place.work()
    assert types(place) == ["usage.submitted"]
    assert body_of(place.receiver.got[0])["data"]["cost"] is None
    place.later(1)
    price = {
        "provider": "openai",
        "model": "new-model",
        "currency": "USD",
        "effective_date": "2026-01-01",
        "pricing_structure": {
            "type": "per_token",
            "input_price_per_million": 2,
            "output_price_per_million": 4,
        },
    }
    made = answered(place.app.post("/api/v1/pricing", json=price), 201)
    place.work()
    bodies = {body["type"]: body["data"] for body in map(body_of, place.receiver.got)}
    assert bodies["pricing.updated"]["id"] == made["id"]
    assert bodies["pricing.updated"]["action"] == "created"
    assert bodies["cost.created"]["id"] == record_id
    assert bodies["cost.created"]["cost"] == Decimal("0.004")
    assert len(place.receiver.got) == 3


def test_prices_that_are_changed_and_ended_and_contracts(sqlite_place: Place) -> None:
    place = sqlite_place
    place.register("pricing.updated")
    made = answered(place.app.post("/api/v1/pricing", json=PRICE), 201)
    place.later(1)
    path = f"/api/v1/pricing/{made['id']}"
    answered(place.app.request("PUT", path, json={"input_price_per_million": 2}))
    place.later(1)
    assert place.app.delete(path).status_code in (200, 204)
    place.later(1)
    adjustment = {"label": "deal", "discount_percent": 10}
    answered(place.app.post("/api/v1/pricing/adjustments", json=adjustment), 201)
    place.work()
    actions = [body_of(got)["data"]["action"] for got in place.receiver.got]
    assert actions == ["created", "updated", "ended", "adjustment_created"]


def test_a_new_price_of_old_calls_is_an_update_of_each(sqlite_place: Place) -> None:
    place = sqlite_place
    place.register("cost.updated")
    ids = [record(place, event_id=f"e{n}") for n in range(3)]
    answered(place.app.post("/api/v1/pricing", json=PRICE), 201)
    chosen = {"start_date": "2026-10-01", "end_date": "2026-11-02", "dry_run": False}
    answered(place.app.post("/api/v1/pricing/rerate", json=chosen))
    place.work()
    told = [body_of(got)["data"] for got in place.receiver.got]
    assert sorted(data["id"] for data in told) == sorted(ids)
    assert {data["cost"] for data in told} == {Decimal("0.0015")}


def test_a_large_batch_is_one_delivery_a_call(place: Place) -> None:
    made = place.register("cost.created")
    count = 450
    records = [{**CALL, "event_id": f"e{n}"} for n in range(count)]
    sent = place.app.post("/api/v1/usage/batch", json={"records": records})
    assert sent.status_code == 200
    place.receiver.replies = [Reply(204, body=b"")]
    place.work()
    data = [body_of(got)["data"]["event_id"] for got in place.receiver.got]
    assert data == [f"e{n}" for n in range(count)]
    assert len(place.rows(made["id"])) == count
    again = place.app.post("/api/v1/usage/batch", json={"records": records})
    assert again.json()["duplicates"] == count
    place.work()
    assert len(place.receiver.got) == count


def test_events_of_another_organization_are_not_told(sqlite_place: Place) -> None:
    place = sqlite_place
    place.register("*")
    other = place.app.another()
    assert other.post("/api/v1/usage", json=CALL).status_code == 201
    place.work()
    assert place.receiver.got == []


def test_what_rolled_back_is_not_told(sqlite_place: Place) -> None:
    place = sqlite_place
    place.register("*")
    refused = {"records": [{**CALL, "event_id": "a"}, {**CALL, "prompt_tokens": -1}]}
    assert place.app.post("/api/v1/usage/batch?atomic=true", json=refused).status_code == 422
    place.work()
    assert place.receiver.got == []


def test_a_body_stays_below_twenty_thousand_bytes(sqlite_place: Place) -> None:
    place = sqlite_place
    place.register("cost.created")
    metadata = {f"k{n}": "ü" * 900 for n in range(8)}
    record(place, metadata=metadata)
    place.work()
    (got,) = place.receiver.got
    assert body_of(got)["data"]["metadata"] == metadata
    assert len(got.body) < MAX_BODY_BYTES


@pytest.mark.parametrize("size", [0, 19_000, 19_400, 19_500, 20_000, 10**6])
def test_data_is_made_to_fit(size: int) -> None:
    call = {
        "id": "usg_1",
        "cost": Decimal("0.0000000001"),
        "tags": [],
        "metadata": {"k": "x" * size},
    }
    text = fitting(call)
    assert len(body_of_event("evt_1", "cost.created", 0, text)) < MAX_BODY_BYTES
    data = loads(text)
    assert (data["id"], data["cost"]) == ("usg_1", Decimal("0.0000000001"))
    assert ("truncated" in data) is (size > 19_402)
    assert ("k" in data["metadata"]) is (size <= 19_402)
    other = loads(fitting({"id": "a", "drivers": ["y" * size], "note": "n" * size}))
    assert other["id"] == "a"
    assert ("truncated" in other) is (size > 9_000)
    assert not {"tags", "metadata"} & set(other)


def test_budget_events_have_the_documented_fields(sqlite_place: Place) -> None:
    place = sqlite_place
    place.register("budget.threshold", "budget.exceeded")
    budget = {"name": "all", "amount": "0.01", "alert_thresholds": [0.5, 1]}
    answered(place.app.post("/api/v1/budgets", json=budget), 201)
    record(place)
    place.later(1)
    record(place, event_id="second")
    place.work()
    bodies = [body_of(got) for got in place.receiver.got]
    assert [body["type"] for body in bodies] == [
        "budget.threshold", "budget.threshold", "budget.exceeded",
    ]  # fmt: skip
    first = bodies[0]["data"]
    assert (first["budget_name"], first["utilization"]) == ("all", Decimal("0.75"))
    assert first["threshold"] == Decimal("0.5")
