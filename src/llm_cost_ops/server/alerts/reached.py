"""Alerts as far as somebody reaches what they are about: those of budgets whose calls are reached.

Other alerts are about the whole organization, or about what is not told from them.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement

from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.alerts import store
from llm_cost_ops.server.alerts.lifecycle import AlertUnknown
from llm_cost_ops.server.alerts.store import Row
from llm_cost_ops.server.alerts.tables import alerts
from llm_cost_ops.server.budgets.allowed import hidden
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.spend import store as budgets
from llm_cost_ops.server.spend.index import Index


def conditions(session: ReadSession, principal: Principal) -> list[ColumnElement[bool]]:
    """What an alert must meet to be reached; nothing for who reaches everything."""
    if principal.reach.is_everything:
        return []
    return [alerts.c.budget_id.in_(sorted(_budgets(session, principal)))]


def alert(session: ReadSession, principal: Principal, alert_id: str) -> Row:
    """One alert. Raises AlertUnknown."""
    row = store.alert_row(session, principal.organization_id, alert_id)
    if row is None or not (
        principal.reach.is_everything or row["budget_id"] in _budgets(session, principal)
    ):
        raise AlertUnknown("Alert not found")
    return row


def check_budget(session: ReadSession, principal: Principal, budget_id: str) -> None:
    """Raises AlertUnknown for a budget that is none, or not reached."""
    if principal.reach.is_everything:
        known = budgets.row(session, principal.organization_id, budget_id) is not None
    else:
        known = budget_id in _budgets(session, principal)
    if not known:
        raise AlertUnknown("Budget not found")


def _budgets(session: ReadSession, principal: Principal) -> frozenset[str]:
    """The ids of the budgets whose calls are reached."""
    index = Index(1, budgets.load(session, principal.organization_id))
    return frozenset(index.budgets) - hidden(principal.reach, index, index.budgets.values())
