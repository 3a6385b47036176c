"""FOCUS datasets of a ledger: every row as the specification wants it, and the ledger's sums."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from llm_cost_ops.core.focus.columns import VERSIONS, columns_of
from llm_cost_ops.core.focus.rows import Row
from llm_cost_ops.core.period import ALL_TIME, time_zone
from llm_cost_ops.server.analytics.selection import Selection
from llm_cost_ops.server.db.session import snapshot
from llm_cost_ops.server.exports.focus import Focus, focus_rows
from llm_cost_ops.server.ledger.verify import verify
from tests.support.application import Application
from tests.support.calls import accepted, error, record, send, set_price, usage
from tests.support.focus import sum_of, violations

EXPORT = "/api/v1/costs/export"
NOW_US = 1_795_867_200_000_000
EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
AT = "2026-10-05T12:30:00Z"
CONTRACT = {"label": "deal", "factor": "0.8", "effective_date": "2026-10-06", "provider": "openai"}


def furnish(app: Application) -> None:
    """Usage of every sort: the examples, a contract, context tiers, tags, calls without a price, a
    bare cost, another currency, and calls that were taken back or priced again."""
    for name in ("usage", "responses"):
        lines = (EXAMPLES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        records = [json.loads(line, parse_float=Decimal) for line in lines]
        accepted(send(app, "/usage/batch", {"records": records}), 200)
    accepted(send(app, "/pricing/adjustments", CONTRACT), 201)
    record(
        app,
        usage("contract", timestamp="2026-10-06T00:00:00Z", cached_tokens=300),
        usage("none", timestamp=AT, model="no-such-model"),
        usage("long", timestamp=AT, provider="google", model="gemini-2.5-pro",
              prompt_tokens=250_000, tags=["team:search", "team:web", "plain"]),
        usage("gone", timestamp=AT),
        usage("again", timestamp="2026-10-05T13:00:00Z", model="own"),
    )  # fmt: skip
    bare = {
        "event_id": "bare",
        "provider": "openai",
        "model": "m",
        "tokens_used": 7,
        "timestamp": AT,
    }
    accepted(send(app, "/costs", {**bare, "cost": "0.1234567891"}), 201)
    euro = {**bare, "event_id": "euro", "cost": "2.5", "currency": "EUR"}
    accepted(send(app, "/costs", euro), 201)
    listed = accepted(app.get("/api/v1/costs?start_date=2026-10-05&end_date=2026-10-05"))["data"]
    (gone,) = (row for row in listed if row["event_id"] == "gone")
    assert app.delete(f"/api/v1/costs/{gone['id']}").status_code == 204
    set_price(app, "own", effective_date="2026-10-01")


def dataset(app: Application, **focus: str) -> list[Row]:
    selection = Selection(app.organization_id, ALL_TIME, time_zone("UTC"))
    pages = list(focus_rows(app.database, selection, Focus(**focus), "Acme", NOW_US))
    return [row for page in pages for row in page]


def by_currency(rows: Sequence[Row], column: str) -> dict[object, Decimal]:
    return {
        currency: sum_of((row for row in rows if row["BillingCurrency"] == currency), column)
        for currency in {row["BillingCurrency"] for row in rows}
    }


def test_a_dataset_conforms_and_adds_up_to_the_ledger(application: Application) -> None:
    furnish(application)
    with snapshot(application.database) as session:
        proof = verify(session, application.organization_id)
    assert proof.ok
    for grain in ("hour", "day"):
        rows = dataset(application, grain=grain)
        for version in VERSIONS:
            assert [
                (row["SkuId"], found) for row in rows if (found := violations(row, version))
            ] == []
        assert by_currency(rows, "BilledCost") == proof.totals
        assert by_currency(rows, "EffectiveCost") == proof.totals
        assert sum_of(rows, "x_RequestCount") == proof.records
    listed = sum_of((row for row in rows if row["BillingCurrency"] == "USD"), "ListCost")
    assert listed - proof.totals["USD"] == Decimal("0.00142500"), "a fifth of one call"


def test_what_a_row_says(sqlite_application: Application) -> None:
    furnish(sqlite_application)
    rows = dataset(sqlite_application)

    def of(model: str) -> list[Row]:
        return [row for row in rows if row["x_ModelId"] == model]

    unknown = of("no-such-model")
    assert {row["x_CostStatus"] for row in unknown} == {"unpriced"}
    assert {row["SkuMeter"] for row in unknown} == {"Input Tokens", "Output Tokens"}
    assert sum_of(unknown, "ConsumedQuantity") == 1500
    (tier,) = (row for row in of("gemini-2.5-pro") if row["ConsumedQuantity"] == 250_000)
    assert (tier["SkuMeter"], tier["x_ContextTier"]) == ("Input Tokens", "gt200k")
    assert json.loads(str(tier["Tags"])) == {"team": "search", "team:web": True, "plain": True}
    contracted = [row for row in of("gpt-4o") if row["ListCost"] != row["BilledCost"]]
    assert {row["SkuMeter"] for row in contracted} == {
        "Cache Read Input Tokens", "Input Tokens", "Output Tokens",
    }  # fmt: skip
    for row in contracted:
        assert row["ContractedUnitPrice"] == Decimal(str(row["ListUnitPrice"])) * Decimal("0.8")
    (whole,) = (row for row in rows if row["BillingCurrency"] == "USD" and row["x_ModelId"] == "m"
                and row["BilledCost"])  # fmt: skip
    assert whole["BilledCost"] == Decimal("0.1234567891")


def test_list_prices_under_a_contract_keep_what_a_region_costs(
    sqlite_application: Application,
) -> None:
    deal = {**CONTRACT, "provider": "anthropic"}
    accepted(send(sqlite_application, "/pricing/adjustments", deal), 201)
    where = {"provider": "anthropic", "model": "claude-opus-4-6", "region": "us"}
    record(sqlite_application, usage("us", timestamp="2026-10-07T00:00:00Z", **where))
    rows = dataset(sqlite_application)
    assert {row["ChargeCategory"] for row in rows} == {"Usage"}
    (told,) = (row for row in rows if row["SkuMeter"] == "Input Tokens")
    assert (told["ListUnitPrice"], told["ContractedUnitPrice"]) == (Decimal("5.5"), Decimal("4.4"))


@pytest.mark.parametrize("version", VERSIONS)
def test_the_files_of_a_version(sqlite_application: Application, version: str) -> None:
    furnish(sqlite_application)
    asked: dict[str, Any] = {"format": "focus", "focus_version": version}
    answer = sqlite_application.get(EXPORT, params=asked)
    name = f'attachment; filename="focus-{version}.csv"'
    assert answer.headers["content-disposition"] == name
    head, *lines = csv.reader(io.StringIO(answer.text, newline=""))
    assert head == [column.name for column in columns_of(version)]
    billed = sum(Decimal(line[head.index("BilledCost")]) for line in lines)
    file = sqlite_application.get(EXPORT, params={**asked, "focus_file": "parquet"}).content
    table = pq.read_table(io.BytesIO(file))
    assert (table.column_names, table.num_rows) == (head, len(lines))
    assert sum(table["BilledCost"].to_pylist()) == billed
    assert str(table.schema.field("ListUnitPrice").type) == "decimal128(38, 20)"
    told = accepted(
        sqlite_application.get(f"{EXPORT}/focus-metadata", params={"focus_version": version})
    )
    assert told["Schema"]["FocusVersion"] == version
    assert [each["ColumnName"] for each in told["Schema"]["ColumnDefinition"]] == head


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"focus_version": "0.9"}, "focus_version"),
        ({"focus_file": "xlsx"}, "focus_file"),
        ({"focus_grain": "week"}, "focus_grain"),
        ({"type": "usage"}, "format"),
        ({"include_fields": "cost"}, "format"),
    ],
)
def test_what_is_no_dataset(
    sqlite_application: Application, parameters: dict[str, str], field: str
) -> None:
    answer = sqlite_application.get(EXPORT, params={"format": "focus", **parameters})
    assert field in error(answer, 422, "VALIDATION_ERROR")["field_errors"]
    if field == "focus_version":
        wrong = sqlite_application.get(f"{EXPORT}/focus-metadata", params=parameters)
        assert field in error(wrong, 422, "VALIDATION_ERROR")["field_errors"]


def test_what_calls_name_by_ids_has_its_names(sqlite_application: Application) -> None:
    app = sqlite_application
    key = accepted(send(app, "/provider-credentials", {
        "provider": "openai", "name": "Production", "secret": "sk-0123456789abcdef",
    }), 201)["id"]  # fmt: skip
    team = {"name": "Search", "metadata": {"cost_center": "CC-7"}}
    team_id = accepted(send(app, "/teams", team), 201)["id"]
    at = {"timestamp": "2026-10-07T00:00:00Z"}
    record(
        app,
        usage("one", **at, project_id="web", team_id=team_id, api_key_id=key),
        usage("two", **at, project_id="app", team_id=team_id, metadata={"cost_center": 12}),
        usage("three", **at, project_id="no-name", api_key_id="theirs"),
    )
    for project, name in (("web", "Web shop"), ("app", "Apps")):
        path = f"/api/v1/projects/{project}"
        accepted(app.request("PATCH", path, json={"name": name}), 200)
    rows = dataset(app)
    names = ("SubAccountName", "ResourceId", "ResourceName", "x_CostCenter")
    assert {row["SubAccountId"]: tuple(row[name] for name in names) for row in rows} == {
        "web": ("Web shop", key, "Production", "CC-7"),
        "app": ("Apps", None, None, "12"),
        "no-name": ("no-name", "theirs", None, None),
    }
    assert [found for row in rows if (found := violations(row, "1.4"))] == []


def test_days_are_those_of_utc_unless_a_zone_is_named(sqlite_application: Application) -> None:
    app = sqlite_application
    home = f"/api/v1/organizations/{app.organization_id}"
    accepted(app.request("PATCH", home, json={"time_zone": "Europe/Berlin"}), 200)
    record(
        app,
        usage("before", timestamp="2026-09-30T23:00:00Z"),
        usage("last", timestamp="2026-10-31T23:30:00Z"),
    )

    def hours(**asked: str) -> set[str]:
        days = {"start_date": "2026-10-01", "end_date": "2026-10-31", "format": "focus", **asked}
        text = app.get(EXPORT, params=days).text
        return {row["ChargePeriodStart"][:13] for row in csv.DictReader(io.StringIO(text))}

    assert hours() == {"2026-10-31T23"}
    assert hours(timezone="Europe/Berlin") == {"2026-09-30T23"}


def test_an_empty_dataset_has_its_header(sqlite_application: Application) -> None:
    text = sqlite_application.get(EXPORT, params={"format": "focus"}).text
    assert text.startswith("AvailabilityZone,BilledCost,")
    assert text.count("\r\n") == 1
