"""Totals of exported files: never two currencies in one sum, never a call twice, and how much of
them has no price."""

from __future__ import annotations

import io
import json
import zipfile
from decimal import Decimal
from typing import Any

import pyarrow.parquet as pq

from tests.support.application import Application
from tests.support.factories import make_call, record_calls

EXPORT = "/api/v1/costs/export"


def export(app: Application, **parameters: Any) -> bytes:
    answer = app.get(EXPORT, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.content


def totals(app: Application, **parameters: Any) -> list[dict[str, Any]]:
    data = export(app, format="json", **parameters)
    return json.loads(data, parse_float=Decimal)["totals"]


def paid(app: Application, cost: str | None, currency: str = "USD", **fields: Any) -> None:
    call = make_call(
        "2026-10-05T12:00:00Z",
        cost,
        organization_id=app.organization_id,
        currency=currency,
        **fields,
    )
    record_calls(app.database, [call])


def test_currencies_stay_apart_where_none_is_shown(sqlite_application: Application) -> None:
    paid(sqlite_application, "1.5")
    paid(sqlite_application, "2.25", "EUR")
    chosen = {"include_fields": "provider,cost"}
    found = totals(sqlite_application, **chosen)
    assert [(each["currency"], each["cost"]) for each in found] == [
        ("EUR", Decimal("2.25")),
        ("USD", Decimal("1.5")),
    ]
    lines = export(sqlite_application, totals="true", **chosen).decode().replace('"', "").split()
    assert lines[0] == "provider,cost"
    assert lines[3:] == ["TOTAL", "EUR,2.25", "TOTAL", "USD,1.5"]
    rows = json.loads(export(sqlite_application, format="json", **chosen))["data"]
    assert [list(row) for row in rows] == [["provider", "cost"]] * 2
    for form in ("xlsx", "parquet", "arrow", "jsonl"):
        assert export(sqlite_application, format=form, **chosen)


def test_amounts_of_any_size_are_columns(sqlite_application: Application) -> None:
    for _ in range(11):
        paid(sqlite_application, "99999999.9999999999")
    exact = Decimal("1099999999.9999999989")
    found = export(sqlite_application, format="parquet", type="aggregates")
    (row,) = pq.read_table(io.BytesIO(found)).to_pylist()
    assert row["total_cost"] == exact


def test_a_call_of_two_tags_is_not_added_twice(sqlite_application: Application) -> None:
    paid(sqlite_application, "1.5", tags=["team:a", "team:b"])
    asked = {"type": "aggregates", "group_by": "tag,model"}
    assert totals(sqlite_application, **asked) == []
    assert "1.5" not in texts(export(sqlite_application, format="xlsx", **asked))


def texts(workbook: bytes) -> str:
    with zipfile.ZipFile(io.BytesIO(workbook)) as archive:
        return archive.read("xl/sharedStrings.xml").decode() + "".join(
            archive.read(name).decode()
            for name in archive.namelist()
            if "charts/chart" in name or "sheet1.xml" in name
        )


def test_the_summary_adds_up_costs_or_says_what(sqlite_application: Application) -> None:
    paid(sqlite_application, "1.5", list_cost_e10=20_000_000_000)
    both = texts(
        export(sqlite_application, format="xlsx", include_fields="model,list_cost,cost,currency")
    )
    assert "Cost by model" in both
    alone = texts(
        export(sqlite_application, format="xlsx", include_fields="model,list_cost,currency")
    )
    assert "List_cost by model" in alone
