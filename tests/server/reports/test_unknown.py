"""What reports say where something is not known: no zero, no change, a sentence beside it."""

from __future__ import annotations

from typing import Any

import pytest

from llm_cost_ops.core.report.document import Chart, Document, Text
from tests.server.reports.test_content import (
    OCTOBER,
    blocks,
    column,
    figure,
    report,
    table,
    total,
)
from tests.server.reports.test_sums import calls_of
from tests.support.application import Application
from tests.support.calls import accepted, record, send, usage


def said(made: Document) -> str:
    """All paragraphs of a report."""
    return "\n".join(b.text for b in blocks(made) if isinstance(b, Text))


def test_a_change_from_another_currency_is_not_known(sqlite_application: Application) -> None:
    app = sqlite_application
    calls_of(
        app,
        ("2026-10-05T10:00:00Z", "20", {}),
        ("2026-09-10T10:00:00Z", "10", {}),
        ("2026-09-10T10:00:00Z", "100", {"currency": "EUR"}),
    )
    made = report(app, **OCTOBER)
    assert figure(made, "Total cost").change is None
    found = table(made, "Period comparison")
    assert column(found, "Change")[1:3] == [None, None]
    assert column(found, "Change to this period")[1:3] == [None, None]
    assert "100.0000000000 EUR" in (found.note or "")
    assert "EUR" in said(made)
    executive = report(app, "executive", **OCTOBER)
    assert "The cost changed" not in said(executive)
    assert "no rate converts" in said(executive)
    assert "no rate converts" in said(report(app, "usage_analysis", **OCTOBER))
    asked = {"type": "cost_summary", "wait": True, "currency": "USD", **OCTOBER}
    refused = accepted(send(app, "/reports/generate", asked), 201)
    assert refused["error"] == "rates has no rate of EUR to USD"


def test_an_unfinished_period_and_unpriced_calls_are_named(
    sqlite_application: Application,
) -> None:
    app = sqlite_application
    calls_of(
        app,
        ("2026-11-05T10:00:00Z", "20", {}),
        ("2026-10-10T10:00:00Z", "10", {}),
        ("2026-10-10T10:00:00Z", None, {}),
    )
    made = report(app, period="this-month")
    assert "This period is not over" in (table(made, "Period comparison").note or "")
    assert "1 call without a price" in said(made)
    assert column(table(made, "Period comparison"), "Unpriced calls")[:2] == [0, 1]
    assert "not over" in said(report(app, "executive", period="this-month"))


def test_rates_of_a_request_convert_to_nothing_else(sqlite_application: Application) -> None:
    app = sqlite_application
    calls_of(
        app,
        ("2026-10-05T10:00:00Z", "100", {"currency": "EUR"}),
        *(("2026-10-06T10:00:00Z", "10", {"currency": "GBP"}) for _ in range(3)),
    )
    rates = [{"currency": "EUR", "date": "2026-10-01", "rate": "1.15", "source": "USD for one"}]
    made = report(app, rates=rates, **OCTOBER)
    assert made.currency == "GBP"
    assert figure(made, "Total cost").value == 30 * 10**10
    assert "EUR are in no total" in said(made)


def test_what_has_no_price_is_not_zero(sqlite_application: Application) -> None:
    app = sqlite_application
    calls_of(
        app,
        ("2026-10-05T10:00:00Z", "20", {"model_name": "m1", "project_id": "web"}),
        ("2026-09-10T10:00:00Z", None, {"model_name": "m1", "project_id": "web"}),
        ("2026-10-06T10:00:00Z", None, {"model_name": "m2", "project_id": "new"}),
    )
    made = table(report(app, **OCTOBER), "Price, volume and mix")
    assert column(made, "Before")[0] is total(made, "Before") is None
    assert total(made, "Now") == 20 * 10**10
    assert total(made, "Change") is None
    assert "The cost changed" not in said(report(app, "executive", **OCTOBER))
    charged = report(app, "chargeback", **OCTOBER)
    found = table(charged, "Charged by project")
    assert dict(zip(column(found, "Project"), column(found, "Charged"), strict=True)) == {
        "web": 20 * 10**10, "new": None,
    }  # fmt: skip
    assert column(found, "Direct")[1] is None
    assert total(table(charged, "Statement of new"), "Amount") is None


@pytest.mark.parametrize("limit", [{"amount": 5}, {"token_limit": 1_000}])
def test_a_budget_of_unpriced_calls_or_of_tokens(
    sqlite_application: Application, limit: dict[str, Any]
) -> None:
    app = sqlite_application
    accepted(send(app, "/budgets", {"name": "b", "period": "monthly", **limit}), 201)
    record(app, usage("x", timestamp="2026-11-20T10:00:00Z", model="no-such-model"))
    made = report(app, "budget", period="this-month")
    if "amount" in limit:
        found = table(made, "Variance, USD")
        assert [column(found, name)[0] for name in ("Spent", "Variance", "Used", "Status")] == [
            None, None, None, "unknown",
        ]  # fmt: skip
    else:
        found = table(made, "Limits of tokens")
        assert column(found, "Limit") == [1_000]
        assert column(found, "Counted")[0] > 0
        assert not [b for b in blocks(made) if getattr(b, "title", "") == "Variance, USD"]


def test_a_budget_with_some_unpriced_calls_is_not_ok(sqlite_application: Application) -> None:
    app = sqlite_application
    for name, amount, team in (("room", "5", "a"), ("over", "0.005", "a"), ("known", "5", "b")):
        budget = {"name": name, "amount": amount, "period": "monthly", "team_id": team}
        accepted(send(app, "/budgets", budget), 201)
    at = "2026-11-20T10:00:00Z"
    record(
        app,
        usage("x", timestamp=at, team_id="a"),
        usage("y", timestamp=at, team_id="a", model="no-such-model"),
        usage("z", timestamp=at, team_id="b"),
    )
    made = report(app, "budget", period="this-month")
    found = table(made, "Variance, USD")
    rows = {row[0]: row for row in found.rows}
    places = {each.title: at for at, each in enumerate(found.columns)}
    wanted = [places[name] for name in ("Spent (at least)", "Variance", "Used", "Status")]
    assert [rows["room"][at] for at in wanted] == [75_000_000, None, None, "unknown"]
    assert [rows["over"][at] for at in wanted] == [75_000_000, None, None, "exceeded"]
    assert [rows["known"][at] for at in wanted][::3] == [75_000_000, "ok"]
    assert "at least what is shown" in (found.note or "")
    (chart,) = [b for b in blocks(made) if isinstance(b, Chart)]
    assert chart.alt == (
        "1 of 3 budgets are exceeded. Of 1 it is not known, because the cost of some calls is not."
    )
    series = {each.name: dict(zip(chart.categories, each.values, strict=True))
              for each in chart.series}  # fmt: skip
    assert series["spent"] == {"room": None, "over": None, "known": 75_000_000}
    assert series["at least"] == {"room": 75_000_000, "over": 75_000_000, "known": None}


@pytest.mark.parametrize("name", ["totals", "trend", "breakdown", "chargeback", "hours"])
def test_a_custom_report_names_what_its_totals_lack(
    sqlite_application: Application, name: str
) -> None:
    app = sqlite_application
    calls_of(app, ("2026-10-05T10:00:00Z", "5", {}))
    assert len(report(app, "custom", sections=[name], **OCTOBER).sections) == 2
    calls_of(app, ("2026-10-05T10:00:00Z", "7", {"currency": "EUR"}))
    calls_of(app, ("2026-10-05T10:00:00Z", None, {"project_id": "new"}))
    made = report(app, "custom", sections=[name], **OCTOBER)
    assert said(made).count("7.0000000000 EUR are in no total of this report") == 1
    assert total(table(made, "Calls without a price"), "Unpriced") == 1
    own = report(app, "custom", sections=["unpriced", name], **OCTOBER)
    assert said(own).count("are in no total of this report") == 1
    assert len(report(app, "custom", sections=["audit"], **OCTOBER).sections) == 2


def test_a_chargeback_shows_nothing_unknown_as_zero(sqlite_application: Application) -> None:
    app, at = sqlite_application, "2026-10-05T10:00:00Z"
    calls_of(app, *((at, "1" if n < 2 else None, {"project_id": f"p{n:03}"}) for n in range(102)))
    others = table(report(app, "chargeback", **OCTOBER), "Charged by project").rows[-1]
    assert others == ("2 others", None, None)
    calls_of(app, *((at, None, {"project_id": "p000", "model_name": f"m{n}"}) for n in range(102)))
    own = table(report(app, "chargeback", **OCTOBER), "Statement of p000")
    assert (own.rows[-1], own.totals) == (("3 others", "direct", None), ("Total", "", 10**10))


def test_a_shared_cost_that_is_not_known_is_no_zero(sqlite_application: Application) -> None:
    app, at = sqlite_application, "2026-10-05T10:00:00Z"
    calls_of(app, (at, None, {"project_id": "shared"}), (at, "1", {"project_id": "own"}))
    rule = {"name": "Shared", "shared": ["shared"], "by": "requests"}
    made = report(app, "chargeback", allocation=[rule], **OCTOBER)
    charged = table(made, "Charged by project")
    assert charged.rows == (("own", 10**10, None, 10**10),)
    assert charged.totals == ("Total", 10**10, None, 10**10)
    assert table(made, "Statement of own").rows[-1] == ("Shared", "shared", None)
    calls_of(app, (at, "3", {"project_id": "shared"}))
    made = report(app, "chargeback", allocation=[rule], **OCTOBER)
    assert total(table(made, "Charged by project"), "Shared") == 3 * 10**10
    other = {"name": "Own", "shared": ["own", "shared"], "by": "fixed", "shares": {"new": 1}}
    calls_of(app, (at, None, {"project_id": "new"}))
    made = report(app, "chargeback", allocation=[other], **OCTOBER)
    assert total(table(made, "Charged by project"), "Direct") is None
