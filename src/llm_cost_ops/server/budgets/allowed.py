"""Whose a budget is: who may see it, and who may change it, or spend from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from llm_cost_ops.core.budget import Budget
from llm_cost_ops.core.grants import Reach
from llm_cost_ops.core.permissions import EVERYTHING
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.budgets import store
from llm_cost_ops.server.budgets.ask import labels_of_call
from llm_cost_ops.server.http.problems import Problem
from llm_cost_ops.server.ledger.recount import scopes_of
from llm_cost_ops.server.spend.index import Index, Labels, facts_of


def is_readable(reach: Reach, index: Index, budget: Budget) -> bool:
    """Whether all that the budget counts, also through those below it, is reached."""
    if reach.is_everything:
        return True
    return all(reach.covers(scope) for scope in scopes_of(index, budget))


def hidden(reach: Reach, index: Index, budgets: Iterable[Budget]) -> frozenset[str]:
    """The ids of those budgets that count calls which are not reached."""
    return frozenset(each.id for each in budgets if not is_readable(reach, index, each))


def is_own(reach: Reach, row: Mapping[str, Any]) -> bool:
    """Whether the call of a reservation is reached."""
    if reach.is_everything:
        return True
    return reach.holds(facts_of(labels_of_call(store.call_of(row))))


def check_spends(reach: Reach, labels: Labels) -> None:
    """Raises Problem 403 for a call that is not reached."""
    if not reach.is_everything and not reach.holds(facts_of(labels)):
        raise outside(reach)


def outside(reach: Reach) -> Problem:
    return Problem(403, "INSUFFICIENT_PERMISSIONS", f"Your roles are limited to {reach.text()}.")


def check_writable(principal: Principal, budget: Budget) -> None:
    """Raises Problem 403 unless the budget lies within the conditions of the roles and, for a user
    who is no administrator, is of the user's teams. A key without a user is of nobody's team: its
    permission is enough."""
    if not principal.reach.covers(budget.scope):
        raise outside(principal.reach)
    if principal.user_id is None or EVERYTHING in principal.scopes:
        return
    teams = dict(budget.scope.dimensions).get("team_id", frozenset[str]())
    if not teams or not teams <= frozenset(principal.team_ids):
        raise Problem(
            403,
            "INSUFFICIENT_PERMISSIONS",
            "Only administrators change budgets that are not of their own teams.",
        )
