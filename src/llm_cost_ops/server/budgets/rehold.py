"""Reservations in flight when budgets change: each is held where its call would count now.

A budget that is made, moved or given another scope would otherwise not know of calls under way, and
admit as much again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from llm_cost_ops.server.budgets import store
from llm_cost_ops.server.budgets.ask import labels_of_call
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.spend.counters import Place
from llm_cost_ops.server.spend.holdings import Holding, holdings_of, holdings_text
from llm_cost_ops.server.spend.index import Index


def rehold(
    session: WriteSession, organization_id: str, index: Index, budget_ids: Collection[str]
) -> None:
    """Let every open reservation be held by those of these budgets that its call counts in, in the
    period of its time, and by no other of them. Their counters are not touched: count them again.
    The caller holds the organization's budgets alone.
    """
    for row in store.open_ones(session, organization_id):
        before = holdings_of(row)
        after = [held for held in before if held.place.budget_id not in budget_ids]
        after += _holdings(row, index, budget_ids)
        if sorted(after) != sorted(before):
            store.hold_in(session, organization_id, row["id"], holdings_text(after))


def _holdings(row: Mapping[str, Any], index: Index, budget_ids: Collection[str]) -> list[Holding]:
    found: list[Holding] = []
    for budget in index.of(labels_of_call(store.call_of(row))):
        window = budget.counted_in(int(row["created_at"]))
        if budget.id in budget_ids and window is not None:
            place = Place(budget.id, window.start_us)
            found.append(Holding(place, row["currency"] == budget.currency))
    return found
