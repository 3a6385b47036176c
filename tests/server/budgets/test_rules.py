"""What budgets do in time: periods, thresholds, throttling, rollover, adjustments, expiry."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.server.budgets.expire import expire
from llm_cost_ops.server.budgets.jobs import EXPIRE, work
from llm_cost_ops.server.clock import FixedClock
from llm_cost_ops.server.db.session import write_retrying
from llm_cost_ops.server.settings import DatabaseSettings
from tests.server.budgets.test_model import timed
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
    select_all,
    send,
)

Timed = tuple[Application, FixedClock]


@pytest.fixture
def at_noon(database_settings: DatabaseSettings) -> Iterator[Timed]:
    with timed(database_settings) as (app, clock):
        clock.current = datetime(2027, 3, 10, 12, tzinfo=UTC)
        yield app, clock


def spend(app: Application, cost: object, **fields: Any) -> Any:
    body = {"model": "m", "provider": "openai", "cost": cost, **fields}
    return accepted(send(app, "/costs", body), 201)


def events(app: Application, topic: str) -> list[dict[str, Any]]:
    rows = select_all(
        app, "SELECT payload FROM outbox WHERE organization_id = :org AND topic = :topic "
        "ORDER BY created_at, id", org=app.organization_id, topic=topic,
    )  # fmt: skip
    return [loads(row[0]) if isinstance(row[0], str) else row[0] for row in rows]


def thresholds(app: Application) -> list[Decimal]:
    found = [event["threshold"] for event in events(app, "budget.threshold_exceeded")]
    return sorted(found)


def expired(app: Application, clock: FixedClock) -> int:
    prices = app.app.state.prices
    now_us = clock.micros()
    return write_retrying(app.database, lambda session: expire(session, prices, now_us))


def test_thresholds_are_told_once_a_period_also_when_jumped_over(at_noon: Timed) -> None:
    app, clock = at_noon
    make_budget(app, amount=10, period="daily", alert_thresholds=["0.5", "0.8", 1])
    spend(app, "4.9999999999")
    assert thresholds(app) == []
    spend(app, "0.0000000001")
    assert thresholds(app) == [Decimal("0.5")]
    spend(app, 5)
    assert thresholds(app) == [Decimal("0.5"), Decimal("0.8"), 1]
    assert events(app, "budget.exceeded") == []
    spend(app, "0.0000000001")
    spend(app, 1)
    assert len(events(app, "budget.exceeded")) == 1
    assert len(thresholds(app)) == 3
    clock.current += timedelta(days=1)
    spend(app, 9, timestamp="2027-03-10T12:00:00Z")
    assert len(thresholds(app)) == 3
    spend(app, 9)
    assert len(thresholds(app)) == 5
    told = events(app, "budget.threshold_exceeded")[-1]
    assert (told["budget_name"], told["spent"], told["utilization"]) == ("test", 9, Decimal("0.9"))


def test_a_call_that_is_taken_back_and_made_again_is_not_told_twice(at_noon: Timed) -> None:
    app, _ = at_noon
    make_budget(app, amount=10, alert_thresholds=[50])
    first = spend(app, 6)
    app.delete(f"/api/v1/costs/{first['id']}")
    spend(app, 6)
    assert thresholds(app) == [Decimal("0.5")]


def test_a_new_period_starts_clean_and_a_settlement_counts_in_its_own(at_noon: Timed) -> None:
    app, clock = at_noon
    made = make_budget(app, amount=10, period="daily", enforcement="hard")
    held = accepted(reserve(app, "8", ttl_seconds=86_400), 201)
    clock.current += timedelta(hours=12)
    fresh = budget(app, made["id"])
    assert (fresh["spent"], fresh["reserved"], fresh["remaining"]) == (0, 0, 10)
    done = accepted(settle(app, held, cost=6), 200)
    assert cost_row(app, done["record_id"])["timestamp"].startswith("2027-03-10T12:00:00")
    assert budget(app, made["id"])["spent"] == 0
    assert_counted(app)


def test_a_budget_that_is_lowered_while_something_is_held(at_noon: Timed) -> None:
    app, _ = at_noon
    made = make_budget(app, amount=10, enforcement="hard")
    held = accepted(reserve(app, "8"), 201)
    accepted(put(app, f"/budgets/{made['id']}", {"amount": 5}), 200)
    now = budget(app, made["id"])
    assert (now["reserved"], now["remaining"]) == (8, 0)
    error(reserve(app, "0.0000000001"), 402, "BUDGET_EXCEEDED")
    accepted(settle(app, held, cost=7), 200)
    now = budget(app, made["id"])
    assert (now["spent"], now["reserved"], now["remaining"], now["status"]) == (7, 0, 0, "exceeded")
    assert_counted(app)


def test_other_periods_are_counted_anew_and_keep_what_is_held(at_noon: Timed) -> None:
    app, _ = at_noon
    spend(app, 3, timestamp="2027-03-02T12:00:00Z")
    made = make_budget(app, amount=10, period="daily", enforcement="hard")
    held = accepted(reserve(app, "2"), 201)
    monthly = accepted(put(app, f"/budgets/{made['id']}", {"period": "monthly"}), 200)
    assert (monthly["spent"], monthly["reserved"]) == (3, 2)
    elsewhere = accepted(put(app, f"/budgets/{made['id']}", {"scope": {"team_id": "t"}}), 200)
    assert (elsewhere["spent"], elsewhere["reserved"]) == (0, 0)
    back = accepted(put(app, f"/budgets/{made['id']}", {"scope": {}}), 200)
    assert (back["spent"], back["reserved"]) == (3, 2)
    accepted(release(app, held), 200)
    assert budget(app, made["id"])["reserved"] == 0
    assert_counted(app)


def test_days_of_a_clock_change_are_days_of_the_zone(at_noon: Timed) -> None:
    app, clock = at_noon
    clock.current = datetime(2027, 3, 14, 4, 59, 59, tzinfo=UTC)
    made = make_budget(app, amount=10, period="daily", timezone="America/New_York")
    assert made["period_end"] == "2027-03-14T05:00:00Z"
    clock.current = datetime(2027, 3, 14, 5, tzinfo=UTC)
    found = budget(app, made["id"])
    assert (found["period_start"], found["period_end"]) == (
        "2027-03-14T05:00:00Z", "2027-03-15T04:00:00Z",
    )  # fmt: skip


def test_an_expired_reservation_is_booked_at_its_estimate(at_noon: Timed) -> None:
    app, clock = at_noon
    made = make_budget(app, amount=10, enforcement="hard")
    call = {"provider": "openai", "model": "gpt-4o", "input_tokens": 1000, "max_tokens": 500}
    held = accepted(reserve(app, **call, ttl_seconds=60, project_id="p"), 201)
    clock.current += timedelta(seconds=59)
    assert expired(app, clock) == 0
    clock.current += timedelta(seconds=1)
    assert expired(app, clock) == 1
    assert expired(app, clock) == 0
    now = budget(app, made["id"])
    assert (now["spent"], now["reserved"]) == (Decimal("0.0075"), 0)
    found = body_of(app.get(f"/api/v1/budgets/reservations/{held['id']}"))
    assert (found["status"], found["cost"]) == ("expired", Decimal("0.0075"))
    row = cost_row(app, found["record_id"])
    assert (row["status"], row["project_id"], row["prompt_tokens"]) == ("estimated", "p", 1000)
    done = accepted(settle(app, held, usage={"input_tokens": 1000, "output_tokens": 100}), 200)
    assert (done["status"], done["cost"]) == ("settled", Decimal("0.0035"))
    assert budget(app, made["id"])["spent"] == Decimal("0.0035")
    assert accepted(settle(app, held, usage={"output_tokens": 100, "input_tokens": 1000})) == done
    error(release(app, held), 409)
    assert_proven(app, "0.0035")
    assert_counted(app)


def test_an_expired_reservation_of_a_call_that_was_not_made(at_noon: Timed) -> None:
    app, clock = at_noon
    made = make_budget(app, amount=10, enforcement="hard")
    held = accepted(reserve(app, "3", ttl_seconds=1), 201)
    clock.current += timedelta(seconds=2)
    expired(app, clock)
    done = accepted(release(app, held), 200)
    assert (done["status"], done["released"]) == ("released", 3)
    assert accepted(release(app, held), 200) == done
    assert budget(app, made["id"])["spent"] == 0
    assert_proven(app, 0)
    assert_counted(app)


def test_sliding_budgets_forget_step_by_step(at_noon: Timed) -> None:
    app, clock = at_noon
    made = make_budget(app, amount=10, period="daily", rolling=True, enforcement="hard",
                       alert_thresholds=["0.5"])  # fmt: skip
    spend(app, 6)
    clock.current += timedelta(hours=23, minutes=59)
    error(reserve(app, "4.0000000001"), 402)
    held = accepted(reserve(app, "4"), 201)
    assert budget(app, made["id"])["reserved"] == 4
    accepted(settle(app, held, cost=1), 200)
    assert len(thresholds(app)) == 1
    clock.current += timedelta(hours=1, minutes=1)
    now = budget(app, made["id"])
    assert (now["spent"], now["remaining"]) == (1, 9)
    assert_counted(app)


def test_what_is_not_used_rolls_over_up_to_a_cap(at_noon: Timed) -> None:
    app, clock = at_noon
    made = make_budget(app, amount=10, period="daily", enforcement="hard",
                       rollover={"percent": 50, "cap": 4})  # fmt: skip
    spend(app, 4)
    clock.current += timedelta(days=1)
    now = budget(app, made["id"])
    assert (now["carried_over"], now["limit"], now["remaining"]) == (3, 13, 13)
    error(reserve(app, "13.0000000001"), 402)
    held = accepted(reserve(app, "13"), 201)
    accepted(settle(app, held, cost=13), 200)
    clock.current += timedelta(days=1)
    assert budget(app, made["id"])["carried_over"] == 0
    clock.current += timedelta(days=5)
    assert budget(app, made["id"])["carried_over"] == 4


def test_throttled_calls_are_delayed_or_counted_by_the_minute(at_noon: Timed) -> None:
    app, clock = at_noon
    made = make_budget(app, amount=10, enforcement="throttle",
                       throttle={"above": "0.5", "per_minute": 2})  # fmt: skip
    accepted(reserve(app, "4.9"), 201)
    for _ in range(2):
        accepted(reserve(app, "0.1"), 201)
    refused = reserve(app, "0.1")
    assert error(refused, 429, "RATE_LIMIT_EXCEEDED")["budget_id"] == made["id"]
    assert refused.headers["Retry-After"] == "60"
    clock.current += timedelta(seconds=60)
    accepted(reserve(app, "100"), 201)
    slow = put(app, f"/budgets/{made['id']}/enforcement",
               {"enforcement": "throttle", "throttle": {"above": 0, "delay_ms": 1}})  # fmt: skip
    accepted(slow, 200)
    assert accepted(reserve(app, "0.1"), 201)["delay_ms"] == 1


def test_soft_budgets_let_everything_through_and_say_so(at_noon: Timed) -> None:
    app, _ = at_noon
    make_budget(app, amount=1)
    held = accepted(reserve(app, "5"), 201)
    assert held["budgets"][0]["exceeded"] is True
    assert body_of(send(app, "/budgets/check", {"estimated_cost": 5}))["allowed"] is True


def test_requests_and_tokens_are_limits_too(at_noon: Timed) -> None:
    app, _ = at_noon
    make_budget(app, request_limit=2, token_limit=100, enforcement="hard")
    call = {"provider": "openai", "model": "nobody-knows", "input_tokens": 40, "max_tokens": 20}
    held = accepted(reserve(app, **call), 201)
    assert held["basis"] == "unpriced"
    error(reserve(app, **call), 402, "BUDGET_EXCEEDED")
    accepted(reserve(app, **{**call, "max_tokens": 0}), 201)
    error(reserve(app, **{**call, "input_tokens": 0, "max_tokens": 0}), 402)


def test_without_a_price_a_hard_budget_of_money_cannot_judge(at_noon: Timed) -> None:
    app, _ = at_noon
    make_budget(app, amount=10, enforcement="hard")
    call = {"provider": "openai", "model": "nobody-knows", "input_tokens": 4, "max_tokens": 2}
    error(reserve(app, **call), 422, "COST_001")
    held = accepted(reserve(app, "1", provider="openai", model="nobody-knows"), 201)
    error(settle(app, held, usage={"input_tokens": 4}), 422, "COST_001")
    accepted(settle(app, held, cost="0.5"), 200)
    error(reserve(app, "1", currency="EUR"), 422)


def test_a_settlement_under_an_event_id_that_is_recorded_already(at_noon: Timed) -> None:
    app, _ = at_noon
    made = make_budget(app, amount=10, enforcement="hard")
    known = spend(app, 2, event_id="call-1", source="gateway")
    held = accepted(reserve(app, "5", provider="openai", model="m"), 201)
    done = accepted(settle(app, held, cost=2, event_id="call-1", source="gateway"), 200)
    assert (done["record_id"], done["cost"], done["released"]) == (known["id"], 2, 3)
    assert budget(app, made["id"])["spent"] == 2
    assert_proven(app, 2)


def test_amounts_are_moved_with_a_reason(at_noon: Timed) -> None:
    app, clock = at_noon
    one = make_budget(app, name="one", amount=10, enforcement="hard", project_id="a")
    two = make_budget(app, name="two", amount=5, project_id="b")
    path = f"/budgets/{one['id']}/adjustments"
    given = {"type": "transfer", "amount": 4, "to_budget_id": two["id"], "reason": "launch"}
    moved = accepted(send(app, path, given), 201)
    assert (moved["limit"], moved["amount"], moved["adjusted"]) == (6, 10, -4)
    assert budget(app, two["id"])["limit"] == 9
    error(reserve(app, "6.0000000001", project_id="a"), 402)
    clock.current += timedelta(seconds=1)
    accepted(send(app, path, {"type": "increase", "amount": "0.5", "reason": "more"}), 201)
    accepted(reserve(app, "6.5", project_id="a"), 201)
    too_much = {"type": "decrease", "amount": "6.5000000001", "reason": "less"}
    error(send(app, path, too_much), 422)
    listed = body_of(app.get(f"/api/v1{path}"))["data"]
    assert [(row["type"], row["amount"], row["reason"]) for row in listed] == [
        ("increase", Decimal("0.5"), "more"), ("transfer_out", -4, "launch"),
    ]  # fmt: skip
    assert all(row["actor_id"] for row in listed)
    clock.current += timedelta(days=31)
    assert budget(app, one["id"])["limit"] == 10
    for bad in (
        {"type": "gift"}, {"type": "increase", "amount": 1}, {"type": "increase", "reason": "x"},
        {"type": "transfer", "amount": 1, "reason": "x"},
        {"type": "increase", "amount": 0, "reason": "x"},
        {"type": "transfer", "amount": 1, "reason": "x", "to_budget_id": one["id"]},
        {"type": "increase", "amount": 1, "reason": "x", "colour": "red"},
    ):  # fmt: skip
        error(send(app, path, bad), 422)
    unknown = {**given, "to_budget_id": "bud_00000000000000000000000000"}
    error(send(app, path, unknown), 404)


def test_children_may_not_exceed_their_parent(at_noon: Timed) -> None:
    app, _ = at_noon
    top = make_budget(app, amount=10)
    below = {"parent_id": top["id"], "name": "x"}
    half = make_budget(app, **below, allocation_percent=50, team_id="a")
    assert half["amount"] == 5
    fixed = make_budget(app, **below, amount=5, team_id="b")
    error(send(app, "/budgets", {**below, "amount": "0.0000000001", "team_id": "c"}), 422)
    error(send(app, "/budgets", {**below, "amount": 1, "period": "daily"}), 422)
    error(send(app, "/budgets", {**below, "amount": 1, "currency": "EUR"}), 422)
    error(send(app, "/budgets", {"name": "x", "amount": 1, "parent_id": "bud_0"}), 422)
    error(send(app, "/budgets", {"name": "x", "allocation_percent": 5}), 422)
    error(put(app, f"/budgets/{top['id']}", {"parent_id": fixed["id"]}), 422)
    more = {"type": "increase", "amount": 1, "reason": "x"}
    error(send(app, f"/budgets/{fixed['id']}/adjustments", more), 422)
    accepted(send(app, f"/budgets/{top['id']}/adjustments", more), 201)
    accepted(send(app, f"/budgets/{fixed['id']}/adjustments", more), 201)
    error(put(app, f"/budgets/{top['id']}", {"amount": 9}), 422)
    accepted(put(app, f"/budgets/{top['id']}", {"amount": 9, "allow_overallocation": True}), 200)
    assert budget(app, half["id"])["amount"] == Decimal("4.5")


def test_where_a_budget_is_heading(at_noon: Timed) -> None:
    app, _ = at_noon
    for day in range(1, 10):
        spend(app, 10 + day % 2, timestamp=f"2027-03-{day:02}T08:00:00Z")
    made = make_budget(app, amount=200)
    found = body_of(app.get(f"/api/v1/budgets/{made['id']}/status"))
    assert found["spent"] == 95
    assert round(found["burn_rate"], 4) == Decimal("10.5556")
    projection = found["projection"]
    assert projection["based_on_days"] == 9
    assert projection["lower_bound"] < projection["value"] < projection["upper_bound"]
    assert projection["breach_date"].startswith("2027-03-20T")
    assert projection["breach_probability"] == 1
    assert found["days_left"] == Decimal("21.5")


def test_the_current_budget(at_noon: Timed) -> None:
    app, _ = at_noon
    error(app.get("/api/v1/budgets/current"), 404)
    a = make_budget(app, amount=10, project_id="a")
    make_budget(app, amount=20, project_id="b")
    spend(app, 3, project_id="a")
    together = body_of(app.get("/api/v1/budgets/current"))
    assert (together["id"], together["amount"], together["spent"]) == (None, 30, 3)
    assert together["utilization"] == Decimal("0.1")
    assert a["id"] in together["budget_ids"]
    whole = make_budget(app, amount=6)
    assert body_of(app.get("/api/v1/budgets/current"))["id"] == whole["id"]
    assert body_of(app.get("/api/v1/budgets/current"))["utilization"] == Decimal("0.5")


def test_lists_are_filtered_and_paged(at_noon: Timed) -> None:
    app, clock = at_noon
    for number in range(3):
        clock.current += timedelta(seconds=1)
        make_budget(app, name=f"n{number}", amount=1, project_id=f"p{number}")
    first = body_of(app.get("/api/v1/budgets?limit=2"))
    assert [row["name"] for row in first["data"]] == ["n0", "n1"]
    rest = body_of(app.get(f"/api/v1/budgets?limit=2&cursor={first['next_cursor']}"))
    assert [row["name"] for row in rest["data"]] == ["n2"]
    assert len(body_of(app.get("/api/v1/budgets?project_id=p1"))["data"]) == 1
    assert body_of(app.get("/api/v1/budgets?enforcement=hard"))["data"] == []
    error(app.get("/api/v1/budgets?colour=red"), 422)


def test_the_worker_books_what_expired(at_noon: Timed) -> None:
    app, clock = at_noon
    made = make_budget(app, amount=10, enforcement="hard")
    accepted(reserve(app, "3", ttl_seconds=1), 201)
    clock.current += timedelta(seconds=2)
    handler = work(app.database, clock).handlers[EXPIRE]
    handler(Now(app))
    now = budget(app, made["id"])
    assert (now["spent"], now["reserved"]) == (3, 0)


class Now:
    """A job under way, committed as the worker would."""

    job: Any = None
    stopping = False

    def __init__(self, app: Application) -> None:
        self._database = app.database

    def write(self, work: Any) -> Any:
        return write_retrying(self._database, work)
