"""Expiry: what was reserved and neither settled nor released in time is booked at its estimate.

The call may have been made and billed, so the amount is not given back on a guess. The booked call
has the status `estimated`; whoever settles the reservation later corrects it.
"""

from __future__ import annotations

from llm_cost_ops.server.budgets import store
from llm_cost_ops.server.budgets.errand import EXPIRE, Errand
from llm_cost_ops.server.budgets.work import carry_out
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.pricing.resolve import Prices

BATCH = 500


def expire(session: WriteSession, prices: Prices, now_us: int, limit: int = BATCH) -> int:
    """Book reservations that have expired, the oldest first; how many were looked at. Run it again
    while that is `limit`. Several may run at once: each reservation is booked by one of them."""
    due = store.due(session, now_us, limit)
    if due:
        errands = [
            Errand(EXPIRE, organization_id, reservation_id=reservation_id)
            for reservation_id, organization_id in due
        ]
        carry_out(session, errands, prices, now_us=now_us)
    return len(due)
