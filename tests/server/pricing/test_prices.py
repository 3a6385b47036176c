"""An organization's own prices: set, changed, ended, listed, and as they were known."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from llm_cost_ops.core.instant import from_micros, to_micros
from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import read, write
from llm_cost_ops.server.pricing.manage import create
from llm_cost_ops.server.pricing.store import OPERATOR
from tests.support.application import Application
from tests.support.calls import (
    JSON,
    accepted,
    body_of,
    cost_row,
    count,
    error,
    put,
    record,
    send,
    set_price,
    usage,
)

FLAT = {"type": "per_token", "input_price_per_million": 2, "output_price_per_million": 8}
PRICE = {
    "provider": "openai", "model": "gpt-4o", "effective_date": "2025-01-01",
    "pricing_structure": FLAT,
}  # fmt: skip


def price_at(app: Application, at: str, **context: str) -> Any:
    """What 1M input tokens of the model cost at a time."""
    item = {"provider": "openai", "model": "gpt-4o", "timestamp": at,
            "usage": {"input_tokens": 1_000_000}, **context}  # fmt: skip
    return accepted(send(app, "/costs/estimate", {"items": [item]}), 200)["data"][0]["total_cost"]


def one(app: Application, pricing_id: str) -> Any:
    return accepted(app.get(f"/api/v1/pricing/{pricing_id}"), 200)


def change(app: Application, price: Any, **fields: Any) -> Any:
    return accepted(put(app, f"/pricing/{price['id']}", fields), 200)


def listed(app: Application, query: str) -> list[Any]:
    return list(accepted(app.get(f"/api/v1/pricing?{query}"), 200)["data"])


def test_a_price_is_shown_as_it_was_given(application: Application) -> None:
    price = set_price(application, end_date="2025-12-31", region="eu", service_tier="flex",
                      processing="batch", currency="EUR")  # fmt: skip
    assert price["priced_records"] == 0
    shown = one(application, price["id"])
    versions = shown.pop("versions")
    assert versions == [shown]
    assert shown["recorded_at"].endswith("Z")
    assert {name: shown[name] for name in shown if name not in ("id", "recorded_at", "prices")} == {
        "version": 1, "provider": "openai", "model": "gpt-4o", "currency": "EUR", "region": "eu",
        "service_tier": "flex", "processing": "batch", "effective_date": "2025-01-01T00:00:00Z",
        "end_date": "2026-01-01T00:00:00Z", "pricing_structure": FLAT, "source": "organization",
        "input_price_per_million": 2, "output_price_per_million": 8,
    }  # fmt: skip
    assert shown["prices"]["input_tokens"] == {"price": 2, "per": 1_000_000}
    assert count(application, "audit_log", "action = 'pricing.created'") == 1


def test_versions_say_what_holds_from_their_start_on(application: Application) -> None:
    price = set_price(application)
    change(application, price, input_price_per_million=3)
    shown = change(application, price, effective_date="2025-06-01", input_price_per_1k="0.004")
    assert (shown["version"], shown["input_price_per_million"]) == (3, 4)
    assert shown["output_price_per_million"] == 8
    assert price_at(application, "2025-05-31T23:59:59.999999Z") == 3
    assert price_at(application, "2025-06-01T00:00:00Z") == 4
    assert price_at(application, "2024-12-31T23:59:59Z") == Decimal("2.5")  # the public book's
    change(application, price, effective_date="2025-03-01", end_date="2025-03-31",
           input_price_per_million=5)  # fmt: skip
    assert [price_at(application, f"2025-0{m}-15T00:00:00Z") for m in (2, 3, 4, 7)] == [
        3, 5, Decimal("2.5"), Decimal("2.5"),
    ]  # fmt: skip
    # A date at or after the end puts the price in force again.
    change(application, price, effective_date="2025-06-01")
    assert [price_at(application, f"2025-0{m}-15T00:00:00Z") for m in (3, 5, 7)] == [
        5, Decimal("2.5"), 5,
    ]  # fmt: skip
    assert [v["version"] for v in one(application, price["id"])["versions"]] == [1, 2, 3, 4, 5]
    assert count(application, "audit_log", "action = 'pricing.updated'") == 4


def test_a_price_can_change_its_kind(sqlite_application: Application) -> None:
    app = sqlite_application
    price = set_price(app)
    kinds = {"input_tokens": {"price": "1.5", "per": 1_000_000, "tiers": [
        {"above_input_tokens": 500_000, "price": 9, "inclusive": True}]}}  # fmt: skip
    shown = change(app, price, prices=kinds)
    assert (shown["prices"], shown["pricing_structure"]) == (
        {"input_tokens": {"price": Decimal("1.5"), "per": 1_000_000, "tiers": [
            {"above_input_tokens": 500_000, "price": 9, "inclusive": True}]}}, None,
    )  # fmt: skip
    assert price_at(app, "2025-06-01T00:00:00Z") == 9
    shown = change(app, price, pricing_structure={"type": "per_request", "price_per_request": 1})
    assert shown["prices"] == {}
    assert price_at(app, "2025-06-01T00:00:00Z") == 1
    change(app, price, pricing_structure={"price_per_request": 3})
    assert price_at(app, "2025-06-01T00:00:00Z") == 3
    tiers = {"type": "tiered", "tiers": [{"price_per_million": 7}]}
    change(app, price, pricing_structure=tiers)
    ended = accepted(app.delete(f"/api/v1/pricing/{price['id']}"), 200)
    assert ended["pricing_structure"] == tiers
    assert price_at(app, "2025-06-01T00:00:00Z") == 7


def test_an_ended_price_rates_what_came_before(application: Application) -> None:
    price = set_price(application)
    (made,) = record(application, usage("e"))["results"]
    ended = accepted(application.delete(f"/api/v1/pricing/{price['id']}"), 200)
    assert (ended["version"], ended["effective_date"]) == (2, "2025-01-01T00:00:00Z")
    assert ended["end_date"] is not None
    assert price_at(application, "2025-06-01T00:00:00Z") == 2
    assert price_at(application, ended["end_date"]) == Decimal("2.5")
    assert cost_row(application, made["id"])["lines"] != []
    again = accepted(application.delete(f"/api/v1/pricing/{price['id']}"), 200)
    assert again["end_date"] == ended["end_date"]
    assert listed(application, "source=organization") == []
    assert len(listed(application, "source=organization&active_only=false")) == 1
    # One that has not begun is never in force.
    later = set_price(application, effective_date="2099-01-01")
    accepted(application.delete(f"/api/v1/pricing/{later['id']}"), 200)
    assert price_at(application, "2099-01-02T00:00:00Z") == Decimal("2.5")
    assert count(application, "audit_log", "action = 'pricing.ended'") == 3


def test_prices_are_listed_in_pages_own_ones_first(application: Application) -> None:
    set_price(application)
    set_price(application, model="a-model", effective_date="2099-01-01")
    set_price(application.another(), model="foreign")
    assert [p["model"] for p in listed(application, "source=organization")] == ["gpt-4o"]
    assert [
        p["model"] for p in listed(application, "source=organization&active=false")
    ] == ["a-model", "gpt-4o"]  # fmt: skip
    assert [p["model"] for p in listed(application, "source=organization&date=2099-06-01")] == [
        "a-model", "gpt-4o",
    ]  # fmt: skip
    both = listed(application, "provider=OpenAI&model=GPT-4o")
    assert both[0]["source"] == "organization"
    assert {p["source"] for p in both[1:]} == {"public"}
    assert listed(application, "source=organization&model=foreign") == []
    assert listed(application, "source=organization&provider=azure") == []
    assert listed(application, "source=operator") == []
    seen: list[str] = []
    query = "provider=openai&limit=7"
    page = body_of(application.get(f"/api/v1/pricing?{query}"))
    while True:
        assert len(page["data"]) == 7 or not page["has_more"]
        seen += [p["id"] for p in page["data"]]
        if len(seen) > 20 or not page["has_more"]:
            break
        page = body_of(application.get(f"/api/v1/pricing?{query}&cursor={page['next_cursor']}"))
    assert len(set(seen)) == len(seen)
    whole = [p["id"] for p in listed(application, "provider=openai&limit=1000")]
    assert whole[: len(seen)] == seen


def test_a_public_price_is_shown_by_its_id(sqlite_application: Application) -> None:
    app = sqlite_application
    public = listed(app, "source=public&provider=openai&model=gpt-4o")
    assert public
    shown = one(app, public[0]["id"])
    assert (shown["source"], shown["model"], shown["version"]) == ("public", "gpt-4o", 1)
    windowed = listed(app, "source=public&provider=deepseek&active_only=false&limit=1000")
    assert any("windows" in price for price in windowed)


@pytest.mark.parametrize(
    ("query", "field"),
    [("limit=0", "limit"), ("source=x", "source"),
     ("cursor=%21", "cursor"), ("cursor=eHg=", "cursor"), ("cursor=OTk5OTk5OTk5OTk=", "cursor"),
     ("date=never", "date"), ("known_at=never", "known_at")],
)  # fmt: skip
def test_a_faulty_filter_is_refused(
    sqlite_application: Application, query: str, field: str
) -> None:
    answer = sqlite_application.get(f"/api/v1/pricing?{query}")
    assert field in error(answer, 422)["field_errors"]


def test_prices_can_be_asked_for_as_they_were_known(application: Application) -> None:
    price = set_price(application)
    first = one(application, price["id"])["recorded_at"]
    change(application, price, input_price_per_million=3)
    second = one(application, price["id"])["recorded_at"]
    assert first < second
    known = [
        [p["input_price_per_million"] for p in listed(
            application, f"source=organization&known_at={at}")]
        for at in ("2020-01-01", first, second)
    ]  # fmt: skip
    assert known == [[], [2], [3]]
    prices = application.app.state.prices
    for at, cost in ((first, 2), (second, 3), ("2020-01-01T00:00:00Z", Decimal("2.5"))):
        with read(application.database) as session:
            view = prices.view_known_at(
                session, application.organization_id, datetime.fromisoformat(at)
            )
        called_at = from_micros(1_750_000_000_000_000)
        quote = view.quote("openai", "gpt-4o", called_at, {"input_tokens": 1_000_000})
        assert quote.cost_e10 == cost * 10**10


def test_the_operators_price_holds_for_all_under_their_own(application: Application) -> None:
    actor = Actor(OPERATOR, None, None, to_micros(datetime(2025, 1, 1, tzinfo=UTC)))
    view = application.app.state.prices.view(application.organization_id)
    with write(application.database) as session:
        made = create(session, {**PRICE, "input_price_per_million": 6}, view, actor)
    application.app.state.prices.forget(application.organization_id)
    assert price_at(application, "2025-06-01T00:00:00Z") == 6
    assert [p["source"] for p in listed(application, "source=operator")] == ["operator"]
    assert listed(application, "source=organization") == []
    assert one(application, made["id"])["source"] == "operator"
    for refused in (
        put(application, f"/pricing/{made['id']}", {"input_price_per_million": 1}),
        application.delete(f"/api/v1/pricing/{made['id']}"),
    ):
        error(refused, 404, "NOT_FOUND")
    set_price(application)
    assert price_at(application, "2025-06-01T00:00:00Z") == 2


def test_a_foreign_price_is_not_there(sqlite_application: Application) -> None:
    app = sqlite_application
    foreign = set_price(app.another())
    path = f"/api/v1/pricing/{foreign['id']}"
    error(app.get(path), 404, "NOT_FOUND")
    error(app.delete(path), 404, "NOT_FOUND")
    error(put(app, f"/pricing/{foreign['id']}", {"input_price_per_million": 1}), 404)
    assert price_at(app, "2025-06-01T00:00:00Z") == Decimal("2.5")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"x": 1}, "x"), ({"provider": None}, "provider"), ({"provider": "nobody"}, "provider"),
        ({"model": None}, "model"), ({"model": ""}, "model"), ({"model": 5}, "model"),
        ({"model": " x"}, "model"), ({"model": "x" * 256}, "model"),
        ({"effective_date": None}, "effective_date"), ({"effective_date": "x"}, "effective_date"),
        ({"end_date": "2024-12-31"}, "end_date"), ({"end_date": "2024-01-01"}, "end_date"),
        ({"processing": "slow"}, "processing"), ({"currency": "usd!"}, "currency"),
        ({"region": "x" * 65}, "region"), ({"service_tier": "x" * 33}, "service_tier"),
        ({"pricing_structure": None}, "pricing_structure"),
        ({"pricing_structure": 5}, "pricing_structure"),
        ({"pricing_structure": 5, "input_price_per_million": 1}, "pricing_structure"),
        ({"prices": {"input_tokens": {"price": 1}}}, "pricing_structure"),
        ({"pricing_structure": None, "prices": {}}, "prices"),
        ({"pricing_structure": None, "prices": [1]}, "prices"),
        ({"pricing_structure": {"type": "x"}}, "pricing_structure.type"),
        ({"pricing_structure": {**FLAT, "input_price_per_million": -1}},
         "pricing_structure.input_price_per_million"),
    ],
)  # fmt: skip
def test_a_faulty_price_is_refused(
    sqlite_application: Application, change: dict[str, Any], field: str
) -> None:
    body = {name: value for name, value in {**PRICE, **change}.items() if value is not None}
    answer = send(sqlite_application, "/pricing", body)
    assert field in error(answer, 422)["field_errors"]
    assert count(sqlite_application, "price_versions") == 0


@pytest.mark.parametrize("content", ["[1]", '"x"', "5"])
def test_a_price_is_an_object(sqlite_application: Application, content: str) -> None:
    answer = sqlite_application.post("/api/v1/pricing", content=content, headers=JSON)
    assert "body" in error(answer, 422)["field_errors"]


def test_bounds_of_a_price(sqlite_application: Application) -> None:
    at_limit = {**PRICE, "model": "x" * 255, "region": "r" * 64, "service_tier": "t" * 32}
    accepted(send(sqlite_application, "/pricing", at_limit), 201)
    reader = sqlite_application.new_key("read:costs")
    answer = sqlite_application.post(
        "/api/v1/pricing", content=dumps(PRICE), headers=JSON, key=reader
    )
    error(answer, 403, "INSUFFICIENT_PERMISSIONS")
