"""Edges of reports: closed months, zones of budgets, and more groups than a trend can hold."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from llm_cost_ops.core.money import from_e10
from llm_cost_ops.core.report.document import Chart
from llm_cost_ops.server.analytics import groups
from llm_cost_ops.server.clock import FixedClock
from tests.server.reports.test_content import OCTOBER, answered, column, report, section, table
from tests.server.reports.test_sums import calls_of
from tests.server.reports.test_unknown import said
from tests.support.application import Application
from tests.support.calls import accepted, record, send, usage
from tests.support.factories import make_call, record_calls, void_calls
from tests.support.roles import key_of, make_role


def test_what_came_after_closing_is_named(sqlite_application: Application) -> None:
    app = sqlite_application
    calls_of(app, ("2026-10-05T10:00:00Z", "20", {}))
    assert "was closed" not in said(report(app, **OCTOBER))
    answer = send(app, "/periods/2026-10/close", {})
    assert answer.status_code in (200, 201), answer.text
    record(app, usage("late", timestamp="2026-10-06T10:00:00Z"))
    for kind in ("cost_summary", "executive", "chargeback"):
        assert "in the books of 2026-11, which this report is not about" in said(
            report(app, kind, **OCTOBER)
        )
    assert "it is no part of this report" in said(report(app, period="this-month"))


def test_a_month_of_another_zone_is_that_month(sqlite_application: Application) -> None:
    app = sqlite_application
    budget = {"name": "b", "amount": 50, "period": "monthly", "project_id": "a&b c"}
    accepted(send(app, "/budgets", budget), 201)
    assert isinstance(app.clock, FixedClock)
    app.clock.current += timedelta(days=12)
    november = {"start_date": "2026-11-01", "end_date": "2026-11-30"}
    made = report(app, "budget", project_id="x", timezone="America/New_York", **november)
    found = table(made, "Variance, USD")
    assert column(found, "Period") == ["2026-11-01 to 2026-11-30"]
    assert section(made, "Budgets")
    assert f"project_id={quote('a&b c')}" in (found.query or "")
    assert "do not apply to budgets" in said(made)


def test_a_trend_of_too_many_groups_is_not_split(
    sqlite_application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = sqlite_application
    calls_of(
        app,
        *(
            (f"2026-10-{day:02}T10:00:00Z", "1", {"project_id": f"p{n}"})
            for day in range(1, 5)
            for n in range(2)
        ),
    )
    monkeypatch.setattr(groups, "MAX_GROUPS", 5)
    made = report(app, group_by=["project_id"], **OCTOBER)
    (chart,) = [b for b in section(made, "Trend").blocks if isinstance(b, Chart)]
    assert chart.title == "Cost over time by project: not split, too many"
    assert [each.name for each in chart.series] == ["all"]


def late_amounts(app: Application, **asked: Any) -> list[str]:
    """What a report of October says that came after the closing, without where that is."""
    told = said(report(app, **{**OCTOBER, **asked})).split("\n")
    return [each.partition(" came ")[0] for each in told if "was closed" in each]


def test_what_came_late_is_told_with_its_amount(application: Application) -> None:
    app, organization_id = application, application.organization_id
    at = (app.database, app.clock, organization_id)
    needed = ["read:costs", "read:reports", "write:reports"]
    roles = {team: make_role(*at, team, needed, {"team": [team]}) for team in ("ops", "web")}
    ids = record_calls(
        app.database,
        [
            make_call("2026-10-05T10:00:00Z", "20", organization_id=organization_id, team_id="data")
            for _ in range(2)
        ],
    )
    accepted(send(app, "/periods/2026-10/close", {}))
    when = "2026-10-06T10:00:00Z"
    record(app, usage("late", timestamp=when, team_id="web", tags=["x"]))
    record(app, usage("other", timestamp=when, team_id="data", model="no-such-model"))
    void_calls(app.database, ids[1:], organization_id)
    assert late_amounts(app) == ["For 2026-10 -19.9925 USD and 1 call without a price"]
    web = "For 2026-10 0.0075 USD"
    assert late_amounts(app, tag="x") == [web]
    assert late_amounts(app, team_id="ops") == []
    assert late_amounts(app, start_date="2026-10-07") == []
    told = said(report(app, period="this-month", team_id="web"))
    assert "The books of 2026-11 hold 0.0075 USD that came for 2026-10" in told
    for team, expected in (("ops", []), ("web", [web])):
        key = key_of(app, f"usr-{team}", roles[team])
        assert late_amounts(replace(app, key=key)) == expected


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ({"start_date": "2026-10-20", "end_date": "2026-10-20"}, "2026-10-01", "2026-10-20"),
        ({"period": "yesterday"}, "2026-10-01", "2026-11-27"),
        ({"period": "this-month"}, "2026-10-01", "2026-11-27"),
        ({"end_date": "2026-10-20", "history_days": 10}, "2026-10-11", "2026-10-20"),
        ({"start_date": "2024-01-01", "end_date": "2026-10-25"}, "2026-10-01", "2026-10-25"),
    ],
)
def test_the_past_of_a_forecast_ends_with_the_period(
    sqlite_application: Application, asked: dict[str, Any], first: str, last: str
) -> None:
    app = sqlite_application
    calls_of(app, *((f"2026-10-{day:02}T12:00:00Z", f"{day}", {}) for day in range(1, 32)))
    made = report(app, "forecast", **asked)
    assert f"from {first} to {last}" in said(made), said(made)
    found = table(made, "Expected cost")
    assert [from_e10(c) for c in column(found, "Expected")] == [
        row["value"] for row in answered(app, found.query or "")["predictions"]
    ]


def test_sentences_have_amounts_that_can_be_read(sqlite_application: Application) -> None:
    app = sqlite_application
    calls_of(
        app,
        ("2026-10-05T10:00:00Z", "20.1234567891", {"input_tokens": 100, "total_tokens": 100}),
        ("2026-09-10T10:00:00Z", "10", {"input_tokens": 100, "total_tokens": 100}),
    )
    made = said(report(app, "executive", **OCTOBER))
    assert "The cost changed by +10.12 USD: price +10.12." in made
    caches = table(report(app, "optimization", **OCTOBER), "Caches by model")
    assert column(caches, "Reads per write") == ["none"]
    assert column(caches, "Cached share") == [0]
