"""Whose a budget is: who may see it, and who may change it."""

from __future__ import annotations

from llm_cost_ops.core.budget import Budget
from llm_cost_ops.core.permissions import EVERYTHING
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.http.problems import Problem


def is_readable(principal: Principal, budget: Budget) -> bool:
    """Whether all that the budget counts lies within the conditions of the principal's roles."""
    return principal.reach.covers(budget.scope)


def check_writable(principal: Principal, budget: Budget) -> None:
    """Raises Problem 403 unless the budget lies within the conditions of the roles and, for a user
    who is no administrator, is of the user's teams. A key without a user is of nobody's team: its
    permission is enough."""
    if not is_readable(principal, budget):
        raise Problem(
            403,
            "INSUFFICIENT_PERMISSIONS",
            f"Your roles are limited to {principal.reach.text()}.",
        )
    if principal.user_id is None or EVERYTHING in principal.scopes:
        return
    teams = dict(budget.scope.dimensions).get("team_id", frozenset[str]())
    if not teams or not teams <= frozenset(principal.team_ids):
        raise Problem(
            403,
            "INSUFFICIENT_PERMISSIONS",
            "Only administrators change budgets that are not of their own teams.",
        )
