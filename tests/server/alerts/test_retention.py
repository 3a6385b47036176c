"""Alerts that are over are kept for a while, and for as long as they stop others."""

from __future__ import annotations

import pytest

from llm_cost_ops.server.alerts import retention
from tests.server.alerts.test_budget_alerts import levels
from tests.server.alerts.test_lifecycle import raised
from tests.support.alerts import Room
from tests.support.budgets import make_budget
from tests.support.calls import count


def test_what_is_over_goes_with_all_that_belongs_to_it(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "CHUNK", 2)
    room.channel()
    room.rule("anomaly", auto_clear_minutes=60 * 24 * 60)
    over = [raised(room) for _ in range(5)]
    for alert in over:
        room.act(alert, "resolve")
    left = raised(room)
    room.later(days=50)
    later = raised(room)
    room.act(later, "resolve")
    room.later(days=349, hours=20)
    assert count(room.app, "alerts") == 7
    room.later(hours=5)
    assert {each["id"] for each in room.alerts()} == {left, later}
    assert count(room.app, "alert_history", "alert_id <> :a AND alert_id <> :b",
                 a=left, b=later) == 0  # fmt: skip
    assert count(room.app, "alert_deliveries", "alert_id <> :a AND alert_id <> :b",
                 a=left, b=later) == 0  # fmt: skip
    assert room.history(later)[0] == "fired"
    assert room.alert(left)["status"] == "resolved"  # cleared by itself, after sixty days


def test_those_of_a_budget_stay_until_its_period_is_over(quick: Room) -> None:
    long = {"period": "custom", "start_date": "2027-03-01", "end_date": "2029-03-01"}
    kept = make_budget(quick.app, name="long", amount=10, alert_thresholds=[], **long)
    other = make_budget(quick.app, name="month", amount=10, alert_thresholds=[])
    quick.rule("budget", thresholds=["0.5"])
    quick.spend(6)
    for alert in quick.alerts():
        quick.act(alert["id"], "resolve")
    quick.later(days=500)
    quick.later(hours=2)
    assert [each["budget_id"] for each in quick.alerts()] == [kept["id"]]
    assert levels(quick) == ["0.5"]
    assert other["id"] != kept["id"]
