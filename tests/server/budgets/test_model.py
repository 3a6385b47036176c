"""Any order of what can happen to budgets, against a model in plain Decimals: after every step what
is spent, held and left is what the model says, and the ledger agrees with every counter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from llm_cost_ops.server.budgets.expire import expire
from llm_cost_ops.server.clock import FixedClock
from llm_cost_ops.server.db.session import write_retrying
from llm_cost_ops.server.settings import DatabaseSettings, Settings
from tests.chaos.scale import SEED
from tests.support.application import Application, running
from tests.support.budgets import assert_counted, make_budget, release, reserve, settle
from tests.support.calls import accepted, assert_proven, body_of, error, send
from tests.support.database import KINDS

START = datetime(2027, 2, 26, 9, 30, tzinfo=UTC)
SCOPES: tuple[dict[str, Any], ...] = (
    {},
    {"project_id": "p0"},
    {"team_id": ["t0", "t1"], "project_id": "p1"},
    {"tags": ["red"]},
    {"metadata": {"who": "x"}},
)
LABELS: tuple[dict[str, Any], ...] = (
    {"project_id": "p0"},
    {"project_id": "p1", "team_id": "t0", "tags": ["red"]},
    {"project_id": "p1", "team_id": "t2", "metadata": {"who": "x"}},
    {"tags": ["red", "blue"], "metadata": {"who": "x"}},
)
CENT = Decimal("0.01")
labels = st.sampled_from(LABELS)
amounts = st.integers(0, 500).map(lambda n: n * CENT)
PHASES = (Phase.explicit, Phase.generate)


def holds(scope: dict[str, Any], call: dict[str, Any]) -> bool:
    def one(name: str, wanted: Any) -> bool:
        if name == "metadata":
            return all(call.get("metadata", {}).get(k) == v for k, v in wanted.items())
        if name == "tags":
            return any(tag in call.get("tags", ()) for tag in wanted)
        return call.get(name) in (wanted if isinstance(wanted, list) else [wanted])

    return all(one(name, wanted) for name, wanted in scope.items())


@dataclass
class ModelBudget:
    id: str
    scope: dict[str, Any]
    limit: Decimal
    hard: bool
    period: str
    since: datetime

    def start(self, at: datetime) -> datetime:
        day = at.replace(hour=0, minute=0, second=0, microsecond=0)
        return day if self.period == "daily" else day.replace(day=1)

    def counts(self, call: ModelCall, now: datetime) -> bool:
        if call.at < self.since or self.start(call.at) != self.start(now):
            return False
        return holds(self.scope, call.labels)


@dataclass
class ModelCall:
    id: str
    at: datetime
    cost: Decimal
    labels: dict[str, Any]
    voided: bool = False


@dataclass
class ModelHold:
    reservation: dict[str, Any]
    at: datetime
    expires: datetime
    amount: Decimal
    labels: dict[str, Any]
    held_by: set[str] = field(default_factory=set[str])
    status: str = "open"
    call: ModelCall | None = None


class Budgets(RuleBasedStateMachine):
    """Runs the app and the model side by side, each example in an organization of its own."""

    def __init__(self, app: Application, clock: FixedClock) -> None:
        super().__init__()
        self.app, self.clock = app.another(), clock
        self.budgets: list[ModelBudget] = []
        self.calls: list[ModelCall] = []
        self.holds: list[ModelHold] = []

    @property
    def now(self) -> datetime:
        return self.clock.current

    def spent(self, budget: ModelBudget) -> Decimal:
        calls = [c for c in self.calls if not c.voided and budget.counts(c, self.now)]
        return sum((c.cost for c in calls), Decimal(0))

    def held(self, budget: ModelBudget) -> Decimal:
        return sum(
            (
                h.amount
                for h in self.holds
                if h.status == "open"
                and budget.id in h.held_by
                and budget.start(h.at) == budget.start(self.now)
            ),
            Decimal(0),
        )

    @rule(
        scope=st.sampled_from(SCOPES),
        limit=st.integers(0, 3000).map(lambda n: n * CENT),
        hard=st.booleans(),
        period=st.sampled_from(("daily", "monthly")),
    )
    def create(self, scope: dict[str, Any], limit: Decimal, hard: bool, period: str) -> None:
        if len(self.budgets) >= 4:
            return
        made = make_budget(
            self.app,
            amount=limit,
            scope=scope,
            enforcement="hard" if hard else "soft",
            period=period,
        )
        new = ModelBudget(made["id"], scope, limit, hard, period, self.now)
        new.since = new.start(self.now)
        for hold in self.holds:
            if hold.at >= new.since and holds(scope, hold.labels):
                hold.held_by.add(new.id)
        self.budgets.append(new)

    @rule(place=st.integers(0, 3), limit=st.integers(0, 3000).map(lambda n: n * CENT))
    def change_limit(self, place: int, limit: Decimal) -> None:
        if place < len(self.budgets):
            budget = self.budgets[place]
            answer = self.app.request(
                "PUT", f"/api/v1/budgets/{budget.id}", json={"amount": str(limit)}
            )
            assert answer.status_code == 200, answer.text
            budget.limit = limit

    @rule(place=st.integers(0, 9))
    def remove(self, place: int) -> None:
        if place < len(self.budgets):
            gone = self.budgets.pop(place)
            assert self.app.delete(f"/api/v1/budgets/{gone.id}").status_code == 204

    @rule(call=labels, amount=amounts, ttl=st.sampled_from([60, 7200]))
    def reserve(self, call: dict[str, Any], amount: Decimal, ttl: int) -> None:
        matching = [b for b in self.budgets if holds(b.scope, call)]
        fits = all(not b.hard or self.spent(b) + self.held(b) + amount <= b.limit for b in matching)
        answer = reserve(self.app, str(amount), ttl_seconds=ttl, **call)
        if not fits:
            error(answer, 402, "BUDGET_EXCEEDED")
            return
        held = accepted(answer, 201)
        assert [b["id"] for b in held["budgets"]] == sorted(b.id for b in matching)
        expires = self.now + timedelta(seconds=ttl)
        ids = {b.id for b in matching}
        self.holds.append(ModelHold(held, self.now, expires, amount, call, ids))

    @rule(place=st.integers(0, 20), cost=amounts)
    def settle(self, place: int, cost: Decimal) -> None:
        if place >= len(self.holds):
            return
        hold = self.holds[place]
        answer = settle(self.app, hold.reservation, cost=str(cost))
        if hold.status in ("settled", "released"):
            same = hold.status == "settled" and hold.call is not None and hold.call.cost == cost
            assert answer.status_code == (200 if same else 409), answer.text
            return
        done = accepted(answer, 200)
        assert (done["status"], done["cost"]) == ("settled", cost)
        if hold.call is None:
            hold.call = ModelCall(done["record_id"], hold.at, cost, hold.labels)
            self.calls.append(hold.call)
        hold.call.cost, hold.status = cost, "settled"

    @rule(place=st.integers(0, 20))
    def release(self, place: int) -> None:
        if place >= len(self.holds):
            return
        hold = self.holds[place]
        answer = release(self.app, hold.reservation)
        assert answer.status_code == (409 if hold.status == "settled" else 200), answer.text
        if hold.status == "expired" and hold.call is not None:
            hold.call.voided = True
        if hold.status != "settled":
            hold.status = "released"

    @rule(call=labels, cost=amounts, late=st.integers(0, 60))
    def spend(self, call: dict[str, Any], cost: Decimal, late: int) -> None:
        at = self.now - timedelta(hours=late)
        body = {"model": "m", "provider": "openai", "cost": cost, "timestamp": at.isoformat(),
                **call}  # fmt: skip
        made = accepted(send(self.app, "/costs", body), 201)
        self.calls.append(ModelCall(made["id"], at, cost, call))

    @rule(place=st.integers(0, 20))
    def void(self, place: int) -> None:
        mine = {hold.call.id for hold in self.holds if hold.call and hold.status == "expired"}
        calls = [call for call in self.calls if not call.voided and call.id not in mine]
        if place < len(calls):
            answer = self.app.delete(f"/api/v1/costs/{calls[place].id}")
            assert answer.status_code == 204, answer.text
            calls[place].voided = True

    @rule(place=st.integers(0, 20), tags=st.sampled_from([["red"], ["blue"], []]))
    def relabel(self, place: int, tags: list[str]) -> None:
        calls = [call for call in self.calls if not call.voided]
        if place < len(calls):
            path = f"/api/v1/costs/{calls[place].id}"
            answer = self.app.request("PATCH", path, json={"tags": tags})
            assert answer.status_code == 200, answer.text
            calls[place].labels = {**calls[place].labels, "tags": tags}

    @rule(hours=st.sampled_from([0, 1, 5, 30, 60]))
    def pass_time(self, hours: int) -> None:
        self.clock.current += timedelta(hours=hours, minutes=2)

    @rule()
    def reap(self) -> None:
        prices, now_us = self.app.app.state.prices, self.clock.micros()
        write_retrying(self.app.database, lambda session: expire(session, prices, now_us))
        for hold in self.holds:
            if hold.status == "open" and hold.expires <= self.now:
                hold.status = "expired"
                row = body_of(
                    self.app.get(f"/api/v1/budgets/reservations/{hold.reservation['id']}")
                )
                assert (row["status"], row["cost"]) == ("expired", hold.amount)
                hold.call = ModelCall(row["record_id"], hold.at, hold.amount, hold.labels)
                self.calls.append(hold.call)

    @invariant()
    def every_budget_says_what_the_model_says(self) -> None:
        listed = body_of(self.app.get("/api/v1/budgets"))["data"]
        assert [row["id"] for row in listed] == sorted(b.id for b in self.budgets)
        rows = {row["id"]: row for row in listed}
        for budget in self.budgets:
            row, spent, held = rows[budget.id], self.spent(budget), self.held(budget)
            assert (row["spent"], row["reserved"]) == (spent, held)
            assert row["remaining"] == max(Decimal(0), budget.limit - spent - held)

    @invariant()
    def the_ledger_agrees(self) -> None:
        total = sum((call.cost for call in self.calls if not call.voided), Decimal(0))
        assert_proven(self.app, total)
        assert_counted(self.app)


def explore(app: Application, clock: FixedClock, examples: int, steps: int) -> None:
    class OfApp(Budgets):
        def __init__(self) -> None:
            super().__init__(app, clock)

    print(f"seed {SEED}")
    run_state_machine_as_test(
        seed(SEED)(OfApp),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
            phases=PHASES,
            database=None,
        ),
    )


@contextmanager
def timed(database: DatabaseSettings) -> Iterator[tuple[Application, FixedClock]]:
    clock = FixedClock(START)
    patient = replace(database, lock_timeout_ms=20_000, statement_timeout_ms=30_000)
    with running(Settings(database=patient), clock=clock) as app:
        yield app, clock


def test_any_history_keeps_within_its_budgets(sqlite_settings: DatabaseSettings) -> None:
    with timed(sqlite_settings) as (app, clock):
        explore(app, clock, examples=10, steps=30)


@pytest.mark.parametrize("database_kind", KINDS[1:])
def test_any_history_keeps_within_its_budgets_on_servers(
    database_settings: DatabaseSettings,
) -> None:
    with timed(database_settings) as (app, clock):
        explore(app, clock, examples=2, steps=25)
