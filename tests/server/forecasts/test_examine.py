"""Anomalies of a range of the ledger, and their causes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from llm_cost_ops.core.instant import from_micros, to_micros
from llm_cost_ops.core.period import HOUR_US, Window
from llm_cost_ops.server.analytics.selection import Selection
from llm_cost_ops.server.forecasts.cause import Jump, like_windows
from llm_cost_ops.server.forecasts.examine import MAX_POINTS
from tests.server.forecasts.conftest import (
    cost,
    examined,
    record_all,
    spend,
    spend_days,
    total,
    use,
)
from tests.support.application import Application
from tests.support.calls import accepted, send

FIRST = datetime(2026, 10, 1, 12, tzinfo=UTC)


def steady(day: int) -> Decimal:
    return Decimal("10") + Decimal(day % 5) / 10


def test_the_documented_call_by_body_and_address(any_app: Application) -> None:
    spend_days(any_app, FIRST, 50, steady)
    spend(any_app, cost(datetime(2026, 11, 3, 15, tzinfo=UTC), 50))
    period = {"start_date": "2026-10-10", "end_date": "2026-11-15"}
    (row,) = examined(any_app, method="zscore", threshold=3, **period)
    assert list(row)[:5] == ["date", "dimension", "value", "group", "currency"]
    assert (row["date"], row["dimension"], row["value"]) == ("2026-11-03", "total", "all")
    assert row["actual_cost"] == Decimal("60.3")
    assert row["lower"] < row["expected_cost"] < row["upper"] < row["actual_cost"]
    assert row["severity"] in ("low", "medium", "high", "critical")
    query = "method=zscore&threshold=3.0&start_date=2026-10-10&end_date=2026-11-15"
    answer = accepted(any_app.get(f"/api/v1/forecast/anomalies?{query}"), 200)
    assert answer["data"] == [row]
    assert [each["date"] for each in examined(any_app, method="iqr", **period)] == ["2026-11-03"]


def test_auto_learns_from_before_the_range_and_judges_only_within(app: Application) -> None:
    spend_days(app, FIRST, 50, steady)
    spend(app, cost(datetime(2026, 11, 3, 15, tzinfo=UTC), 50))
    spend(app, cost(datetime(2026, 11, 12, 15, tzinfo=UTC), 50))
    found = examined(app, start_date="2026-11-10", end_date="2026-11-15")
    assert [row["date"] for row in found] == ["2026-11-12"]
    assert found[0]["expected_cost"] == pytest.approx(Decimal("10.2"), abs=Decimal("0.3"))


def test_each_value_is_a_series_and_a_new_one_is_no_alarm(app: Application) -> None:
    spend_days(app, FIRST, 50, steady, project_id="old")
    spend_days(app, datetime(2026, 11, 10, 12, tzinfo=UTC), 10, lambda _: 90, project_id="new")
    spend(app, cost(datetime(2026, 11, 12, 15, tzinfo=UTC), 30, project_id="old", tags=["t:1"]))
    found = examined(app, group_by="project", start_date="2026-11-01", end_date="2026-11-19")
    assert [(row["date"], row["dimension"], row["value"]) for row in found] == [
        ("2026-11-12", "project", "old")
    ]
    assert found[0]["group"] == {"project": "old"}
    answer = accepted(app.get("/api/v1/forecasts/anomalies?group_by=project,tag:t&days=20"), 200)
    assert answer["series"] == 3
    # In all it is a new level, which is flagged when it begins.
    assert examined(app, start_date="2026-11-01")[0]["date"] == "2026-11-10"


def test_small_money_is_no_alarm(app: Application) -> None:
    spend_days(app, FIRST, 50, lambda day: Decimal("0.01") + Decimal(day % 5) / 10_000)
    spend(app, cost(datetime(2026, 11, 12, 15, tzinfo=UTC), "0.5"))
    asked = {"start_date": "2026-11-01"}
    assert len(examined(app, **asked)) == 1
    assert len(examined(app, min_amount="0.49", **asked)) == 1
    assert examined(app, min_amount="0.51", **asked) == []
    assert examined(app, min_amount=5, **asked) == []


def test_hours(app: Application) -> None:
    start = datetime(2026, 11, 10, tzinfo=UTC)
    calls = [use(app, start + timedelta(hours=n), 400_000 + n % 7 * 1000) for n in range(240)]
    calls.append(use(app, datetime(2026, 11, 19, 4, 10, tzinfo=UTC), 4_000_000))
    record_all(app, calls)
    found = examined(app, interval="hourly", start_date="2026-11-18", end_date="2026-11-19")
    assert [row["date"] for row in found] == ["2026-11-19T04:00:00Z"]


def test_the_causes_of_a_retry_loop_sum_to_the_jump(any_app: Application) -> None:
    day = datetime(2026, 10, 1, 12, tzinfo=UTC)
    calls: list[dict[str, Any]] = []
    for number in range(49):
        at = day + timedelta(days=number)
        calls += [use(any_app, at, 400_003, user_id=f"u{n}", feature="chat") for n in range(4)]
        calls.append(use(any_app, at, 1_000_001, model="gpt-4o-mini", feature="search"))
    bad = datetime(2026, 11, 19, 12, tzinfo=UTC)
    calls += [use(any_app, bad, 400_003, user_id=f"u{n}", feature="chat") for n in range(4)]
    calls += [
        use(any_app, bad, 400_003, user_id="u3", feature="chat", metadata={"attempt": 2 + n})
        for n in range(30)
    ]
    record_all(any_app, calls)
    (row,) = examined(any_app, start_date="2026-11-19", explain=True)
    causes = row["causes"]
    assert causes["jump"] == causes["actual_cost"] - causes["expected_cost"]
    assert causes["actual_cost"] == row["actual_cost"]
    assert causes["expected_cost"] == round(row["expected_cost"], 10)
    assert total(causes["drivers"]) == causes["jump"]
    assert causes["drivers"][0]["name"] == "retries"
    for name, members in causes["members"].items():
        changes = [{"amount": member["change"]} for member in members]
        assert total(changes) + causes["rest"][name] == causes["jump"], name
    assert causes["members"]["user"][0]["name"] == "u3"
    assert causes["members"]["feature"][0]["name"] == "chat"


def test_the_causes_of_another_price_and_of_a_lost_cache(app: Application) -> None:
    day = datetime(2026, 10, 1, 12, tzinfo=UTC)
    calls = [use(app, day + timedelta(days=n), 1_000_000, cached_tokens=900_000) for n in range(49)]
    record_all(app, [*calls, use(app, day + timedelta(days=49), 1_000_000, cached_tokens=0)])
    (row,) = examined(app, start_date="2026-11-19", explain=True)
    assert total(row["causes"]["drivers"]) == row["causes"]["jump"]
    assert row["causes"]["drivers"][0]["name"] == "cache"


def test_causes_within_values_of_every_kind(app: Application) -> None:
    spend_days(app, FIRST, 50, steady, tags=["team:a", "x"], metadata={"k": "v"})
    spend_days(app, FIRST, 50, steady)
    at = datetime(2026, 11, 12, 15, tzinfo=UTC)
    spend(app, cost(at, 30, tags=["team:a", "x"], metadata={"k": "v"}), cost(at, 40))
    for by, absent in (("tag", True), ("tag:team", False), ("metadata.k", True), ("user", True)):
        found = examined(app, group_by=by, start_date="2026-11-01", explain=True)
        assert found, by
        for row in found:
            causes = row["causes"]
            if row["value"] == "(none)" and not absent:
                assert causes is None
                continue
            assert causes["actual_cost"] == row["actual_cost"], (by, row["value"])
            assert total(causes["drivers"]) == causes["jump"]


def test_weeks_and_months_have_causes(app: Application) -> None:
    first = datetime(2024, 1, 1, 12, tzinfo=UTC)
    spend(app, *(cost(first + timedelta(days=7 * n), 10 + n % 3) for n in range(150)))
    spend(app, cost(datetime(2026, 10, 7, tzinfo=UTC), 900))
    for interval, date in (("weekly", "2026-10-05"), ("monthly", "2026-10")):
        found = examined(app, interval=interval, start_date="2026-09-01", explain=True)
        assert [row["date"] for row in found] == [date]
        assert total(found[0]["causes"]["drivers"]) == found[0]["causes"]["jump"]
        assert found[0]["causes"]["actual_cost"] == found[0]["actual_cost"]


def test_causes_where_every_call_says_something_else(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    spend_days(app, FIRST, 50, steady)
    at = datetime(2026, 11, 12, 15, tzinfo=UTC)
    spend(app, *(cost(at, 1, metadata={"attempt": n + 1}) for n in range(60)))
    monkeypatch.setattr("llm_cost_ops.server.analytics.groups.MAX_GROUPS", 55)
    (row,) = examined(app, start_date="2026-11-10", explain=True)
    causes = row["causes"]
    assert total(causes["drivers"]) == causes["jump"] != 0
    assert {each["name"]: each["amount"] for each in causes["drivers"]}["retries"] == 0


def test_the_dearest_are_judged_of_more_points_than_one_request_may(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place, name in enumerate(("a", "b", "c")):
        spend_days(app, FIRST, 50, lambda day, by=place + 1: steady(day) * by, project_id=name)
    monkeypatch.setitem(MAX_POINTS, "learning", 100)
    asked = {"group_by": "project", "start_date": "2026-11-01"}
    answer = accepted(send(app, "/forecasts/anomalies", asked), 200)
    assert (answer["series"], answer["series_left_out"]) == (2, 1)
    plain = accepted(send(app, "/forecasts/anomalies", {**asked, "method": "iqr"}), 200)
    assert (plain["series"], plain["series_left_out"]) == (3, 0)


def test_more_hours_than_can_be_judged_are_refused(app: Application) -> None:
    spend(
        app, cost(datetime(2016, 1, 1, tzinfo=UTC), 5), cost(datetime(2026, 11, 1, tzinfo=UTC), 5)
    )
    for method in ("auto", "zscore"):
        body = {"interval": "hour", "days": 4000, "method": method}
        answer = send(app, "/forecasts/anomalies", body)
        assert answer.status_code == 422
        assert "interval" in answer.json()["error"]["field_errors"]


def test_hours_follow_the_clock_of_the_people(app: Application) -> None:
    """Use from nine on by the clock of Berlin, which was changed on the 25th of October."""
    zone = ZoneInfo("Europe/Berlin")
    calls: list[dict[str, Any]] = []
    for hour in range(30 * 24):
        at = datetime(2026, 10, 1, tzinfo=UTC) + timedelta(hours=hour)
        busy = 9 <= at.astimezone(zone).hour < 18
        calls.append(use(app, at, (4_000_000 if busy else 40_000) + hour % 7 * 9_000))
    record_all(app, calls)
    asked = {"interval": "hour", "start_date": "2026-10-20", "end_date": "2026-10-29"}
    assert examined(app, timezone="Europe/Berlin", **asked) == []
    assert examined(app, timezone="UTC", **asked) != []


def test_the_hours_that_are_like_one_are_those_of_the_same_clock() -> None:
    zone = ZoneInfo("Europe/Berlin")
    start = datetime(2026, 10, 26, 9, tzinfo=zone)
    begin_us = to_micros(start)
    window = Window(begin_us, begin_us + HOUR_US)
    jump = Jump(Selection("org-1", window, zone), "hour", window, "USD", Decimal(1))
    found = [from_micros(each.start_us).astimezone(zone) for each in like_windows(jump)]
    assert [(each.day, each.hour) for each in found[:3]] == [(25, 9), (24, 9), (23, 9)]
    assert len(found) == 14


def test_nothing_to_judge(app: Application) -> None:
    assert examined(app) == []
    spend(app, cost(datetime(2026, 11, 19, tzinfo=UTC), 5))
    assert examined(app, method="zscore") == []
    assert examined(app, currency="EUR") == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"method": "prophet"}, "method"),
        ({"sensitivity": "extreme"}, "sensitivity"),
        ({"threshold": 0}, "threshold"),
        ({"threshold": "x"}, "threshold"),
        ({"min_amount": -1}, "min_amount"),
        ({"interval": "year"}, "interval"),
        ({"group_by": "day"}, "group_by"),
        ({"group_by": "colour"}, "group_by"),
        ({"explain": "perhaps"}, "explain"),
    ],
)
def test_what_is_refused(app: Application, body: dict[str, Any], field: str) -> None:
    answer = send(app, "/forecasts/anomalies", body)
    assert answer.status_code == 422
    assert field in answer.json()["error"]["field_errors"]


def test_nothing_of_others(any_app: Application) -> None:
    spend_days(any_app, FIRST, 50, steady)
    spend(any_app, cost(datetime(2026, 11, 12, 15, tzinfo=UTC), 30))
    assert examined(any_app.another(), group_by="model") == []
