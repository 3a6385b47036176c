"""Periods, amounts and shares that change: what was granted before stays as it was."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from llm_cost_ops.server.db.session import write_retrying
from llm_cost_ops.server.ledger.recount import rebuild
from tests.server.budgets.test_changes import change
from tests.server.budgets.test_rules import Timed, at_noon, spend
from tests.support.application import Application
from tests.support.budgets import assert_counted, budget, make_budget, release, reserve
from tests.support.calls import accepted, body_of, error, put, select_all, send, set_price

__all__ = ["at_noon"]
DAILY: dict[str, Any] = {"amount": 10, "period": "daily", "rollover": True}


def counted_anew(app: Application, now_us: int) -> None:
    write_retrying(app.database, lambda s: rebuild(s, now_us, app.organization_id))
    assert_counted(app)


def limit(app: Application, made: Any) -> Any:
    return budget(app, made["id"])["limit"]


def test_idle_periods_carry_the_amount_that_they_had(at_noon: Timed) -> None:
    app, clock = at_noon
    made = make_budget(app, **DAILY)
    clock.current += timedelta(days=5)
    assert limit(app, made) == 60
    assert change(app, made, amount=1000)["limit"] == 1050
    assert change(app, made, amount=1)["limit"] == 51
    counted_anew(app, clock.micros())
    assert limit(app, made) == 51
    clock.current += timedelta(days=2)
    assert limit(app, made) == 53


def test_a_new_amount_holds_for_the_period_under_way(at_noon: Timed) -> None:
    app, clock = at_noon
    made = make_budget(app, **DAILY)
    spend(app, 1)
    change(app, made, amount=100)
    clock.current += timedelta(days=1)
    assert limit(app, made) == 199
    counted_anew(app, clock.micros())
    assert limit(app, made) == 199


def test_counting_again_leaves_earlier_amounts_alone(at_noon: Timed) -> None:
    app, clock = at_noon
    made = make_budget(app, **DAILY)
    spend(app, 1)
    clock.current += timedelta(days=1)
    spend(app, 1)
    assert change(app, made, amount=100)["limit"] == 109
    counted_anew(app, clock.micros())
    assert limit(app, made) == 109
    spend(app, 2, timestamp="2027-03-10T13:00:00Z")
    assert limit(app, made) == 107
    assert_counted(app)


def test_another_rollover_holds_for_what_comes_into_the_period_under_way(at_noon: Timed) -> None:
    app, clock = at_noon
    made = make_budget(app, **DAILY)
    clock.current += timedelta(days=5)
    spend(app, 1)
    assert change(app, made, rollover={"percent": 50})["limit"] == 35
    assert change(app, made, rollover=False)["limit"] == 10
    assert change(app, made, rollover=True)["limit"] == 60
    change(app, made, rollover=False)
    clock.current += timedelta(days=3)
    assert change(app, made, rollover=True)["limit"] == 20
    clock.current += timedelta(days=1)
    assert limit(app, made) == 30
    assert_counted(app)


def test_what_had_no_amount_carries_nothing(at_noon: Timed) -> None:
    app, clock = at_noon
    made = make_budget(app, request_limit=5, period="daily")
    clock.current += timedelta(days=2)
    assert change(app, made, amount=10, rollover=True)["limit"] == 10
    clock.current += timedelta(days=1)
    assert limit(app, made) == 20


def test_a_share_keeps_what_it_carried_when_its_parent_changes(at_noon: Timed) -> None:
    app, clock = at_noon
    parent = make_budget(app, amount=100, period="daily")
    share = make_budget(app, **DAILY, allocation_percent=50, parent_id=parent["id"], project_id="a")
    clock.current += timedelta(days=2)
    assert limit(app, share) == 150
    change(app, parent, amount=10)
    assert limit(app, share) == 105
    assert_counted(app)


def test_an_amount_that_changes_after_the_end_or_before_the_start(at_noon: Timed) -> None:
    app, clock = at_noon
    ended = make_budget(app, **DAILY, end_date="2027-03-11")
    coming = make_budget(app, **DAILY, start_date="2027-03-15")
    clock.current += timedelta(days=2)
    change(app, ended, amount=100)
    change(app, coming, amount=100)
    clock.current += timedelta(days=4)
    assert limit(app, coming) == 200
    assert change(app, ended, end_date="2027-12-31")["limit"] == 2 * 10 + 5 * 100
    assert_counted(app)


def test_steps_that_count_no_more_are_not_compared(at_noon: Timed) -> None:
    app, clock = at_noon
    made = make_budget(app, amount=100, period="hourly", rolling=True)
    held = accepted(reserve(app, "1", ttl_seconds=86_400), 201)
    spend(app, 3)
    clock.current += timedelta(hours=3)
    spend(app, 2)
    assert_counted(app)
    stored = "SELECT spent_whole, reserved_e10 FROM spend_counters WHERE budget_id = :id " \
        "AND period_start > 0 ORDER BY period_start"  # fmt: skip
    before = select_all(app, stored, id=made["id"])
    assert [tuple(map(int, row)) for row in before] == [(3, 10**10), (2, 0)]
    counted_anew(app, clock.micros())
    assert select_all(app, stored, id=made["id"]) == before
    accepted(release(app, held), 200)
    after = select_all(app, stored, id=made["id"])
    assert [tuple(map(int, row)) for row in after] == [(3, 0), (2, 0)]


def test_what_a_clock_ahead_admitted_counts(at_noon: Timed) -> None:
    app, clock = at_noon
    made = make_budget(app, amount=10, period="daily", rolling=True, enforcement="hard")
    clock.current += timedelta(hours=1)
    accepted(reserve(app, "8"), 201)
    clock.current -= timedelta(hours=1)
    error(reserve(app, "2.0000000001"), 402)
    accepted(reserve(app, "2"), 201)
    assert budget(app, made["id"])["reserved"] == 10


@pytest.mark.parametrize("period", ["hourly", "monthly", "annual"])
def test_a_rolling_period_that_comes_once_is_refused(at_noon: Timed, period: str) -> None:
    app, _ = at_noon
    fields = {"name": "x", "amount": 1, "period": period}
    answer = send(app, "/budgets", {**fields, "rolling": True, "recurring": False})
    assert "recurring" in body_of(answer)["error"]["field_errors"]
    assert answer.status_code == 422
    made = make_budget(app, **fields, rolling=True)
    error(put(app, f"/budgets/{made['id']}", {"recurring": False}), 422)


def test_no_share_becomes_less_than_what_is_below_it(at_noon: Timed) -> None:
    app, _ = at_noon
    parent = make_budget(app, amount=100)
    share = make_budget(app, allocation_percent=50, parent_id=parent["id"], project_id="a")
    make_budget(app, amount=40, parent_id=share["id"], project_id="a", team_id="t")
    make_budget(app, request_limit=4, parent_id=share["id"], project_id="a", team_id="u")
    error(put(app, f"/budgets/{parent['id']}", {"amount": "79.9999999999"}), 422)
    assert change(app, parent, amount=80)["amount"] == 80
    assert limit(app, share) == 40


def test_months_do_not_begin_where_days_were_counted_from(at_noon: Timed) -> None:
    app, clock = at_noon
    made = make_budget(app, amount=10, period="custom", period_days=10)
    months = change(app, made, period="monthly", period_days=None)
    bounds = ("2027-03-01T00:00:00Z", "2027-04-01T00:00:00Z")
    assert (months["period_start"], months["period_end"]) == bounds
    days = {"period": "monthly", "period_days": None, "anchor_date": "2027-01-05"}
    change(app, made, period="custom", period_days=10)
    assert change(app, made, **days)["period_start"] == "2027-03-05T00:00:00Z"
    clock.current += timedelta(days=3)
    other = make_budget(app, amount=10)
    clock.current += timedelta(days=1)
    tens = change(app, other, period="custom", period_days=10)
    assert tens["period_start"] == "2027-03-14T00:00:00Z"
    assert budget(app, other["id"])["period_start"] == tens["period_start"]


def test_a_refusal_names_the_limit(at_noon: Timed) -> None:
    app, _ = at_noon
    made = make_budget(app, amount=10, request_limit=2, token_limit=100, enforcement="hard")
    price = {"type": "per_token", "input_price_per_million": 1, "output_price_per_million": 1}
    set_price(app, "own", pricing_structure=price)
    call = {"provider": "openai", "model": "own", "max_tokens": 0}
    accepted(reserve(app, input_tokens=60, **call), 201)
    refused = reserve(app, input_tokens=41, **call)
    details = error(refused, 402, "BUDGET_EXCEEDED")
    assert details["exceeded_limits"] == ["token_limit"]
    assert "token_limit" in body_of(refused)["error"]["message"]
    names = ("token_limit", "tokens", "reserved_tokens", "requested_tokens")
    assert [details[name] for name in names] == [100, 0, 60, 41]
    both = error(reserve(app, "11", requests=2), 402)
    assert both["exceeded_limits"] == ["amount", "request_limit"]
    change(app, made, request_limit=None)
    assert "request_limit" not in error(reserve(app, "11"), 402)


@pytest.mark.parametrize("fields", [{}, {"currency": "EUR"}])
def test_together_is_exceeded_when_any_is(at_noon: Timed, fields: dict[str, Any]) -> None:
    app, _ = at_noon
    make_budget(app, amount=100, project_id="a")
    small = make_budget(app, amount=1, project_id="b", **fields)
    counted = make_budget(app, request_limit=1, project_id="c")
    spend(app, 1, project_id="b", **fields)
    spend(app, 1, project_id="c")
    together = body_of(app.get("/api/v1/budgets/current"))
    assert (together["status"], together["exceeded_budget_ids"]) == ("ok", [])
    spend(app, "0.0000000001", project_id="b", **fields)
    spend(app, 1, project_id="c")
    together = body_of(app.get("/api/v1/budgets/current"))
    assert together["status"] == "exceeded"
    assert together["exceeded_budget_ids"] == sorted([small["id"], counted["id"]])


def test_a_price_that_is_dearest_in_the_middle_bounds_known_usage(at_noon: Timed) -> None:
    app, _ = at_noon
    prices = [(1_000, 1), (100_000, 1_000), (None, 1)]
    tiers = [
        {"up_to": bound, "input_price_per_million": price, "output_price_per_million": price}
        for bound, price in prices
    ]
    set_price(app, "mid", pricing_structure={"type": "tiered", "tiers": tiers})
    call = {"provider": "openai", "model": "mid"}
    known = accepted(reserve(app, **call, usage={"input_tokens": 500, "output_tokens": 500}), 201)
    planned = accepted(reserve(app, **call, input_tokens=500, max_tokens=500), 201)
    assert (known["amount"], planned["amount"]) == (1, 1)


def test_a_formula_is_held_at_its_top(at_noon: Timed) -> None:
    app, _ = at_noon
    make_budget(app, amount=10_000, enforcement="hard")
    call = {"provider": "openai", "model": "own", "input_tokens": 1_000, "max_tokens": 0}
    hill = {"type": "formula", "expression": "input_tokens * (1000 - input_tokens) * 0.001"}
    set_price(app, "own", pricing_structure=hill)
    assert accepted(reserve(app, **call), 201)["amount"] >= Decimal(250)
    falls = {"type": "formula", "expression": "100 / input_tokens"}
    set_price(app, "other", pricing_structure=falls)
    error(reserve(app, **{**call, "model": "other"}), 422, "COST_001")
