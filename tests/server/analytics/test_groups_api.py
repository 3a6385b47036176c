"""Aggregates over HTTP: shapes, time zones, currencies, unpriced calls, tags, orders, limits."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.server.analytics.reading import ask, refusal
from tests.support.application import Application
from tests.support.factories import make_call, record_calls, rerate_call, void_calls

ROW = {
    "currency", "total_cost", "sum", "cost", "requests", "count", "avg", "min", "max", "tokens",
    "total_tokens", "unpriced_count", "partially_priced_count",
}  # fmt: skip
BY_KIND = {
    "input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens",
}  # fmt: skip


def record(application: Application, *calls: dict[str, Any]) -> list[str]:
    made = [make_call(**{"organization_id": application.organization_id, **call}) for call in calls]
    return record_calls(application.database, made)


def test_the_documented_row(application: Application) -> None:
    record(
        application,
        {"at": "2025-03-01T10:00:00Z", "cost": "0.1", "input_tokens": 3, "output_tokens": 4},
        {"at": "2025-03-01T11:00:00Z", "cost": "0.2"},
        {"at": "2025-03-01T12:00:00Z", "cost": None},
        {"at": "2025-03-02T12:00:00Z", "cost": "0.0000000001", "provider": "anthropic"},
    )
    answer = ask(
        application, "/costs/aggregate", group_by="provider,model,day", metrics="sum,count"
    )
    first, second = answer["data"]
    assert set(first) == {"provider", "model", "day"} | ROW
    assert first == {
        "provider": "anthropic", "model": "gpt-4o", "day": "2025-03-02", "currency": "USD",
        "total_cost": Decimal("1E-10"), "sum": Decimal("1E-10"), "cost": Decimal("1E-10"),
        "requests": 1, "count": 1, "avg": Decimal("1E-10"), "min": Decimal("1E-10"),
        "max": Decimal("1E-10"), "tokens": 0, "total_tokens": 0, "unpriced_count": 0,
        "partially_priced_count": 0,
    }  # fmt: skip
    assert (second["total_cost"], second["count"], second["avg"]) == (
        Decimal("0.3"),
        3,
        Decimal("0.15"),
    )
    assert (second["min"], second["max"], second["tokens"], second["unpriced_count"]) == (
        Decimal("0.1"),
        Decimal("0.2"),
        7,
        1,
    )
    assert answer["has_more"] is False
    assert answer["next_cursor"] is None
    assert answer["pagination"]["count"] == 2


def test_metrics_by_every_spelling(application: Application) -> None:
    costs = [f"{cost}" for cost in range(1, 21)]
    record(application, *({"cost": cost, "input_tokens": 10} for cost in costs))
    rows = ask(application, "/costs/aggregate", group_by="model", metric="sum")["data"]
    assert set(rows[0]) == {"model"} | ROW
    assert set(ask(application, "/costs/aggregate", group_by="model")["data"][0]) == (
        {"model"} | ROW | BY_KIND
    )
    names = ["p50", "p90,p95", "p99", "median", "stddev", "cost_per_1k_tokens", "cost_per_request",
             "average_tokens_per_request", "list_cost", "tokens", "input_tokens"]  # fmt: skip
    row = ask(application, "/costs/aggregate", metrics=names)["data"][0]
    assert [row[name] for name in ("p50", "median", "p90", "p95", "p99")] == [10, 10, 18, 19, 20]
    (usual,) = ask(application, "/costs/aggregate", metrics="percentiles")["data"]
    assert [usual[name] for name in ("p50", "p90", "p95", "p99")] == [10, 18, 19, 20]
    assert row["stddev"] == Decimal("5.7662812973")
    assert row["cost_per_1k_tokens"] == 1_050
    assert row["cost_per_request"] == Decimal("10.5")
    assert row["average_tokens_per_request"] == 10
    assert row["list_cost"] == 210
    assert row["tokens_by_kind"] == {"input_tokens": 200}
    assert list(refusal(application, "/costs/aggregate", metrics="p100")[1]) == ["metrics"]
    assert list(refusal(application, "/costs/aggregate", group_by="colour")[1]) == ["group_by"]


def test_days_of_a_clock_change_are_whole(application: Application) -> None:
    """New York: 2 November 2025 has 25 hours, from 04:00Z to 05:00Z of the next day."""
    record(
        application,
        {"at": "2025-11-02T03:59:59.999999Z", "cost": "1"},
        {"at": "2025-11-02T04:00:00Z", "cost": "2"},
        {"at": "2025-11-03T04:59:59.999999Z", "cost": "4"},
        {"at": "2025-11-03T05:00:00Z", "cost": "8"},
    )

    def days(**parameters: Any) -> dict[str, Any]:
        zone = {"timezone": "America/New_York", "group_by": "day"}
        rows = ask(application, "/costs/aggregate", **zone, **parameters)["data"]
        return {row["day"]: row["total_cost"] for row in rows}

    assert days() == {"2025-11-01": 1, "2025-11-02": 6, "2025-11-03": 8}
    assert days(user_id="nobody") == {}
    assert days(start_date="2025-11-02", end_date="2025-11-02") == {"2025-11-02": 6}
    hours = ask(
        application,
        "/costs/aggregate",
        timezone="America/New_York",
        group_by="hour",
        start_date="2025-11-02T05:00:00Z",
    )["data"]
    assert [row["hour"] for row in hours] == [
        "2025-11-02T23:00:00-05:00",
        "2025-11-03T00:00:00-05:00",
    ]


def test_the_repeated_hour_comes_in_its_order(sqlite_application: Application) -> None:
    record(
        sqlite_application,
        {"at": "2025-10-26T00:30:00Z", "cost": "1"},
        {"at": "2025-10-26T01:30:00Z", "cost": "2"},
    )
    rows = ask(sqlite_application, "/costs/aggregate", timezone="Europe/Berlin", group_by="hour")[
        "data"
    ]
    assert [(row["hour"], row["cost"]) for row in rows] == [
        ("2025-10-26T02:00:00+02:00", 1),
        ("2025-10-26T02:00:00+01:00", 2),
    ]


def test_days_of_kathmandu_begin_at_a_quarter_past_the_hour(application: Application) -> None:
    record(
        application,
        {"at": "2025-03-01T18:14:59.999999Z", "cost": "1"},
        {"at": "2025-03-01T18:15:00Z", "cost": "2"},
    )
    rows = ask(
        application, "/costs/aggregate", timezone="Asia/Kathmandu", group_by=["day", "hour"]
    )["data"]
    assert [(row["day"], row["hour"], row["cost"]) for row in rows] == [
        ("2025-03-01", "2025-03-01T23:00:00+05:45", 1),
        ("2025-03-02", "2025-03-02T00:00:00+05:45", 2),
    ]


def test_weeks_and_months_together(sqlite_application: Application) -> None:
    record(
        sqlite_application,
        {"at": "2025-01-31T12:00:00Z", "cost": "1"},
        {"at": "2025-02-01T12:00:00Z", "cost": "2"},
    )
    rows = ask(sqlite_application, "/costs/aggregate", group_by="week,month,date")["data"]
    assert [(row["week"], row["month"], row["date"]) for row in rows] == [
        ("2025-01-27", "2025-01", "2025-01-31"),
        ("2025-01-27", "2025-02", "2025-02-01"),
    ]


def test_currencies_are_never_added(application: Application) -> None:
    record(
        application,
        {"cost": "1", "model_name": "a"},
        {"cost": "2", "model_name": "a", "currency": "EUR"},
        {"cost": "4", "model_name": "b", "currency": "EUR"},
        {"cost": None, "model_name": "b"},
    )
    answer = ask(application, "/costs/aggregate", group_by="model")
    assert [(r["model"], r["currency"], r["total_cost"], r["count"]) for r in answer["data"]] == [
        ("a", "EUR", 2, 1),
        ("a", "USD", 1, 1),
        ("b", "EUR", 4, 1),
        ("b", "USD", None, 1),
    ]
    assert [(t["currency"], t["total_cost"]) for t in answer["totals"]] == [("EUR", 6), ("USD", 1)]
    summary = ask(application, "/costs/summary")
    assert (summary["total_cost"], summary["currency"], summary["avg_cost_per_request"]) == (
        None,
        None,
        None,
    )
    assert summary["total_requests"] == 4
    assert [(c["currency"], c["total_cost"]) for c in summary["currencies"]] == [
        ("EUR", 6),
        ("USD", 1),
    ]
    euros = ask(application, "/costs/summary", currency="EUR")
    assert (euros["total_cost"], euros["currency"]) == (6, "EUR")
    assert "currencies" not in euros


def test_days_whose_projects_are_added_up(application: Application) -> None:
    """Whole days of a rollup that is apart by project, with and without it, in one currency."""
    record(
        application,
        *(
            {"at": f"2025-03-0{day}T10:00:00Z", "cost": cost, "model_name": model, **project}
            for day in range(1, 6)
            for model in ("b", "a")
            for cost, project in (("1", {}), ("2", {"project_id": "p"}), ("4", {"project_id": "q"}))
        ),
    )
    period = {"start_date": "2025-03-01T00:00:00Z", "end_date": "2025-03-06T00:00:00Z"}
    rows = ask(application, "/costs/aggregate", group_by="day,model", **period)["data"]
    shown = [(r["day"], r["model"], r["sum"], r["count"], r["min"], r["max"]) for r in rows]
    assert shown == [(f"2025-03-0{d}", m, 7, 3, 1, 4) for d in range(1, 6) for m in ("a", "b")]
    rows = ask(application, "/costs/aggregate", group_by="model,project,day", **period)["data"]
    found = {(r["model"], r["project"], r["day"]): (r["sum"], r["count"]) for r in rows}
    assert len(found) == len(rows) == 30
    assert all(found["a", None, day] == (1, 1) for day in sorted({r["day"] for r in rows}))
    assert {v for (_, project, _), v in found.items() if project == "q"} == {(4, 1)}


def test_days_in_several_currencies_are_apart(application: Application) -> None:
    record(
        application,
        *(
            {"at": f"2025-03-0{day}T10:00:00Z", "cost": "2", "currency": currency}
            for day in range(1, 6)
            for currency in ("USD", "EUR")
        ),
    )
    period = {"start_date": "2025-03-01T00:00:00Z", "end_date": "2025-03-06T00:00:00Z"}
    for dimensions in ("day,model", "model,day,currency", "model,day,project"):
        rows = ask(application, "/costs/aggregate", group_by=dimensions, **period)["data"]
        assert sorted((r["day"], r["currency"], r["sum"], r["count"]) for r in rows) == [
            (f"2025-03-0{day}", currency, 2, 1)
            for day in range(1, 6)
            for currency in ("EUR", "USD")
        ]


def test_an_unpriced_call_does_not_make_a_second_currency(application: Application) -> None:
    record(
        application,
        {"cost": "2", "currency": "EUR"},
        {"cost": None, "currency": "USD", "input_tokens": 5},
    )
    rows = ask(application, "/costs/aggregate", group_by="model", metrics="tokens,p50")["data"]
    assert [(r["currency"], r["total_cost"], r["count"], r["unpriced_count"]) for r in rows] == [
        ("EUR", 2, 2, 1)
    ]
    assert rows[0]["tokens_by_kind"] == {"input_tokens": 5}
    assert rows[0]["p50"] == 2
    apart = ask(application, "/costs/aggregate", group_by="currency")["data"]
    assert [(r["currency"], r["total_cost"]) for r in apart] == [("EUR", 2), ("USD", None)]
    summary = ask(application, "/costs/summary")
    assert (summary["total_cost"], summary["currency"], summary["unpriced_count"]) == (2, "EUR", 1)


def test_unknown_is_not_zero_and_nothing_is(application: Application) -> None:
    nothing = ask(application, "/costs/summary")
    assert (nothing["total_cost"], nothing["total_requests"]) == (0, 0)
    assert nothing["avg_cost_per_request"] is None
    assert ask(application, "/costs/aggregate", group_by="model")["data"] == []
    record(application, {"cost": None, "input_tokens": 9})
    unknown = ask(application, "/costs/summary")
    assert (unknown["total_cost"], unknown["total_requests"], unknown["unpriced_count"]) == (
        None,
        1,
        1,
    )
    assert unknown["total_tokens"] == 9
    rows = ask(application, "/costs/aggregate", group_by="model", metrics="p95,stddev")["data"]
    for name in ("total_cost", "sum", "avg", "min", "max", "p95", "stddev"):
        assert rows[0][name] is None


def test_a_call_is_in_the_group_of_each_of_its_tags(application: Application) -> None:
    record(
        application,
        {"cost": "1", "tags": ["a", "b", "a", "team:search"]},
        {"cost": "2", "tags": ["a", "team=ads"]},
        {"cost": "4", "tags": ["team"]},
        {"cost": "8"},
    )

    def groups(dimension: str) -> dict[Any, Any]:
        rows = ask(application, "/costs/aggregate", group_by=dimension)["data"]
        return {row[dimension]: row["cost"] for row in rows}

    assert groups("tag") == {
        "a": 3, "b": 1, "team": 4, "team:search": 1, "team=ads": 2, None: 8,
    }  # fmt: skip
    assert groups("tag:team") == {"search": 1, "ads": 2, "true": 4, None: 8}
    assert "totals" not in ask(application, "/costs/aggregate", group_by="tag")


def test_groups_by_metadata(application: Application) -> None:
    record(
        application,
        {"cost": "1", "metadata": {"team": "s", "tier": 1}},
        {"cost": "2", "metadata": {"team": "s", "tier": True}},
        {"cost": "4", "metadata": {"team": None}},
        {"cost": "8", "metadata": {"team": "ü"}},
    )
    rows = ask(application, "/costs/aggregate", group_by="metadata.team,metadata.tier")["data"]
    assert [(row["metadata.team"], row["metadata.tier"], row["cost"]) for row in rows] == [
        ("s", "1", 1),
        ("s", "true", 2),
        ("ü", None, 8),
        (None, None, 4),
    ]


def test_order_limit_and_offset(sqlite_application: Application) -> None:
    record(
        sqlite_application,
        *({"cost": cost, "model_name": name} for name, cost in
          (("a", "1"), ("b", "3"), ("c", "2"), ("d", None))),
    )  # fmt: skip

    def models(**parameters: Any) -> list[str]:
        answer = ask(sqlite_application, "/costs/aggregate", group_by="model", **parameters)
        return [row["model"] for row in answer["data"]]

    assert models() == ["a", "b", "c", "d"]
    assert models(order_by="-total_cost") == ["b", "c", "a", "d"]
    assert models(order_by="total_cost") == ["a", "c", "b", "d"]
    assert models(order_by="-model", limit=2) == ["d", "c"]
    assert models(order_by="-p50", metrics="p50") == ["b", "c", "a", "d"]
    answer = ask(sqlite_application, "/costs/aggregate", group_by="model", limit=2, offset=1)
    assert ([row["model"] for row in answer["data"]], answer["has_more"]) == (["b", "c"], True)
    refused = refusal(sqlite_application, "/costs/aggregate", group_by="model", order_by="day")
    assert list(refused[1]) == ["order_by"]


def test_a_window_inside_of_hours_is_exact(application: Application) -> None:
    """Hours and days come from rollups, the ends of the window from the calls."""
    record(
        application,
        *(
            {"at": f"2025-03-0{day}T{hour:02d}:30:00Z", "cost": "1"}
            for day in range(1, 6)
            for hour in (0, 9, 10, 23)
        ),
    )
    answer = ask(
        application,
        "/costs/aggregate",
        group_by="day",
        start_date="2025-03-01T09:30:00Z",
        end_date="2025-03-05T09:30:00.000001Z",
    )
    assert [row["count"] for row in answer["data"]] == [3, 4, 4, 4, 2]
    by_project = ask(
        application,
        "/costs/aggregate",
        group_by="project",
        start_date="2025-03-01T09:30:00Z",
        end_date="2025-03-05T09:30:00Z",
    )
    assert [(row["project"], row["count"]) for row in by_project["data"]] == [(None, 16)]


def test_groups_of_voided_calls_are_gone(application: Application) -> None:
    ids = record(application, {"cost": "1", "model_name": "a"}, {"cost": "2", "model_name": "b"})
    void_calls(application.database, ids[:1], application.organization_id)
    rows = ask(application, "/costs/aggregate", group_by="model")["data"]
    assert [(row["model"], row["count"], row["min"]) for row in rows] == [("b", 1, 2)]


def test_the_spread_of_corrected_calls_is_that_of_their_net_costs(application: Application) -> None:
    organization = application.organization_id
    ids = record(application, {"cost": None}, {"cost": "9"}, {"cost": "4"})
    rerate_call(application.database, ids[0], "0.0000031623", organization_id=organization)
    void_calls(application.database, ids[1:], organization)
    [row] = ask(application, "/costs/aggregate", metrics="stddev,p1,p99,list_cost")["data"]
    amounts = [row[name] for name in ("cost", "list_cost", "min", "max", "p1", "p99", "avg")]
    assert amounts == [Decimal("0.0000031623")] * 7
    assert row["stddev"] == 0


def test_sums_beyond_64_bits_are_exact(application: Application) -> None:
    record(application, *({"cost": "99999999.9999999999", "user_id": "u"} for _ in range(40)))
    expected = Decimal("99999999.9999999999") * 40
    for dimension in ("model", "user_id"):
        rows = ask(application, "/costs/aggregate", group_by=dimension)["data"]
        assert [row["total_cost"] for row in rows] == [expected]


def test_tokens_beyond_64_bits_are_exact(application: Application) -> None:
    """Each rollup row holds its sum; the sum of the rows does not fit."""
    most = 2**53 - 1
    record(
        application,
        *(
            {"at": f"2025-03-{1 + n % 5:02d}T{n % 7:02d}:00:00Z", "input_tokens": most,
             "project_id": f"p{n % 2}"}
            for n in range(1_100)
        ),
    )  # fmt: skip
    for dimension in ("model", "project_id", "user_id"):
        rows = ask(application, "/costs/aggregate", group_by=dimension)["data"]
        assert sum(row["tokens"] for row in rows) == 1_100 * most


@pytest.mark.parametrize("group_by", ["hour", "day"])
def test_too_many_buckets_are_refused(sqlite_application: Application, group_by: str) -> None:
    record(
        sqlite_application,
        {"at": "1970-01-01T00:00:00Z", "cost": "1"},
        {"at": "2100-12-31T00:00:00Z", "cost": "1"},
    )
    if group_by == "day":
        rows = ask(sqlite_application, "/costs/aggregate", group_by="day")["data"]
        assert [row["day"] for row in rows] == ["1970-01-01", "2100-12-31"]
    else:
        refused = refusal(sqlite_application, "/costs/aggregate", group_by=group_by)
        assert list(refused[1]) == ["group_by"]
