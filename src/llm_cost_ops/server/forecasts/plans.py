"""Which budget a forecast is about: one that is stored, or one that is only thought of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import cast

from llm_cost_ops.core.budget import Budget
from llm_cost_ops.core.definition import Defaults, canonical, make_budget
from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.grants import Reach
from llm_cost_ops.core.money import parse_decimal
from llm_cost_ops.core.period import Window
from llm_cost_ops.core.providers.names import provider_id
from llm_cost_ops.server.analytics.asked import Asked
from llm_cost_ops.server.analytics.request import Home
from llm_cost_ops.server.budgets.allowed import is_readable, outside
from llm_cost_ops.server.budgets.plan import BudgetUnknown
from llm_cost_ops.server.budgets.standings import standings
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.forecasts.breach import THRESHOLDS, BudgetEndless, Course, read_days
from llm_cost_ops.server.forecasts.terms import confidence_of, model_of
from llm_cost_ops.server.ledger.recount import scopes_of
from llm_cost_ops.server.ledger.scoped import sums
from llm_cost_ops.server.spend import store
from llm_cost_ops.server.spend.index import Index

MAX_THRESHOLDS = 20


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked of a budget: `budget_id`, or the `fields` of a budget that is not stored."""

    budget_id: str | None
    fields: Mapping[str, object]
    model: str
    confidence: Decimal
    thresholds: tuple[Decimal, ...]


def plan_of(asked: Asked) -> Plan:
    """Reads a budget forecast's fields. Raises Problem 422."""
    budget_id = asked.text("budget_id")
    model, confidence = model_of(asked), confidence_of(asked)
    thresholds = _thresholds(asked)
    fields = asked.rest()
    if budget_id is not None:
        asked.errors.update(dict.fromkeys(fields, "cannot be combined with budget_id"))
    asked.check()
    return Plan(budget_id, fields, model, confidence, thresholds)


def _thresholds(asked: Asked) -> tuple[Decimal, ...]:
    given = asked.pop("alert_thresholds")
    if given is None:
        return THRESHOLDS
    listed = cast("list[object]", given) if isinstance(given, list) else [given]
    try:
        found = tuple(parse_decimal(each, "alert_thresholds") for each in listed)
    except DomainError as error:
        asked.note(error, "alert_thresholds")
        return THRESHOLDS
    if not 0 < len(found) <= MAX_THRESHOLDS or not all(0 < each <= 10 for each in found):
        asked.errors["alert_thresholds"] = "must be fractions of the amount, above 0 and at most 10"
    return found


def course_of(session: ReadSession, plan: Plan, at: Home, reach: Reach, now_us: int) -> Course:
    """A budget in its period now, with what its days cost before. Raises BudgetUnknown,
    BudgetEndless, Problem 403 for one that is not reached, and DomainError naming a field."""
    if plan.budget_id is not None:
        return _stored(session, plan.budget_id, at, reach, now_us)
    budget = make_budget(
        canonical({"name": "forecast", **plan.fields}),
        budget_id="",
        organization_id=at.organization_id,
        defaults=Defaults(at.currency, at.time_zone, provider=_provider),
        made_us=now_us,
    )
    if not reach.covers(budget.scope):
        raise outside(reach)
    window = budget.in_force_at(now_us)
    limit_e10 = budget.limits.e10
    if limit_e10 is None:
        raise BudgetEndless("is required, or the id of a budget", field="amount")
    if window is None or budget.slide is not None:
        raise _endless(budget, "period")
    scopes = [budget.scope]
    until_now = Window(window.start_us, now_us)
    spent = sums(session, at.organization_id, scopes, until_now, budget.currency)
    days = read_days(session, budget, scopes, now_us)
    return Course(budget, window, spent.e10, limit_e10, days, now_us)


def _stored(session: ReadSession, budget_id: str, at: Home, reach: Reach, now_us: int) -> Course:
    index = Index(1, store.load(session, at.organization_id))
    budget = index.budgets.get(budget_id)
    if budget is None or not is_readable(reach, index, budget):
        raise BudgetUnknown("Budget not found")
    standing = standings(session, [budget], now_us)[budget_id]
    if standing is None or budget.slide is not None:
        raise _endless(budget, "budget_id")
    limit_e10 = standing.limits.e10
    if limit_e10 is None:
        raise BudgetEndless("has no amount of money", field="budget_id")
    days = read_days(session, budget, scopes_of(index, budget), now_us)
    return Course(budget, standing.window, standing.used.e10, limit_e10, days, now_us)


def _endless(budget: Budget, field: str) -> BudgetEndless:
    if budget.slide is not None:
        return BudgetEndless("slides and has no end: its status says where it stands", field=field)
    return BudgetEndless("is not in force now", field=field)


def _provider(name: str) -> str:
    return provider_id(name) or name
