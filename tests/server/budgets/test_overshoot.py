"""Ways around a hard budget that must stay shut: no money is held or booked less than it is."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from llm_cost_ops.server.budgets.ask import parse_ask
from llm_cost_ops.server.budgets.errand import RESERVE, SETTLE, Denied, Errand, Outcome
from llm_cost_ops.server.budgets.work import carry_out
from llm_cost_ops.server.clock import FixedClock
from llm_cost_ops.server.db.session import WriteSession, write_retrying
from llm_cost_ops.server.ingest.submission import Answer
from tests.server.budgets.test_rules import (
    Timed,
    at_noon,
    expired,
    spend,
    thresholds,
)
from tests.support.application import Application
from tests.support.budgets import (
    assert_counted,
    budget,
    make_budget,
    release,
    reserve,
    settle,
)
from tests.support.calls import (
    accepted,
    assert_proven,
    body_of,
    cost_row,
    error,
    put,
    send,
    set_price,
    tamper,
)

__all__ = ["at_noon"]


def settle_and_ask(
    app: Application, clock: FixedClock, held: Any, cost: int, amount: str
) -> list[Outcome]:
    """Settle one reservation and ask for another in one transaction of the desk."""
    prices, now_us = app.app.state.prices, clock.micros()

    def together(session: WriteSession) -> list[Outcome]:
        view = prices.view_in(session, app.organization_id)
        ask = parse_ask({"estimated_cost": Decimal(amount)}, view, now_us)
        errands = [
            Errand(SETTLE, app.organization_id, reservation_id=held["id"], body={"cost": cost},
                   prices=view),
            Errand(RESERVE, app.organization_id, ask=ask),
        ]  # fmt: skip
        return carry_out(session, errands, prices, now_us=now_us)

    return write_retrying(app.database, together)


def test_a_new_budget_holds_what_is_under_way(at_noon: Timed) -> None:
    app, _ = at_noon
    mine = accepted(reserve(app, "8", project_id="p"), 201)
    accepted(reserve(app, "8", project_id="other"), 201)
    made = make_budget(app, amount=10, enforcement="hard", project_id="p")
    assert made["reserved"] == 8
    error(reserve(app, "2.0000000001", project_id="p"), 402, "BUDGET_EXCEEDED")
    accepted(settle(app, mine, cost=3), 200)
    now = budget(app, made["id"])
    assert (now["spent"], now["reserved"]) == (3, 0)
    accepted(reserve(app, "7", project_id="p"), 201)
    assert_counted(app)


def test_a_budget_of_days_does_not_hold_what_was_reserved_before_its_period(
    at_noon: Timed,
) -> None:
    app, clock = at_noon
    accepted(reserve(app, "8", ttl_seconds=86_400), 201)
    clock.current += timedelta(hours=12)
    assert make_budget(app, amount=10, period="daily")["reserved"] == 0
    assert make_budget(app, amount=10)["reserved"] == 8


def test_a_budget_of_another_scope_or_parent_holds_what_is_under_way(at_noon: Timed) -> None:
    app, _ = at_noon
    top = make_budget(app, amount=100, enforcement="hard", team_id="t")
    made = make_budget(app, amount=10, enforcement="hard", project_id="a")
    held = accepted(reserve(app, "8", project_id="b"), 201)
    moved = accepted(put(app, f"/budgets/{made['id']}", {"scope": {"project_id": "b"}}), 200)
    assert moved["reserved"] == 8
    error(reserve(app, "2.0000000001", project_id="b"), 402)
    accepted(put(app, f"/budgets/{made['id']}", {"parent_id": top["id"]}), 200)
    assert budget(app, top["id"])["reserved"] == 8
    error(reserve(app, "92.0000000001", team_id="t"), 402)
    accepted(put(app, f"/budgets/{made['id']}", {"parent_id": None}), 200)
    assert budget(app, top["id"])["reserved"] == 0
    accepted(put(app, f"/budgets/{made['id']}", {"parent_id": top["id"]}), 200)
    accepted(release(app, held), 200)
    assert [budget(app, b["id"])["reserved"] for b in (top, made)] == [0, 0]
    assert_counted(app)


def test_a_parent_counts_what_is_further_below(at_noon: Timed) -> None:
    """A budget that moves brings those below it, whose scopes may be others."""
    app, _ = at_noon
    top = make_budget(app, amount=100, team_id="t")
    middle = make_budget(app, amount=50, team_id="t", project_id="a")
    make_budget(app, amount=10, project_id="b", parent_id=middle["id"])
    spend(app, 3, project_id="b")
    accepted(reserve(app, "2", project_id="b"), 201)
    accepted(put(app, f"/budgets/{middle['id']}", {"parent_id": top["id"]}), 200)
    now = budget(app, top["id"])
    assert (now["spent"], now["reserved"]) == (3, 2)
    assert_counted(app)


def test_removing_a_budget_gives_back_what_it_held_of_the_one_above(at_noon: Timed) -> None:
    app, _ = at_noon
    top = make_budget(app, amount=100, team_id="t")
    made = make_budget(app, amount=10, project_id="a", parent_id=top["id"])
    held = accepted(reserve(app, "8", project_id="a"), 201)
    assert budget(app, top["id"])["reserved"] == 8
    assert app.delete(f"/api/v1/budgets/{made['id']}").status_code == 204
    assert budget(app, top["id"])["reserved"] == 0
    accepted(settle(app, held, cost=1), 200)
    assert_counted(app)


def test_a_settlement_of_an_earlier_step_counts_for_who_reserves_with_it(at_noon: Timed) -> None:
    """In one transaction, the step that was given back into and the sum must be the same."""
    app, clock = at_noon
    made = make_budget(app, amount=10, period="daily", rolling=True, enforcement="hard",
                       alert_thresholds=["0.5"])  # fmt: skip
    held = accepted(reserve(app, "4", ttl_seconds=86_400), 201)
    clock.current += timedelta(hours=2)
    settled, asked = settle_and_ask(app, clock, held, 9, "1.0000000001")
    assert isinstance(settled, Answer)
    assert isinstance(asked, Denied)
    assert budget(app, made["id"])["spent"] == 9
    assert thresholds(app) == [Decimal("0.5")]
    accepted(reserve(app, "1"), 201)
    assert_counted(app)


def test_a_settlement_of_yesterday_counts_for_what_is_carried_into_today(at_noon: Timed) -> None:
    app, clock = at_noon
    made = make_budget(app, amount=10, period="daily", rollover=True, enforcement="hard")
    held = accepted(reserve(app, "4", ttl_seconds=86_400), 201)
    clock.current += timedelta(hours=12)
    settled, asked = settle_and_ask(app, clock, held, 9, "11.0000000001")
    assert isinstance(settled, Answer)
    assert isinstance(asked, Denied)
    assert budget(app, made["id"])["limit"] == 11
    accepted(reserve(app, "11"), 201)
    assert_counted(app)


def test_a_late_record_in_an_earlier_step_is_told(at_noon: Timed) -> None:
    app, clock = at_noon
    make_budget(app, amount=10, period="daily", rolling=True, alert_thresholds=["0.5"])
    clock.current += timedelta(hours=2)
    spend(app, 6, timestamp="2027-03-10T12:00:00Z")
    assert thresholds(app) == [Decimal("0.5")]
    spend(app, "0.5", timestamp="2027-03-10T13:00:00Z")
    spend(app, "0.5")
    assert len(thresholds(app)) == 1
    spend(app, 90, timestamp="2027-03-08T12:00:00Z")
    assert len(thresholds(app)) == 1
    assert_counted(app)


def test_a_settlement_in_another_currency_is_refused(at_noon: Timed) -> None:
    app, clock = at_noon
    made = make_budget(app, amount=10, enforcement="hard")
    held = accepted(reserve(app, "8", provider="openai", model="m"), 201)
    refused = error(settle(app, held, cost=9, currency="EUR"), 422)
    assert "currency" in refused["field_errors"]
    now = budget(app, made["id"])
    assert (now["spent"], now["reserved"]) == (0, 8)
    clock.current += timedelta(seconds=301)
    expired(app, clock)
    error(settle(app, held, cost=9, currency="EUR"), 422)
    assert budget(app, made["id"])["spent"] == 8
    accepted(settle(app, held, cost=9, currency="USD"), 200)
    assert budget(app, made["id"])["spent"] == 9
    assert_counted(app)


def test_usage_with_a_price_in_another_currency_settles_nothing_that_has_one(
    at_noon: Timed,
) -> None:
    app, _ = at_noon
    usage = {"input_tokens": 1000, "output_tokens": 500}
    unpriced = accepted(reserve(app, provider="openai", model="m", input_tokens=1, max_tokens=1),
                        201)  # fmt: skip
    made = make_budget(app, amount=10, enforcement="hard")
    held = accepted(reserve(app, "8", provider="openai", model="m"), 201)
    set_price(app, "m", currency="EUR")
    refused = error(settle(app, held, usage=usage), 422)
    assert "usage" in refused["field_errors"]
    assert budget(app, made["id"])["reserved"] == 8
    accepted(settle(app, unpriced, usage=usage), 200)
    now = budget(app, made["id"])
    assert (now["spent"], now["other_currency_requests"]) == (0, 1)
    assert_counted(app)


def test_an_event_id_of_another_call_settles_nothing(at_noon: Timed) -> None:
    app, _ = at_noon
    made = make_budget(app, amount=10, enforcement="hard")
    spend(app, "0.0075", event_id="evt1", source="api")
    held = accepted(reserve(app, "8", provider="openai", model="m"), 201)
    error(settle(app, held, cost=7, event_id="evt1", source="api"), 409, "CONFLICT")
    found = body_of(app.get(f"/api/v1/budgets/reservations/{held['id']}"))
    assert (found["status"], found["cost"]) == ("open", None)
    now = budget(app, made["id"])
    assert (now["spent"], now["reserved"]) == (Decimal("0.0075"), 8)
    accepted(settle(app, held, cost=7), 200)
    assert budget(app, made["id"])["spent"] == Decimal("7.0075")
    assert_proven(app, "7.0075")
    assert_counted(app)


def test_an_equal_call_of_another_project_settles_nothing(at_noon: Timed) -> None:
    app, _ = at_noon
    made = make_budget(app, amount=10, enforcement="hard", project_id="p")
    spend(app, 7, event_id="evt1", source="api", project_id="q")
    call = {"provider": "openai", "model": "m", "project_id": "p"}
    held = accepted(reserve(app, "8", **call), 201)
    error(settle(app, held, cost=7, event_id="evt1", source="api"), 409, "CONFLICT")
    assert budget(app, made["id"])["reserved"] == 8
    assert_counted(app)


def test_a_call_that_was_taken_back_settles_nothing(at_noon: Timed) -> None:
    app, clock = at_noon
    made = make_budget(app, amount=20, enforcement="hard")
    gone = spend(app, 7, event_id="evt1", source="api", timestamp="2027-03-10T12:00:00Z")
    assert app.delete(f"/api/v1/costs/{gone['id']}").status_code == 204
    held = accepted(reserve(app, "8", provider="openai", model="m"), 201)
    error(settle(app, held, cost=7, event_id="evt1", source="api"), 409, "CONFLICT")
    assert budget(app, made["id"])["reserved"] == 8
    clock.current += timedelta(seconds=301)
    expired(app, clock)
    error(settle(app, held, cost=7, event_id="evt1", source="api"), 409, "CONFLICT")
    assert budget(app, made["id"])["spent"] == 8
    assert_counted(app)


def test_the_event_ids_of_reservations_are_their_own(at_noon: Timed) -> None:
    app, _ = at_noon
    held = accepted(reserve(app, "8", provider="openai", model="m"), 201)
    other = accepted(reserve(app, "1", provider="openai", model="m"), 201)
    refused = error(settle(app, other, cost=1, event_id=held["id"]), 422)
    assert "event_id" in refused["field_errors"]
    foreign = {"model": "m", "provider": "openai", "event_id": held["id"], "source": "reservation"}
    for path, body in (("/costs", {"cost": 1}), ("/usage", {"prompt_tokens": 1})):
        refused = error(send(app, path, {**foreign, **body}), 422)
        assert "source" in refused["field_errors"]
    accepted(settle(app, held, cost=7, event_id=held["id"]), 200)


def test_a_late_settlement_that_is_refused_leaves_the_estimate(at_noon: Timed) -> None:
    app, clock = at_noon
    made = make_budget(app, amount=10, enforcement="hard")
    spend(app, "0.0075", event_id="evt1", source="api", model="other")
    held = accepted(reserve(app, "8", provider="openai", model="m", ttl_seconds=1), 201)
    clock.current += timedelta(seconds=2)
    assert expired(app, clock) == 1
    error(settle(app, held, cost=7, event_id="evt1", source="api"), 409, "CONFLICT")
    assert budget(app, made["id"])["spent"] == Decimal("8.0075")
    found = body_of(app.get(f"/api/v1/budgets/reservations/{held['id']}"))
    assert (found["status"], found["cost"]) == ("expired", 8)
    accepted(settle(app, held, cost=7, event_id="evt2", source="api"), 200)
    assert budget(app, made["id"])["spent"] == Decimal("7.0075")
    assert_proven(app, "7.0075")
    assert_counted(app)


def test_a_late_settlement_leaves_the_call_of_another_alone(at_noon: Timed) -> None:
    app, clock = at_noon
    made = make_budget(app, amount=10, enforcement="hard", project_id="p")
    known = spend(app, 7, event_id="evt1", source="api", project_id="q")
    call = {"provider": "openai", "model": "m", "project_id": "p"}
    held = accepted(reserve(app, "8", **call, ttl_seconds=1), 201)
    clock.current += timedelta(seconds=2)
    expired(app, clock)
    for cost in (6, 7):
        error(settle(app, held, cost=cost, event_id="evt1", source="api"), 409, "CONFLICT")
    assert budget(app, made["id"])["spent"] == 8
    assert cost_row(app, known["id"])["total_cost"] == 7
    mine = spend(app, 6, event_id="evt2", source="gateway", project_id="p")
    done = accepted(settle(app, held, cost=6, event_id="evt2", source="gateway"), 200)
    assert (done["record_id"], budget(app, made["id"])["spent"]) == (mine["id"], 6)
    assert_proven(app, 13)
    assert_counted(app)


def test_an_expired_reservation_whose_event_id_is_taken_stays_held(at_noon: Timed) -> None:
    app, clock = at_noon
    made = make_budget(app, amount=10, enforcement="hard")
    held = accepted(reserve(app, "3", ttl_seconds=1), 201)
    spend(app, 1, event_id=held["id"], source="api")
    tamper(app, "UPDATE usage_records SET source = 'reservation'")
    clock.current += timedelta(seconds=6)
    clock.elapsed_s += 6
    accepted(send(app, "/budgets/reserve", {"estimated_cost": 1}), 201)
    now = budget(app, made["id"])
    assert (now["spent"], now["reserved"]) == (1, 4)
    accepted(settle(app, held, cost=3, event_id="mine", source="api"), 200)
    assert_counted(app)
