"""Conditions of roles where spending is asked for, forecast and warned of: within them all of it
works, and what lies outside is neither shown nor changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from llm_cost_ops.server.alerts.finding import Finding
from llm_cost_ops.server.alerts.fire import fire
from llm_cost_ops.server.alerts.rules import default_rule
from llm_cost_ops.server.db.session import write
from llm_cost_ops.server.forecasts.store import anomalies_since
from llm_cost_ops.server.forecasts.watch import keep
from tests.support.application import Application
from tests.support.roles import key_of, make_role

FORBIDDEN = (403, "INSUFFICIENT_PERMISSIONS")
MISSING = (404, "NOT_FOUND")
HOUR_US = 3_600_000_000
TEAM = {"team": ["ml-team"]}
RESERVE, FORECASTS = "/api/v1/budgets/reserve", "/api/v1/forecasts"


def limited(application: Application, conditions: dict[str, Any]) -> str:
    """A key of somebody who may do everything within conditions."""
    at = (application.database, application.clock, application.organization_id)
    role = make_role(*at, f"Limited {sorted(conditions)}", ["*"], conditions)
    return key_of(application, f"limited-{'-'.join(sorted(conditions))}", role)


def error(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def budget(application: Application, name: str, amount: Any = 100, **fields: Any) -> str:
    body = {"name": name, "amount": amount, "enforcement": "hard", **fields}
    made = application.post("/api/v1/budgets", json=body)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def test_reservations_are_made_and_ended_within(sqlite_application: Application) -> None:
    app = sqlite_application
    key = limited(app, TEAM)
    inside = {"estimated_cost": "0.5", "team_id": "ml-team"}
    for path in (RESERVE, "/api/v1/budgets/check"):
        assert app.post(path, key=key, json=inside).is_success, path
        for labels in ({}, {"team_id": "web"}, {"project_id": "ml-team"}):
            asked = {"estimated_cost": "0.5", **labels}
            assert error(app.post(path, key=key, json=asked)) == FORBIDDEN, (path, labels)
    own, other = (
        app.post(RESERVE, json={"estimated_cost": "0.5", "team_id": team}).json()["id"]
        for team in ("ml-team", "web")
    )
    for reservation, expected in ((own, 200), (other, 404)):
        path = f"/api/v1/budgets/reservations/{reservation}"
        assert app.get(path, key=key).status_code == expected
        settled = app.post(f"{path}/settle", key=key, json={"cost": "0.25"})
        assert settled.status_code == expected, settled.text
    path = f"/api/v1/budgets/reservations/{other}"
    assert error(app.post(f"{path}/release", key=key)) == MISSING
    assert app.get(path).json()["status"] == "open"
    assert app.post(f"{path}/release").status_code == 200


def test_a_settlement_does_not_move_its_call_outside(sqlite_application: Application) -> None:
    app = sqlite_application
    key = limited(app, {"models": ["gpt-4o"]})
    ask = {"estimated_cost": 1, "provider": "openai", "model": "gpt-4o"}
    path = f"/api/v1/budgets/reservations/{app.post(RESERVE, key=key, json=ask).json()['id']}"
    away = app.post(f"{path}/settle", key=key, json={"cost": 1, "model": "gpt-4o-mini"})
    assert error(away) == FORBIDDEN
    assert app.get(path).json()["status"] == "open"
    assert app.post(f"{path}/settle", key=key, json={"cost": 1}).status_code == 200


@pytest.mark.parametrize(
    ("hidden", "status", "code"),
    [
        ({"amount": "0.01"}, 402, "BUDGET_EXCEEDED"),
        ({"currency": "EUR"}, 422, "VALIDATION_ERROR"),
        ({"enforcement": "throttle", "throttle": {"above": "0.5", "per_minute": 1}},
         429, "RATE_LIMIT_EXCEEDED"),
    ],
    ids=["exceeded", "in another currency", "throttled"],
)  # fmt: skip
def test_a_budget_outside_refuses_without_its_name_and_numbers(
    sqlite_application: Application, hidden: dict[str, Any], status: int, code: str
) -> None:
    app = sqlite_application
    key = limited(app, TEAM)
    own = budget(app, "own", scope={"team_id": "ml-team"})
    ask = {"estimated_cost": "0.8", "team_id": "ml-team"}
    outside = budget(app, "canary", **{"amount": 1, **hidden})
    if status == 429:
        assert app.post(RESERVE, json={"estimated_cost": "0.6"}).status_code == 201
        ask["estimated_cost"] = "0.01"
    refused = app.post(RESERVE, key=key, json=ask)
    assert error(refused) == (status, code), refused.text
    checked = app.post("/api/v1/budgets/check", key=key, json=ask).json()
    assert (checked["allowed"], checked["reason"]) == (False, code)
    assert [row["id"] for row in checked["budgets"]] == [own]
    for text in (refused.text, str(checked)):
        assert "canary" not in text
        assert outside not in text
    assert "canary" in app.post(RESERVE, json=ask).text, "who may see it is told"


def test_a_budget_that_counts_others_below_it_is_outside(sqlite_application: Application) -> None:
    app = sqlite_application
    parent = budget(app, "parent", scope={"team_id": "ml-team"})
    key = limited(app, TEAM)
    assert app.get(f"/api/v1/budgets/{parent}", key=key).status_code == 200
    budget(app, "child", 1, scope={"team_id": "web"}, parent_id=parent)
    assert app.get(f"/api/v1/budgets/{parent}", key=key).status_code == 404
    assert app.get("/api/v1/budgets", key=key).json()["data"] == []
    held = app.post(RESERVE, key=key, json={"estimated_cost": 1, "team_id": "ml-team"})
    assert held.json()["budgets"] == []


def spend(application: Application) -> None:
    """Forty days of two teams, the one a hundred times as dear."""
    today = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    records = [
        {
            "provider": "openai", "model": "gpt-4o", "tokens_used": 5, "team_id": team,
            "cost": cost, "timestamp": (today - timedelta(days=back)).isoformat(),
        }
        for back in range(1, 41)
        for team, cost in (("ml-team", "1"), ("web", "100"))
    ]  # fmt: skip
    answer = application.post("/api/v1/costs/bulk", json={"records": records})
    assert answer.is_success, answer.text


def test_forecasts_are_of_what_is_reached(sqlite_application: Application) -> None:
    app = sqlite_application
    spend(app)
    key = limited(app, TEAM)
    ask = {"model": "moving_average", "horizon": 10, "drivers": False}
    whole, part = (app.post(FORECASTS, key=who, json=ask).json() for who in (app.key, key))
    assert whole["total"]["predicted_cost"] == 1010
    assert part["total"]["predicted_cost"] == 10
    assert part["limited_to"] == [TEAM]
    assert "limited_to" not in whole
    looked = app.get(f"{FORECASTS}?horizon=10&forecast_model=moving_average", key=key)
    assert looked.json()["total"]["predicted_cost"] == 10
    listed = app.get(FORECASTS, key=key).json()
    assert [row["id"] for row in listed["data"]] == [part["id"]]
    assert len(app.get(FORECASTS).json()["data"]) == 2
    assert app.get(f"{FORECASTS}/{part['id']}", key=key).status_code == 200
    assert error(app.get(f"{FORECASTS}/{whole['id']}", key=key)) == MISSING
    other = limited(app, {"team": ["web"], "models": ["gpt-4o"]})
    assert app.get(FORECASTS, key=other).json()["data"] == []
    found = app.get(f"{FORECASTS}/anomalies?group_by=team_id&days=30", key=key).json()
    assert found["series"] == 1
    assert app.get(f"{FORECASTS}/anomalies?group_by=team_id&days=30").json()["series"] == 2


def test_budgets_are_forecast_within(sqlite_application: Application) -> None:
    app = sqlite_application
    spend(app)
    key = limited(app, TEAM)
    path = f"{FORECASTS}/budget"
    plan = {"amount": 50, "period": "monthly"}
    scope = {"team_id": "ml-team"}
    assert app.post(path, key=key, json={**plan, "scope": scope}).status_code == 200
    assert error(app.post(path, key=key, json=plan)) == FORBIDDEN
    assert error(app.post(path, key=key, json={**plan, "scope": {"team_id": "web"}})) == FORBIDDEN
    own, whole = budget(app, "own", scope=scope), budget(app, "whole")
    assert app.post(path, key=key, json={"budget_id": own}).status_code == 200
    assert error(app.post(path, key=key, json={"budget_id": whole})) == MISSING


def test_anomalies_are_of_values_that_are_reached(sqlite_application: Application) -> None:
    app = sqlite_application
    at = app.clock.micros() // HOUR_US * HOUR_US
    row = {
        "frequency": "hour", "currency": "USD", "bucket_start": at, "bucket_end": at + HOUR_US,
        "date": "2025-11-01T00:00:00Z", "actual_e10": 5, "expected_e10": 1, "lower_e10": 0,
        "upper_e10": 2, "score_e4": 50_000, "severity": "high", "method": "auto", "found_at": at,
        "causes": None,
    }  # fmt: skip
    values = {("model", "gpt-4o"), ("model", "o3"), ("project_id", "gpt-4o"), ("total", "all")}
    with write(app.database) as session:
        found = [{**row, "dimension": name, "value": value} for name, value in sorted(values)]
        keep(session, app.organization_id, found, at)
        stored = anomalies_since(session, app.organization_id, 0)
    ids = {(each["dimension"], each["value"]): each["id"] for each in stored}
    assert set(ids) == values
    key = limited(app, {"models": ["gpt-4o"]})
    listed = app.get(f"{FORECASTS}/anomalies/found", key=key).json()["data"]
    assert [each["id"] for each in listed] == [ids["model", "gpt-4o"]]
    narrow = limited(app, {"models": ["gpt-4o"], "team": ["ml-team"]})
    assert app.get(f"{FORECASTS}/anomalies/found", key=narrow).json()["data"] == []
    for value, anomaly_id in ids.items():
        expected = 200 if value == ("model", "gpt-4o") else 404
        one = f"{FORECASTS}/anomalies/{anomaly_id}"
        assert app.get(one, key=key).status_code == expected, value
        assert app.get(f"{one}/causes", key=key).status_code == expected, value
        said = app.post(f"{one}/feedback", key=key, json={"is_anomaly": True})
        assert said.status_code == expected, value
        assert app.get(one, key=narrow).status_code == 404


def alert(application: Application, budget_id: str | None) -> str:
    rule = default_rule(application.organization_id, "budget")
    finding = Finding(
        rule=rule, subject=str(budget_id), period="p", severity="info", title="canary",
        summary="canary", budget_id=budget_id,
    )  # fmt: skip
    with write(application.database) as session:
        return fire(session, [finding], application.clock.micros())[0]


def test_alerts_are_of_budgets_that_are_reached(sqlite_application: Application) -> None:
    app = sqlite_application
    own, whole = budget(app, "own", scope={"team_id": "ml-team"}), budget(app, "whole")
    ids = {each: alert(app, each) for each in (own, whole, None)}
    key = limited(app, TEAM)
    listed = app.get("/api/v1/alerts", key=key).json()["data"]
    assert [row["id"] for row in listed] == [ids[own]]
    assert len(app.get("/api/v1/alerts").json()["data"]) == 3
    assert app.get(f"/api/v1/budgets/{own}/alerts", key=key).json()["data"]
    assert error(app.get(f"/api/v1/budgets/{whole}/alerts", key=key)) == MISSING
    for about, alert_id in ids.items():
        expected = 200 if about == own else 404
        one = f"/api/v1/alerts/{alert_id}"
        for path in (one, f"{one}/history"):
            assert app.get(path, key=key).status_code == expected
        for verb, body in (
            ("comments", {"comment": "x"}), ("snooze", {"minutes": 5}), ("acknowledge", {}),
            ("resolve", {}),
        ):  # fmt: skip
            answer = app.post(f"{one}/{verb}", key=key, json=body)
            assert answer.status_code == expected, (about, verb, answer.text)
    assert app.get(f"/api/v1/alerts/{ids[whole]}").json()["status"] == "active"


def test_rules_channels_and_webhooks_are_of_the_whole_organization(
    sqlite_application: Application,
) -> None:
    key = limited(sqlite_application, TEAM)
    for path in ("alerts/rules", "alerts/channels", "webhooks", "budgets/current"):
        assert error(sqlite_application.get(f"/api/v1/{path}", key=key)) == FORBIDDEN
