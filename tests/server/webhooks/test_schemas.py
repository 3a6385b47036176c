"""What is delivered is as the catalogue says."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import jsonschema_rs
import pytest

from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.server.exports import wire as exports
from llm_cost_ops.server.forecasts import wire as forecasts
from llm_cost_ops.server.webhooks.catalogue import EVENTS
from llm_cost_ops.server.webhooks.openapi import WEBHOOKS_SENT
from tests.server.webhooks.conftest import Place, answered, body_of
from tests.server.webhooks.test_delivery import PRICE, record
from tests.support.sink import Reply

ANOMALY: dict[str, Any] = {
    "id": "ano_1",
    "organization_id": "org_1",
    "date": "2026-11-01",
    "frequency": "day",
    "dimension": "total",
    "value": "all",
    "currency": "USD",
    "severity": "high",
    "method": "auto",
    "actual_e10": 10**10,
    "expected_e10": 10**9,
    "lower_e10": 0,
    "upper_e10": 2 * 10**9,
    "score_e4": 71_000,
    "bucket_start": 0,
    "bucket_end": 1,
    "parent_id": None,
    "causes": '{"drivers": []}',
}
EXPORT: dict[str, Any] = {
    "id": "exp_1", "kind": "costs", "format": "csv", "rows_done": 2, "size_bytes": 100,
    "sha256": None, "totals": None, "reason": None, "expires_at": None,
}  # fmt: skip
FORECAST: dict[str, Any] = {
    "model": "auto",
    "frequency": "day",
    "horizon": 30,
    "currency": "USD",
    "confidence_level": Decimal("0.95"),
    "total": {
        "predicted_cost": Decimal("12.5"),
        "lower_bound": Decimal(0),
        "upper_bound": Decimal(20),
    },
}


def check(event: str, body: bytes) -> None:
    schema = WEBHOOKS_SENT[event]["post"]["requestBody"]["content"]["application/json"]["schema"]
    jsonschema_rs.validator_for(schema).validate(json.loads(body))


def test_every_event_that_has_a_source_has_a_schema() -> None:
    bare = {name for name, kind in EVENTS.items() if "properties" not in kind.data}
    assert bare == {name for name, kind in EVENTS.items() if not kind.published}


def test_deliveries_are_as_they_are_described(sqlite_place: Place) -> None:
    place = sqlite_place
    made = place.register("*")
    other = place.register("webhook.disabled", url=place.receiver.url + "/other")
    place.receiver.answer = lambda got: Reply(410 if got.path.endswith("/other") else 200)
    record_id = record(place, user_id="u", tags=["a"], metadata={"k": 1})
    record(place, model="unknown-model")
    budget = {"name": "all", "amount": "0.001", "alert_thresholds": [0.5]}
    answered(place.app.post("/api/v1/budgets", json=budget), 201)
    record(place, event_id="over")
    path = f"/api/v1/costs/{record_id}"
    answered(place.app.request("PATCH", path, json={"tags": ["b"]}))
    assert place.app.delete(path).status_code == 204
    answered(place.app.post("/api/v1/pricing", json=PRICE), 201)
    adjustment = {"label": "deal", "discount_percent": 10}
    answered(place.app.post("/api/v1/pricing/adjustments", json=adjustment), 201)
    answered(place.app.post("/api/v1/periods/2025-01/close", json={}))
    answered(place.app.post("/api/v1/periods/2025-01/reopen", json={"reason": "x"}))
    place.publish("cost.anomaly_detected", forecasts.event(ANOMALY))
    place.publish(
        "forecast.generated",
        forecasts.forecast_event({"id": "for_1", "organization_id": "org_1"}, FORECAST),
    )
    for name in ("completed", "failed"):
        place.publish(f"export.{name}", exports.event_data({**EXPORT, "status": name}))
    asked = {"type": "executive", "format": "html", "wait": True}
    answered(place.app.post("/api/v1/reports/generate", json=asked), 201)
    place.work()
    answered(place.app.post(f"/api/v1/webhooks/{other['id']}/test"))
    place.publish("webhook.disabled", {"webhook_id": "whk_0", "url": "x", "reason": "gone",
                                       "failing_since": "2026-11-01T12:00:00Z"})  # fmt: skip
    place.work()
    seen: set[str] = set()
    for got in place.receiver.got:
        event = str(body_of(got)["type"])
        if event in EVENTS:
            check(event, got.body)
            seen.add(event)
    assert seen == {name for name, kind in EVENTS.items() if kind.published}
    assert place.endpoint(made["id"])["enabled"]


def test_a_schema_that_does_not_hold_is_seen() -> None:
    body = {"type": "x", "event": "x", "id": "1", "created_at": "2026-11-01T12:00:00Z", "data": {}}
    with pytest.raises(jsonschema_rs.ValidationError):
        check("budget.exceeded", dumps(body).encode())
