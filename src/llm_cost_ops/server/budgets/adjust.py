"""Increases, decreases and transfers of the amount of the current period, with who and why."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import cast

from sqlalchemy import insert

from llm_cost_ops.core.budget import MAX_LIMIT_E10, Budget, BudgetError
from llm_cost_ops.core.definition import parse_amount
from llm_cost_ops.core.ids import single_id
from llm_cost_ops.core.money import E10, from_e10
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.budgets.again import tell_again
from llm_cost_ops.server.budgets.plan import BudgetUnknown
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.spend import store
from llm_cost_ops.server.spend.counters import Counter, Counters, Place, places_of
from llm_cost_ops.server.spend.index import Index
from llm_cost_ops.server.spend.lock import hold_alone
from llm_cost_ops.server.spend.tables import budget_changes

INCREASE, DECREASE, TRANSFER = "increase", "decrease", "transfer"
KINDS = (INCREASE, DECREASE, TRANSFER)
MAX_REASON = 1_000
FIELDS = ("type", "amount", "reason", "to_budget_id")


def adjust(
    session: WriteSession, budget_id: str, fields: Mapping[str, object], actor: Actor
) -> list[Budget]:
    """Change what may be spent in the period of now; the budgets that changed. A transfer takes
    from the budget and gives to `to_budget_id`. Raises BudgetUnknown, BudgetError."""
    kind, amount, reason, other_id = _parsed(fields)
    hold_alone(session, actor.organization_id)
    index = Index(1, store.load(session, actor.organization_id))
    budget = _of(index, budget_id)
    other = None if other_id is None else _of(index, other_id)
    involved = [budget, *([] if other is None else [other])]
    if other is not None and (other is budget or other.currency != budget.currency):
        raise BudgetError("must be another budget of the same currency", field="to_budget_id")
    counters = Counters(session, actor.organization_id)
    siblings = [b for b in index.budgets.values() if b.parent_id and b.parent_id in _up(involved)]
    known = {b.id: b for b in (*involved, *siblings, *_parents(index, involved))}
    counters.lock(place for b in known.values() for place in places_of(b, actor.now_us))
    takes = amount if kind == INCREASE else -amount
    _change(counters, budget, takes, actor.now_us)
    if other is not None:
        _change(counters, other, amount, actor.now_us)
    for parent in _parents(index, involved):
        _check_below(index, counters, parent, actor.now_us)
    counters.write()
    tell_again(session, actor.organization_id, index, involved, actor.now_us)
    _record(session, budget, counters, kind if other is None else "transfer_out", takes, other,
            reason, actor)  # fmt: skip
    if other is not None:
        _record(session, other, counters, "transfer_in", amount, budget, reason, actor)
    return involved


def _parsed(fields: Mapping[str, object]) -> tuple[str, int, str, str | None]:
    for name in fields:
        if name not in FIELDS:
            raise BudgetError("is not a known field", field=name)
    kind, other = fields.get("type"), fields.get("to_budget_id")
    if kind not in KINDS:
        raise BudgetError(f"must be one of: {', '.join(KINDS)}", field="type")
    if (kind == TRANSFER) != isinstance(other, str):
        raise BudgetError("belongs to a transfer, and is required there", field="to_budget_id")
    reason = fields.get("reason")
    if not isinstance(reason, str) or not 1 <= len(reason.strip()) <= MAX_REASON:
        raise BudgetError(f"must be a text of 1 to {MAX_REASON} characters", field="reason")
    if fields.get("amount") is None:
        raise BudgetError("is required", field="amount")
    amount = parse_amount(fields["amount"], "amount", positive=True)
    return cast("str", kind), amount, reason.strip(), cast("str | None", other)


def _of(index: Index, budget_id: str) -> Budget:
    budget = index.budgets.get(budget_id)
    if budget is None:
        raise BudgetUnknown("Budget not found")
    if budget.limits.e10 is None:
        raise BudgetError("is possible for budgets with an amount only", field="amount")
    return budget


def _up(involved: list[Budget]) -> set[str]:
    return {budget.parent_id for budget in involved if budget.parent_id is not None}


def _parents(index: Index, involved: list[Budget]) -> list[Budget]:
    found = {budget.id: budget for budget in involved}
    for parent_id in _up(involved):
        if parent_id in index.budgets:
            found[parent_id] = index.budgets[parent_id]
    return list(found.values())


def _now(counters: Counters, budget: Budget, now_us: int) -> Counter:
    window = budget.counted_in(now_us)
    if window is None:
        raise BudgetError("has no period now", field="amount")
    return counters.at(Place(budget.id, window.start_us))


def _change(counters: Counters, budget: Budget, e10: int, now_us: int) -> None:
    counter = _now(counters, budget, now_us)
    counter.adjusted_e10 += e10
    counter.amount_e10 = budget.limits.e10
    standing = counters.standing(budget, now_us)
    if standing is None or standing.limits.e10 is None:
        raise BudgetError("has no period now", field="amount")
    given = (budget.limits.e10 or 0) + standing.carried_e10 + standing.adjusted_e10
    if given < 0:
        raise BudgetError("is more than the budget has in this period", field="amount")
    if given > MAX_LIMIT_E10:
        text = f"would make it more than {MAX_LIMIT_E10 // E10} in this period"
        raise BudgetError(text, field="amount")


def _check_below(index: Index, counters: Counters, parent: Budget, now_us: int) -> None:
    """Refuse children that then exceed their parent, unless it permits that."""
    below = [b for b in index.budgets.values() if b.parent_id == parent.id]
    if parent.overallocate or parent.limits.e10 is None or not below:
        return
    counters.lock(place for b in below for place in places_of(b, now_us))
    given = 0
    for child in below:
        if child.limits.e10 is not None and child.counted_in(now_us) is not None:
            given += child.limits.e10 + _now(counters, child, now_us).adjusted_e10
    if given > parent.limits.e10 + _now(counters, parent, now_us).adjusted_e10:
        raise BudgetError(f"the budgets below {parent.name} would exceed it", field="amount")


def _record(
    session: WriteSession,
    budget: Budget,
    counters: Counters,
    kind: str,
    e10: int,
    other: Budget | None,
    reason: str,
    actor: Actor,
) -> None:
    start_us = _now(counters, budget, actor.now_us).place.start_us
    session.execute(
        insert(budget_changes).values(
            id=single_id("bch", actor.now_us // 1_000, secrets.randbits(80)),
            organization_id=actor.organization_id,
            budget_id=budget.id,
            kind=kind,
            amount_e10=e10,
            period_start=start_us,
            other_budget_id=None if other is None else other.id,
            reason=reason,
            actor_id=actor.actor_id,
            created_at=actor.now_us,
        )
    )
    after = {"amount": from_e10(e10), "reason": reason}
    actor.record(session, f"budgets.{kind}", "budget", budget.id, None, after)
