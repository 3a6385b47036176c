"""Totals of exported files: never two currencies in one sum, never a call twice, and how much of
them has no price."""

from __future__ import annotations

import io
import json
import zipfile
from decimal import Decimal
from typing import Any

import pyarrow.parquet as pq
import pytest

from llm_cost_ops.server.exports import sheets
from tests.support.application import Application
from tests.support.calls import error
from tests.support.factories import make_call, record_calls
from tests.support.workbooks import Book

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


def test_counts_beyond_64_bits_are_refused_where_a_file_has_no_room(
    sqlite_application: Application,
) -> None:
    most = 2**53 - 1
    for day in (5, 6):
        calls = [
            make_call(f"2026-10-{day:02}", "1", input_tokens=most,
                      organization_id=sqlite_application.organization_id)
            for _ in range(600)
        ]  # fmt: skip
        record_calls(sqlite_application.database, calls)
    asked = {"type": "aggregates"}
    (row,) = json.loads(export(sqlite_application, format="json", **asked))["data"]
    assert row["total_tokens"] == 1200 * most > 2**63
    for form in ("parquet", "arrow"):
        refused = sqlite_application.get(EXPORT, params={"format": form, **asked})
        assert "total_tokens" in error(refused, 422, "VALIDATION_ERROR")["field_errors"]["format"]


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


def test_the_summary_has_charts_of_each_currency_and_of_each_grouping(
    sqlite_application: Application,
) -> None:
    paid(sqlite_application, "1.5", team_id="core")
    paid(sqlite_application, "2.25", "EUR", team_id="web")
    calls = texts(export(sqlite_application, format="xlsx"))
    for title in ("Cost by day (UTC), EUR", "Cost by day (UTC), USD", "Cost by team, USD"):
        assert title in calls
    asked = {"type": "aggregates", "group_by": "team,day"}
    groups = texts(export(sqlite_application, format="xlsx", **asked))
    for title in ("Cost by day (UTC), EUR", "Cost by team, EUR", "Cost by team, USD"):
        assert title in groups
    assert 'fitToHeight="0"' in groups
    assert "landscape" in groups


def test_a_summary_ends_where_nobody_looks_any_more(
    sqlite_application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sheets, "_MOST", 2)
    for cost, model in (("4", "a"), ("3", "b"), ("2", "c"), ("1", "d")):
        paid(sqlite_application, cost, model_name=model)
    asked = {"type": "aggregates", "group_by": "model"}
    book = Book(export(sqlite_application, format="xlsx", **asked))
    found = [book.row("Summary", name)[2:4] for name in ("a", "b", "2 others")]
    assert found == [[4, 0], [3, 0], [3, 0]]


def test_the_summary_says_what_has_no_price(sqlite_application: Application) -> None:
    paid(sqlite_application, "4", model_name="a")
    paid(sqlite_application, "1", model_name="a", cost_status="partially_priced")
    paid(sqlite_application, None, model_name="b", cost_status="unpriced")
    for asked in ({}, {"group_by": "model"}):
        book = Book(export(sqlite_application, format="xlsx", **asked))
        assert book.row("Summary", "a")[1:4] == ["USD", 5, 1], asked
        assert book.row("Summary", "b")[1:4] == ["USD", None, 1], asked
    last = export(sqlite_application, group_by="model", totals="true").decode().splitlines()[-1]
    assert last.startswith('"TOTAL, 1 unpriced, 1 partially priced"')


def test_counts_have_their_currency_and_all_digits(sqlite_application: Application) -> None:
    for tokens in (9_007_199_254_740_993, 1):
        paid(sqlite_application, "1", input_tokens=tokens, total_tokens=tokens)
    paid(sqlite_application, "1", "EUR")
    book = Book(export(sqlite_application, format="xlsx"))
    assert book.row("Summary", "prompt_tokens USD")[2] == "9007199254740994"
    assert book.row("Summary", "requests EUR")[1] == 1


def test_a_sum_says_what_is_not_in_it(sqlite_application: Application) -> None:
    paid(sqlite_application, "1.5")
    for status, count in (("unpriced", 2), ("partially_priced", 1)):
        cost = None if status == "unpriced" else "0.25"
        for _ in range(count):
            paid(sqlite_application, cost, cost_status=status)
    for chosen in ({}, {"include_fields": "provider,total_cost"}, {"type": "aggregates"}):
        (found,) = totals(sqlite_application, **chosen)
        assert found["total_cost"] == Decimal("1.75"), chosen
        assert (found["unpriced_count"], found["partially_priced_count"]) == (2, 1), chosen
    (found,) = totals(sqlite_application, type="usage")
    assert "unpriced_count" not in found
    chosen = {"include_fields": "provider,cost", "totals": "true"}
    last = export(sqlite_application, **chosen).decode().splitlines()[-1]
    assert last == '"TOTAL USD, 2 unpriced, 1 partially priced",1.75'
    assert "unpriced_count" in texts(export(sqlite_application, format="xlsx"))


def test_groups_by_price_count_their_calls(sqlite_application: Application) -> None:
    for status, count in (("unpriced", 5), ("partially_priced", 2), ("priced", 1)):
        for _ in range(count):
            paid(sqlite_application, None if status == "unpriced" else "1", cost_status=status)
    asked = {"type": "aggregates", "group_by": "cost_status"}
    (found,) = totals(sqlite_application, **asked)
    assert (found["requests"], found["unpriced_count"], found["partially_priced_count"]) == (
        8, 5, 2,
    )  # fmt: skip
    last = export(sqlite_application, totals="true", **asked).decode().splitlines()[-1]
    assert last.startswith('"TOTAL, 5 unpriced, 2 partially priced"')
    book = Book(export(sqlite_application, format="xlsx", **asked))
    assert book.row("Summary", "unpriced")[1:4] == ["USD", None, 5]
    assert book.row("Summary", "unpriced_count USD")[1] == 5


def test_counts_add_up_under_each_of_their_names(sqlite_application: Application) -> None:
    for tokens, model in ((7, "a"), (5, "b")):
        fields = {"input_tokens": tokens, "model_name": model, "cost_status": "unpriced"}
        paid(sqlite_application, None, **fields)
    (found,) = totals(sqlite_application, include_fields="id,tokens_used,tokens,latency_ms")
    assert found == {"tokens_used": 12, "tokens": 12}
    asked = {"type": "aggregates", "group_by": "model", "metrics": "unpriced,partially_priced"}
    (found,) = totals(sqlite_application, **asked)
    assert (found["unpriced"], found["partially_priced"]) == (2, 0)


def test_totals_are_marked_where_the_currency_is_the_only_text(
    sqlite_application: Application,
) -> None:
    paid(sqlite_application, "1.5")
    lines = export(sqlite_application, include_fields="cost,currency", totals="true")
    assert lines.decode().splitlines()[1:] == ['1.5,"USD"', '1.5,"TOTAL USD"']
    groups = export(sqlite_application, type="aggregates", totals="true")
    assert groups.decode().splitlines()[2].startswith('"TOTAL USD",1,')


def test_metrics_that_were_named_are_columns(sqlite_application: Application) -> None:
    paid(sqlite_application, "1.5", usage={"input_text": 7, "output_text": 5})
    names = "count,tokens,partially_priced_count,tokens_by_kind,sum,percentiles,median,stddev"
    asked = {"type": "aggregates", "group_by": "model", "metrics": names}
    data = json.loads(export(sqlite_application, format="json", **asked))
    (row,) = data["data"]
    assert (row["count"], row["partially_priced_count"], row["sum"]) == (1, 0, 1.5)
    assert (row["p50"], row["p99"], row["median"]) == (1.5, 1.5, 1.5)
    assert "stddev" in row
    shown = sqlite_application.get(
        "/api/v1/costs/aggregate", params={"group_by": "model", "metrics": names}
    ).json()["data"][0]
    assert row["tokens_by_kind"] == shown["tokens_by_kind"] != {}
    assert row["tokens"] == shown["tokens"]
    found = export(sqlite_application, format="parquet", **asked)
    (kept,) = pq.read_table(io.BytesIO(found)).to_pylist()
    assert json.loads(kept["tokens_by_kind"]) == row["tokens_by_kind"]


def test_days_of_the_summary_are_the_organizations(sqlite_application: Application) -> None:
    call = make_call(
        "2026-10-05T22:30:00Z", "1.5", organization_id=sqlite_application.organization_id
    )
    record_calls(sqlite_application.database, [call])
    berlin = texts(export(sqlite_application, format="xlsx", timezone="Europe/Berlin"))
    assert "Cost by day (Europe/Berlin)" in berlin
    assert "2026-10-06" in berlin
    books = texts(export(sqlite_application, format="xlsx", billing_period="2026-10"))
    assert "Cost by day (UTC)" in books
    assert "2026-10-05" in books
    home = {"time_zone": "Asia/Tokyo"}
    path = f"/api/v1/organizations/{sqlite_application.organization_id}"
    changed = sqlite_application.request("PATCH", path, json=home)
    assert changed.status_code == 200, changed.text
    tokyo = texts(export(sqlite_application, format="xlsx"))
    assert "Cost by day (Asia/Tokyo)" in tokyo
    assert "2026-10-06" in tokyo
