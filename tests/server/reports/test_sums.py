"""Sums of reports: over time, of calls with several tags, and of converted amounts."""

from __future__ import annotations

from typing import Any

import pytest

from llm_cost_ops.core.money import from_e10
from llm_cost_ops.core.report.document import Chart
from tests.server.reports.test_content import (
    OCTOBER,
    answered,
    blocks,
    column,
    figure,
    report,
    section,
    some_calls,
    table,
    total,
)
from tests.support.application import Application
from tests.support.factories import make_call, record_calls


def calls_of(app: Application, *calls: tuple[str, str | None, dict[str, Any]]) -> None:
    """Record calls of a time, a cost and further fields."""
    made = [
        make_call(at, cost, organization_id=app.organization_id, **fields)
        for at, cost, fields in calls
    ]
    record_calls(app.database, made)


@pytest.mark.parametrize("names", [["month"], ["week", "model"], ["day"], ["hour"]])
@pytest.mark.parametrize("kind", ["cost_summary", "usage_analysis"])
def test_groups_of_time_are_rows_and_no_layers(
    sqlite_application: Application, names: list[str], kind: str
) -> None:
    some_calls(sqlite_application, 12)
    period = {"start_date": "2026-08-01", "end_date": "2026-10-31"}
    made = report(sqlite_application, kind, group_by=names, **period)
    (chart,) = [b for b in blocks(made) if isinstance(b, Chart) and b.form == "stacked"]
    assert {each.name for each in chart.series} <= {"all", "gpt-4o", "gpt-4o-mini", "o3", "claude"}
    custom = {"section": "trend", "group_by": names}
    assert report(sqlite_application, "custom", sections=[custom], **period).sections


def test_a_call_with_several_tags_is_once_in_the_sums_over_time(
    sqlite_application: Application,
) -> None:
    app = sqlite_application
    calls_of(app, ("2026-10-05T10:00:00Z", "20", {"tags": ["x", "y"]}))
    made = report(app, group_by=["tag"], **OCTOBER)
    found = table(made, "By day")
    assert [row[1] for row in found.rows if row[1]] == [1]
    (cost,) = [row[3] for row in found.rows if row[1]]
    assert isinstance(cost, int)
    asked = [row["total_cost"] for row in answered(app, found.query or "")["data"]]
    assert from_e10(cost) == sum(asked) == 20
    charts = [b for b in blocks(made) if isinstance(b, Chart)]
    assert all("several tags" in each.alt for each in charts)
    used = report(app, "usage_analysis", group_by=["tag"], **OCTOBER)
    assert "several tags" in (table(used, "Kinds of tokens").note or "")


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
def test_converted_days_sum_to_the_converted_total(
    sqlite_application: Application, zone: str
) -> None:
    app = sqlite_application
    calls_of(
        app,
        *(
            (f"2026-10-{n:02}T10:00:00Z", "0.0000000005", {"currency": "EUR", "project_id": f"{n}"})
            for n in range(1, 29)
        ),
    )
    rates = [{"currency": "EUR", "date": "2026-10-01", "rate": "1.3", "source": "bank"}]
    made = report(app, currency="USD", rates=rates, timezone=zone, **OCTOBER)
    found = table(made, "By day")
    assert sum(filter(None, column(found, "Cost"))) == total(found, "Cost")
    assert total(found, "Cost") == figure(made, "Total cost").value == 182
    (chart,) = [b for b in section(made, "Trend").blocks if isinstance(b, Chart)]
    assert sum(value for s in chart.series for value in s.values if isinstance(value, int)) == 182
