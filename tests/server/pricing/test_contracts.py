"""What an organization negotiated or named: ordered discounts, deployments, custom providers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from llm_cost_ops.server.pricing import own
from tests.support.application import Application
from tests.support.calls import accepted, body_of, count, error, put, record, send, usage


def discount(app: Application, **fields: Any) -> Any:
    body = {"label": "d", "effective_date": "2025-01-01", **fields}
    return accepted(send(app, "/pricing/adjustments", body), 201)


def standing(app: Application) -> list[Any]:
    return list(accepted(app.get("/api/v1/pricing/adjustments"), 200)["data"])


def cost(app: Application, event: str, **fields: Any) -> tuple[Decimal, Decimal]:
    """Effective and list cost of 1M tokens in and out of gpt-4o: 2.5 and 10 without a discount."""
    counts = {"prompt_tokens": 1_000_000, "completion_tokens": 1_000_000}
    row = accepted(send(app, "/usage", usage(event, **{**counts, **fields})), 201)
    return row["total_cost"], row["list_cost"]


def test_discounts_apply_in_their_order(application: Application) -> None:
    shown = discount(application, discount_percent="12.5", label="second", model="GPT-*")
    assert {k: v for k, v in shown.items() if k != "id"} == {
        "position": 1, "label": "second", "provider": None, "model": "gpt-*", "kinds": None,
        "factor": Decimal("0.875"), "effective_date": "2025-01-01T00:00:00Z", "end_date": None,
    }  # fmt: skip
    discount(application, factor="0.5", position=0, kinds=["output_tokens"], label="first")
    discount(application, factor=2, provider="OpenAI", label="third", end_date="2025-06-14")
    assert [(row["label"], row["position"]) for row in standing(application)] == [
        ("first", 0), ("second", 1), ("third", 2),
    ]  # fmt: skip
    assert cost(application, "a") == (Decimal("6.5625"), Decimal("12.5"))
    assert cost(application, "b", timestamp="2025-06-14T23:59:59Z") == (
        Decimal("13.125"), Decimal("12.5"),
    )  # fmt: skip
    assert cost(application, "c", timestamp="2024-12-31T23:59:59Z") == (
        Decimal("12.5"), Decimal("12.5"),
    )  # fmt: skip
    row = body_of(application.get("/api/v1/costs?start_date=2025-06-15"))["data"][0]
    assert row["price_version"].count("+") == 2
    first = standing(application)[0]
    assert application.delete(f"/api/v1/pricing/adjustments/{first['id']}").status_code == 204
    assert cost(application, "d") == (Decimal("10.9375"), Decimal("12.5"))
    answer = application.delete(f"/api/v1/pricing/adjustments/{first['id']}")
    error(answer, 404, "NOT_FOUND")
    assert count(application, "price_adjustments") == 3
    assert count(application, "audit_log", "action = 'pricing.adjustment_created'") == 3
    assert count(application, "audit_log", "action = 'pricing.adjustment_removed'") == 1


def test_a_discount_is_its_organizations_alone(sqlite_application: Application) -> None:
    app = sqlite_application
    foreign = discount(app.another(), factor=0)
    assert cost(app, "a") == (Decimal("12.5"), Decimal("12.5"))
    assert standing(app) == []
    error(app.delete(f"/api/v1/pricing/adjustments/{foreign['id']}"), 404, "NOT_FOUND")


def test_a_discount_may_be_whole(sqlite_application: Application) -> None:
    discount(sqlite_application, discount_percent=100)
    assert cost(sqlite_application, "a") == (0, Decimal("12.5"))


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "factor"), ({"factor": 1, "discount_percent": 1}, "factor"), ({"x": 1}, "x"),
        ({"factor": -1}, "factor"), ({"factor": 101}, "factor"), ({"factor": "x"}, "factor"),
        ({"discount_percent": 0}, "discount_percent"), ({"discount_percent": 101},
        "discount_percent"), ({"factor": 1, "kinds": []}, "kinds"),
        ({"factor": 1, "kinds": ["x"]}, "kinds"), ({"factor": 1, "kinds": "x"}, "kinds"),
        ({"factor": 1, "position": -1}, "position"), ({"factor": 1, "position": True},
        "position"), ({"factor": 1, "position": 10**9}, "position"),
        ({"factor": 1, "label": None}, "label"),
        ({"factor": 1, "end_date": "2024-12-31"}, "end_date"),
        ({"factor": 1, "model": 5}, "model"),
    ],
)  # fmt: skip
def test_a_faulty_discount_is_refused(
    sqlite_application: Application, fields: dict[str, Any], field: str
) -> None:
    body = {"label": "d", "effective_date": "2025-01-01", **fields}
    answer = send(sqlite_application, "/pricing/adjustments", body)
    assert field in error(answer, 422)["field_errors"]
    assert standing(sqlite_application) == []


def test_only_so_many_discounts_stand_at_once(
    sqlite_application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own, "MAX_ADJUSTMENTS", 2)
    made = [discount(sqlite_application, factor=1) for _ in range(2)]
    body = {"label": "d", "factor": 1}
    error(send(sqlite_application, "/pricing/adjustments", body), 422)
    sqlite_application.delete(f"/api/v1/pricing/adjustments/{made[0]['id']}")
    shown = accepted(send(sqlite_application, "/pricing/adjustments", body), 201)
    assert shown["position"] == 3
    assert shown["effective_date"] > "2026"


def test_a_deployment_has_the_price_of_its_model(application: Application) -> None:
    record(application, usage("w", provider="azure", model="My-Deployment"))
    waiting = body_of(application.get("/api/v1/pricing/unpriced"))["data"]
    assert [row["model"] for row in waiting] == ["My-Deployment"]
    body = {"deployment": "my-deployment", "model": "gpt-4o", "region": "eu"}
    shown = accepted(put(application, "/pricing/deployments", body), 200)
    assert shown == {"provider": "azure", **body, "priced_records": 1}
    (row,) = body_of(application.get("/api/v1/costs"))["data"]
    assert (row["total_cost"], row["price_rule"]) == (Decimal("0.0075"), "deployment")
    assert body_of(application.get("/api/v1/pricing/deployments"))["data"] == [
        {"provider": "azure", **body}
    ]
    accepted(put(application, "/pricing/deployments", {**body, "model": "gpt-4o-mini"}), 200)
    (result,) = record(
        application, usage("x", provider="azure", model="my-deployment")
    )["results"]  # fmt: skip
    assert result["total_cost"] == Decimal("0.00045")
    gone = accepted(put(application, "/pricing/deployments", {**body, "model": None}), 200)
    assert (gone["model"], gone["priced_records"]) == (None, 0)
    assert body_of(application.get("/api/v1/pricing/deployments"))["data"] == []
    assert count(application, "audit_log", "action = 'pricing.deployment_set'") == 3


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "deployment"), ({"deployment": "a", "x": 1}, "x"), ({"deployment": ""}, "deployment"),
     ({"deployment": "a", "model": ""}, "model"), ({"deployment": "a", "model": "m",
     "provider": 5}, "provider"), ({"deployment": "a", "model": "m", "region": 7}, "region")],
)  # fmt: skip
def test_a_faulty_deployment_is_refused(
    sqlite_application: Application, body: dict[str, Any], field: str
) -> None:
    answer = put(sqlite_application, "/pricing/deployments", body)
    assert field in error(answer, 422)["field_errors"]
