"""What a process knows of prices: at once its own changes, others' in the transaction that records,
and never a card under another's name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from llm_cost_ops.server.db.session import write
from llm_cost_ops.server.pricing import resolve
from llm_cost_ops.server.pricing.cards import MAX_VERSION
from llm_cost_ops.server.pricing.tables import price_versions
from tests.support.application import Application, running
from tests.support.calls import (
    accepted,
    assert_proven,
    body_of,
    cost_row,
    error,
    put,
    record,
    send,
    set_price,
    usage,
)

OWN: dict[str, Any] = {"provider": "custom", "model": "own-model"}
TIERED = {"type": "tiered", "tiers": [{"up_to": 2_000, "price_per_million": 1_000},
                                      {"price_per_million": 10}]}  # fmt: skip


@pytest.fixture
def neighbour(application: Application, monkeypatch: pytest.MonkeyPatch) -> Iterator[Application]:
    """Another server of the same organization, while neither looks at prices again by itself."""
    monkeypatch.setattr(resolve, "FRESH_S", 3_600.0)
    settings = application.app.state.settings
    with running(settings, database=application.database) as app:
        yield replace(app, organization_id=application.organization_id, key=application.key)


@pytest.mark.parametrize("structure", [None, TIERED], ids=["by token", "by volume"])
def test_a_call_gets_the_price_that_another_process_set_just_before(
    application: Application, neighbour: Application, structure: Any
) -> None:
    first = record(application, usage("a", **OWN))["results"][0]
    assert first["cost_status"] == "unpriced"
    fields: dict[str, Any] = {} if structure is None else {"pricing_structure": structure}
    assert set_price(neighbour, **OWN, **fields)["priced_records"] == 1
    made = record(application, usage("b", **OWN), usage("c", model="nothing-like-it"))["results"]
    assert [result["cost_status"] for result in made] == ["priced", "unpriced"]
    expected = Decimal("0.006") if structure is None else Decimal("0.51")
    assert made[0]["total_cost"] == expected
    row = cost_row(application, made[0]["id"])
    assert sum(line["amount"] for line in row["lines"]) == expected
    assert_proven(application)


def test_a_price_that_another_process_changed_is_used_within_its_time(
    application: Application, neighbour: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    price = set_price(application, **OWN)
    record(neighbour, usage("a", **OWN))
    accepted(put(application, f"/pricing/{price['id']}", {"input_price_per_million": 4}), 200)
    assert record(application, usage("b", **OWN))["results"][0]["total_cost"] == Decimal("0.008")
    monkeypatch.setattr(resolve, "FRESH_S", 0.0)
    assert record(neighbour, usage("c", **OWN))["results"][0]["total_cost"] == Decimal("0.008")


def test_a_change_that_is_rolled_back_is_seen_by_nobody(application: Application) -> None:
    set_price(application, **OWN)
    prices = application.app.state.prices
    with suppress(ZeroDivisionError), write(application.database) as session:
        session.execute(price_versions.delete())
        view = prices.view_in(session, application.organization_id)
        assert view.find("custom", "own-model", application.clock.now()) is None
        raise ZeroDivisionError
    view = prices.view(application.organization_id)
    assert view.find("custom", "own-model", application.clock.now()) is not None


def test_a_version_of_many_discounts_has_a_name_that_fits(application: Application) -> None:
    for n in range(12):
        body = {"label": f"d{n}", "factor": "0.9", "effective_date": "2025-01-01"}
        accepted(send(application, "/pricing/adjustments", body), 201)
    (made,) = record(application, usage("a"))["results"]
    row = cost_row(application, made["id"])
    assert len(row["price_version"]) <= MAX_VERSION
    assert row["total_cost"] == round(Decimal("0.0075") * Decimal("0.9") ** 12, 10)
    lines = sum((line["amount"] for line in row["lines"]), Decimal(0))
    assert round(lines, 10) == row["total_cost"]
    (again,) = record(application, usage("b"))["results"]
    assert cost_row(application, again["id"])["price_version"] == row["price_version"]


def test_strict_mode_refuses_what_has_no_price_or_not_all_of_it(
    sqlite_application: Application,
) -> None:
    part: dict[str, Any] = {"prices": {"input_tokens": {"price": 2, "per": 1_000_000}}}
    set_price(sqlite_application, **OWN, **part)
    for fields in (OWN, {"model": "nothing-like-it"}):
        answer = send(sqlite_application, "/usage?strict=true", usage("a", **fields))
        assert fields["model"] in error(answer, 422, "COST_001")["message"]
    assert_proven(sqlite_application, 0)


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"items": [], }, 422, "items"), ({"items": 5}, 400, None), ({"items": [1], "x": 1},
        422, "x"), ({"items": [1]}, 422, "items[0].item"), ([], 422, "items"), ("x", 400, None),
        ({"items": [{"provider": "openai"}]}, 422, None),
    ],
)  # fmt: skip
def test_a_faulty_estimate_is_refused(
    sqlite_application: Application, body: Any, status: int, field: str | None
) -> None:
    found = error(send(sqlite_application, "/costs/estimate", body), status)
    assert field is None or field in found["field_errors"]


def test_estimates_name_at_most_a_hundred_faults(sqlite_application: Application) -> None:
    answer = send(sqlite_application, "/costs/estimate", [5] * 150)
    assert len(error(answer, 422)["field_errors"]) == 100


def test_one_item_or_many_are_estimated_with_own_prices(sqlite_application: Application) -> None:
    set_price(sqlite_application)
    item = {"provider": "openai", "model": "gpt-4o", "timestamp": "2025-06-15T12:00:00Z",
            "usage": {"input_tokens": 1_000_000}}  # fmt: skip
    for body, number in ((item, 1), ([item, item], 2), ({"items": [item]}, 1)):
        for path in ("/costs/estimate", "/estimates/cost"):
            answer = body_of(send(sqlite_application, path, body))["data"]
            assert [one["total_cost"] for one in answer] == [2] * number
