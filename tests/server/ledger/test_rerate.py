"""Re-rating: previewed, applied once, over prices that changed, moved, ended or came late."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.server.ledger import rerate
from llm_cost_ops.server.settings import PricingSettings, Settings
from tests.support.application import Application, running
from tests.support.calls import (
    JSON,
    accepted,
    assert_proven,
    body_of,
    cost_row,
    count,
    error,
    put,
    record,
    select_all,
    send,
    set_price,
    usage,
)

JUNE = {"start_date": "2025-06-01", "end_date": "2025-06-30"}


def preview(app: Application, **fields: Any) -> Any:
    return accepted(send(app, "/pricing/rerate", {**JUNE, **fields}), 200)


def apply(app: Application, **fields: Any) -> Any:
    return preview(app, dry_run=False, **fields)


def reprice(app: Application, price: Any, **fields: Any) -> Any:
    return accepted(put(app, f"/pricing/{price['id']}", fields), 200)


def totals(report: Any) -> tuple[Any, ...]:
    return tuple(report[n] for n in ("records", "old_total", "new_total", "difference"))


def test_a_preview_changes_nothing_and_applying_does_what_it_said(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rerate, "BATCH", 2)
    price, mini = set_price(application), set_price(application, model="gpt-4o-mini")
    calls = [usage(f"e{n}", prompt_tokens=n * 1_000) for n in range(1, 6)]
    small = usage("m", model="gpt-4o-mini")
    record(application, *calls, small, usage("july", timestamp="2025-07-01T00:00:00Z"))
    stated = {"model": "gpt-4o", "cost": 1, "tokens_used": 5, "timestamp": calls[0]["timestamp"]}
    accepted(send(application, "/costs", stated), 201)
    reprice(application, price, input_price_per_million=4)
    reprice(application, mini, output_price_per_million=4)
    told = preview(application)
    assert totals(told) == (6, Decimal("0.056"), Decimal("0.084"), Decimal("0.028"))
    assert (told["examined"], told["currency"], told["dry_run"]) == (7, "USD", True)
    assert (told["unpriced_before"], told["unpriced_after"]) == (0, 0)
    assert "rerate_id" not in told
    assert [(row["model"], *totals(row)) for row in told["by_model"]] == [
        ("gpt-4o", 5, Decimal("0.050"), Decimal("0.080"), Decimal("0.030")),
        ("gpt-4o-mini", 1, Decimal("0.006"), Decimal("0.004"), Decimal("-0.002")),
    ]
    assert count(application, "usage_corrections") == 0
    assert count(application, "reratings") == 0
    done = apply(application)
    assert {k: v for k, v in done.items() if k not in ("dry_run", "rerate_id")} == {
        k: v for k, v in told.items() if k != "dry_run"
    }
    assert count(application, "usage_corrections", "kind = 'rerate'") == 6
    assert count(application, "reratings") == 1
    assert count(application, "audit_log", "action = 'pricing.rerate'") == 1
    again = apply(application)
    assert totals(again) == (0, 0, 0, 0)
    assert again["rerate_id"] != done["rerate_id"]
    assert count(application, "usage_corrections") == 6
    assert_proven(application, "1.090")
    operations = {
        entry["operation_id"]
        for row in body_of(application.get("/api/v1/costs"))["data"]
        for entry in body_of(application.get(f"/api/v1/costs/{row['id']}/entries"))["data"]
        if entry["kind"] == "rerate"
    }
    assert operations == {done["rerate_id"]}
    # Only what is asked for is looked at.
    reprice(application, price, input_price_per_million=8)
    assert preview(application, model="gpt-4o-mini")["examined"] == 1
    assert preview(application, provider="OpenAI", model="gpt-4o")["records"] == 5
    assert preview(application, provider="azure")["examined"] == 0
    assert preview(application, unpriced_only=True)["examined"] == 0
    assert preview(application, start_date="2025-07-01", end_date="2025-07-01")["records"] == 1


def test_a_back_dated_price_prices_only_from_its_date_on(application: Application) -> None:
    price = set_price(application)
    days = [usage(f"d{day}", timestamp=f"2025-06-{day:02}T00:00:00Z") for day in (9, 10, 20)]
    made = record(application, *days)["results"]
    reprice(application, price, effective_date="2025-06-10", input_price_per_million=4)
    assert apply(application)["records"] == 2
    found = [cost_row(application, result["id"])["total_cost"] for result in made]
    assert found == [Decimal("0.006"), Decimal("0.008"), Decimal("0.008")]
    # An end in the past takes the price away again: the public book, which has one, applies.
    reprice(application, price, effective_date="2025-06-10", end_date="2025-06-19")
    apply(application)
    rules = [cost_row(application, result["id"])["price_version"] for result in made]
    assert [rule.startswith("price_") for rule in rules] == [True, True, False]
    assert_proven(application)


def test_a_price_that_is_taken_away_leaves_calls_unpriced(application: Application) -> None:
    model: dict[str, Any] = {"model": "own-model", "provider": "custom"}
    price = set_price(application, **model)
    (made,) = record(application, usage("e", **model))["results"]
    accepted(application.delete(f"/api/v1/pricing/{price['id']}"), 200)
    assert preview(application)["records"] == 0  # what was in force then still is
    later = "2025-12-01"
    reprice(application, price, effective_date="2025-01-01", end_date="2025-01-01")
    done = apply(application)
    assert totals(done) == (1, Decimal("0.006"), 0, Decimal("-0.006"))
    assert (done["unpriced_before"], done["unpriced_after"]) == (0, 1)
    row = cost_row(application, made["id"])
    assert (row["total_cost"], row["list_cost"], row["cost_status"]) == (None, None, "unpriced")
    assert row["lines"] == []
    waiting = body_of(application.get("/api/v1/pricing/unpriced"))["data"]
    assert [(w["model"], w["unpriced_count"]) for w in waiting] == [("own-model", 1)]
    assert_proven(application, 0)
    assert apply(application)["records"] == 0
    back = reprice(application, price, effective_date="2025-01-01", end_date=later)
    assert back["priced_records"] == 1
    assert cost_row(application, made["id"])["total_cost"] == Decimal("0.006")
    assert body_of(application.get("/api/v1/pricing/unpriced"))["data"] == []
    assert_proven(application, "0.006")


def test_a_price_in_another_currency_moves_the_call_there(application: Application) -> None:
    price = set_price(application)
    (made, other) = record(application, usage("e"), usage("f", model="gpt-4o-mini"))["results"]
    usd = other["total_cost"]
    reprice(application, price, currency="EUR", input_price_per_million=1)
    done = apply(application)
    assert totals(done) == (1, None, None, None)
    assert done["currency"] is None
    assert [(c["currency"], c["old_total"], c["new_total"]) for c in done["currencies"]] == [
        ("EUR", 0, Decimal("0.005")), ("USD", Decimal("0.006"), 0),
    ]  # fmt: skip
    row = cost_row(application, made["id"])
    assert (row["currency"], row["total_cost"], row["total_tokens"]) == (
        "EUR", Decimal("0.005"), 1500,
    )  # fmt: skip
    assert assert_proven(application).totals == {"EUR": Decimal("0.005"), "USD": usd}
    assert apply(application)["records"] == 0
    grown = usage("e", prompt_tokens=2_000)
    accepted(send(application, "/usage/batch?correct=true", [grown]), 200)
    assert assert_proven(application).totals == {"EUR": Decimal("0.006"), "USD": usd}
    reprice(application, price, currency="USD")
    assert apply(application)["records"] == 1
    assert assert_proven(application).totals == {"EUR": 0, "USD": usd + Decimal("0.006")}
    assert application.delete(f"/api/v1/costs/{made['id']}").status_code == 204
    assert assert_proven(application).records == 1
    summary = body_of(application.get("/api/v1/costs/summary?start_date=2025-06-15"))
    assert (summary["total_cost"], summary["currency"]) == (usd, "USD")


def test_a_discount_is_applied_in_order_beside_the_list_cost(application: Application) -> None:
    (made,) = record(application, usage("e"))["results"]
    assert made["total_cost"] == Decimal("0.0075")
    for label, body in (
        ("tenth", {"discount_percent": 10, "position": 2}),
        ("output", {"factor": "0.5", "kinds": ["output_tokens"], "position": 1}),
        ("later", {"factor": "0", "effective_date": "2025-06-16"}),
        ("elsewhere", {"factor": "0", "provider": "azure"}),
    ):
        discount = {"label": label, "effective_date": "2025-01-01", **body}
        accepted(send(application, "/pricing/adjustments", discount), 201)
    assert apply(application)["difference"] == Decimal("-0.003")
    row = cost_row(application, made["id"])
    assert (row["total_cost"], row["list_cost"]) == (Decimal("0.0045"), Decimal("0.0075"))
    assert {line["kind"]: line["price"] for line in row["lines"]} == {
        "input_tokens": Decimal("2.25"), "output_tokens": Decimal("4.5"),
    }  # fmt: skip
    summary = body_of(application.get("/api/v1/costs/summary?start_date=2025-06-15"))
    assert summary["total_cost"] == Decimal("0.0045")
    for shown in body_of(application.get("/api/v1/pricing/adjustments"))["data"]:
        answer = application.delete(f"/api/v1/pricing/adjustments/{shown['id']}")
        assert answer.status_code == 204
    assert apply(application)["records"] == 1
    assert_proven(application, "0.0075")
    row = cost_row(application, made["id"])
    assert (row["total_cost"], row["list_cost"]) == (Decimal("0.0075"), Decimal("0.0075"))


def test_a_new_price_fills_in_the_calls_that_waited_for_it(application: Application) -> None:
    model: dict[str, Any] = {"model": "own-model", "provider": "custom"}
    record(
        application,
        usage("a", **model), usage("b", timestamp="2024-12-31T23:59:59Z", **model),
        usage("c", timestamp="2025-02-01T00:00:00Z", **model), usage("d", model="else-where"),
    )  # fmt: skip
    part: dict[str, Any] = {"prices": {"input_tokens": {"price": 2, "per": 1_000_000}}}
    first = set_price(application, end_date="2025-01-31", **model, **part)
    assert first["priced_records"] == 0
    price = set_price(application, effective_date="2025-02-01", **model, **part)
    assert price["priced_records"] == 2  # the output has no price yet
    waiting = {
        row["model"]: (row["unpriced_count"], row["partially_priced_count"])
        for row in body_of(application.get("/api/v1/pricing/unpriced"))["data"]
    }
    assert waiting == {"own-model": (1, 2), "else-where": (1, 0)}
    assert_proven(application, "0.004")
    full = {"type": "per_token", "input_price_per_million": 2, "output_price_per_million": 8}
    changed = reprice(application, price, pricing_structure=full)
    assert changed["priced_records"] == 2
    assert_proven(application, "0.012")
    assert count(application, "reratings") == 2
    operations = select_all(application, "SELECT request FROM reratings")
    assert all("unpriced_only" in str(row[0]) for row in operations)
    deployed = {"provider": "openai", "deployment": "else-where", "model": "gpt-4o"}
    answer = accepted(put(application, "/pricing/deployments", deployed), 200)
    assert answer["priced_records"] == 1
    assert_proven(application)


BOOK = {
    "format": 1, "version": "t2", "built_at": "2026-11-01", "sources": {}, "regions": {},
    "adjustments": [],
}  # fmt: skip
MODEL = {
    "provider": "openai", "model": "gpt-9",
    "cards": [{
        "id": "prc_gpt9", "source": "overlay",
        "prices": {"input_tokens": "2", "output_tokens": "8"},
    }],
}  # fmt: skip


@pytest.fixture
def updated(application: Application, tmp_path: Path) -> Iterator[Application]:
    """The same organization, after a release whose price book knows `gpt-9`."""
    book = tmp_path / "book.jsonl"
    book.write_text(dumps(BOOK) + "\n" + dumps(MODEL) + "\n", encoding="utf-8")
    settings = Settings(
        database=application.app.state.settings.database,
        pricing=PricingSettings(book_file=str(book)),
    )
    with running(settings, database=application.database) as app:
        yield replace(app, organization_id=application.organization_id, key=application.key)


def test_an_updated_price_book_prices_what_waited(
    application: Application, updated: Application
) -> None:
    record(application, usage("e", model="gpt-9"))
    assert apply(application, unpriced_only=True)["records"] == 0
    told = preview(updated, unpriced_only=True)
    assert totals(told) == (1, 0, Decimal("0.006"), Decimal("0.006"))
    assert apply(updated, unpriced_only=True)["unpriced_before"] == 1
    assert_proven(application, "0.006")
    row = body_of(application.get("/api/v1/costs"))["data"][0]
    # The process with the old book shows the lines of a card that it does not know.
    lines = cost_row(application, row["id"])["lines"]
    assert sum(line["amount"] for line in lines) == Decimal("0.006")


def test_prices_of_another_organization_price_nothing_here(application: Application) -> None:
    other = application.another()
    for app in (application, other):
        record(app, usage("e", model="own-model", provider="custom"))
    set_price(other, provider="custom", model="own-model")
    assert preview(application)["records"] == 0
    assert_proven(application, 0)
    assert_proven(other, "0.006")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"start_date": None}, "start_date"), ({"end_date": None}, "end_date"), ({"x": 1}, "x"),
        ({"dry_run": "no"}, "dry_run"), ({"unpriced_only": 1}, "unpriced_only"),
        ({"provider": 5}, "provider"), ({"model": ""}, "model"), ({"timezone": "Nowhere"},
        "timezone"), ({"start_date": "2025-07-01"}, "start_date"), ({"start_date": 7},
        "start_date"),
    ],
)  # fmt: skip
def test_a_faulty_selection_is_refused(
    sqlite_application: Application, change: dict[str, Any], field: str
) -> None:
    answer = send(sqlite_application, "/pricing/rerate", {**JUNE, **change})
    assert answer.status_code in (400, 422)
    named = body_of(answer)["error"].get("field_errors", {})
    assert any(name in (field, "end_date") for name in named), answer.text


def test_rerating_needs_the_right_to_write_prices(sqlite_application: Application) -> None:
    key = sqlite_application.new_key("read:costs", "write:costs")
    answer = send(sqlite_application, "/pricing/rerate", JUNE, key=key)
    error(answer, 403, "INSUFFICIENT_PERMISSIONS")
    bad = sqlite_application.post("/api/v1/pricing/rerate", content="[1]", headers=JSON)
    error(bad, 400, "INVALID_REQUEST")
