"""Amounts at the end of what can be counted: refused to who brings them, harmless to the others."""

from __future__ import annotations

from datetime import timedelta

from llm_cost_ops.server.budgets.jobs import EXPIRE, work
from tests.server.budgets.test_rules import Now, Timed, at_noon, spend
from tests.support.application import Application
from tests.support.budgets import assert_counted, budget, make_budget, release, reserve
from tests.support.calls import accepted, body_of, error, select_all, send, tamper

__all__ = ["at_noon"]
MOST = 10**9


def test_an_ask_has_at_most_the_tokens_of_its_calls(at_noon: Timed) -> None:
    app, _ = at_noon
    error(reserve(app, "0", input_tokens=MOST, max_tokens=1), 422)
    usage = {"input_tokens": MOST, "output_tokens": 1}
    error(reserve(app, None, provider="openai", model="m", usage=usage), 422)
    call = {"provider": "openai", "model": "nobody-knows"}
    error(reserve(app, None, **call, input_tokens=MOST, max_tokens=1, requests=2), 422)
    error(reserve(app, "0", input_tokens=2 * MOST + 1, requests=2), 422)
    error(reserve(app, "0", input_tokens=1_000 * MOST + 1, requests=2_000), 422)
    accepted(reserve(app, "0", input_tokens=MOST, max_tokens=0), 201)
    accepted(reserve(app, "0", input_tokens=2 * MOST, requests=2), 201)
    accepted(reserve(app, "0", input_tokens=1_000 * MOST, requests=2_000), 201)
    accepted(reserve(app, None, **call, input_tokens=MOST, max_tokens=0, requests=2), 201)


def unbookable(app: Application) -> str:
    """A reservation of more tokens than an hour can hold beside those of another one."""
    held = accepted(reserve(app, "1", input_tokens=1, ttl_seconds=2), 201)
    tamper(app, f"UPDATE reservations SET tokens = {2**63 - 1} WHERE id = '{held['id']}'")
    return str(held["id"])


def test_what_cannot_be_booked_is_postponed_and_the_rest_is_booked(at_noon: Timed) -> None:
    app, clock = at_noon
    fine = accepted(reserve(app, "2", input_tokens=1, ttl_seconds=1), 201)
    stuck = unbookable(app)
    also = accepted(reserve(app, "2", input_tokens=1, ttl_seconds=3), 201)
    clock.current += timedelta(seconds=4)
    work(app.database, clock).handlers[EXPIRE](Now(app))
    assert [status_of(app, one) for one in (fine["id"], stuck, also["id"])] == [
        "expired", "open", "expired",
    ]  # fmt: skip
    clock.current += timedelta(seconds=3_599)
    expires = "SELECT COUNT(*) FROM reservations WHERE id = :id AND expires_at > :now"
    assert select_all(app, expires, id=stuck, now=clock.micros()) == [(1,)]
    clock.current += timedelta(seconds=1)
    assert select_all(app, expires, id=stuck, now=clock.micros()) == [(0,)]


def test_the_desk_goes_on_when_something_cannot_be_booked(at_noon: Timed) -> None:
    app, clock = at_noon
    accepted(reserve(app, "2", input_tokens=1, ttl_seconds=1), 201)
    stuck = unbookable(app)
    clock.current += timedelta(seconds=4)
    clock.elapsed_s += 6
    held = accepted(reserve(app, "1"), 201)
    assert status_of(app, stuck) == "open"
    accepted(release(app, held), 200)


def status_of(app: Application, reservation_id: str) -> str:
    return str(body_of(app.get(f"/api/v1/budgets/reservations/{reservation_id}"))["status"])


def test_a_rollover_stops_at_the_largest_amount(at_noon: Timed) -> None:
    app, clock = at_noon
    made = make_budget(app, amount=100_000_000, period="daily", rollover=True)
    clock.current += timedelta(days=12)
    spend(app, 1)
    accepted(reserve(app, "1"), 201)
    found = budget(app, made["id"])
    assert (found["carried_over"], found["limit"]) == (800_000_000, 900_000_000)


def test_reserved_tokens_do_not_leave_64_bits(at_noon: Timed) -> None:
    app, _ = at_noon
    make_budget(app, amount=10)
    accepted(reserve(app, "0", input_tokens=1), 201)
    tamper(app, f"UPDATE spend_counters SET reserved_tokens = {9 * 10**18 - 7}")
    error(reserve(app, "0", input_tokens=8), 402)
    accepted(reserve(app, "0", input_tokens=7), 201)
    tamper(app, f"UPDATE spend_counters SET reserved_requests = {9 * 10**18}")
    error(reserve(app, "0"), 402)


def test_an_adjusted_budget_has_at_most_the_largest_amount(at_noon: Timed) -> None:
    app, _ = at_noon
    made = make_budget(app, amount=1)
    path = f"/budgets/{made['id']}/adjustments"
    more = {"type": "increase", "amount": 899_999_999, "reason": "x"}
    accepted(send(app, path, more), 201)
    error(send(app, path, {**more, "amount": "0.0000000001"}), 422)
    assert budget(app, made["id"])["limit"] == 900_000_000


def test_counted_tokens_do_not_leave_64_bits(at_noon: Timed) -> None:
    app, _ = at_noon
    made = make_budget(app, amount=10)
    tamper(app, f"UPDATE spend_counters SET tokens = {2**63 - 10}")
    call = {"model": "m", "provider": "openai", "cost": 1}
    usage = {"provider": "openai", "model_name": "gpt-4o", "prompt_tokens": 6,
             "completion_tokens": 4}  # fmt: skip
    error(send(app, "/usage", usage), 422)
    accepted(send(app, "/costs", call), 201)
    assert budget(app, made["id"])["spent"] == 1


def test_amounts_of_a_new_budget_that_cannot_be_counted(at_noon: Timed) -> None:
    app, _ = at_noon
    accepted(reserve(app, "0", input_tokens=1), 201)
    accepted(reserve(app, "0", input_tokens=1), 201)
    tamper(app, f"UPDATE reservations SET tokens = {2**62}")
    error(send(app, "/budgets", {"name": "x", "amount": 1}), 422)
    assert_counted(app)
