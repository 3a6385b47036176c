"""What one organization does at the desk keeps no other one from being served."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from llm_cost_ops.server.budgets import desk
from llm_cost_ops.server.budgets.desk import Desk
from llm_cost_ops.server.budgets.errand import RESERVE, Errand
from llm_cost_ops.server.budgets.expire import expire, expire_apart
from llm_cost_ops.server.budgets.jobs import EXPIRE, work
from llm_cost_ops.server.budgets.lanes import QUEUE, TRIES, Lanes
from llm_cost_ops.server.budgets.waiting import AT_ONCE, Waiting
from llm_cost_ops.server.db.errors import DatabaseUnavailable, SerializationRetry
from llm_cost_ops.server.db.session import WriteSession, write, write_retrying
from llm_cost_ops.server.spend.lock import hold_alone
from llm_cost_ops.server.spend.tables import spend_counters
from tests.server.budgets.test_extremes import status_of, unbookable
from tests.server.budgets.test_rules import Now, Timed, at_noon
from tests.support.application import Application
from tests.support.budgets import assert_counted, make_budget, release, reserve, settle
from tests.support.calls import accepted, select_all
from tests.support.database import KINDS

__all__ = ["at_noon"]
HARD = {"amount": 10, "enforcement": "hard"}


def _lock_counters(session: WriteSession, organization_id: str) -> None:
    mine = spend_counters.c.organization_id == organization_id
    assert session.execute(select(spend_counters).where(mine).with_for_update()).all()


@pytest.mark.parametrize("database_kind", KINDS[1:])
@pytest.mark.parametrize("lock", [hold_alone, _lock_counters])
def test_an_organization_whose_locks_are_held_waits_alone(
    at_noon: Timed, lock: Callable[[WriteSession, str], None]
) -> None:
    app, _ = at_noon
    other = app.another()
    for one in (app, other):
        make_budget(one, **HARD)
    blocked: list[httpx.Response] = []
    asks = [threading.Thread(target=lambda: blocked.append(reserve(app, "1"))) for _ in range(3)]
    with write(app.database) as session:
        lock(session, app.organization_id)
        for ask in asks:
            ask.start()
        for _ in range(30):
            held = accepted(reserve(other, "1"), 201)
            accepted(settle(other, held, cost="0.1"), 200)
        assert blocked == []
    for ask in asks:
        ask.join()
    assert [answer.status_code for answer in blocked] == [201, 201, 201]
    for one in (app, other):
        assert_counted(one)
    accepted(release(app, accepted(reserve(app, "7"), 201)), 200)  # its lane is gone again


def test_the_desk_leaves_what_cannot_be_booked_to_the_worker(
    at_noon: Timed, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, clock = at_noon
    looks: list[int] = []
    known = expire

    def noting(*args: Any, **named: Any) -> int:
        looks.append(1)
        return known(*args, **named)

    monkeypatch.setattr(desk, "expire", noting)
    fine = accepted(reserve(app, "2", input_tokens=1, ttl_seconds=1), 201)
    stuck = unbookable(app)
    looks.clear()
    clock.current += timedelta(seconds=4)
    for elapsed_s, expected in ((6, 1), (6, 1), (48, 1), (6, 2)):
        clock.elapsed_s += elapsed_s
        accepted(reserve(app.another(), "1"), 201)
        assert len(looks) == expected
    assert [status_of(app, one) for one in (fine["id"], stuck)] == ["open", "open"]
    work(app.database, clock).handlers[EXPIRE](Now(app))
    assert [status_of(app, one) for one in (fine["id"], stuck)] == ["expired", "open"]


def test_what_cannot_be_booked_is_postponed_for_longer_each_time(at_noon: Timed) -> None:
    app, clock = at_noon
    accepted(reserve(app, "2", input_tokens=1, ttl_seconds=1), 201)
    stuck = unbookable(app)
    began_us = clock.micros()
    hour = 3_600_000_000
    for age, later in ((hour // 2, hour), (3 * hour, 3 * hour), (1_000 * hour, 168 * hour)):
        clock.current += timedelta(microseconds=began_us + age - clock.micros())
        accepted(reserve(app, "2", input_tokens=1, ttl_seconds=1), 201)
        clock.current += timedelta(seconds=2)
        age += 2_000_000
        work(app.database, clock).handlers[EXPIRE](Now(app))
        (row,) = select_all(app, "SELECT expires_at FROM reservations WHERE id = :id", id=stuck)
        assert row[0] - clock.micros() == max(later, age if age < 168 * hour else 0)


def test_reservations_of_others_are_booked_together_beside_one_that_cannot_be(
    at_noon: Timed,
) -> None:
    app, clock = at_noon
    accepted(reserve(app, "2", input_tokens=1, ttl_seconds=1), 201)
    unbookable(app)
    other = app.another()
    fine = [accepted(reserve(other, "1", ttl_seconds=1), 201)["id"] for _ in range(9)]
    clock.current += timedelta(seconds=4)
    transactions: list[int] = []

    def counted(do: Callable[[WriteSession], Any]) -> Any:
        transactions.append(1)
        return write_retrying(app.database, do)

    expire_apart(counted, app.app.state.prices, clock.micros())
    assert {status_of(other, one) for one in fine} == {"expired"}
    assert len(transactions) < len(fine)


def test_equal_asks_look_again_one_at_a_time(
    sqlite_application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = sqlite_application
    make_budget(app, **HARD)
    held = accepted(reserve(app, "10"), 201)
    submitted: Counter[int] = Counter()
    known = Desk.submit

    def noting(self: Desk, errand: Errand) -> None:
        submitted[id(errand.ask)] += 1
        known(self, errand)

    monkeypatch.setattr(Desk, "submit", noting)
    asking = threading.Barrier(9)
    answers: list[int] = []

    def ask() -> None:
        asking.wait()
        answers.append(reserve(app, "1", max_wait_ms=8_000).status_code)

    asks = [threading.Thread(target=ask) for _ in range(8)]
    for one in asks:
        one.start()
    asking.wait()
    while submitted.total() < 20:  # everybody was refused at first
        threading.Event().wait(0.01)
    assert [looks > 1 for looks in submitted.values()].count(True) == 1
    accepted(release(app, held), 200)
    for one in asks:
        one.join()
    assert answers == [201] * 8


def test_waiters_are_woken_by_their_own_organization() -> None:
    async def run() -> tuple[int, int, int]:
        waiting = Waiting()
        mine = [asyncio.ensure_future(waiting.given_back("a", 9)) for _ in range(AT_ONCE + 1)]
        other = asyncio.ensure_future(waiting.given_back("b", 9))
        await asyncio.sleep(0)
        first, rest = waiting.woken("a"), waiting.woken("a")
        assert not other.done()
        for task in (*mine, other):
            task.cancel()
        await asyncio.gather(*mine, other, return_exceptions=True)
        return len(first), len(rest), len(waiting.woken("b"))

    assert asyncio.run(run()) == (AT_ONCE, 1, 0)


def test_a_lane_gives_up_in_the_end_and_takes_only_so_many() -> None:
    entered, go_on = threading.Event(), threading.Event()

    def serve(group: Any) -> Any:
        entered.set()
        go_on.wait(9)
        return group

    lanes = Lanes(serve)
    first = Errand(RESERVE, "a")
    assert not lanes.joined(first)
    lanes.open([first])
    entered.wait(9)
    joined = [Errand(RESERVE, "a") for _ in range(QUEUE + 1)]
    assert all(lanes.joined(errand) for errand in joined)
    assert isinstance(joined[-1].future.exception(0), DatabaseUnavailable)
    assert not lanes.joined(Errand(RESERVE, "b"))
    go_on.set()
    assert isinstance(first.future.exception(9), SerializationRetry)
    assert isinstance(joined[0].future.exception(9), SerializationRetry)
    assert (first.tries, joined[0].tries) == (TRIES, TRIES)
    lanes.close(9)
    assert not lanes.joined(Errand(RESERVE, "a"))
