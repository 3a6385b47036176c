"""Calls whose price is not known, or known later, or changed for the past (fault rows 31, 34)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import select

from llm_cost_ops.server.audit.tables import audit_log
from llm_cost_ops.server.db.session import read
from tests.support.application import Application

CALL = {
    "provider": "custom",
    "model": "nobody-sells-this",
    "prompt_tokens": 1000,
    "completion_tokens": 100,
    "timestamp": "2025-06-10T12:00:00Z",
}
PRICE = {
    "provider": "custom",
    "model": CALL["model"],
    "effective_date": "2025-06-01",
    "pricing_structure": {
        "type": "per_token",
        "input_price_per_million": 3,
        "output_price_per_million": 15,
    },
}


def ask(application: Application, path: str, **parameters: Any) -> Any:
    answer = application.get(f"/api/v1/{path}", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json(parse_float=Decimal, parse_int=Decimal)


def send(application: Application, path: str, body: Any, status: int = 201) -> Any:
    answer = application.post(f"/api/v1/{path}", json=body)
    assert answer.status_code == status, answer.text
    return answer.json(parse_float=Decimal, parse_int=Decimal)


def test_a_call_without_a_price_waits_for_it_and_is_never_free(application: Application) -> None:
    made = send(application, "usage", CALL)
    assert (made["cost_status"], made["total_cost"]) == ("unpriced", None)
    (listed,) = ask(application, "costs")["data"]
    assert (listed["cost_status"], listed["total_cost"]) == ("unpriced", None)
    assert ask(application, "costs/summary")["unpriced_count"] == 1
    (waiting,) = ask(application, "pricing/unpriced")["data"]
    assert (waiting["model"], waiting["unpriced_count"]) == (CALL["model"], 1)
    assert ask(application, "costs", cost_status="unpriced")["data"] == [listed]

    price = send(application, "pricing", PRICE)
    assert price["priced_records"] == 1
    now = ask(application, f"costs/{made['id']}")
    assert (now["cost_status"], now["total_cost"]) == ("priced", Decimal("0.0045"))
    assert now["price_version"] == f"{price['id']}@1"
    first, second = ask(application, f"costs/{made['id']}/entries")["data"]
    assert (first["kind"], first["cost"]) == ("call", None)
    assert (second["kind"], second["cost"]) == ("rerate", Decimal("0.0045"))
    assert ask(application, "pricing/unpriced")["data"] == []
    assert ask(application, "costs/summary")["unpriced_count"] == 0
    assert ask(application, "ledger/verify")["ok"] is True


def test_a_call_before_the_price_began_goes_on_waiting(application: Application) -> None:
    send(application, "usage", {**CALL, "timestamp": "2025-05-31T23:59:59.999999Z"})
    send(application, "usage", {**CALL, "timestamp": "2025-06-01T00:00:00Z"})
    assert send(application, "pricing", PRICE)["priced_records"] == 1
    assert ask(application, "costs/summary")["unpriced_count"] == 1


def test_a_price_changed_for_the_past_changes_nothing_until_it_is_asked_to(
    application: Application,
) -> None:
    price = send(application, "pricing", PRICE)
    made = send(application, "usage", CALL)
    body = {"effective_date": "2025-06-05", "input_price_per_million": 6}
    answer = application.request("PUT", f"/api/v1/pricing/{price['id']}", json=body)
    assert answer.status_code == 200
    assert ask(application, f"costs/{made['id']}")["total_cost"] == Decimal("0.0045")

    period = {"start_date": "2025-06-01", "end_date": "2025-06-30"}
    preview = send(application, "pricing/rerate", period, 200)
    assert (preview["dry_run"], preview["records"]) == (True, 1)
    assert preview["difference"] == Decimal("0.003")
    assert ask(application, f"costs/{made['id']}")["total_cost"] == Decimal("0.0045")

    applied = send(application, "pricing/rerate", {**period, "dry_run": False}, 200)
    assert applied["records"] == 1
    entries = ask(application, f"costs/{made['id']}/entries")["data"]
    assert [entry["kind"] for entry in entries] == ["call", "rerate"]
    assert entries[0]["cost"] == Decimal("0.0045")
    assert ask(application, f"costs/{made['id']}")["total_cost"] == Decimal("0.0075")
    assert ask(application, "ledger/verify")["ok"] is True
    with read(application.database) as session:
        found = session.execute(
            select(audit_log.c.resource_id).where(audit_log.c.action == "pricing.rerate")
        ).all()
    assert [row.resource_id for row in found] == [applied["rerate_id"]]
