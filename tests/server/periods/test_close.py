"""A closed month stays as it was; what comes later for it is a correction in the next open one."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from typing import Any

import pytest

from llm_cost_ops.server.periods import routes
from tests.server.periods.books import Books
from tests.support.calls import accepted, error, record, select_all, send, set_price, usage

SEPTEMBER, OCTOBER, NOVEMBER = "2026-09", "2026-10", "2026-11"
AT = "2026-10-05T12:30:00Z"


def furnish(books: Books) -> list[str]:
    """Calls of three months, priced, unpriced, in two currencies, taken back; October's ids."""
    set_price(books.app, "own", effective_date="2026-01-01")
    record(
        books.app,
        usage("s", timestamp="2026-09-30T23:59:59.999999Z", model="own", team_id="core"),
        usage("o1", timestamp="2026-10-01T00:00:00Z", model="own", project_id="=p", team_id="core"),
        usage("o2", timestamp=AT, model="own", cached_tokens=100, user_id="alice", tags=["k:v"]),
        usage("o3", timestamp=AT, model="later"),
        usage("o4", timestamp="2026-10-31T23:59:59.999999Z", model="own", project_id="x"),
        usage("gone", timestamp=AT, model="own"),
        usage("n", timestamp="2026-11-01T00:00:00Z", model="own"),
    )
    bare = {"provider": "cohere", "model": "m", "tokens_used": 7, "timestamp": AT}
    euro = {**bare, "event_id": "euro", "cost": "2.5000000001", "currency": "EUR"}
    accepted(send(books.app, "/costs", euro), 201)
    stored = select_all(books.app, "SELECT event_id, id FROM usage_records")
    ids = {row[0]: row[1] for row in stored}
    assert books.app.delete(f"/api/v1/costs/{ids['gone']}").status_code == 204
    return [ids[name] for name in ("o1", "o2", "o3", "o4")]


def rerate(books: Books, price: str, since: str = "2026-10-01") -> Any:
    """Give the model another price from a day on, and all calls since then that price."""
    own = {"type": "per_token", "input_price_per_million": price, "output_price_per_million": 1}
    set_price(books.app, "own", effective_date=since, pricing_structure=own)
    dates = {"start_date": since, "end_date": "2026-12-31"}
    return accepted(send(books.app, "/pricing/rerate", {**dates, "dry_run": False}))


def test_later_facts_are_corrections_in_the_open_month(place: Books) -> None:
    ids = furnish(place)
    before_closing = place.all_files(OCTOBER)
    closed = accepted(place.close(OCTOBER))
    assert closed["status"] == "closed"
    assert closed["warnings"] == ["1 call has no price: that cost is in no sum of these books."]
    closed_files = {SEPTEMBER: place.files(SEPTEMBER), OCTOBER: place.files(OCTOBER)}
    all_files = place.all_files(OCTOBER)
    for name in ("csv", "parquet", "usage", "focus", "focus parquet", "by dates"):
        assert all_files[name] == before_closing[name], name
    # Late usage, a late price, another price, a call taken back.
    record(place.app, usage("late", timestamp=AT, model="own", project_id="x"))
    set_price(place.app, "later", effective_date="2026-01-01")
    assert place.app.delete(f"/api/v1/costs/{ids[0]}").status_code == 204
    rerate(place, "3.3333333333")
    record(place.app, usage("o5", timestamp="2026-11-02T00:00:00Z", model="own"))
    assert accepted(place.app.get(f"/api/v1/costs/{ids[1]}"))["timestamp"].startswith("2026-10-05")
    assert place.all_files(OCTOBER) == all_files
    place.assert_balanced(SEPTEMBER, OCTOBER, NOVEMBER)
    said = place.said(NOVEMBER)
    assert [each["corrects"] for each in said["corrections"]] == [OCTOBER]
    assert said["status"] == "open"
    focus = [row for row in place.rows(NOVEMBER, "focus") if row["ChargeClass"] == "Correction"]
    assert focus
    for row in focus:
        assert row["BillingPeriodStart"] == "2026-11-01T00:00:00Z"
        assert row["ChargePeriodStart"].startswith("2026-10-")
    assert all(row["ChargeClass"] == "" for row in place.rows(OCTOBER, "focus"))
    # The next closing freezes the corrections, too.
    place.at("2026-12-02T00:00:00")
    accepted(place.close(NOVEMBER))
    closed_files[NOVEMBER] = place.files(NOVEMBER)
    assert place.app.delete(f"/api/v1/costs/{ids[1]}").status_code == 204
    record(place.app, usage("later-still", timestamp=AT, model="own"))
    place.assert_balanced(SEPTEMBER, OCTOBER, NOVEMBER, "2026-12")
    assert {month: place.files(month) for month in closed_files} == closed_files


def test_what_cannot_be_closed(quick: Books) -> None:
    furnish(quick)
    text = error(quick.close(NOVEMBER), 409, "CONFLICT")["message"]
    assert "not over" in text
    quick.at("2026-10-31T23:59:59.999999")
    error(quick.close(OCTOBER), 409)
    quick.at("2026-11-01T00:00:00")
    error(quick.close(OCTOBER, strict=True), 409)
    accepted(quick.close(OCTOBER))
    assert accepted(quick.close(OCTOBER, strict=True))["status"] == "closed", "it was before"
    quick.at("2027-02-01T00:00:00")
    assert "2026-11 is the next" in error(quick.close("2026-12"), 409)["message"]
    assert "begin" in error(quick.close("2026-08"), 409)["message"]
    for wrong in ("2026-13", "2026-1", "x", "1969-12"):
        error(quick.close(wrong), 422, "VALIDATION_ERROR")
    error(quick.close(NOVEMBER, strict=1), 422)
    error(quick.close(NOVEMBER, other=1), 422)
    accepted(quick.close(NOVEMBER))
    listed = accepted(quick.app.get("/api/v1/periods"))["data"]
    assert [(each["period"], each["status"]) for each in listed] == [
        (SEPTEMBER, "closed"), (OCTOBER, "closed"), (NOVEMBER, "closed"),
        ("2026-12", "open"), ("2027-01", "open"), ("2027-02", "open"),
    ]  # fmt: skip


def test_closing_needs_no_body(quick: Books) -> None:
    furnish(quick)
    path = f"/api/v1/periods/{OCTOBER}/close"
    assert quick.app.post(path, content=b"[]").status_code == 400
    assert quick.app.post(path, json={"nope": 1}).status_code == 422
    assert accepted(quick.app.post(path))["status"] == "closed"


def test_the_last_month_can_be_opened_again(quick: Books) -> None:
    furnish(quick)
    accepted(quick.close(OCTOBER))
    before = quick.files(SEPTEMBER)
    record(quick.app, usage("late", timestamp=AT, model="own"),
           usage("late-s", timestamp="2026-09-02T00:00:00Z", model="own"))  # fmt: skip
    assert [each["corrects"] for each in quick.said(NOVEMBER)["corrections"]] == [
        SEPTEMBER, OCTOBER,
    ]  # fmt: skip
    assert "only 2026-10" in error(quick.reopen(SEPTEMBER), 409)["message"]
    error(quick.reopen(OCTOBER, " "), 422)
    opened = accepted(quick.reopen(OCTOBER, "an invoice was forgotten"))
    assert (opened["status"], opened["totals"], opened["sha256"]) == ("open", None, None)
    assert [each["corrects"] for each in quick.said(OCTOBER)["corrections"]] == [SEPTEMBER]
    assert quick.said(NOVEMBER)["corrections"] == []
    assert "late" in quick.export(OCTOBER, type="usage").decode()
    assert quick.files(SEPTEMBER) == before
    quick.assert_balanced(SEPTEMBER, OCTOBER, NOVEMBER)
    listed = accepted(quick.app.get("/api/v1/audit", params={"action": "periods.*"}))["data"]
    assert [each["action"] for each in listed] == ["periods.reopen", "periods.close"]
    assert "an invoice was forgotten" in json.dumps(listed[0], default=str)
    told = select_all(quick.app, "SELECT topic FROM outbox WHERE topic LIKE 'period.%'")
    assert sorted(row[0] for row in told) == ["period.closed", "period.closed", "period.reopened"]
    accepted(quick.close(OCTOBER))
    accepted(quick.reopen(OCTOBER))
    accepted(quick.reopen(SEPTEMBER))
    assert accepted(quick.reopen(SEPTEMBER))["status"] == "open", "it was before"
    listed = accepted(quick.app.get("/api/v1/audit", params={"action": "periods.reopen"}))["data"]
    assert len(listed) == 3
    assert select_all(quick.app, "SELECT COUNT(*) FROM late_entries")[0][0] == 0
    quick.assert_balanced(SEPTEMBER, OCTOBER, NOVEMBER)


def test_labels_of_a_closed_month_stay(quick: Books) -> None:
    ids = furnish(quick)
    accepted(quick.close(OCTOBER))
    record(quick.app, usage("late", timestamp=AT, model="own"))
    late = select_all(quick.app, "SELECT id FROM usage_records WHERE event_id = 'late'")[0][0]
    tags = {"tags": ["other"]}
    refused = quick.app.request("PATCH", f"/api/v1/costs/{ids[1]}", json=tags)
    assert "books of 2026-10" in error(refused, 409, "CONFLICT")["message"]
    accepted(quick.app.request("PATCH", f"/api/v1/costs/{late}", json=tags))
    quick.at("2026-12-02T00:00:00")
    accepted(quick.close(NOVEMBER))
    error(quick.app.request("PATCH", f"/api/v1/costs/{late}", json=tags), 409)


def test_another_name_of_a_project_changes_no_closed_month(quick: Books) -> None:
    record(quick.app, usage("first", timestamp=AT, project_id="web"))
    names = [row["SubAccountName"] for row in quick.rows(OCTOBER, "focus")]
    assert set(names) == {"web"}
    before_closing = {"name": "Shop"}
    accepted(quick.app.request("PATCH", "/api/v1/projects/web", json=before_closing))
    assert {row["SubAccountName"] for row in quick.rows(OCTOBER, "focus")} == {"Shop"}
    accepted(quick.close(OCTOBER))
    closed = quick.files(OCTOBER)
    accepted(quick.app.request("PATCH", "/api/v1/projects/web", json={"name": "Store"}))
    assert quick.files(OCTOBER) == closed


def test_the_statement_says_whose_money_it_is(quick: Books) -> None:
    furnish(quick)
    accepted(quick.close(OCTOBER))
    said = quick.said(OCTOBER)
    assert [each["currency"] for each in said["totals"]] == ["EUR", "USD"]
    assert said["totals"][0]["total_cost"] == Decimal("2.5000000001")
    usd = said["totals"][1]
    assert (usd["requests"], usd["unpriced_count"]) == (4, 1), "the one taken back is not there"
    for name in ("by_provider", "by_model", "by_project", "by_team"):
        parts = [each for each in said["calls"][name] if each["currency"] == "USD"]
        assert sum(each["total_cost"] or 0 for each in parts) == usd["total_cost"], name
    assert {each["team_id"] for each in said["calls"]["by_team"]} == {None, "core"}
    text = quick.statement(OCTOBER, "csv").decode()
    assert "'=p" in text, "no formula"
    shown = accepted(quick.app.get(f"/api/v1/periods/{OCTOBER}"))
    assert shown["requests"] == 5
    assert shown["total_tokens"] == 4 * 1500 + 7


def test_filters_apply_to_corrections(quick: Books) -> None:
    furnish(quick)
    accepted(quick.close(OCTOBER))
    record(quick.app, usage("late", timestamp=AT, model="own", project_id="x"),
           usage("other", timestamp=AT, model="own", project_id="y"))  # fmt: skip
    for form, column in (("csv", "project_id"), ("focus", "SubAccountId")):
        assert {row[column] for row in quick.rows(NOVEMBER, form, project_id="x")} == {"x"}
    assert error(
        quick.app.get(
            "/api/v1/costs/export", params={"billing_period": OCTOBER, "period": "last-month"}
        ),
        422,
    )
    assert error(
        quick.app.get(
            "/api/v1/costs/export", params={"billing_period": OCTOBER, "type": "aggregates"}
        ),
        422,
    )


def test_closing_again_with_the_same_key_goes_on(
    quick: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(quick)
    path, key = f"/periods/{OCTOBER}/close", {"Idempotency-Key": "once"}
    with monkeypatch.context() as stopped:
        stopped.setattr(routes, "finish_all", lambda *_: None)
        accepted(send(quick.app, path, {}, headers=key))
    assert accepted(send(quick.app, path, {}, headers=key))["status"] == "closed"
    for month in (SEPTEMBER, OCTOBER):
        assert accepted(quick.app.get(f"/api/v1/periods/{month}"))["status"] == "closed", month
    quick.assert_balanced(SEPTEMBER, OCTOBER, NOVEMBER)


def test_a_price_that_comes_hides_no_other_call_without_one(quick: Books) -> None:
    at = "2026-09-10T00:00:00Z"
    record(quick.app, usage("one", timestamp=at, model="later"))
    accepted(quick.close(SEPTEMBER))
    set_price(quick.app, "later", effective_date="2026-01-01")
    dates = {"start_date": "2026-09-01", "end_date": "2026-12-31"}
    accepted(send(quick.app, "/pricing/rerate", {**dates, "dry_run": False}))
    assert without_price(quick) == 0
    assert accepted(quick.close(OCTOBER))["warnings"] == []
    assert without_price(quick) == 0
    accepted(quick.reopen(OCTOBER))
    record(quick.app, usage("own", timestamp=AT, model="never"))
    assert without_price(quick) == 1
    closed = accepted(quick.close(OCTOBER))
    assert closed["unpriced_count"] == 1
    assert closed["warnings"] == ["1 call has no price: that cost is in no sum of these books."]
    assert without_price(quick) == 1
    told = select_all(quick.app, "SELECT payload FROM outbox WHERE topic = 'period.closed'")
    assert [json.loads(row[0])["unpriced_count"] for row in told] == [1, 0, 1]


def without_price(books: Books) -> int:
    """How many calls the journal of October lacks."""
    accounts = {"debit_account": "1", "credit_account": "2"}
    asked = {"period": OCTOBER, "accounts": accounts}
    return int(accepted(send(books.app, "/costs/journal", asked))["unpriced_calls"])


def test_strict_asks_for_the_price_of_late_calls_too(place: Books) -> None:
    record(place.app, usage("on time", timestamp="2026-09-10T00:00:00Z", model="own"))
    set_price(place.app, "own", effective_date="2026-01-01")
    rerate(place, "1", since="2026-09-01")
    accepted(place.close(SEPTEMBER, strict=True))
    record(place.app, usage("late", timestamp="2026-09-10T00:00:00Z", model="later"))
    assert "1 call has" in error(place.close(OCTOBER, strict=True), 409, "CONFLICT")["message"]
    set_price(place.app, "later", effective_date="2026-01-01")
    rerate(place, "2", since="2026-09-01")
    assert accepted(place.close(OCTOBER, strict=True))["unpriced_count"] == 0


def test_a_cost_that_nobody_knows_is_not_zero(quick: Books) -> None:
    at = "2026-09-10T00:00:00Z"
    record(quick.app, usage("s", timestamp=at, model="never", project_id="p"))
    unknown = [{"currency": "USD", "total_cost": None}]
    assert accepted(quick.close(SEPTEMBER))["totals"] == unknown
    told = select_all(quick.app, "SELECT payload FROM outbox WHERE topic = 'period.closed'")
    assert json.loads(told[0][0])["totals"] == unknown
    said = quick.said(SEPTEMBER)
    for total in (*said["totals"], *said["calls"]["by_project"]):
        assert (total["requests"], total["total_cost"], total["list_cost"]) == (1, None, None)
    (row,) = csv.DictReader(io.StringIO(quick.statement(SEPTEMBER, "csv").decode(), newline=""))
    assert (row["total_cost"], row["list_cost"]) == ("", "")
    # What is known is told: a price of nothing is zero.
    free = {"type": "per_token", "input_price_per_million": 0, "output_price_per_million": 0}
    set_price(quick.app, "never", effective_date="2026-01-01", pricing_structure=free)
    record(quick.app, usage("o", timestamp=AT, model="never"))
    assert accepted(quick.close(OCTOBER))["totals"] == [{"currency": "USD", "total_cost": 0}]
    quick.assert_balanced(SEPTEMBER, OCTOBER)


def test_taking_back_a_call_without_a_price_prices_no_other(quick: Books) -> None:
    record(quick.app, usage("o", timestamp=AT, model="later"))
    ((taken,),) = select_all(quick.app, "SELECT id FROM usage_records")
    accepted(quick.close(OCTOBER))
    assert quick.app.delete(f"/api/v1/costs/{taken}").status_code == 204
    record(quick.app, usage("n", timestamp="2026-11-02T00:00:00Z", model="later"))
    quick.at("2026-12-02T00:00:00")
    closed = accepted(quick.close(NOVEMBER))
    said = quick.said(NOVEMBER)
    for totals in (closed["totals"], said["totals"], said["calls"]["totals"]):
        assert [each["total_cost"] for each in totals] == [None]
    assert closed["unpriced_count"] == 1
    quick.assert_balanced(OCTOBER, NOVEMBER)
    quick.at("2027-01-02T00:00:00")
    free = {"provider": "openai", "model": "m", "cost": "0", "timestamp": "2026-12-05T00:00:00Z"}
    accepted(send(quick.app, "/costs", free), 201)
    record(quick.app, usage("d", timestamp="2026-12-05T00:00:00Z", model="later"))
    closed = accepted(quick.close("2026-12"))
    assert closed["totals"] == [{"currency": "USD", "total_cost": 0}], "one call is known"
