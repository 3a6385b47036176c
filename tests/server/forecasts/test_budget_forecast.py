"""When a budget will be exceeded, by the forecast of its own scope."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from llm_cost_ops.server.clock import FixedClock
from tests.server.forecasts.conftest import cost, spend, spend_days
from tests.support.application import Application
from tests.support.budgets import make_budget
from tests.support.calls import accepted, send

FIRST = datetime(2026, 10, 1, 12, tzinfo=UTC)


def asked(app: Application, **body: Any) -> Any:
    return accepted(send(app, "/forecasts/budget", {"model": "moving_average", **body}), 200)


def test_a_steady_budget_is_exceeded_on_the_day_that_a_child_would_name(
    any_app: Application, clock: FixedClock
) -> None:
    spend_days(any_app, FIRST, 50)
    clock.current = datetime(2026, 11, 20, 0, 0, tzinfo=UTC)
    budget = make_budget(any_app, amount=245)
    found = asked(any_app, budget_id=budget["id"])
    assert (found["spent"], found["days_remaining"]) == (190, 11)
    assert found["projected_spend"] == pytest.approx(Decimal(300))
    # 190 and 10 a day: 240 after the 24th, 250 after the 25th
    assert found["breach_date"] == found["breach_date_earliest"] == "2026-11-25"
    assert found["breach_date_latest"] == "2026-11-25"
    assert (found["breach_probability"], found["risk_level"]) == (1, "critical")
    assert found["status"] == "at_risk"
    assert len(found["predictions"]) == 11
    levels = {each["threshold"]: each for each in found["alert_thresholds"]}
    assert levels[Decimal("0.75")]["reached"] is True
    assert levels[Decimal("0.9")]["date"] == "2026-11-23"
    assert found["daily_rate"] == pytest.approx(Decimal(10))


def test_one_that_is_large_enough_is_on_track(app: Application) -> None:
    spend_days(app, FIRST, 50)
    found = asked(app, amount=1000)
    assert (found["budget_id"], found["breach_probability"], found["breach_date"]) == (
        None,
        0,
        None,
    )
    assert (found["risk_level"], found["status"]) == ("low", "on_track")


def test_noise_makes_the_day_a_range(app: Application) -> None:
    spend_days(app, FIRST, 50, lambda day: (4, 16, 7, 13, 10, 1, 19)[day % 7])
    found = asked(app, amount=Decimal("293"), confidence_level=Decimal("0.8"))
    assert 0 < found["breach_probability"] < 1
    assert found["lower_bound"] < found["projected_spend"] < found["upper_bound"]
    chances = [each["breach_probability"] for each in found["predictions"]]
    assert chances == sorted(chances)
    assert found["breach_date_earliest"] is not None
    assert found["backtest"]["origins"] > 1


def test_of_today_only_the_rest_is_forecast(app: Application, clock: FixedClock) -> None:
    spend_days(app, FIRST, 50)
    clock.current = datetime(2026, 11, 30, 18, tzinfo=UTC)
    spend(app, *(cost(datetime(2026, 11, day, 12, tzinfo=UTC), 10) for day in range(20, 31)))
    found = asked(app, amount=1000)
    assert (found["spent"], len(found["predictions"])) == (300, 1)
    assert found["projected_spend"] == pytest.approx(Decimal("302.5"))
    assert found["daily_rate"] == pytest.approx(Decimal(10))


def test_the_scope_and_the_budgets_below_it(app: Application) -> None:
    spend_days(app, FIRST, 50, lambda _: 3, project_id="a")
    spend_days(app, FIRST, 50, lambda _: 7, project_id="b")
    of_a = make_budget(app, amount=80, scope={"project_id": "a"})
    assert asked(app, budget_id=of_a["id"])["spent"] == 57
    thought = asked(app, amount=80, scope={"project_id": "a"}, period="monthly")
    assert thought["projected_spend"] == asked(app, budget_id=of_a["id"])["projected_spend"]


def test_days_of_the_budgets_own_zone(app: Application, clock: FixedClock) -> None:
    spend_days(app, datetime(2026, 10, 1, 2, tzinfo=UTC), 51)  # the evening before in New York
    clock.current = datetime(2026, 11, 20, 4, 59, tzinfo=UTC)
    there = asked(app, amount=500, timezone="America/New_York")
    assert there["predictions"][0]["date"] == "2026-11-19"
    clock.current += timedelta(minutes=1)
    assert asked(app, amount=500, timezone="America/New_York")["predictions"][0]["date"] == (
        "2026-11-20"
    )


def test_what_is_exceeded_already(app: Application) -> None:
    spend_days(app, FIRST, 50)
    found = asked(app, amount=100)
    assert (found["status"], found["risk_level"]) == ("exceeded", "critical")
    assert (found["breach_date"], found["breach_probability"]) == ("2026-11-20", 1)


@pytest.mark.parametrize(("days", "model"), [(6, "average_rate"), (7, "moving_average")])
def test_below_seven_days_the_average_rate_stands_in(
    app: Application, days: int, model: str
) -> None:
    spend_days(app, datetime(2026, 11, 20 - days, 12, tzinfo=UTC), days)
    found = asked(app, amount=100)
    assert (found["model"], found["based_on_days"]) == (model, days)
    assert found["projected_spend"] > 100
    assert found["breach_date"] is not None


def test_with_nothing_spent_at_all(app: Application) -> None:
    found = asked(app, amount=100)
    assert (found["model"], found["projected_spend"], found["risk_level"]) == (
        "average_rate", 0, "low"
    )  # fmt: skip
    assert found["breach_probability"] is None


def test_budgets_that_have_no_end_or_amount(app: Application) -> None:
    sliding = make_budget(app, amount=5, period="weekly", rolling=True)
    calls = make_budget(app, request_limit=5)
    past = make_budget(
        app, amount=5, period="custom", start_date="2026-01-01", end_date="2026-02-01"
    )
    for body, field in (
        ({"budget_id": sliding["id"]}, "budget_id"),
        ({"budget_id": calls["id"]}, "budget_id"),
        ({"budget_id": past["id"]}, "budget_id"),
        ({"period": "monthly"}, "amount"),
        ({"amount": 5, "period": "weekly", "rolling": True}, "period"),
        ({"amount": 5, "period": "custom", "start_date": "2026-11-01",
          "end_date": "2031-11-01"}, "period"),
        ({"amount": 5, "budget_id": calls["id"]}, "amount"),
        ({"amount": 5, "alert_thresholds": [0]}, "alert_thresholds"),
        ({"amount": 5, "alert_thresholds": ["x"]}, "alert_thresholds"),
        ({"amount": 5, "model": "x"}, "model"),
        ({"amount": 5, "nonsense": 1}, "nonsense"),
    ):  # fmt: skip
        answer = send(app, "/forecasts/budget", body)
        assert answer.status_code == 422, (body, answer.text)
        assert field in answer.json()["error"]["field_errors"], (body, answer.text)


def test_budgets_of_others_are_not_there(any_app: Application) -> None:
    budget = make_budget(any_app, amount=5)
    answer = send(any_app.another(), "/forecasts/budget", {"budget_id": budget["id"]})
    assert answer.status_code == 404
