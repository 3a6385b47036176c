"""Budgets that other rooms make along with something of their own, in its transaction."""

from __future__ import annotations

from collections.abc import Mapping

from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.budgets import define
from llm_cost_ops.server.db.session import WriteSession


class OnBehalf:
    """What the app hands to rooms below this one."""

    def create(self, session: WriteSession, fields: Mapping[str, object], actor: Actor) -> str:
        """The id of a new budget. Raises DomainError naming the field."""
        return define.create(session, fields, actor).id

    def update(
        self, session: WriteSession, budget_id: str, fields: Mapping[str, object], actor: Actor
    ) -> None:
        """Change fields of a budget. Raises BudgetUnknown, DomainError."""
        define.update(session, budget_id, fields, actor)

    def remove(self, session: WriteSession, budget_id: str, actor: Actor) -> None:
        """Remove a budget. Raises BudgetUnknown, BudgetInUse."""
        define.remove(session, budget_id, actor)
