"""What earlier periods had stays with them when the amount or the rollover of a budget changes."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import bindparam, update

from llm_cost_ops.core.budget import Budget
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.spend.counters import Counters, Place, carried_into
from llm_cost_ops.server.spend.tables import spend_counters

_ROW = spend_counters.c
_UNDER_WAY = (
    update(spend_counters)
    .where(
        _ROW.budget_id == bindparam("of_budget"),
        _ROW.organization_id == bindparam("of_organization"),
        _ROW.period_start >= bindparam("since"),
    )
    .values(amount_e10=bindparam("amount"), carried_e10=None)
)


def keep_terms(
    session: WriteSession, changes: Iterable[tuple[Budget, Budget]], now_us: int
) -> None:
    """For budgets before and after a change that leaves their periods alone: note in the counter of
    the period before the one under way what it got and had, because periods that nobody touched
    have no counters and would be taken for ones of the new amount. The period under way has the new
    amount, and its carry by the new rollover. The caller holds the organization's budgets alone.
    """
    under_way: list[dict[str, object]] = []
    for before, after in changes:
        if (before.limits.e10, before.rollover) == (after.limits.e10, after.rollover):
            continue
        own = before.counted_in(now_us)
        since_us = min(now_us, before.bounds.end_us) if own is None else own.start_us
        if since_us > before.counts_from_us and (before.rollover or after.rollover):
            _note(session, before, since_us)
        under_way.append(
            {
                "of_budget": after.id,
                "of_organization": after.organization_id,
                "since": since_us,
                "amount": after.limits.e10,
            }
        )
    if under_way:
        session.execute(_UNDER_WAY, under_way)


def _note(session: WriteSession, before: Budget, since_us: int) -> None:
    window = before.window_of(since_us - 1)
    place = Place(before.id, window.start_us)
    counters = Counters(session, before.organization_id)
    counters.lock([place])
    counter = counters.at(place)
    if counter.carried_e10 is None:
        counter.carried_e10 = carried_into(session, before, window)
    if counter.amount_e10 is None:
        counter.amount_e10 = before.limits.e10 or 0
    counters.write()
