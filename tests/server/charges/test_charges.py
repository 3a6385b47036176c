"""Charges over HTTP, on every database."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from llm_cost_ops.core import jsontext
from llm_cost_ops.server.charges import enter, store
from llm_cost_ops.server.db.session import write
from tests.server.periods.books import Books
from tests.support.application import Application
from tests.support.calls import accepted, send
from tests.support.handover_operations import CHARGES

PATH = "/charges"
URL = f"/api/v1{PATH}"
PREPAID, SEATS, CREDIT = CHARGES


def shown(app: Application, charge_id: str) -> Any:
    answer = app.get(f"{URL}/{charge_id}")
    assert answer.status_code == 200, answer.text
    return jsontext.loads(answer.text)


def spend(app: Application, cost: str, at: str, **more: str) -> None:
    """A call of OpenAI that costs so many USD."""
    body = {"event_id": f"{at} {cost} {more}", "provider": "openai", "model": "m",
            "tokens_used": 10, "cost": cost, "timestamp": at, **more}  # fmt: skip
    accepted(send(app, "/costs", body), 201)


def test_charges_are_entered_listed_and_taken_back(application: Application) -> None:
    made = [accepted(send(application, PATH, {**each}), 201) for each in CHARGES]
    prepaid, seats, credit = made
    assert shown(application, prepaid["id"]) == {
        "id": prepaid["id"], "kind": "commitment", "provider": "openai",
        "name": "Credits of autumn", "currency": "USD", "amount": 900, "granted": 1000,
        "drawn": 0, "remaining": 1000, "status": "ended", "start_date": "2025-10-01",
        "end_date": "2026-09-30", "billing_period": "2025-10", "type": "Prepaid Credits",
        "quantity": None, "unit": None, "frequency": None, "virtual_currency": "Credits",
        "virtual_units": 100, "contract_id": "C-7", "invoice_id": "INV-1",
        "invoice_issuer": "A Marketplace", "created_by": prepaid["created_by"],
        "created_at": prepaid["created_at"],
    }  # fmt: skip
    assert (seats["quantity"], seats["unit"], seats["frequency"]) == (3, "Seats", "recurring")
    assert (credit["amount"], credit["drawn"], credit["status"]) == (12.5, None, None)
    ids = sorted(each["id"] for each in made)  # all of one millisecond
    assert [row["id"] for row in accepted(application.get(URL))["data"]] == ids
    of_kind = accepted(application.get(f"{URL}?kind=credit&provider=OpenAI"))["data"]
    assert [row["id"] for row in of_kind] == [credit["id"]]
    assert accepted(application.get(f"{URL}?provider=anthropic"))["data"] == []
    page = accepted(application.get(f"{URL}?limit=2"))
    rest = accepted(application.get(f"{URL}?limit=2&cursor={page['next_cursor']}"))
    assert [row["id"] for row in page["data"] + rest["data"]] == ids
    for _ in range(2):
        status = application.request("DELETE", f"{URL}/{seats['id']}").status_code
    assert status == 404
    assert application.get(f"{URL}/{seats['id']}").status_code == 404
    logged = accepted(application.get("/api/v1/audit?limit=100"))["data"]
    entries = [row for row in logged if row["action"].startswith("charge.")]
    assert [row["action"] for row in entries] == ["charge.deleted"] + ["charge.created"] * 3
    before = {"kind": "purchase", "amount": "75", "quantity": "3", "unit": "Seats"}
    assert before.items() <= entries[0]["before"].items(), "it can be entered again"
    virtual = {"virtual_currency": "Credits", "virtual_units": "100", "contract_id": "C-7"}
    assert virtual.items() <= entries[-1]["after"].items()
    assert entries[-1]["after"]["granted"] == "1000"


def test_what_is_not_said_is_understood(sqlite_application: Application) -> None:
    least = {"provider": "Anthropic", "name": "x", "currency": "USD", "amount": "5",
             "start_date": "2025-11-01"}  # fmt: skip
    prepaid = accepted(send(sqlite_application, PATH, {**least, "kind": "commitment"}), 201)
    assert (prepaid["provider"], prepaid["granted"], prepaid["type"], prepaid["end_date"]) == (
        "anthropic",
        5,
        "Prepaid Credits",
        None,
    )
    bought = accepted(send(sqlite_application, PATH, {**least, "kind": "purchase"}), 201)
    assert (bought["quantity"], bought["unit"], bought["frequency"]) == (1, "Units", "one_time")
    free = {**least, "kind": "commitment", "amount": 0, "granted": 300}
    assert accepted(send(sqlite_application, PATH, free), 201)["amount"] == 0


@pytest.mark.parametrize(
    ("base", "changes", "field"),
    [
        (PREPAID, {"kind": "tax"}, "kind"),
        (PREPAID, {"quantity": 3}, "quantity"),
        (SEATS, {"granted": 3}, "granted"),
        (SEATS, {"type": "x"}, "type"),
        (CREDIT, {"end_date": "2025-11-03"}, "end_date"),
        (CREDIT, {"unit": "Seats"}, "unit"),
        (PREPAID, {"start_date": "2025-13-01"}, "start_date"),
        (PREPAID, {"start_date": None}, "start_date"),
        (PREPAID, {"end_date": "2025-09-30"}, "end_date"),
        (PREPAID, {"provider": " "}, "provider"),
        (PREPAID, {"provider": "p" * 65}, "provider"),
        (PREPAID, {"name": "two\nlines"}, "name"),
        (PREPAID, {"currency": "usd"}, "currency"),
        (PREPAID, {"amount": None}, "amount"),
        (PREPAID, {"amount": "-1"}, "amount"),
        (PREPAID, {"amount": "0.00000000001"}, "amount"),
        (PREPAID, {"amount": "100000001"}, "amount"),
        (CREDIT, {"amount": 0}, "amount"),
        (SEATS, {"amount": -5}, "amount"),
        (PREPAID, {"granted": 0}, "granted"),
        (PREPAID, {"granted": None, "amount": 0}, "granted"),
        (PREPAID, {"granted": None, "amount": -1}, "amount"),
        (PREPAID, {"virtual_units": None}, "virtual_currency"),
        (PREPAID, {"virtual_currency": None}, "virtual_currency"),
        (PREPAID, {"virtual_units": 0}, "virtual_units"),
        (PREPAID, {"virtual_units": "1000000000"}, "virtual_units"),
        (PREPAID, {"virtual_currency": "c" * 65}, "virtual_currency"),
        (PREPAID, {"amount": "0.0100000001", "granted": "0.0000000001"}, "granted"),
        (SEATS, {"amount": "0.0100000001", "quantity": "0.0000000001"}, "quantity"),
        (SEATS, {"quantity": "1.00000000001"}, "quantity"),
        (SEATS, {"quantity": "1000000000000"}, "quantity"),
        (SEATS, {"unit": "s" * 65}, "unit"),
        (SEATS, {"frequency": "daily"}, "frequency"),
        (SEATS, {"end_date": "2035-11-10"}, "end_date"),
        (PREPAID, {"colour": "red"}, "colour"),
    ],
)
def test_bad_input_names_its_field_and_changes_nothing(
    sqlite_application: Application, base: dict[str, Any], changes: dict[str, Any], field: str
) -> None:
    refused = send(sqlite_application, PATH, {**base, **changes})
    assert refused.status_code == 422, refused.text
    assert field in refused.json()["error"]["field_errors"], refused.text
    assert accepted(sqlite_application.get(URL))["data"] == []


def test_lists_refuse_what_there_is_not(sqlite_application: Application) -> None:
    assert sqlite_application.get(f"{URL}?kind=tax").status_code == 422
    assert sqlite_application.get(f"{URL}?colour=red").status_code in (400, 422)


def test_one_request_enters_one_charge(application: Application) -> None:
    key = {"Idempotency-Key": "once"}
    first = application.post(URL, json={**SEATS}, headers=key)
    again = application.post(URL, json={**SEATS}, headers=key)
    assert first.json() == again.json()
    assert len(accepted(application.get(URL))["data"]) == 1


def test_exports_have_room_for_so_many(
    sqlite_application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enter, "MAX_CHARGES", 1)
    accepted(send(sqlite_application, PATH, {**SEATS}), 201)
    assert send(sqlite_application, PATH, {**SEATS}).status_code == 409


def test_what_calls_drew_is_of_now(place: Books) -> None:
    app = place.app
    prepaid = {**PREPAID, "start_date": "2026-10-01", "end_date": "2026-11-30", "granted": 10}
    soon = accepted(send(app, PATH, prepaid), 201)["id"]
    forever = {**prepaid, "end_date": None, "granted": 3}
    last = accepted(send(app, PATH, forever), 201)["id"]
    later = {**prepaid, "start_date": "2026-11-04", "end_date": None}
    planned = accepted(send(app, PATH, later), 201)["id"]
    spend(app, "2", "2026-09-30T23:59:59Z")
    spend(app, "4.5000000001", "2026-10-01T00:00:00Z")
    spend(app, "7", "2026-11-03T11:59:00Z")
    spend(app, "9", "2026-11-03T11:00:00Z", currency="EUR")
    spend(app, "9", "2026-11-03T11:00:00Z", provider="anthropic")
    told = {row["id"]: row for row in jsontext.loads(app.get(URL).text)["data"]}
    assert {
        name: (row["drawn"], row["remaining"], row["status"]) for name, row in told.items()
    } == {
        soon: (10, 0, "used_up"),
        last: (Decimal("1.5000000001"), Decimal("1.4999999999"), "active"),
        planned: (0, 10, "planned"),
    }
    assert shown(app, last) == told[last]


def test_what_is_taken_back_while_it_is_listed_is_shown(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, kept = (accepted(send(application, PATH, {**PREPAID}), 201)["id"] for _ in range(2))
    listed = store.listed

    def then_removed(*asked: Any, **more: Any) -> Any:
        found = listed(*asked, **more)
        with write(application.database) as session:
            store.remove(session, application.organization_id, gone)
        return found

    monkeypatch.setattr(store, "listed", then_removed)
    assert {row["id"] for row in accepted(application.get(URL))["data"]} == {gone, kept}
    assert [row["id"] for row in accepted(application.get(URL))["data"]] == [kept]


def test_a_charge_of_a_closed_month_stays(place: Books) -> None:
    app = place.app
    october = accepted(send(app, PATH, {**CREDIT, "start_date": "2026-10-02"}), 201)
    november = accepted(send(app, PATH, {**CREDIT, "start_date": "2026-11-02"}), 201)
    accepted(place.close("2026-10"))
    refused = app.request("DELETE", f"{URL}/{october['id']}")
    assert refused.status_code == 409, refused.text
    assert "2026-10" in refused.json()["error"]["message"]
    assert app.request("DELETE", f"{URL}/{november['id']}").status_code == 204
    late = accepted(send(app, PATH, {**CREDIT, "start_date": "2026-10-03"}), 201)
    assert late["billing_period"] == "2026-11"
    early = accepted(send(app, PATH, {**CREDIT, "start_date": "2026-09-03"}), 201)
    accepted(place.reopen("2026-10"))
    assert shown(app, late["id"])["billing_period"] == "2026-10"
    assert shown(app, early["id"])["billing_period"] == "2026-09"
    assert app.request("DELETE", f"{URL}/{october['id']}").status_code == 204


def test_opening_the_last_month_takes_what_came_late_into_it(place: Books) -> None:
    app = place.app
    spend(app, "1", "2026-09-02T00:00:00Z")
    accepted(place.close("2026-09"))
    late = accepted(send(app, PATH, {**CREDIT, "start_date": "2026-09-03"}), 201)
    assert late["billing_period"] == "2026-10"
    accepted(place.close("2026-10"))
    early = accepted(send(app, PATH, {**CREDIT, "start_date": "2026-08-03"}), 201)
    own = accepted(send(app, PATH, {**CREDIT, "start_date": "2026-11-01"}), 201)
    assert early["billing_period"] == own["billing_period"] == "2026-11"
    accepted(place.reopen("2026-10"))
    periods = [shown(app, each["id"])["billing_period"] for each in (late, early, own)]
    assert periods == ["2026-10", "2026-10", "2026-11"]
