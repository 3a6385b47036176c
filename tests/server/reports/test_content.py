"""What is in reports: figures that are the ledger's, each with the request that answers it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import pytest

from llm_cost_ops.core.money import from_e10
from llm_cost_ops.core.report.document import (
    Block,
    Chart,
    Document,
    Figure,
    Figures,
    Section,
    Table,
    Text,
)
from llm_cost_ops.core.report.text import from_text
from llm_cost_ops.server.db.session import snapshot
from llm_cost_ops.server.ledger.verify import verify
from llm_cost_ops.server.reports.types import TYPES
from tests.support.application import Application
from tests.support.calls import accepted, body_of, error, send
from tests.support.factories import make_call, record_calls, rerate_call, void_calls

MODELS = ("gpt-4o", "gpt-4o-mini", "o3", "claude")
OCTOBER = {"start_date": "2026-10-01", "end_date": "2026-10-31"}


def some_calls(app: Application, count: int = 60, **fields: Any) -> list[str]:
    """Calls of September to November by four models, three projects; some have no price."""
    calls = [
        make_call(
            f"2026-{9 + n % 3:02}-{1 + n % 28:02}T{n % 24:02}:30:00Z",
            None if n % 10 == 7 else f"{n}.0000000{n:03}",
            organization_id=app.organization_id,
            **{
                "model_name": MODELS[n % 4],
                "provider": "anthropic" if n % 4 == 3 else "openai",
                "project_id": (None, "web", "data", "web")[n // 3 % 4],
                "team_id": ("a", "b")[n % 2],
                "input_tokens": 100 * n,
                "cached_tokens": 10 * n,
                "output_tokens": n,
                "total_tokens": 101 * n,
                **fields,
            },
        )
        for n in range(count)
    ]
    return record_calls(app.database, calls)


def report(app: Application, kind: str = "cost_summary", **asked: Any) -> Document:
    """A report that is made at once, as a document."""
    row = accepted(send(app, "/reports/generate", {"type": kind, "wait": True, **asked}), 201)
    assert row["status"] == "completed", row
    answer = app.get(f"/api/v1/reports/{row['id']}/download", params={"format": "json"})
    assert answer.status_code == 200, answer.text
    return from_text(answer.text)


def section(document: Document, title: str) -> Section:
    return next(each for each in document.sections if each.title == title)


def blocks(document: Document) -> Iterator[Block]:
    for each in document.sections:
        yield from each.blocks


def table(document: Document, title: str) -> Table:
    return next(b for b in blocks(document) if isinstance(b, Table) and b.title == title)


def figure(document: Document, label: str) -> Figure:
    return next(
        each
        for block in blocks(document)
        if isinstance(block, Figures)
        for each in block.items
        if each.label == label
    )


def column(found: Table, title: str) -> list[Any]:
    (place,) = [n for n, each in enumerate(found.columns) if each.title == title]
    return [row[place] for row in found.rows]


def total(found: Table, title: str) -> Any:
    assert found.totals is not None
    (place,) = [n for n, each in enumerate(found.columns) if each.title == title]
    return found.totals[place]


def answered(app: Application, query: str) -> Any:
    """What a request printed in a report answers."""
    method, _, rest = query.partition(" ")
    if method == "POST":
        path, _, body = rest.partition(" ")
        return accepted(send(app, path.removeprefix("/api/v1"), json.loads(body)), 200)
    path, _, query_text = rest.partition("?")
    return accepted(app.get(path, params=parse_qsl(query_text)), 200)


def test_totals_are_those_of_the_ledger(application: Application) -> None:
    ids = some_calls(application)
    void_calls(application.database, ids[3:5], application.organization_id)
    rerate_call(
        application.database, ids[8], "2.0000000007", organization_id=application.organization_id
    )
    with snapshot(application.database) as session:
        proof = verify(session, application.organization_id)
    made = report(application, period="all-time")
    assert proof.ok
    assert proof.total_cost is not None
    cost = figure(made, "Total cost").value
    assert isinstance(cost, int)
    assert from_e10(cost) == proof.total_cost
    assert figure(made, "Calls").value == proof.records
    for title in ("By provider, model", "By provider", "By project", "By week"):
        found = table(made, title)
        assert total(found, "Cost") == cost
        assert sum(filter(None, column(found, "Cost"))) == cost, title
        assert sum(column(found, "Calls")) == proof.records, title
    lacking = table(made, "Calls without a price")
    assert total(lacking, "Unpriced") == figure(made, "Unpriced calls").value == 6


def test_kept_rates_convert_without_being_asked(sqlite_application: Application) -> None:
    app = sqlite_application
    some_calls(app, 12)
    some_calls(app, 12, currency="EUR")
    plain = figure(report(app, **OCTOBER), "Total cost").value
    for day, rate in (("2026-10-31", "2"), ("2026-11-01", "9")):
        given = {"from_currency": "EUR", "to_currency": "USD", "date": day, "rate": rate}
        accepted(send(app, "/exchange-rates", {**given, "source": "kept"}), 201)
    made = report(app, **OCTOBER)
    assert isinstance(plain, int)
    assert figure(made, "Total cost").value == 3 * plain
    assert [row[3] for row in table(made, "Exchange rates").rows] == ["kept"]
    before = report(app, start_date="2026-10-01", end_date="2026-10-30")
    assert not [b for b in blocks(before) if isinstance(b, Table) and b.title == "Exchange rates"]


@pytest.mark.parametrize(
    ("zone", "filters"),
    [
        ("America/New_York", {}),
        ("Asia/Kolkata", {"filters": {"project_id": ["web", "data"]}}),
    ],
)
def test_each_figure_is_answered_by_its_request(
    sqlite_application: Application, zone: str, filters: dict[str, Any]
) -> None:
    app = sqlite_application
    some_calls(app)
    made = report(app, timezone=zone, **OCTOBER, **filters)
    seen = 0
    for block in blocks(made):
        if isinstance(block, Figures):
            for each in block.items:
                assert each.query is not None
                answer = answered(app, each.query)
                row = answer["data"][0] if "data" in answer else answer
                if each.label == "Total cost":
                    cost = each.value
                    assert isinstance(cost, int)
                    assert from_e10(cost) == row["total_cost"]
                    seen += 1
        elif isinstance(block, Table) and block.query and block.title.startswith("By "):
            rows = answered(app, block.query)["data"]
            expected = sorted(row["total_cost"] for row in rows if row["total_cost"] is not None)
            costs = sorted(from_e10(c) for c in column(block, "Cost") if c is not None)
            grain = block.title in ("By day", "By week", "By month")
            assert [c for c in costs if c or not grain] == [c for c in expected if c or not grain]
            seen += 1
    assert seen >= 5
    listed = table(made, "Requests")
    printed = set(column(listed, "Request"))
    for block in blocks(made):
        if isinstance(block, Table | Chart) and block.query:
            assert set(block.query.split("\n")) <= printed


def test_the_change_is_split_into_parts_that_sum_to_it(sqlite_application: Application) -> None:
    some_calls(sqlite_application)
    made = report(sqlite_application, compare="month", **OCTOBER)
    found = table(made, "Price, volume and mix")
    names = ("Volume", "Mix", "Price", "New", "Gone", "Not split")
    assert total(found, "Now") == figure(made, "Total cost").value
    for row in (*found.rows, found.totals):
        assert row is not None
        cells = dict(zip([c.title for c in found.columns], row, strict=True))
        assert sum(cells[name] for name in names) == cells["Change"]  # type: ignore[misc]
        assert cells["Change"] == cells["Now"] - cells["Before"]  # type: ignore[operator]
    compared = table(made, "Period comparison")
    assert column(compared, "Compared") == [
        "This period", "Previous period", "A month earlier", "A year earlier",
    ]  # fmt: skip
    assert column(compared, "Period")[1:3] == [
        "2026-08-31 to 2026-09-30", "2026-09-01 to 2026-09-30",
    ]  # fmt: skip
    assert column(compared, "Cost")[2] == total(found, "Before")
    assert figure(made, "Total cost").change is not None


def test_a_chargeback_charges_the_whole_cost(sqlite_application: Application) -> None:
    some_calls(sqlite_application)
    rules = [
        {"name": "Unassigned", "shared": [None], "by": "tokens"},
    ]
    made = report(sqlite_application, "chargeback", allocation=rules, **OCTOBER)
    whole = report(sqlite_application, **OCTOBER)
    cost = figure(whole, "Total cost").value
    found = table(made, "Charged by project")
    assert total(found, "Charged") == sum(column(found, "Charged")) == cost
    assert sum(column(found, "Unassigned")) == total(found, "Unassigned") > 0
    assert set(column(found, "Project")) == {"web", "data"}
    statements = section(made, "Statements").blocks
    assert sum(t.totals[2] for t in statements if isinstance(t, Table) and t.totals) == cost  # type: ignore[misc]
    by_team = report(sqlite_application, "chargeback", charge_by="team", **OCTOBER)
    assert total(table(by_team, "Charged by team"), "Charged") == cost


def test_rates_convert_what_they_can_and_nothing_else(sqlite_application: Application) -> None:
    app = sqlite_application
    some_calls(app, 12)
    some_calls(app, 12, currency="EUR")
    apart = report(app, **OCTOBER)
    lines = [
        b.text for b in section(apart, "What is not in the totals").blocks if isinstance(b, Text)
    ]
    assert any("EUR are in no total of this report" in line for line in lines)
    plain = figure(apart, "Total cost").value
    rates = [
        {"currency": "EUR", "date": "2026-10-01", "rate": "1.1", "source": "central bank"},
        {"currency": "EUR", "date": "2026-11-01", "rate": "9", "source": "too late"},
    ]
    made = report(app, rates=rates, currency="USD", **OCTOBER)
    cost = figure(made, "Total cost").value
    assert isinstance(cost, int)
    assert isinstance(plain, int)
    assert cost == plain + round(plain * Decimal("1.1"))
    found = table(made, "By provider, model")
    assert sum(filter(None, column(found, "Cost"))) == cost
    printed = table(made, "Exchange rates").rows
    assert [(row[0], row[1], row[3]) for row in printed] == [
        ("EUR", Decimal("1.1"), "central bank")
    ]
    refused = accepted(
        send(app, "/reports/generate", {"wait": True, "currency": "USD", **OCTOBER}), 201
    )
    assert refused["status"] == "failed"
    assert refused["error"] == "rates has no rate of EUR to USD"
    assert error(app.get(f"/api/v1/reports/{refused['id']}/download"), 409, "CONFLICT")


def test_every_type_of_nothing_and_of_something(sqlite_application: Application) -> None:
    kinds = [kind for kind in TYPES if kind != "custom"]
    for kind in kinds:
        assert report(sqlite_application, kind, **OCTOBER).sections, kind
    some_calls(sqlite_application)
    for kind in kinds:
        _is_whole(sqlite_application, kind)


def _is_whole(app: Application, kind: str) -> None:
    made = report(app, kind, **OCTOBER)
    assert len(made.sections) > 1
    assert made.sections[-1].title == "Appendix: where the figures come from"
    plain = report(app, kind, include_charts=False, **OCTOBER)
    assert not any(isinstance(block, Chart) for block in blocks(plain))
    for block in blocks(made):
        if isinstance(block, Table):
            assert all(len(row) == len(block.columns) for row in block.rows), block.title
            assert block.totals is None or len(block.totals) == len(block.columns), block.title
        if isinstance(block, Chart):
            assert all(len(s.values) == len(block.categories) for s in block.series), block.title


def test_what_nobody_knows_is_not_zero(sqlite_application: Application) -> None:
    app = sqlite_application
    record_calls(
        app.database, [make_call("2026-10-05T12:00:00Z", None, organization_id=app.organization_id)]
    )
    made = report(app, **OCTOBER)
    assert figure(made, "Total cost").value is None
    assert column(table(made, "By provider, model"), "Cost") == [None]
    by_day = table(made, "By day")
    assert [row[3] for row in by_day.rows if row[1]] == [None]


def test_budgets_are_shown_with_their_variance(sqlite_application: Application) -> None:
    app = sqlite_application
    accepted(send(app, "/budgets", {"name": "All", "amount": 1, "period": "monthly"}), 201)
    some_calls(app)
    made = report(app, "budget", period="this-month")
    found = table(made, "Variance, USD")
    assert column(found, "Budget") == ["All"]
    (shown,) = answered(app, found.query or "")["data"]
    assert from_e10(column(found, "Spent")[0]) == shown["spent"]
    assert from_e10(column(found, "Variance")[0]) == shown["amount"] - shown["spent"]


def test_an_audit_report_counts_and_names(sqlite_application: Application) -> None:
    made = report(sqlite_application, "audit", start_date="2026-11-28", end_date="2026-11-28")
    done = table(made, "What was done")
    assert "organization.created" in column(done, "Action")
    assert total(done, "Entries") == sum(column(done, "Entries"))
    entries = table(made, "Entries")
    by_action = dict(zip(column(entries, "Action"), column(entries, "Who"), strict=True))
    (key,) = body_of(sqlite_application.get("/api/v1/auth/api-keys"))["data"]
    assert by_action["report.generated"] == f"{key['name']} ({key['id']})"


def test_a_forecast_report_says_what_it_is_made_of(sqlite_application: Application) -> None:
    app = sqlite_application
    calls = [
        make_call(f"2026-10-{day:02}T12:00:00Z", f"{day}", organization_id=app.organization_id)
        for day in range(1, 32)
    ]
    record_calls(app.database, calls)
    made = report(app, "forecast", horizon_days=10, forecast_model="linear", **OCTOBER)
    found = table(made, "Expected cost")
    assert len(found.rows) == 10
    answer = answered(app, found.query or "")
    assert [from_e10(c) for c in column(found, "Expected")] == [
        row["value"] for row in answer["predictions"]
    ]
    (chart,) = [b for b in blocks(made) if isinstance(b, Chart) and b.form == "band"]
    assert {each.name for each in chart.series} == {"actual", "forecast", "low", "high"}
    assert body_of(app.get("/api/v1/reports"))["data"][0]["type"] == "forecast"
