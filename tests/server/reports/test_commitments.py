"""Commitments in the optimization report."""

from __future__ import annotations

from decimal import Decimal

import pytest

from llm_cost_ops.core import jsontext
from llm_cost_ops.core.money import E10, to_e10
from llm_cost_ops.core.report.document import Table
from llm_cost_ops.core.report.text import from_text
from llm_cost_ops.server.reports import commitments
from tests.server.charges.test_charges import PREPAID, spend
from tests.server.reports.test_content import OCTOBER, blocks, column, report, table, total
from tests.support.application import Application
from tests.support.calls import accepted, send
from tests.support.roles import key_of, make_role

SOON = {**PREPAID, "start_date": "2026-10-01", "end_date": "2026-12-31", "granted": 10,
        "amount": "5"}  # fmt: skip


def enter(app: Application, **changes: object) -> None:
    accepted(send(app, "/charges", {**SOON, **changes}), 201)


def test_what_is_left_of_commitments_is_told(application: Application) -> None:
    app = application
    enter(app, name="soon")
    enter(app, name="forever", end_date=None, granted="7.5", amount="7.5")
    enter(app, name="euros", currency="EUR")
    enter(app, name="later", start_date="2027-01-01", end_date=None)
    spend(app, "11.0000000001", "2026-10-05T12:00:00Z")
    made = report(app, "optimization", **OCTOBER)
    euro, dollar = [b for b in blocks(made) if isinstance(b, Table) and b.title == "Commitments"]
    assert column(euro, "Left") == [10 * E10]
    assert dollar.rows == (
        ("forever", "openai", "", 75_000_000_000, E10 + 1, 64_999_999_999, 64_999_999_999),
        ("soon", "openai", "2026-12-31", 10 * E10, 10 * E10, 0, 0),
    )  # fmt: skip
    assert (total(dollar, "Granted"), total(dollar, "Paid for what is left")) == (
        175_000_000_000,
        64_999_999_999,
    )
    assert (dollar.note or "").endswith("of all calls.")
    assert dollar.query == "GET /api/v1/charges?kind=commitment"
    answer = jsontext.loads(app.get("/api/v1/charges?kind=commitment").text)["data"]
    drawn = {row["name"]: row["drawn"] for row in answer}
    assert column(dollar, "Drawn") == [to_e10(drawn["forever"]), to_e10(Decimal(drawn["soon"]))]


def test_many_commitments_are_the_ones_with_most_left_and_a_total(
    sqlite_application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = sqlite_application
    monkeypatch.setattr(commitments, "MAX_ROWS", 1)
    enter(app, name="little", granted=1)
    enter(app, name="much")
    found = table(report(app, "optimization"), "Commitments")
    assert column(found, "Commitment") == ["much"]
    assert total(found, "Left") == 11 * E10
    assert "1 more, of which less is left" in (found.note or "")


def test_who_may_read_some_calls_is_told_of_no_commitment(sqlite_application: Application) -> None:
    app = sqlite_application
    enter(app)
    at = (app.database, app.clock, app.organization_id)
    needed = ["read:costs", "read:reports", "write:reports"]
    key = key_of(app, "usr-web", make_role(*at, "web", needed, {"team": ["web"]}))
    body = {"type": "optimization", "wait": True, **OCTOBER}
    row = accepted(app.post("/api/v1/reports/generate", json=body, key=key), 201)
    answer = app.get(f"/api/v1/reports/{row['id']}/download?format=json", key=key)
    assert "Commitments" not in {
        b.title for b in blocks(from_text(answer.text)) if isinstance(b, Table)
    }
