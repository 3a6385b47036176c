"""Budgets that are changed, counted again or asked about keep what they had."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import event

from llm_cost_ops.server.budgets import late, store, work
from llm_cost_ops.server.db.session import write, write_retrying
from llm_cost_ops.server.ingest.reprice import take_turns_for
from llm_cost_ops.server.ledger import correct
from llm_cost_ops.server.ledger.recount import rebuild
from llm_cost_ops.server.ledger.rollup import apply
from llm_cost_ops.server.pricing.lock import take_turn
from llm_cost_ops.server.spend import move
from llm_cost_ops.server.spend.index import index_in
from llm_cost_ops.server.spend.lock import hold_alone
from tests.server.budgets.test_rules import Timed, at_noon, expired, spend, thresholds
from tests.support.application import Application
from tests.support.budgets import assert_counted, budget, make_budget, reserve, settle
from tests.support.calls import accepted, body_of, error, put, select_all, send, tamper

__all__ = ["at_noon"]


def change(app: Application, made: Any, **fields: Any) -> Any:
    return accepted(put(app, f"/budgets/{made['id']}", fields), 200)


def transfer(app: Application, one: Any, two: Any, amount: int) -> None:
    given = {"type": "transfer", "amount": amount, "to_budget_id": two["id"], "reason": "x"}
    accepted(send(app, f"/budgets/{one['id']}/adjustments", given), 201)


def test_a_narrower_scope_empties_earlier_steps(at_noon: Timed) -> None:
    app, clock = at_noon
    made = make_budget(app, amount=10, period="daily", rolling=True)
    spend(app, 3, project_id="a")
    clock.current += timedelta(hours=2)
    spend(app, 1, project_id="b")
    assert change(app, made, scope={"project_id": "b"})["spent"] == 1
    assert_counted(app)
    assert change(app, made, scope={})["spent"] == 4
    assert_counted(app)


@pytest.mark.parametrize("rolling", [True, False])
def test_calls_before_the_start_and_after_the_end_count_nowhere(
    at_noon: Timed, rolling: bool
) -> None:
    app, clock = at_noon
    spend(app, 1, timestamp="2027-03-10T10:29:59.999999Z")
    spend(app, 2, timestamp="2027-03-10T10:30:00Z")
    bounds = {"start_date": "2027-03-10T10:30:00Z", "end_date": "2027-03-10T12:30:00Z"}
    made = make_budget(app, amount=10, period="daily", rolling=rolling, **bounds)
    assert made["spent"] == 2
    spend(app, 4, timestamp="2027-03-10T10:29:59Z")
    spend(app, "0.5", timestamp="2027-03-10T10:45:00Z")
    clock.current += timedelta(minutes=29)
    spend(app, "0.25", timestamp="2027-03-10T12:29:59.999999Z")
    spend(app, 8, timestamp="2027-03-10T12:30:00Z")
    assert budget(app, made["id"])["spent"] == Decimal("2.75")
    assert_counted(app)
    write_retrying(app.database, lambda s: rebuild(s, clock.micros(), app.organization_id))
    assert budget(app, made["id"])["spent"] == Decimal("2.75")
    assert_counted(app)


def test_counters_are_made_anew_from_calls_and_not_from_wrong_rollups(at_noon: Timed) -> None:
    app, clock = at_noon
    made = make_budget(app, amount=10)
    spend(app, 3)
    tamper(app, "UPDATE rollup_hourly SET cost_whole = cost_whole + 1")
    write_retrying(app.database, lambda s: rebuild(s, clock.micros(), app.organization_id))
    assert budget(app, made["id"])["spent"] == 3
    assert_counted(app)


@pytest.mark.parametrize("fields", [{"end_date": "2027-12-31"}, {"timezone": "Europe/Berlin"}])
def test_a_transfer_stays_when_periods_change(at_noon: Timed, fields: dict[str, Any]) -> None:
    app, _ = at_noon
    one = make_budget(app, name="one", amount=100, project_id="a")
    two = make_budget(app, name="two", amount=100, project_id="b")
    transfer(app, one, two, 60)
    spend(app, 20, project_id="a")
    now = change(app, one, **fields)
    assert (now["limit"], now["adjusted"], now["spent"]) == (40, -60, 20)
    assert change(app, two, **fields)["limit"] == 160
    assert_counted(app)


def test_adjusted_money_keeps_its_currency(at_noon: Timed) -> None:
    app, _ = at_noon
    one = make_budget(app, amount=100)
    other = make_budget(app, amount=100)
    assert change(app, one, currency="EUR")["currency"] == "EUR"
    assert change(app, one, currency="USD")["currency"] == "USD"
    transfer(app, one, other, 1)
    error(put(app, f"/budgets/{one['id']}", {"currency": "EUR"}), 422)
    assert budget(app, one["id"])["limit"] == 99


def test_what_was_told_and_carried_stays_when_the_end_changes(at_noon: Timed) -> None:
    app, clock = at_noon
    made = make_budget(app, amount=10, period="daily", rollover=True, alert_thresholds=["0.25"])
    spend(app, 1)
    clock.current += timedelta(days=1)
    spend(app, 6)
    assert len(thresholds(app)) == 1
    now = change(app, made, end_date="2027-12-31")
    assert (now["spent"], now["carried_over"]) == (6, 9)
    spend(app, 1)
    assert len(thresholds(app)) == 1
    assert_counted(app)


def test_what_is_carried_over_survives_a_question_and_a_late_record(at_noon: Timed) -> None:
    app, clock = at_noon
    made = make_budget(app, amount=10, period="daily", rollover={"percent": 100, "cap": 25})
    spend(app, 1)
    clock.current += timedelta(days=1)
    before = select_all(app, "SELECT COUNT(*) FROM spend_counters")
    checked = body_of(send(app, "/budgets/check", {"estimated_cost": 20}))
    assert checked["budgets"][0]["exceeded"] is True
    assert select_all(app, "SELECT COUNT(*) FROM spend_counters") == before
    clock.current += timedelta(days=1)
    assert budget(app, made["id"])["carried_over"] == 19
    spend(app, "0.5", timestamp="2027-03-11T12:00:00Z")
    assert budget(app, made["id"])["carried_over"] == Decimal("18.5")
    clock.current += timedelta(days=1)
    assert budget(app, made["id"])["carried_over"] == 25
    assert_counted(app)


def noted(order: list[str], name: str, known: Any) -> Any:
    def noting(*args: Any, **named: Any) -> Any:
        order.append(name)
        return known(*args, **named)

    return noting


def test_corrections_hold_the_budgets_before_the_rollups(
    at_noon: Timed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As whoever records calls does: else two of them wait for each other."""
    app, _ = at_noon
    make_budget(app, amount=10)
    call = spend(app, 1)
    order: list[str] = []
    monkeypatch.setattr(move, "index_in", noted(order, "budgets", index_in))
    monkeypatch.setattr(correct, "apply", noted(order, "rollups", apply))
    assert app.delete(f"/api/v1/costs/{call['id']}").status_code == 204
    assert order == ["budgets", "rollups"]


def test_settlements_take_the_turn_before_the_budgets(
    at_noon: Timed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those that come late: whoever corrects calls has the turn first."""
    app, clock = at_noon
    made = make_budget(app, amount=10)
    held = accepted(reserve(app, "2", ttl_seconds=1), 201)
    prompt = accepted(reserve(app, "2"), 201)
    clock.current += timedelta(seconds=2)
    expired(app, clock)
    order: list[str] = []
    monkeypatch.setattr(work, "take_turns_for", noted(order, "turn", take_turns_for))
    monkeypatch.setattr(late, "take_turn", noted(order, "turn alone", take_turn))
    for module in (work, late):
        monkeypatch.setattr(module, "index_in", noted(order, "budgets", module.index_in))
    monkeypatch.setattr(store, "locked", noted(order, "reservations", store.locked))
    accepted(settle(app, prompt, cost=1), 200)
    assert order == ["turn", "budgets", "reservations"]
    order.clear()
    accepted(settle(app, held, cost=1), 200)
    assert order == [
        "turn", "budgets", "reservations", "turn alone", "budgets", "reservations",
    ]  # fmt: skip
    assert budget(app, made["id"])["spent"] == 2


def test_who_changes_budgets_locks_their_version_by_one_update(at_noon: Timed) -> None:
    """Two that begin with an insert hold the row shared on MySQL, and wait for each other."""
    app, _ = at_noon
    make_budget(app, amount=10)
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        statements.append(statement.split(maxsplit=1)[0].upper())

    with write(app.database) as session:
        event.listen(session.connection, "before_cursor_execute", note)
        hold_alone(session, app.organization_id)
        assert [verb for verb in statements if verb != "SELECT"] == ["UPDATE"]
