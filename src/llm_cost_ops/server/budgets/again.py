"""Thresholds after a change of what may be spent: those that a raised budget has not reached any
more can be told again, and what a lowered one has reached by the change alone is told at once,
because a budget that refuses every call would never hear of it."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import update

from llm_cost_ops.core.budget import Budget
from llm_cost_ops.server.budgets.standings import standings
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.spend.counters import Counters, Place, Standing
from llm_cost_ops.server.spend.index import Index
from llm_cost_ops.server.spend.move import tell
from llm_cost_ops.server.spend.tables import spend_counters

_ROW = spend_counters.c


def tell_again(
    session: WriteSession,
    organization_id: str,
    index: Index,
    changed: Iterable[Budget],
    now_us: int,
) -> None:
    """Judge the period under way of budgets whose limits or thresholds were changed. The caller
    holds the organization's budgets alone and has written its counters."""
    where = standings(session, list(changed), now_us)
    places: list[Place] = []
    for now in where.values():
        if now is None or not (now.share or now.told or now.told_exceeded):
            continue
        own = now.budget.counted_in(now_us)
        if own is not None:
            _unsay(session, organization_id, now, own.start_us)
            places.append(Place(now.budget.id, own.start_us))
    counters = Counters(session, organization_id)
    counters.lock(places)
    for place in places:
        counters.at(place)
    tell(session, counters, index, now_us=now_us)
    counters.write()


def _unsay(session: WriteSession, organization_id: str, now: Standing, own_us: int) -> None:
    """What was told and is reached no more counts as never told; of a sliding budget in each step
    of its window."""
    exceeded = bool(now.told_exceeded) and not now.limits.fits(now.used)
    if now.told <= now.share and exceeded == bool(now.told_exceeded):
        return
    sliding = now.budget.slide is not None
    rows = (
        _ROW.organization_id == organization_id,
        _ROW.budget_id == now.budget.id,
        _ROW.period_start >= now.window.start_us if sliding else _ROW.period_start == own_us,
    )
    session.execute(update(spend_counters).where(*rows, _ROW.told > now.share).values(
        told=now.share))  # fmt: skip
    if not exceeded:
        session.execute(update(spend_counters).where(*rows).values(told_exceeded=0))
