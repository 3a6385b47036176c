"""FOCUS datasets with charges: what is paid, drawn, left and given is counted once, in whatever
part of the ledger, before and after its months are closed."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_cost_ops.core import jsontext
from llm_cost_ops.core.focus.columns import COLUMNS, DATETIME, DECIMAL, VERSIONS, columns_of
from llm_cost_ops.core.instant import parse_instant, to_micros
from llm_cost_ops.core.period import ALL_TIME
from llm_cost_ops.importers.focus import read_focus
from llm_cost_ops.importers.lines import binary
from llm_cost_ops.importers.record import ImportOptions
from llm_cost_ops.server.analytics import restated
from llm_cost_ops.server.analytics.conditions import condition
from llm_cost_ops.server.analytics.fields import find_field
from llm_cost_ops.server.analytics.selection import Selection
from llm_cost_ops.server.exports.focus import Focus, focus_rows
from tests.server.charges.test_charges import spend
from tests.server.periods.books import EXPORT, Books
from tests.support.application import Application
from tests.support.calls import accepted, record, select_all, send, set_price, usage
from tests.support.focus import violations

Row = Mapping[str, str]
OPENAI = {"provider": "openai", "currency": "USD"}
SOON = {**OPENAI, "kind": "commitment", "name": "Summer", "amount": "8", "granted": "10",
        "start_date": "2026-08-10", "end_date": "2026-10-20"}  # fmt: skip
FOREVER = {**OPENAI, "kind": "commitment", "name": "Forever", "amount": "5",
           "start_date": "2026-09-01"}  # fmt: skip
SEATS = {**OPENAI, "kind": "purchase", "name": "Seats", "amount": "75", "quantity": 3,
         "unit": "Seats", "frequency": "recurring", "start_date": "2026-09-01",
         "end_date": "2026-09-30"}  # fmt: skip
CREDIT = {**OPENAI, "kind": "credit", "name": "Goodwill", "amount": "1.5",
          "start_date": "2026-09-15"}  # fmt: skip
NAMES = itertools.count()
MONTHS = ("2026-08", "2026-09", "2026-10", "2026-11")


def focus(app: Application, **asked: str) -> list[Row]:
    answer = app.get(EXPORT, params={"format": "focus", **asked})
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


def total(rows: Iterable[Row], column: str, **where: str) -> Decimal:
    wanted = where.items()
    return sum((Decimal(row[column] or 0) for row in rows
                if all(row[name] == value for name, value in wanted)), Decimal(0))  # fmt: skip


def enter(app: Application, *charges: Mapping[str, Any]) -> list[str]:
    return [accepted(send(app, "/charges", {**each}), 201)["id"] for each in charges]


def furnish(app: Application) -> list[str]:
    """Summer has 10: 3 + 4 are drawn in August and September, and of 3.5 the rest, whose half is
    drawn from Forever with what follows; of another provider and currency nothing is."""
    ids = enter(app, SOON, FOREVER, SEATS, CREDIT)
    spend(app, "1", "2026-08-09T23:00:00Z")
    spend(app, "3", "2026-08-10T00:00:00Z")
    spend(app, "4", "2026-09-10T00:00:00Z", project_id="web")
    spend(app, "3.5", "2026-10-01T10:00:00Z")
    spend(app, "0.25", "2026-10-20T23:59:59Z", project_id="web")
    spend(app, "6", "2026-10-21T00:00:00Z")
    spend(app, "7", "2026-10-01T10:00:00Z", provider="anthropic")
    spend(app, "7", "2026-10-01T10:00:00Z", currency="EUR")
    return ids


def test_every_amount_is_counted_once(place: Books) -> None:
    app = place.app
    soon, forever, seats, _ = furnish(app)
    rows = focus(app)
    calls = [row for row in rows if row["x_ModelId"]]
    assert total(calls, "ContractedCost", BillingCurrency="USD") == Decimal("24.75")
    assert total(calls, "BilledCost", BillingCurrency="USD") == Decimal("24.75") - 10 - 5
    assert total(calls, "BilledCost", BillingCurrency="EUR") == 7
    drawn = [row for row in calls if row["CommitmentDiscountId"]]
    assert {row["PricingCategory"] for row in drawn} == {"Committed"}
    by_commitment = {name: total(drawn, "CommitmentDiscountQuantity", CommitmentDiscountId=name)
                     for name in (soon, forever)}  # fmt: skip
    assert by_commitment == {soon: 10, forever: 5 - Decimal("0.5")}, "the row of both is of one"
    elements = [each for row in focus(app, focus_version="1.4") if row["ContractApplied"]
                for each in json.loads(row["ContractApplied"], parse_float=Decimal)["Elements"]
                if row["x_ModelId"]]  # fmt: skip
    applied = dict.fromkeys((soon, forever), Decimal(0))
    for each in elements:
        applied[each["ContractCommitmentID"]] += Decimal(each["ContractCommitmentAppliedCost"])
    assert applied == {soon: 10, forever: 5}
    assert total(drawn, "EffectiveCost") == 8 + 5 + 6 - Decimal("4.25"), "and what is billed of 6"
    purchases = {row["ResourceId"]: row for row in rows if row["ChargeCategory"] == "Purchase"}
    assert {name: (Decimal(row["BilledCost"]), Decimal(row["EffectiveCost"]))
            for name, row in purchases.items()} == {
        soon: (8, 0), forever: (5, 0), seats: (75, 0),
    }  # fmt: skip
    assert purchases[seats]["ChargePeriodEnd"] == "2026-10-01T00:00:00Z"
    assert purchases[soon]["ChargePeriodEnd"] == "2026-08-11T00:00:00Z"
    assert total(rows, "BilledCost", ChargeCategory="Credit") == Decimal("-1.5")
    days = [row for row in rows if row["ResourceId"] == seats and row["ChargeCategory"] == "Usage"]
    assert (len(days), total(days, "EffectiveCost"), total(days, "BilledCost")) == (30, 75, 0)
    assert [row["ConsumedQuantity"] for row in days] == ["0.1"] * 30
    unused = [row for row in rows if row["CommitmentDiscountStatus"] == "Unused"]
    assert unused == [], "Summer ended, drawn whole"
    assert total(rows, "BilledCost", BillingCurrency="USD") == total(
        rows, "EffectiveCost", BillingCurrency="USD"
    )
    starts = [row["ChargePeriodStart"] for row in rows]
    assert starts == sorted(starts)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_row_is_as_the_specification_wants_it(quick: Books, version: str) -> None:
    furnish(quick.app)
    accepted(quick.close("2026-08"))
    enter(quick.app, {**FOREVER, "virtual_currency": "Credits", "virtual_units": 100},
          {**SOON, "start_date": "2026-08-01", "end_date": "2026-08-20"})  # fmt: skip
    for grain in ("hour", "day"):
        for month in MONTHS:
            rows = focus(quick.app, billing_period=month, focus_version=version, focus_grain=grain)
            for row in rows:
                assert violations(typed(row, version), version) == [], row


def typed(row: Row, version: str) -> dict[str, Any]:
    """A line of a file as a row of ours."""
    made: dict[str, Any] = dict.fromkeys(COLUMNS)
    for column in columns_of(version):
        text = row[column.name]
        if not text:
            continue
        made[column.name] = text
        if column.type == DECIMAL:
            made[column.name] = Decimal(text)
        if column.type == DATETIME:
            made[column.name] = to_micros(parse_instant(text, column.name))
    return made


def test_months_and_days_and_any_part_say_what_the_whole_does(place: Books) -> None:
    furnish(place.app)
    whole = focus(place.app, start_date="2026-08-01", end_date="2026-11-30")
    months = [row for month in MONTHS for row in focus(place.app, billing_period=month)]
    assert sorted(map(tuple, (r.items() for r in months))) == sorted(
        map(tuple, (r.items() for r in whole))
    )
    days: list[Row] = []
    day = date(2026, 8, 1)
    while day <= date(2026, 11, 30):
        days += focus(place.app, start_date=f"{day}", end_date=f"{day}")
        day += timedelta(days=1)
    assert days == whole
    parts: list[Row] = []
    for start, end in (("2026-08-01T00:00:00Z", "2026-10-01T10:00:00Z"),
                       ("2026-10-01T10:00:00Z", "2026-12-01T00:00:00Z")):  # fmt: skip
        parts += focus(place.app, start_date=start, end_date=end)
    assert parts == whole
    # Days there begin within an hour: what was drawn before is summed from calls, too.
    there = focus(
        place.app, start_date="2026-10-21", end_date="2026-10-21", timezone="Asia/Kolkata"
    )
    hours = ("2026-10-20T23:00:00Z", "2026-10-21T00:00:00Z")
    assert there == [row for row in whole if row["ChargePeriodStart"] in hours]
    assert len(there) == 2


def test_what_is_filtered_draws_what_it_draws_in_the_whole(place: Books) -> None:
    furnish(place.app)
    whole = [row for row in focus(place.app) if row["SubAccountId"] == "web"]
    assert len(whole) == 2
    assert focus(place.app, project_id="web") == whole
    month = focus(place.app, project_id="web", billing_period="2026-10")
    assert month == [row for row in whole if row["BillingPeriodStart"] == "2026-10-01T00:00:00Z"]
    by_provider = focus(place.app, provider="openai")
    assert by_provider == [r for r in focus(place.app) if r["ServiceName"] != "Claude API"
                           and not r["SkuId"].startswith("anthropic/")]  # fmt: skip
    assert {row["ChargeCategory"] for row in by_provider} == {"Usage", "Purchase", "Credit"}
    assert {row["ChargeCategory"] for row in focus(place.app, provider="anthropic")} == {"Usage"}
    for relation, value, categories in (
        ("ne", "openai", {"Usage"}),
        ("ne", "anthropic", {"Usage", "Purchase", "Credit"}),
        ("contains", "open", {"Usage"}),
    ):
        field = find_field("provider")
        assert field is not None
        chosen = Selection(place.app.organization_id, ALL_TIME, ZoneInfo("UTC")).also(
            condition(field, relation, value, "provider")
        )
        now_us = place.clock.micros()
        pages = focus_rows(place.app.database, chosen, Focus(), "Acme", now_us)
        assert {row["ChargeCategory"] for page in pages for row in page} == categories


def test_what_ends_is_left_unused_for_who_filters_too(quick: Books) -> None:
    enter(quick.app, {**SOON, "granted": "100", "amount": "50"})
    for day in range(10, 15):
        spend(quick.app, "10", f"2026-08-{day}T00:00:00Z")
    spend(quick.app, "10", "2026-10-20T23:59:59Z")
    for asked in ({}, {"provider": "openai"}, {"provider": "openai", "billing_period": "2026-10"},
                  {"billing_period": "2026-10", "focus_grain": "day"}):  # fmt: skip
        rows = focus(quick.app, **asked)
        (unused,) = [row for row in rows if row["CommitmentDiscountStatus"] == "Unused"]
        assert unused == rows[-1]
        assert (Decimal(unused["PricingQuantity"]), Decimal(unused["EffectiveCost"])) == (40, 20)
        assert unused["ChargePeriodEnd"] == "2026-10-21T00:00:00Z"
    until = focus(quick.app, start_date="2026-08-01", end_date="2026-10-19")
    assert not [row for row in until if row["CommitmentDiscountStatus"] == "Unused"]


def test_what_has_not_happened_is_not_told(quick: Books) -> None:
    enter(
        quick.app,
        {**FOREVER, "start_date": "2026-11-04"},
        {**FOREVER, "end_date": "2026-11-03"},
        {**CREDIT, "start_date": "2026-12-01"},
        {**SEATS, "start_date": "2026-11-04", "end_date": "2026-11-30"},
    )
    rows = focus(quick.app, start_date="2026-01-01", end_date="2027-12-31")
    assert [row["ChargeCategory"] for row in rows] == ["Purchase"]
    quick.at("2026-11-04T00:00:00")
    rows = focus(quick.app, start_date="2026-01-01", end_date="2027-12-31")
    kinds = [(row["ChargeCategory"], row["ResourceType"]) for row in rows]
    assert sorted(kinds) == [
        ("Purchase", "Commitment"), ("Purchase", "Commitment"), ("Purchase", "Purchase"),
        ("Usage", "Commitment"), ("Usage", "Purchase"),
    ]  # fmt: skip
    quick.at("2026-11-05T00:00:00")
    rows = focus(quick.app, start_date="2026-01-01", end_date="2027-12-31")
    assert [row["ChargePeriodStart"][:10] for row in rows if row["ResourceType"] == "Purchase"] == [
        "2026-11-04", "2026-11-04", "2026-11-05",
    ]  # fmt: skip


def test_closed_months_keep_what_they_drew(place: Books) -> None:
    app = place.app
    ids = furnish(app)
    before = {month: focus(app, billing_period=month) for month in MONTHS}
    accepted(place.close("2026-08"))
    accepted(place.close("2026-09"))
    assert {month: focus(app, billing_period=month) for month in MONTHS} == before
    files = {month: place.all_files(month) for month in ("2026-08", "2026-09")}
    # What comes for closed months now is of October's books, and draws first there.
    spend(app, "2", "2026-09-20T00:00:00Z", project_id="late")
    (late,) = enter(app, {**CREDIT, "amount": "0.5"})
    expired = {**SOON, "start_date": "2026-08-01", "end_date": "2026-08-31"}
    (unknown,) = enter(app, expired)
    assert {month: place.all_files(month) for month in ("2026-08", "2026-09")} == files
    october = focus(app, billing_period="2026-10")
    came = [row for row in october if row["ChargeClass"] == "Correction"]
    assert {row["BillingPeriodStart"] for row in october} == {"2026-10-01T00:00:00Z"}
    assert [(row["ChargeCategory"], row["ResourceId"]) for row in came] == [
        ("Purchase", unknown), ("Usage", unknown), ("Credit", ""), ("Usage", ""),
    ]  # fmt: skip
    assert Decimal(came[1]["EffectiveCost"]) == 8, "all of it: it had ended before it came"
    paid = came[3]
    assert (Decimal(paid["BilledCost"]), Decimal(paid["EffectiveCost"])) == (0, Decimal("1.6"))
    rows = [row for month in MONTHS for row in focus(app, billing_period=month)]
    calls = [row for row in rows if row["x_ModelId"] and row["BillingCurrency"] == "USD"]
    assert total(calls, "BilledCost") == Decimal("26.75") - 10 - 5
    assert total(rows, "BilledCost", BillingCurrency="USD") == total(
        rows, "EffectiveCost", BillingCurrency="USD"
    )
    filtered = focus(app, billing_period="2026-10", project_id="late")
    assert [row["BilledCost"] for row in filtered] == ["0.0"]
    accepted(place.close("2026-10"))
    assert focus(app, billing_period="2026-10") == october
    assert {month: place.all_files(month) for month in ("2026-08", "2026-09")} == files
    assert late != unknown
    # As calls are now the one that came last ends first, and has drawn the first ones.
    told = {
        row["id"]: row["drawn"] for row in jsontext.loads(app.get("/api/v1/charges").text)["data"]
    }
    assert [told[each] for each in (unknown, *ids[:2])] == [4, Decimal("9.75"), 5]


def test_corrections_of_closed_months_are_in_money(place: Books) -> None:
    """What a closed month drew stays drawn; what is added to it draws."""
    app = place.app
    enter(app, {**FOREVER, "amount": "50", "granted": "100"})
    set_price(app, "own")
    record(app, usage("gone", timestamp="2026-09-10T00:00:00Z", model="own"),
           usage("dear", timestamp="2026-09-11T00:00:00Z", model="own"),
           usage("unknown", timestamp="2026-09-12T00:00:00Z", model="later"))  # fmt: skip
    accepted(place.close("2026-09"))
    closed = focus(app, billing_period="2026-09")
    price = {"type": "per_token", "input_price_per_million": "1000",
             "output_price_per_million": "1000"}  # fmt: skip
    listed = accepted(app.get("/api/v1/costs?start_date=2026-09-01&end_date=2026-09-30"))["data"]
    ids = {row["event_id"]: row["id"] for row in listed}
    assert app.request("DELETE", f"/api/v1/costs/{ids['gone']}").status_code == 204
    set_price(app, "own", effective_date="2026-09-11", pricing_structure=price)
    set_price(app, "later", pricing_structure=price)
    dates = {"start_date": "2026-09-01", "end_date": "2026-09-30"}
    accepted(send(app, "/pricing/rerate", {**dates, "dry_run": False}))
    assert focus(app, billing_period="2026-09") == closed
    october = focus(app, billing_period="2026-10")
    rows = [*closed, *october]
    calls = [row for row in rows if row["x_ModelId"]]
    cost = total(calls, "ContractedCost")
    drawn = total(calls, "CommitmentDiscountQuantity")
    taken = {row["ChargeClass"] for row in october}
    assert taken == {"Correction"}
    gone = -min(Decimal(row["BilledCost"]) for row in october)
    assert gone > 0
    assert total(rows, "BilledCost") == total(rows, "EffectiveCost") + 50 - total(
        calls, "EffectiveCost"
    ) + total(calls, "BilledCost")
    assert cost > drawn
    accepted(place.close("2026-10"))
    assert focus(app, billing_period="2026-10") == october
    (row,) = select_all(app, "SELECT drawn FROM periods WHERE month = '2026-10'")
    assert json.loads(row[0])


def test_a_month_without_calls_has_its_charges(quick: Books) -> None:
    enter(quick.app, CREDIT, FOREVER)
    spend(quick.app, "1", "2026-10-02T00:00:00Z")
    accepted(quick.close("2026-10"))
    rows = focus(quick.app, billing_period="2026-09")
    assert [row["ChargeCategory"] for row in rows] == ["Purchase", "Credit"]
    assert [row["BilledCost"] for row in focus(quick.app, billing_period="2026-10")] == ["0.0"]
    accepted(quick.reopen("2026-10"))
    spend(quick.app, "4.5", "2026-09-02T00:00:00Z")
    (call,) = focus(quick.app, billing_period="2026-10")
    assert Decimal(call["BilledCost"]) == Decimal("0.5")


def test_a_parquet_file_has_the_same(quick: Books) -> None:
    furnish(quick.app)
    answer = quick.app.get(EXPORT, params={"format": "focus", "focus_file": "parquet"})
    table = pq.read_table(io.BytesIO(answer.content))
    wanted = focus(quick.app)
    assert table.num_rows == len(wanted)
    billed: list[Decimal] = table["BilledCost"].to_pylist()
    assert sum(billed) == total(wanted, "BilledCost")


def test_a_parquet_file_has_room_for_the_dearest(quick: Books) -> None:
    dear = {"amount": "100000000", "start_date": "2026-11-01"}
    enter(quick.app, {**SEATS, **dear, "quantity": "1", "end_date": None},
          {**FOREVER, **dear, "granted": "1", "end_date": "2026-11-02",
           "virtual_currency": "Credits", "virtual_units": "999999999.9999999999"})  # fmt: skip
    for version in VERSIONS:
        asked = {"format": "focus", "focus_file": "parquet", "focus_version": version}
        answer = quick.app.get(EXPORT, params=asked)
        assert answer.status_code == 200, answer.text
        costs: list[Decimal] = pq.read_table(io.BytesIO(answer.content))["BilledCost"].to_pylist()
        assert sum(costs) == 200_000_000


def test_our_file_comes_back_with_the_costs_of_calls(quick: Books) -> None:
    furnish(quick.app)
    text = quick.app.get(EXPORT, params={"format": "focus"}).text
    found = list(read_focus(binary(io.BytesIO(text.encode())), ImportOptions()))
    records = [each for each in found if isinstance(each, dict)]
    problems = [each for each in found if not isinstance(each, dict)]
    costs = [Decimal(str(each["cost"])) for each in records if each["currency"] == "USD"]
    assert sum(costs) == Decimal("24.75")
    assert {(each.field, each.message, each.skipped) for each in problems} == {
        ("ChargeCategory", "is of no call: enter the charge itself", True)
    }
    assert len(problems) == 4 + 30


@given(
    calls=st.lists(
        st.tuples(st.integers(0, 91), st.integers(0, 23), st.integers(0, 60)), max_size=25
    ),
    bought=st.lists(
        st.tuples(st.integers(0, 91), st.integers(0, 60), st.integers(1, 100),
                  st.integers(0, 100)), min_size=1, max_size=3,
    ),
    cut=st.integers(0, 91),
)  # fmt: skip
@settings(max_examples=25, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
def test_whatever_is_spent_and_bought_is_counted_once(
    quick: Books,
    calls: list[tuple[int, int, int]],
    bought: list[tuple[int, int, int, int]],
    cut: int,
) -> None:
    app = quick.app
    name = f"p{next(NAMES)}"
    accepted(send(app, "/providers", {"id": name}), 201)
    first = date(2026, 8, 1)
    for place, (start, length, granted, paid) in enumerate(bought):
        day = first + timedelta(days=start)
        enter(app, {**FOREVER, "provider": name, "name": f"c{place}", "granted": granted,
                    "amount": paid, "start_date": f"{day}",
                    "end_date": f"{day + timedelta(days=length)}"})  # fmt: skip
    for place, (day, hour, cost) in enumerate(calls):
        at = f"{first + timedelta(days=day)}T{hour:02d}:00:00Z"
        spend(app, f"{cost}", at, provider=name, feature=f"{place}")
    quick.at("2027-06-01T00:00:00")
    rows = focus(app, provider=name)
    quick.at("2026-11-03T12:00:00")
    spent = [row for row in rows if row["x_ModelId"]]
    drawn = sum(
        (
            Decimal(row["drawn"])
            for row in accepted(app.get(f"/api/v1/charges?provider={name}"))["data"]
        ),
        Decimal(0),
    )
    assert total(spent, "ContractedCost") == sum(cost for _, _, cost in calls)
    assert total(spent, "BilledCost") == total(spent, "ContractedCost") - drawn
    assert total(rows, "BilledCost") == total(rows, "EffectiveCost")
    edge = first + timedelta(days=cut)
    earlier = focus(app, provider=name, end_date=f"{edge}")
    later = focus(app, provider=name, start_date=f"{edge + timedelta(days=1)}")
    assert total([*earlier, *later], "BilledCost", ChargeCategory="Usage") == total(
        spent, "BilledCost"
    )


def test_late_calls_draw_lot_by_lot_for_who_filters_too(
    quick: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restated, "BATCH_ROWS", 2)
    enter(quick.app, {**FOREVER, "amount": "9", "granted": "13.6"},
          {**SOON, "start_date": "2026-08-01", "end_date": "2026-09-20"})  # fmt: skip
    spend(quick.app, "1", "2026-09-05T00:00:00Z")
    accepted(quick.close("2026-09"))
    (_,) = enter(quick.app, {**SOON, "start_date": "2026-08-01", "end_date": "2026-08-31"})
    for day in range(1, 10):
        project = "web" if day % 3 else "app"
        quick.at(f"2026-11-03T12:00:{day:02}")  # lots are in the order in which they came
        spend(quick.app, "1.5", f"2026-09-{10 - day:02}T00:00:00Z", project_id=project)
    spend(quick.app, "0.25", "2026-10-02T00:00:00Z", project_id="web")
    whole = focus(quick.app, billing_period="2026-10")
    assert total(whole, "BilledCost", x_ModelId="m") == Decimal("0.15")
    for project in ("web", "app"):
        wanted = [row for row in whole if row["SubAccountId"] == project]
        assert focus(quick.app, billing_period="2026-10", project_id=project) == wanted
    by_provider = focus(quick.app, billing_period="2026-10", provider="openai")
    assert by_provider == whole


def test_a_purchase_that_came_late_has_all_of_its_days(quick: Books) -> None:
    spend(quick.app, "1", "2026-09-05T00:00:00Z")
    accepted(quick.close("2026-09"))
    enter(quick.app, {**SEATS, "start_date": "2026-09-20", "end_date": "2026-11-02"})
    months = {month: focus(quick.app, billing_period=month) for month in MONTHS}
    days = {
        month: [row["ChargePeriodStart"][5:10] for row in rows if row["ConsumedUnit"] == "Seats"]
        for month, rows in months.items()
    }
    assert days["2026-09"] == days["2026-08"] == []
    assert (days["2026-10"][0], days["2026-10"][-1], len(days["2026-10"])) == ("09-20", "10-31", 42)
    assert days["2026-11"] == ["11-01", "11-02"]
    late = [row for row in months["2026-10"] if row["ChargeClass"] == "Correction"]
    assert len(late) == 1 + 11
    booked = [row for rows in months.values() for row in rows]
    assert total(booked, "EffectiveCost", ResourceType="Purchase") == 75
    one = focus(quick.app, start_date="2026-10-07", end_date="2026-10-07")
    assert [row["ChargePeriodStart"][5:10] for row in one] == ["10-07"]
