"""Budgets as this room asks for them. Their room is above this one, so the app brings them in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, cast

from fastapi import Request

from llm_cost_ops.server.access.powers import BeyondOwn
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import WriteSession


class BudgetDesk(Protocol):
    """Budgets in the caller's transaction. All raise DomainError naming the field."""

    def create(self, session: WriteSession, fields: Mapping[str, object], actor: Actor) -> str:
        """The id of a new budget."""
        ...

    def update(
        self, session: WriteSession, budget_id: str, fields: Mapping[str, object], actor: Actor
    ) -> None: ...

    def remove(self, session: WriteSession, budget_id: str, actor: Actor) -> None: ...


def budget_desk(request: Request) -> BudgetDesk:
    """The desk of the app that serves this request."""
    return cast("BudgetDesk", request.app.state.budget_desk)


def refuse_without_budgets(principal: Principal) -> None:
    """Raises BeyondOwn for who may not write any budget, whatever else they may write."""
    needed = ("write:budgets",)
    if not principal.holds(*needed) or not principal.reach_of(needed).is_everything:
        raise BeyondOwn("Insufficient permissions: write:budgets")
