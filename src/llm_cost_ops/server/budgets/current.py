"""The budget that is meant when none is named."""

from __future__ import annotations

from typing import Any

from llm_cost_ops.core.budget import Budget
from llm_cost_ops.core.money import from_e10
from llm_cost_ops.server.budgets import wire
from llm_cost_ops.server.budgets.plan import BudgetUnknown
from llm_cost_ops.server.budgets.standings import standings
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.spend import store
from llm_cost_ops.server.spend.counters import Standing
from llm_cost_ops.server.spend.index import Index


def current(session: ReadSession, organization_id: str, now_us: int) -> dict[str, Any]:
    """The budget of the whole organization in its current period, the first made when there are
    several; without one the budgets that are below no other, added up, and exceeded when any of
    them is. Raises BudgetUnknown when none is in force."""
    rows = {row["id"]: row for row in store.rows(session, organization_id)}
    index = Index(1, map(store.budget_of, rows.values()))
    where = standings(session, list(index.budgets.values()), now_us)
    active = [budget for budget in index.budgets.values() if where[budget.id] is not None]
    whole = [b for b in active if not b.scope.dimensions and b.limits.e10 is not None]
    if whole:
        return wire.budget_row(whole[0], rows[whole[0].id], where[whole[0].id])
    above = [b for b in active if b.parent_id is None]
    top = [b for b in above if b.limits.e10 is not None]
    if not top:
        raise BudgetUnknown("No budget is in force: create one first")
    currency = top[0].currency
    together = _together([b for b in top if b.currency == currency], where, currency)
    exceeded = [b.id for b in above if _is_exceeded(where[b.id])]
    return {
        **together,
        "status": "exceeded" if exceeded else "ok",
        "exceeded_budget_ids": exceeded,
    }


def _is_exceeded(standing: Standing | None) -> bool:
    return standing is not None and not standing.limits.fits(standing.used)


def _together(
    budgets: list[Budget], where: dict[str, Standing | None], currency: str
) -> dict[str, Any]:
    found = [standing for b in budgets if (standing := where[b.id]) is not None]
    amount = sum(standing.limits.e10 or 0 for standing in found)
    spent = sum(standing.used.e10 for standing in found)
    held = sum(standing.held.e10 for standing in found)
    used = spent * 1_000_000 // amount if amount > 0 else 0
    return {
        "id": None,
        "name": "all budgets",
        "amount": from_e10(amount),
        "limit": from_e10(amount),
        "currency": currency,
        "spent": from_e10(spent),
        "current_spend": from_e10(spent),
        "reserved": from_e10(held),
        "remaining": from_e10(max(0, amount - spent - held)),
        "utilization": wire.share(used),
        "budget_ids": [budget.id for budget in budgets],
    }
