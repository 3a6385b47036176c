"""What a budget has spent is the ledger's sum for its scope and period, whatever befalls calls."""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import Any

from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.server.db.session import write_retrying
from llm_cost_ops.server.ledger.recount import rebuild
from tests.support.application import Application
from tests.support.budgets import assert_counted, budget, make_budget
from tests.support.calls import (
    JSON,
    accepted,
    proof,
    record,
    select_all,
    send,
    set_price,
    tamper,
    usage,
)

JUNE = {"period": "custom", "start_date": "2025-06-01", "end_date": "2099-12-31", "amount": 100}
"""In force now, and when `usage` says that its calls were made."""
COST = Decimal("0.0075")
"""Of a call of `usage`: 1,000 tokens at 2.5 and 500 at 10 dollars per million."""


def spent(app: Application, made: Any) -> tuple[Any, int, int]:
    found = budget(app, made["id"])
    return found["spent"], found["requests"], found["tokens"]


def test_a_budget_begins_with_what_its_period_has_spent(application: Application) -> None:
    record(application, usage("a"), usage("b", team_id="t"), usage("c", tags=["x"]))
    whole = make_budget(application, **JUNE)
    team = make_budget(application, **JUNE, team_id="t")
    tagged = make_budget(application, **JUNE, tags=["x"], metadata={"k": "v"})
    modelled = make_budget(application, **JUNE, model="gpt-4o", provider="OpenAI")
    assert whole["spent"] == modelled["spent"] == 3 * COST
    assert team["spent"] == COST
    assert tagged["spent"] == 0
    record(application, usage("d", tags=["x"], metadata={"k": "v"}))
    assert spent(application, tagged) == (COST, 1, 1500)
    assert spent(application, whole) == (4 * COST, 4, 6000)
    assert_counted(application)


def test_late_records_count_in_the_period_of_their_call(application: Application) -> None:
    month = make_budget(application, amount=1)
    record(application, usage("a"))
    assert spent(application, month) == (0, 0, 0)
    assert_counted(application)


def test_calls_that_are_taken_back_or_priced_anew(application: Application) -> None:
    made = make_budget(application, **JUNE)
    answer = record(application, usage("a"), usage("b", user_id="u"), usage("c"))
    first = answer["results"][0]["id"]
    assert application.delete(f"/api/v1/costs/{first}").status_code == 204
    assert spent(application, made) == (2 * COST, 2, 3000)
    set_price(application)
    period = {"start_date": "2025-06-01", "end_date": "2025-06-30", "dry_run": False}
    accepted(send(application, "/pricing/rerate", period), 200)
    assert spent(application, made) == (2 * Decimal("0.006"), 2, 3000)
    grown = usage("c", completion_tokens=900)
    accepted(send(application, "/usage/batch?correct=true", {"records": [grown]}), 200)
    assert spent(application, made) == (Decimal("0.006") + Decimal("0.0092"), 2, 3400)
    assert_counted(application)


def test_an_import_that_is_undone_takes_its_spending_along(application: Application) -> None:
    made = make_budget(application, **JUNE)
    import_id = accepted(send(application, "/imports", {"format": "json"}), 201)["id"]
    answer = send(application, f"/usage/batch?import_id={import_id}", [usage("a"), usage("b")])
    accepted(answer, 200)
    assert spent(application, made)[0] == 2 * COST
    accepted(send(application, f"/imports/{import_id}/undo", {}), 200)
    assert spent(application, made) == (0, 0, 0)
    assert_counted(application)


def test_changed_labels_move_a_call_between_budgets(application: Application) -> None:
    red = make_budget(application, **JUNE, tags="red")
    blue = make_budget(application, **JUNE, metadata={"colour": "blue"})
    call = record(application, usage("a", tags=["red"]))["results"][0]["id"]
    assert (spent(application, red)[0], spent(application, blue)[0]) == (COST, 0)
    change = {"tags": [], "metadata": {"colour": "blue"}}
    answer = application.request(
        "PATCH", f"/api/v1/costs/{call}", content=dumps(change), headers=JSON
    )
    assert answer.status_code == 200
    assert (spent(application, red), spent(application, blue)[0]) == ((0, 0, 0), COST)
    assert_counted(application)


def test_calls_without_a_price_are_told_and_counted_when_one_comes(
    application: Application,
) -> None:
    made = make_budget(application, **JUNE)
    record(application, usage("a", model="unheard-of"))
    before = budget(application, made["id"])
    assert (before["spent"], before["requests"], before["unpriced_requests"]) == (0, 1, 1)
    set_price(application, "unheard-of")
    after = budget(application, made["id"])
    assert (after["spent"], after["unpriced_requests"]) == (Decimal("0.006"), 0)
    assert_counted(application)


def test_other_currencies_are_told_and_never_added(application: Application) -> None:
    made = make_budget(application, **JUNE)
    euros = {"model": "m", "provider": "openai", "cost": 5, "currency": "EUR", "timestamp":
             "2025-06-15T12:00:00Z"}  # fmt: skip
    accepted(send(application, "/costs", euros), 201)
    found = budget(application, made["id"])
    assert (found["spent"], found["requests"], found["other_currency_requests"]) == (0, 1, 1)
    in_euros = make_budget(application, **{**JUNE, "currency": "EUR"})
    assert in_euros["spent"] == 5
    assert_counted(application)


def test_amounts_beyond_64_bits_are_summed_exactly(application: Application) -> None:
    made = make_budget(application, **JUNE)
    large = {"model": "m", "provider": "openai", "cost": "99999999.9999999999",
             "timestamp": "2025-06-15T12:00:00Z"}  # fmt: skip
    records = [{**large, "event_id": str(n)} for n in range(12)]
    accepted(send(application, "/costs/bulk", {"records": records}), 200)
    assert spent(application, made)[0] == 12 * Decimal("99999999.9999999999")
    assert_counted(application)


def test_a_counter_that_was_tampered_with_is_found_and_made_anew(
    application: Application,
) -> None:
    made = make_budget(application, **JUNE)
    record(application, usage("a"))
    tamper(application, "UPDATE spend_counters SET spent_fraction = spent_fraction + 1")
    found = proof(application)
    assert found.ok is False
    assert found.first_difference is not None
    assert found.first_difference.rollup == "budgets"
    assert found.first_difference.key["budget_id"] == made["id"]
    assert found.first_difference.ledger is not None
    assert found.first_difference.ledger["spent"] == "0.0075"
    now_us = application.clock.micros()
    write_retrying(application.database, lambda session: rebuild(session, now_us))
    assert proof(application).ok
    assert spent(application, made) == (COST, 1, 1500)


def test_a_budget_that_is_made_while_calls_are_recorded_misses_none(
    application: Application,
) -> None:
    """Whoever records either is in the first sum or knows the budget."""
    stop = threading.Event()
    failures: list[str] = []

    def keep_recording(name: int) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            answer = send(application, "/usage", usage(f"{name}-{number}"))
            if answer.status_code != 201:
                failures.append(answer.text)

    threads = [threading.Thread(target=keep_recording, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    made = [make_budget(application, **JUNE, model="gpt-4o") for _ in range(6)]
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    total = {spent(application, one) for one in made}
    assert len(total) == 1
    (((_, requests, _)),) = total
    stored = select_all(
        application, "SELECT COUNT(*) FROM usage_records WHERE organization_id = :org",
        org=application.organization_id,
    )  # fmt: skip
    assert requests == stored[0][0]
    assert_counted(application)


def test_a_parent_counts_what_its_children_count(application: Application) -> None:
    top = make_budget(application, **{**JUNE, "amount": 10}, team_id="engineering")
    below = {**JUNE, "parent_id": top["id"], "amount": 4}
    record(application, usage("a", team_id="backend"))
    child = make_budget(application, **below, team_id="backend")
    other = make_budget(application, **below, team_id="frontend")
    assert (child["spent"], spent(application, top)[0]) == (COST, COST)
    record(
        application,
        usage("b", team_id="frontend"),
        usage("c", team_id="engineering"),
        usage("d", team_id="sales"),
    )
    assert spent(application, other)[0] == COST
    assert spent(application, top)[0] == 3 * COST
    assert_counted(application)
    assert application.delete(f"/api/v1/budgets/{top['id']}").status_code == 409
    assert application.delete(f"/api/v1/budgets/{other['id']}").status_code == 204
    assert spent(application, top)[0] == 2 * COST
    assert_counted(application)
