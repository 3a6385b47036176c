"""Forecasts over the ledger: what they are made of, kept and answered with."""

from __future__ import annotations

import os
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_cost_ops.core.period import Window
from llm_cost_ops.server.clock import FixedClock
from llm_cost_ops.server.forecasts.drivers import LastPeriod, split
from tests.server.forecasts.conftest import (
    NOW,
    cost,
    events,
    forecast,
    record_all,
    spend,
    spend_days,
    total,
    use,
)
from tests.support.application import Application
from tests.support.calls import accepted, send

FIRST = datetime(2026, 11, 1, 12, tzinfo=UTC)


def test_a_forecast_is_kept_answered_again_and_told_of(any_app: Application) -> None:
    spend_days(any_app, FIRST, 19, lambda day: 10 + day)
    made = forecast(any_app, horizon_days=3, confidence_level=Decimal("0.8"))
    assert (made["model"], made["frequency"], made["currency"]) == ("linear", "day", "USD")
    assert [each["date"] for each in made["predictions"]] == [
        "2026-11-20", "2026-11-21", "2026-11-22"
    ]  # fmt: skip
    for each in made["predictions"]:
        assert each["value"] == each["predicted_cost"]
        assert each["lower_bound"] <= each["value"] <= each["upper_bound"]
    assert made["predictions"][0]["value"] == pytest.approx(Decimal(29))
    assert {"mase", "smape", "coverage"} <= made["backtest"].keys()
    assert {"mape", "mae", "rmse"} <= made["metrics"].keys()
    assert made["total"]["predicted_cost"] == pytest.approx(Decimal(29 + 30 + 31))
    assert any_app.get(f"/api/v1/forecasts/{made['id']}").json()["id"] == made["id"]
    again = accepted(any_app.get(f"/api/v1/forecast/{made['id']}"), 200)
    assert again == made
    (told,) = events(any_app, "forecast.generated")
    assert (told["forecast_id"], told["model"]) == (made["id"], "linear")
    assert told["total"] == made["total"]


def test_both_names_of_the_model_and_of_the_step(app: Application) -> None:
    spend_days(app, FIRST, 19)
    one = forecast(app, model=None, forecast_model="moving_average", interval="daily", horizon=2)
    other = forecast(app, model="moving_average", interval="day", horizon_days=2)
    assert one["predictions"] == other["predictions"]
    assert forecast(app, model=None, horizon=1)["model"] == "exponential_smoothing"
    hourly = forecast(app, interval="hourly", horizon_days=1)
    assert (hourly["frequency"], len(hourly["predictions"])) == ("hour", 24)
    assert hourly["predictions"][0]["date"] == "2026-11-20T09:00:00Z"


def test_lists_and_pages(app: Application, clock: FixedClock) -> None:
    spend_days(app, FIRST, 19)
    ids: list[str] = []
    for _ in range(3):
        clock.current += timedelta(seconds=1)
        ids.append(forecast(app, horizon=1)["id"])
    first = accepted(app.get("/api/v1/forecasts?limit=2"), 200)
    assert [row["id"] for row in first["data"]] == ids[:0:-1]
    rest = accepted(app.get(f"/api/v1/forecasts?limit=2&cursor={first['next_cursor']}"), 200)
    assert [row["id"] for row in rest["data"]] == ids[:1]
    assert rest["has_more"] is False


def test_a_horizon_in_the_address_forecasts_and_keeps_nothing(app: Application) -> None:
    spend_days(app, FIRST, 19)
    found = accepted(app.get("/api/v1/forecasts?horizon_days=2&model=linear"), 200)
    assert len(found["predictions"]) == 2
    assert "id" not in found
    assert app.get("/api/v1/forecasts").json()["data"] == []


def test_an_idempotency_key_forecasts_once(app: Application) -> None:
    spend_days(app, FIRST, 19)
    key = {"Idempotency-Key": "one"}
    body = {"model": "linear", "horizon": 2}
    first = send(app, "/forecasts", body, headers=key)
    spend(app, cost(FIRST, 500))
    second = send(app, "/forecasts", body, headers=key)
    assert second.text == first.text
    assert second.headers["Idempotency-Replayed"] == "true"
    assert send(app, "/forecasts", {**body, "horizon": 3}, headers=key).status_code == 422
    assert len(events(app, "forecast.generated")) == 1


@pytest.mark.parametrize(("days", "status"), [(6, 422), (7, 201)])
def test_seven_days_are_the_least(app: Application, days: int, status: int) -> None:
    spend_days(app, datetime(2026, 11, 20 - days, 12, tzinfo=UTC), days)
    answer = send(app, "/forecasts", {"model": "linear", "horizon_days": 7})
    assert answer.status_code == status
    if status == 422:
        error = answer.json()["error"]
        assert error["code"] == "FORECAST_001"
        assert "minimum 7 days required" in error["message"]


def test_days_since_the_first_use_count_even_without_calls(app: Application) -> None:
    spend(app, cost(datetime(2026, 11, 13, 1, tzinfo=UTC), 7))
    made = forecast(app, horizon=1)
    assert (made["history_start"], made["history_end"]) == ("2026-11-13", "2026-11-19")
    assert made["observed"] == 7


def test_nothing_was_spent(app: Application) -> None:
    answer = send(app, "/forecasts", {"model": "linear"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "FORECAST_001")


@pytest.mark.parametrize(
    ("zone", "now", "today"),
    [
        ("UTC", "2026-11-20T00:00:00+00:00", "2026-11-20"),
        ("UTC", "2026-11-19T23:59:59+00:00", "2026-11-19"),
        ("America/New_York", "2026-11-20T04:59:59+00:00", "2026-11-19"),
        ("America/New_York", "2026-11-20T05:00:00+00:00", "2026-11-20"),
        ("Europe/Berlin", "2026-10-25T22:59:59+00:00", "2026-10-25"),  # 25 hours long
        ("Europe/Berlin", "2026-10-25T23:00:00+00:00", "2026-10-26"),
        ("Europe/Berlin", "2026-03-29T21:59:59+00:00", "2026-03-29"),  # 23 hours long
        ("Asia/Kathmandu", "2026-11-19T18:14:59+00:00", "2026-11-19"),
        ("Asia/Kathmandu", "2026-11-19T18:15:00+00:00", "2026-11-20"),
    ],
)
def test_the_day_that_is_not_over_is_left_out(
    app: Application, clock: FixedClock, zone: str, now: str, today: str
) -> None:
    moment = datetime.fromisoformat(now)
    start = moment - timedelta(days=12)
    # A call each hour, of a dollar.
    record_all(app, [use(app, start + timedelta(hours=n), 400_000) for n in range(12 * 24 + 1)])
    clock.current = moment
    made = forecast(app, horizon=1, timezone=zone, include_history=True)
    before = (date.fromisoformat(today) - timedelta(days=1)).isoformat()
    assert made["timezone"] == zone
    assert made["predictions"][0]["date"] == today
    assert made["history_end"] == before
    begun = [(each["date"], each["reason"]) for each in made["left_out"]]
    assert begun in ([], [(today, "is not over")])
    sums = {row["date"]: row["value"] for row in made["history"]}
    changed = {"2026-10-25": 25, "2026-03-29": 23} if zone == "Europe/Berlin" else {}
    days = sorted(sums)[1:]  # the calls begin in the middle of the first
    assert {day: sums[day] for day in days} == {day: changed.get(day, 24) for day in days}
    assert len(days) >= 10


def test_weeks_and_months_that_are_cut_are_left_out(app: Application) -> None:
    spend_days(app, datetime(2026, 3, 11, 12, tzinfo=UTC), 254)
    weekly = forecast(app, interval="weekly", horizon=2, include_history=True)
    assert weekly["left_out"][0] == {
        "date": "2026-03-09", "reason": "begins before the period", "cost": 50
    }  # fmt: skip
    assert weekly["history"][0] == {"date": "2026-03-16", "value": 70}
    assert {row["value"] for row in weekly["history"]} == {70}
    assert weekly["predictions"][0]["date"] == "2026-11-16"
    monthly = forecast(app, interval="monthly", horizon=1, include_history=True)
    assert [row["date"] for row in monthly["history"]] == [f"2026-{m:02}" for m in range(4, 11)]
    assert monthly["predictions"][0]["date"] == "2026-11"


def test_a_period_that_is_given_is_all_that_is_looked_at(app: Application) -> None:
    spend_days(app, datetime(2026, 10, 1, 12, tzinfo=UTC), 50, lambda day: day)
    asked = {"start_date": "2026-10-05", "end_date": "2026-10-31", "horizon": 1}
    made = forecast(app, **asked)
    assert (made["history_start"], made["history_end"]) == ("2026-10-05", "2026-10-31")
    assert made["predictions"][0]["date"] == "2026-11-01"
    assert made["predictions"][0]["value"] == pytest.approx(Decimal(31))
    assert made["left_out"] == []


def test_any_filter_and_currencies_apart(app: Application) -> None:
    spend_days(app, FIRST, 19, lambda _: 5, project_id="a", currency="EUR")
    spend_days(app, FIRST, 19, lambda _: 3, project_id="b", tags=["x"])
    record_all(app, [use(app, FIRST, model="unheard-of", project_id="b")])
    both = forecast(app, horizon=1)
    assert (both["currency"], both["predictions"][0]["value"]) == ("USD", 3)
    assert both["unpriced_requests"] == 1
    assert {"currency": "EUR", "reason": "another currency", "cost": 95} in both["left_out"]
    assert forecast(app, horizon=1, project_id="a")["currency"] == "EUR"
    assert forecast(app, horizon=1, tags="x")["predictions"][0]["value"] == 3
    euros = forecast(app, horizon=1, currency="EUR", filters={"model": "gpt-4o"})
    assert euros["predictions"][0]["value"] == 5
    answer = send(app, "/forecasts", {"model": "linear", "currency": "JPY"})
    assert answer.json()["error"]["code"] == "FORECAST_001"


def test_a_day_without_any_price_is_unknown_and_not_zero(app: Application) -> None:
    spend_days(app, FIRST, 19, lambda _: 3)
    spend_days(app, FIRST - timedelta(days=2), 1, lambda _: 3)
    record_all(app, [use(app, FIRST - timedelta(days=1), model="unheard-of")])
    made = forecast(app, horizon=1)
    assert (made["missing"], made["observed"]) == (1, 20)
    assert made["predictions"][0]["value"] == pytest.approx(3)


def test_year_over_year_where_there_is_one(app: Application) -> None:
    spend_days(app, datetime(2025, 11, 20, 12, tzinfo=UTC), 365, lambda day: 2 if day < 3 else 4)
    made = forecast(app, horizon=3, model="moving_average")
    assert [each["year_ago"] for each in made["predictions"]] == [2, 2, 2]
    assert made["year_over_year"] == {"last_year_cost": 6, "change": 6, "ratio": 2}
    spend(app, cost(datetime(2025, 11, 19, tzinfo=UTC), 1))
    assert forecast(app, horizon=366, model="moving_average")["year_over_year"] is None


def test_holidays(app: Application) -> None:
    off = ["2026-11-11", "2026-11-21"]
    spend_days(app, FIRST, 19, lambda day: 2 if day == 10 else 10)
    made = forecast(app, horizon=2, holidays=off)
    values = [each["value"] for each in made["predictions"]]
    assert values == [pytest.approx(Decimal(10)), pytest.approx(Decimal(2))]


def test_the_drivers_sum_to_the_change_exactly(app: Application) -> None:
    day = datetime(2026, 10, 1, 12, tzinfo=UTC)
    calls: list[dict[str, Any]] = []
    for number in range(50):
        at = day + timedelta(days=number)
        calls += [use(app, at, 100_003 + 997 * number) for _ in range(1 + number // 10)]
        if number > 40:
            calls.append(use(app, at, 70_001, model="gpt-4o-mini"))
    record_all(app, calls)
    drivers = forecast(app, horizon=20)["drivers"]
    assert [part["name"] for part in drivers["parts"]] == [
        "requests", "tokens_per_request", "mix", "price"
    ]  # fmt: skip
    assert total(drivers["parts"]) == drivers["change"] != 0
    assert drivers["change"] == drivers["predicted_cost"] - drivers["last_period"]["scaled_cost"]
    by_name = {part["name"]: part["amount"] for part in drivers["parts"]}
    assert by_name["requests"] > 0
    assert by_name["mix"] < 0  # the cheaper model is new
    assert "drivers" not in forecast(app, horizon=2, drivers=False)


def test_cost_without_tokens_has_drivers_too(app: Application) -> None:
    spend_days(app, FIRST, 19, lambda day: 10 + day, tokens_used=0)
    drivers = forecast(app, horizon=5)["drivers"]
    assert total(drivers["parts"]) == drivers["change"]
    assert {part["name"]: part["amount"] for part in drivers["parts"]}["mix"] == 0


COUNT = st.integers(0, 10**9)
MODELS = st.dictionaries(
    st.tuples(st.just("p"), st.sampled_from("abc")), st.tuples(COUNT, COUNT), max_size=3
)


@settings(max_examples=200)
@given(
    COUNT,
    COUNT,
    COUNT,
    st.integers(0, 10**15),
    st.fractions(min_value=0, max_value=10**9),
    st.fractions(min_value=0, max_value=10**12),
    MODELS,
    MODELS,
    st.integers(1, 9),
)
def test_any_split_is_exact(
    cost_e10: int, requests: int, tokens: int, forecast_e10: int, ahead: Any, more: Any,
    models: Any, newest: Any, steps: int,
) -> None:  # fmt: skip
    scale = Fraction(7, steps)
    last = LastPeriod(Window(0, 1), steps, scale, cost_e10, requests, tokens, models, newest)
    found = split(last, forecast_e10, (ahead, more))
    assert total(found["parts"]) == found["change"]
    assert found["change"] == found["predicted_cost"] - found["last_period"]["scaled_cost"]


def test_without_the_library_auto_says_what_to_install(
    app: Application, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spend_days(app, FIRST, 19)
    absent = "raise ModuleNotFoundError(\"No module named 'numpy'\", name='numpy')"
    (tmp_path / "numpy.py").write_text(absent, encoding="utf-8")
    places = [str(tmp_path), *sys.path]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(places))
    answer = send(app, "/forecasts", {"model": "auto", "horizon": 2})
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert error["code"] == "FORECAST_002"
    assert "pip install 'llm-cost-ops[forecast]'" in error["message"]
    assert forecast(app, horizon=2)["model"] == "linear"


def test_each_value_of_a_dimension_is_forecast_by_itself_too(
    any_app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    spend_days(any_app, FIRST, 19, lambda day: 10 + day, project_id="grows")
    spend_days(any_app, FIRST, 19, lambda _: 7, project_id="flat")
    spend_days(any_app, datetime(2026, 11, 17, 12, tzinfo=UTC), 3, lambda _: 5, project_id="new")
    spend_days(any_app, FIRST, 19, lambda _: 1)
    made = forecast(any_app, horizon=4, group_by="project")
    grows, flat, none, new = made["groups"]
    assert [each["value"] for each in made["groups"]] == ["grows", "flat", "(none)", "new"]
    assert grows["group"] == {"project": "grows"}
    assert [each["date"] for each in flat["predictions"]] == [
        each["date"] for each in made["predictions"]
    ]
    for row in flat["predictions"]:
        assert row["value"] == row["predicted_cost"] == pytest.approx(Decimal(7))
        assert row["lower_bound"] <= row["value"] <= row["upper_bound"]
    alone = forecast(any_app, horizon=4, filters={"project_id": "grows"})
    assert grows["predictions"] == alone["predictions"]
    assert grows["total"] == alone["total"]
    assert grows["backtest"].keys() == made["backtest"].keys()
    assert none["spent"] == 19
    assert (new["predictions"], new["error"]["code"]) == ([], "FORECAST_001")
    assert made["groups_left_out"] == {"count": 0, "total_cost": 0}
    assert accepted(any_app.get(f"/api/v1/forecasts/{made['id']}"), 200)["groups"] == made["groups"]
    monkeypatch.setattr("llm_cost_ops.server.forecasts.parts.MAX_PREDICTIONS", 9)
    asked = "model=linear&horizon=4&group_by=project"
    cut = accepted(any_app.get(f"/api/v1/forecasts?{asked}"), 200)
    assert [each["value"] for each in cut["groups"]] == ["grows", "flat"]
    assert cut["groups_left_out"] == {"count": 2, "total_cost": 34}
    assert "groups" not in alone
    assert any_app.another().get("/api/v1/forecasts").json()["data"] == []


def test_parts_by_auto_are_made_in_one_process(app: Application) -> None:
    spend_days(app, FIRST, 19, lambda _: 7, project_id="a", tags=["team:x"])
    made = forecast(app, horizon=2, model="auto", group_by=["project", "tag:team"], drivers=False)
    (group,) = made["groups"]
    assert group["group"] == {"project": "a", "tag:team": "x"}
    assert [each["value"] for each in group["predictions"]] == [
        each["value"] for each in made["predictions"]
    ]


def test_what_refuses_auto_comes_back_from_its_process(app: Application) -> None:
    spend_days(app, datetime(2026, 11, 14, 12, tzinfo=UTC), 6)
    answer = send(app, "/forecasts", {"model": "auto"})
    assert answer.json()["error"]["code"] == "FORECAST_001"


def test_a_process_that_fails_is_a_fault_of_the_server(
    app: Application, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spend_days(app, FIRST, 19)
    (tmp_path / "numpy.py").write_text("raise SystemExit(9)", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    answer = send(app, "/forecasts", {"model": "auto"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "INTERNAL_ERROR")


@pytest.mark.parametrize(
    "child",
    [
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "raise MemoryError",
        "import time; time.sleep(60)",
    ],
)
def test_a_process_that_is_ended_is_to_be_asked_again(
    app: Application, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, child: str
) -> None:
    spend_days(app, FIRST, 19)
    (tmp_path / "numpy.py").write_text(child, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    monkeypatch.setattr("llm_cost_ops.server.forecasts.apart.LONGEST_S", 5)
    answer = send(app, "/forecasts", {"model": "auto"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert int(answer.headers["Retry-After"]) > 0
    assert accepted(app.get("/api/v1/forecasts"), 200)["data"] == []


def test_a_process_that_cannot_begin_is_to_be_asked_again(
    app: Application, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spend_days(app, FIRST, 19)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "absent"))
    assert send(app, "/forecasts", {"model": "auto"}).status_code == 503


def test_what_lies_where_the_server_stands_is_not_imported(
    app: Application, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spend_days(app, FIRST, 19)
    (tmp_path / "numpy.py").write_text("raise SystemExit(9)", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert forecast(app, model="auto", horizon=1, drivers=False)["requested_model"] == "auto"


def test_auto(app: Application) -> None:
    spend_days(app, datetime(2026, 10, 1, 12, tzinfo=UTC), 50, lambda day: 20 if day % 7 else 5)
    made = forecast(app, model="auto", horizon=7, drivers=False)
    assert made["requested_model"] == "auto"
    assert {each["model"] for each in made["members"]} == set(made["model"].split("+"))
    assert made["backtest"]["mase"] is not None or made["backtest"]["smape"] == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"horizon_days": 0}, "horizon_days"),
        ({"horizon_days": 1001}, "horizon_days"),
        ({"horizon_days": 60, "interval": "hour"}, "horizon_days"),
        ({"horizon_days": 5, "horizon": 5}, "horizon"),
        ({"horizon": "x"}, "horizon"),
        ({"model": "gpt-4o"}, "model"),
        ({"model": "linear", "forecast_model": "auto"}, "model"),
        ({"confidence_level": 1}, "confidence_level"),
        ({"confidence_level": "high"}, "confidence_level"),
        ({"interval": "yearly"}, "interval"),
        ({"currency": "usd"}, "currency"),
        ({"holidays": []}, "holidays"),
        ({"holidays": ["2026-13-01"]}, "holidays"),
        ({"nonsense": 1}, "nonsense"),
        ({"timezone": "Mars"}, "timezone"),
        ({"group_by": "day"}, "group_by"),
        ({"group_by": "colour"}, "group_by"),
    ],
)
def test_what_is_refused(app: Application, body: dict[str, Any], field: str) -> None:
    answer = send(app, "/forecasts", body)
    assert answer.status_code == 422
    assert field in answer.json()["error"]["field_errors"]


def test_organizations_see_their_own(any_app: Application) -> None:
    spend_days(any_app, FIRST, 19)
    made = forecast(any_app, horizon=1)
    other = any_app.another()
    assert other.get(f"/api/v1/forecasts/{made['id']}").status_code == 404
    assert other.get("/api/v1/forecasts").json()["data"] == []
    assert send(other, "/forecasts", {"model": "linear"}).json()["error"]["code"] == "FORECAST_001"
    assert NOW > FIRST
