"""The audit log, prices and budgets as files: what the API shows, in columns."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from typing import Any

import pytest

from tests.server.exports.ordering import Desk
from tests.server.exports.test_orders import one
from tests.support.application import Application
from tests.support.calls import accepted, error, send
from tests.support.roles import key_of, make_role

__all__ = ["one"]

EXPORT = "/api/v1/costs/export"


def exported(app: Application, kind: str, **parameters: Any) -> list[dict[str, Any]]:
    answer = app.get(EXPORT, params={"type": kind, "format": "jsonl", **parameters})
    assert answer.status_code == 200, answer.text
    return [json.loads(line, parse_float=Decimal) for line in answer.text.splitlines()]


def test_the_audit_log(application: Application) -> None:
    accepted(send(application, "/budgets", {"name": "=1+1", "amount": 5}), 201)
    found = exported(application, "audit", resource="budget")
    listed = application.get("/api/v1/audit", params={"resource": "budget"}).json()["data"]
    assert [row["id"] for row in found] == [row["id"] for row in listed]
    assert found[0]["after"]["name"] == "=1+1"
    assert found[0]["timestamp"] == listed[0]["timestamp"]
    assert found[0]["hash"] == listed[0]["hash"]
    assert exported(application, "audit", end_date="2026-11-27") == []
    text = application.get(EXPORT, params={"type": "audit", "include_fields": "action"}).text
    assert text.splitlines()[0] == "action"


def test_budgets_with_where_they_stand(application: Application) -> None:
    for name, amount in (("a", "10.5"), ("b", 20)):
        accepted(send(application, "/budgets", {"name": name, "amount": amount}), 201)
    cost = {"model": "gpt-4o", "tokens_used": 10, "cost": "1.25"}
    accepted(send(application, "/costs", cost), 201)
    accepted(send(application, "/budgets/reserve", {"estimated_cost": "0.5"}), 201)
    found = {row["name"]: row for row in exported(application, "budgets")}
    shown = {row["name"]: row for row in application.get("/api/v1/budgets").json()["data"]}
    assert set(found) == {"a", "b"}
    for name, row in found.items():
        for key in ("spent", "reserved", "remaining", "amount", "utilization"):
            assert row[key] == Decimal(str(shown[name][key])), (name, key)
        assert row["period_start"] == shown[name]["period_start"]
    assert (found["a"]["spent"], found["a"]["reserved"]) == (Decimal("1.25"), Decimal("0.5"))
    refused = application.get(EXPORT, params={"type": "budgets", "totals": "true"})
    assert "totals" in error(refused, 422, "VALIDATION_ERROR")["field_errors"]  # a call is in both


def test_prices_are_the_organizations_and_the_books(application: Application) -> None:
    price = {
        "provider": "openai", "model": "own-model", "effective_date": "2026-01-01",
        "pricing_structure": {"type": "per_token", "input_price_per_million": "1.5",
                              "output_price_per_million": 3},
    }  # fmt: skip
    accepted(send(application, "/pricing", price), 201)
    found = exported(application, "pricing", provider="openai")
    own = [row for row in found if row["source"] == "organization"]
    assert [row["model"] for row in own] == ["own-model"]
    assert own[0]["input_price_per_million"] == Decimal("1.5")
    assert own[0]["prices"]["output_tokens"]["price"] == 3
    assert own[0]["effective_date"] == "2026-01-01T00:00:00Z"
    public = {row["model"] for row in found if row["source"] == "public"}
    assert "gpt-4o" in public
    every = exported(application, "prices", provider="openai", active_only="false")
    assert len(every) >= len(found)
    only = exported(application, "pricing", source="organization", include_fields="model,id")
    assert [set(row) for row in only] == [{"model", "id"}]


@pytest.mark.parametrize(
    ("kind", "parameters", "field"),
    [
        ("audit", {"model": "gpt-4o"}, "filters"),
        ("audit", {"include_fields": "nope"}, "include_fields"),
        ("budgets", {"start_date": "2026-01-01"}, "period"),
        ("pricing", {"source": "nobody"}, "source"),
        ("pricing", {"date": "soon"}, "date"),
        ("budgets", {"format": "focus"}, "format"),
        ("pricing", {"group_by": "model"}, "group_by"),
    ],
)
def test_what_does_not_belong_is_named(
    sqlite_application: Application, kind: str, parameters: dict[str, str], field: str
) -> None:
    answer = sqlite_application.get(EXPORT, params={"type": kind, **parameters})
    assert answer.status_code == 422
    assert field in answer.json()["error"]["field_errors"]


@pytest.mark.parametrize("kind", ["audit", "pricing", "budgets"])
@pytest.mark.parametrize("form", ["csv", "json", "xlsx", "parquet", "arrow"])
def test_every_type_in_every_format_as_a_job(one: Desk, kind: str, form: str) -> None:
    accepted(send(one.app, "/budgets", {"name": "b", "amount": 5}), 201)
    made = one.order(type=kind, format=form)
    one.work()
    done = one.shown(made["id"])
    assert (done["status"], done["type"]) == ("completed", kind), done["reason"]
    assert done["progress"]["rows"] > 0
    if form == "csv":
        rows = list(csv.reader(io.StringIO(one.file(made["id"]).text, newline="")))
        assert len(rows) == done["progress"]["rows"] + 1


def test_each_type_takes_the_permission_to_read_it(one: Desk) -> None:
    at = (one.app.database, one.clock, one.app.organization_id)
    accepted(send(one.app, "/budgets", {"name": "b", "amount": 5}), 201)
    exporter = make_role(*at, "exporter", ["read:costs", "export:data"])
    keys = {
        "none": key_of(one.app, "none", exporter),
        "audit": key_of(one.app, "audit", exporter, make_role(*at, "r-a", ["read:audit"])),
        "budgets": key_of(one.app, "budgets", exporter, make_role(*at, "r-b", ["read:budgets"])),
        "limited": key_of(
            one.app, "limited", exporter,
            make_role(*at, "r-l", ["read:audit", "read:budgets"], {"projects": ["a"]}),
        ),
    }  # fmt: skip
    for kind in ("audit", "budgets"):
        made = one.order(type=kind)
        one.work()
        for name, key in keys.items():
            lets_in = name == kind or (name == "limited" and kind == "budgets")
            asked = one.app.get(EXPORT, params={"type": kind}, key=key)
            assert asked.status_code == (200 if lets_in else 403), (kind, name)
            assert one.app.post("/api/v1/export", json={"type": kind}, key=key).status_code == (
                202 if lets_in else 403
            )
            got = one.file(made["id"], key=key).status_code
            assert got == (200 if name == kind else 404), (kind, name)
    limited = one.app.get(EXPORT, params={"type": "budgets"}, key=keys["limited"])
    assert limited.text.count("\r\n") == 1  # the budget is about more than that project
    assert one.app.get(EXPORT, params={"type": "pricing"}, key=keys["none"]).status_code == 200
