"""The journal of a month over HTTP: the ledger's total, on the mapped accounts, balanced."""

from __future__ import annotations

import csv
import io
from collections.abc import Generator
from contextlib import contextmanager
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import pytest

from llm_cost_ops.core import jsontext
from llm_cost_ops.server.db import session
from llm_cost_ops.server.db.session import ReadSession
from tests.support.application import Application
from tests.support.calls import accepted, error, proof, record, send, usage

PATH = "/costs/journal"
ACCOUNTS: dict[str, Any] = {
    "debit_account": "6400",
    "credit_account": "3300",
    "cost_center": "CC-000",
    "projects": {"web": {"debit_account": "6410"}},
    "teams": {"other": {"cost_center": "CC-900"}},
    "cost_centers": {"CC-200": {"debit_account": "6420"}},
    "providers": {"openai": {"credit_account": "3310"}},
}
ASKED = {"period": "2026-10", "accounts": ACCOUNTS}


def made(app: Application, **asked: object) -> Any:
    answer = send(app, PATH, {**ASKED, **asked})
    assert answer.status_code == 200, answer.text
    return jsontext.loads(answer.text)


def furnish(app: Application) -> None:
    """October, with the first and last instants of it, and what is beside it."""
    team = {"name": "Search", "team_id": "search", "metadata": {"cost_center": "CC-200"}}
    accepted(send(app, "/teams", team), 201)
    record(
        app,
        usage("before", timestamp="2026-09-30T23:59:59.999999Z", prompt_tokens=10**6),
        usage("first", timestamp="2026-10-01T00:00:00Z", project_id="web"),
        usage("last", timestamp="2026-10-31T23:59:59.999999Z", team_id="search"),
        usage("after", timestamp="2026-11-01T00:00:00Z", prompt_tokens=10**6),
        usage("none", timestamp="2026-10-02T00:00:00Z", model="no-such-model"),
        usage("claude", timestamp="2026-10-02T00:00:00Z", provider="anthropic",
              model="claude-sonnet-4-5", prompt_tokens=12_345, team_id="search"),
    )  # fmt: skip
    euro = {"event_id": "e", "model": "m", "provider": "openai", "currency": "EUR",
            "timestamp": "2026-10-15T00:00:00Z"}  # fmt: skip
    accepted(send(app, "/costs", {**euro, "cost": "10.0050000001", "project_id": "=1+1"}), 201)


def test_a_journal_is_the_months_total_on_the_mapped_accounts(application: Application) -> None:
    furnish(application)
    answer = made(application)
    assert (answer["closed"], answer["unpriced_calls"]) == (False, 1)
    euro, dollar = answer["documents"]
    assert (euro["currency"], euro["total"], euro["exact_total"]) == (
        "EUR", Decimal("10.01"), Decimal("10.0050000001"),
    )  # fmt: skip
    assert euro["rounding"] == Decimal("0.0049999999")
    october = accepted(application.get(
        "/api/v1/costs/summary?start_date=2026-10-01&end_date=2026-10-31&currency=USD"
    ))  # fmt: skip
    exact = Decimal(str(october["total_cost"]))
    assert dollar["exact_total"] == exact
    assert dollar["total"] == exact.quantize(Decimal("0.01"), rounding=ROUND_HALF_EVEN)
    booked = {
        (line["account"], line["cost_center"], line["project"], line["team"], line["provider"])
        for line in dollar["lines"]
    }
    assert booked == {
        ("6410", "CC-000", "web", "", "openai"),
        ("6420", "CC-200", "", "search", "openai"),
        ("6420", "CC-200", "", "search", "anthropic"),
        ("3310", "", "", "", "openai"),
        ("3300", "", "", "", "anthropic"),
    }
    rows = list(csv.DictReader(io.StringIO(answer["csv"])))
    for currency in ("USD", "EUR"):
        own = [row for row in rows if row["currency"] == currency]
        debits = sum(Decimal(row["debit"] or 0) for row in own)
        assert debits == sum(Decimal(row["credit"] or 0) for row in own)
    assert [row["project"] for row in rows if row["currency"] == "EUR"] == ["'=1+1", ""]
    assert proof(application).ok


def test_a_reversal_and_the_audit_log(sqlite_application: Application) -> None:
    app = sqlite_application
    furnish(app)
    answer = made(app, reverse=True, document="ACCR", posting_date="2026-10-30")
    assert [(each["document"], each["posting_date"]) for each in answer["documents"]] == [
        ("ACCR-2026-10-EUR", "2026-10-30"),
        ("ACCR-2026-10-EUR-R", "2026-11-01"),
        ("ACCR-2026-10-USD", "2026-10-30"),
        ("ACCR-2026-10-USD-R", "2026-11-01"),
    ]
    (entry,) = accepted(app.get("/api/v1/audit?action=journal.created"))["data"]
    assert entry["resource_id"] == "2026-10"
    assert made(app, period="2026-08")["documents"] == []


def test_the_month_is_that_of_the_organization(sqlite_application: Application) -> None:
    app = sqlite_application
    furnish(app)
    path = f"/api/v1/organizations/{app.organization_id}"
    accepted(app.request("PATCH", path, json={"time_zone": "Europe/Berlin"}), 200)
    (dollar,) = (each for each in made(app)["documents"] if each["currency"] == "USD")
    assert dollar["exact_total"] > 2, "the call of a million tokens before midnight UTC is in it"
    assert all(line["team"] != "search" or line["provider"] == "anthropic"
               for line in dollar["lines"])  # fmt: skip


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"period": "2026-13"}, "period"),
        ({"period": "2026-1"}, "period"),
        ({"posting_date": "2026-09-30"}, "posting_date"),
        ({"posting_date": "2026-11-01", "reverse": True}, "posting_date"),
        ({"accounts": {"debit_account": "6400"}}, "accounts.credit_account"),
        ({"accounts": {**ACCOUNTS, "project": {}}}, "accounts.project"),
        ({"document": "=x\nY"}, "document"),
        ({"document": " "}, "document"),
        ({"accounts": {**ACCOUNTS, "debit_account": " "}}, "accounts.debit_account"),
        ({"accounts": {**ACCOUNTS, "credit_account": "a\nb"}}, "accounts.credit_account"),
        ({"accounts": {**ACCOUNTS, "cost_center": "a\u2028b"}}, "accounts.cost_center"),
        (
            {"accounts": {**ACCOUNTS, "projects": {"web": {"debit_account": "a\tb"}}}},
            "accounts.projects.web.debit_account",
        ),
        (
            {"accounts": {**ACCOUNTS, "teams": {"web": {"cost_center": "\u202e1"}}}},
            "accounts.teams.web.cost_center",
        ),
        (
            {"accounts": {**ACCOUNTS, "cost_centers": {"C": {"debit_account": "\r"}}}},
            "accounts.cost_centers.C.debit_account",
        ),
        (
            {"accounts": {**ACCOUNTS, "providers": {"openai": {"credit_account": "\x1b"}}}},
            "accounts.providers.openai.credit_account",
        ),
    ],
)
def test_what_cannot_be_booked_is_refused(
    sqlite_application: Application, change: dict[str, object], field: str
) -> None:
    record(sqlite_application, usage("a", timestamp="2026-10-05T00:00:00Z"))
    refused = send(sqlite_application, PATH, {**ASKED, **change})
    assert refused.status_code == 422, refused.text
    assert list(refused.json()["error"]["field_errors"]) == [field]
    assert accepted(sqlite_application.get("/api/v1/audit?action=journal.created"))["data"] == []


def test_blanks_around_an_account_are_no_part_of_it(sqlite_application: Application) -> None:
    record(sqlite_application, usage("a", timestamp="2026-10-05T00:00:00Z"))
    padded = {"debit_account": " 6400 ", "credit_account": "3300\n"}
    (document,) = made(sqlite_application, accounts=padded)["documents"]
    assert {line["account"] for line in document["lines"]} == {"6400", "3300"}


def test_blanks_around_a_cost_centre_do_not_change_its_account(
    sqlite_application: Application,
) -> None:
    app = sqlite_application
    record(app, usage("web", timestamp="2026-10-01T00:00:00Z", project_id="web"))
    centers = {" CC-1 ": {"debit_account": "6410"}}
    for given in ("CC-1", " CC-1 "):
        accounts = {**ACCOUNTS, "projects": {}, "cost_center": given, "cost_centers": centers}
        (document,) = made(app, accounts=accounts)["documents"]
        assert [line["account"] for line in document["lines"]] == ["6410", "3310"]


@pytest.mark.parametrize(
    ("named", "center"), [(" CC-200 ", "CC-200"), (200, "200"), ("", "CC-000"), (True, "CC-000")]
)
def test_the_cost_centre_of_a_team_is_one_line(
    sqlite_application: Application, named: object, center: str
) -> None:
    app = sqlite_application
    team = {"name": "Search", "team_id": "search", "metadata": {"cost_center": named}}
    accepted(send(app, "/teams", team), 201)
    record(app, usage("s", timestamp="2026-10-01T00:00:00Z", team_id="search"))
    (document,) = made(app)["documents"]
    assert [line["cost_center"] for line in document["lines"]] == [center, ""]


def test_a_team_whose_cost_centre_is_no_line_is_named(sqlite_application: Application) -> None:
    app = sqlite_application
    team = {"name": "Search", "team_id": "search", "metadata": {"cost_center": "A\r\n9,9,9"}}
    accepted(send(app, "/teams", team), 201)
    assert made(app)["documents"] == [], "the team has spent nothing"
    record(app, usage("s", timestamp="2026-10-01T00:00:00Z", team_id="search"))
    refused = error(send(app, PATH, ASKED), 422, "VALIDATION_ERROR")
    assert list(refused["field_errors"]) == ["accounts.teams.search.cost_center"]
    own = {**ACCOUNTS, "teams": {"search": {"cost_center": "CC-5"}}}
    (document,) = made(app, accounts=own)["documents"]
    assert document["lines"][0]["cost_center"] == "CC-5"


def test_the_journal_of_a_closed_month_stays(sqlite_application: Application) -> None:
    app = sqlite_application
    furnish(app)
    accepted(send(app, "/periods/2026-10/close", {}), 200)
    answer = made(app)
    assert answer["closed"] is True
    late = usage("late", timestamp="2026-10-20T00:00:00Z", project_id="web", prompt_tokens=10**6)
    before = made(app, period="2026-11")
    record(app, late)
    assert made(app) == answer
    after = made(app, period="2026-11")
    assert (before["closed"], after["closed"]) == (False, False)
    (was,), (now,) = before["documents"], after["documents"]
    assert now["exact_total"] > was["exact_total"]
    assert "web" in [line["project"] for line in now["lines"]]


def test_a_journal_may_take_as_long_as_a_report(
    sqlite_application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed: list[int] = []

    @contextmanager
    def patience(_session: ReadSession, statement_ms: int) -> Generator[None]:
        allowed.append(statement_ms)
        yield

    monkeypatch.setattr(session, "_patience", patience)
    furnish(sqlite_application)
    made(sqlite_application)
    assert allowed == [sqlite_application.database.settings.report_timeout_ms]
