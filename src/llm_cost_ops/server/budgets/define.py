"""Make, change and remove budgets, alone among those who spend from them.

A budget begins with what the ledger holds of its current period. Whoever changes one holds the
organization's budgets alone, so that no call is left out of that sum and none is counted twice.
Most of the sum is taken before, by `ahead_of`: then others wait only for what was recorded since.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

from llm_cost_ops.core.budget import Budget, BudgetError, ancestors
from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.budgets.again import tell_again
from llm_cost_ops.server.budgets.plan import Change, Creation, Removal, change, creation, removal
from llm_cost_ops.server.budgets.rehold import rehold
from llm_cost_ops.server.budgets.standings import standings
from llm_cost_ops.server.budgets.terms import keep_terms
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.ledger.ahead import Ahead
from llm_cost_ops.server.ledger.recount import look_ahead, recount, refuse_closed
from llm_cost_ops.server.spend import store
from llm_cost_ops.server.spend.counters import Counters, Place, Standing
from llm_cost_ops.server.spend.lock import hold_alone


def ahead_of(
    session: ReadSession, plan: Callable[[ReadSession], Creation | Change | Removal], now_us: int
) -> Ahead:
    """What a planned change will sum of the ledger, summed before it holds the budgets. Give it a
    snapshot, and the change the same time."""
    ahead = Ahead()
    with suppress(DomainError):  # which the change itself raises, unless it was done before
        planned = plan(session)
        for counted in planned.counted:
            look_ahead(session, ahead, planned.index, counted, now_us)
    return ahead


def create(
    session: WriteSession,
    fields: Mapping[str, object],
    actor: Actor,
    ahead: Ahead | None = None,
) -> Budget:
    """A new budget. Raises DomainError naming the field, DayClosed."""
    hold_alone(session, actor.organization_id)
    new = creation(session, fields, actor)
    store.add(session, new.made, new.definition, actor_id=actor.actor_id, now_us=actor.now_us)
    above = ancestors(new.made.id, new.index.parents)
    rehold(session, actor.organization_id, new.index, {new.made.id, *above})
    for counted in new.counted:
        refuse_closed(session, new.index, counted, actor.now_us)
        recount(session, new.index, counted, actor.now_us, ahead=ahead)
    actor.record(session, "budgets.create", "budget", new.made.id, None, new.definition)
    return new.index.budgets[new.made.id]


def update(
    session: WriteSession,
    budget_id: str,
    fields: Mapping[str, object],
    actor: Actor,
    ahead: Ahead | None = None,
) -> Budget:
    """Change a budget: fields that are not named stay. One that then counts in other periods or
    other calls is counted anew from the ledger. Raises BudgetUnknown, DomainError, DayClosed."""
    hold_alone(session, actor.organization_id)
    to = change(session, budget_id, fields, actor)
    store.replace(session, actor.organization_id, to.made, to.definition, actor.now_us)
    kept = None if to.same_periods else _granted(session, to.before, to.made, actor.now_us)
    if not to.same_periods:
        store.drop_counters(session, actor.organization_id, budget_id)
    family = [b for b in to.index.family(budget_id) if to.same_periods or b.id != budget_id]
    keep_terms(session, [(to.known.budgets[b.id], b) for b in family], actor.now_us)
    if to.counted:
        rehold(session, actor.organization_id, to.index, {budget.id for budget in to.counted})
    for counted in to.counted:
        refuse_closed(session, to.index, counted, actor.now_us)
        recount(session, to.index, counted, actor.now_us, ahead=ahead)
    if kept is not None:
        _grant_again(session, to.made, kept, actor.now_us)
    known = to.known.budgets
    judged = [b for b in to.index.family(budget_id) if _is_judged_anew(known.get(b.id), b)]
    tell_again(session, actor.organization_id, to.index, judged, actor.now_us)
    actor.record(session, "budgets.update", "budget", budget_id, to.old, to.definition)
    return to.index.budgets[budget_id]


def _is_judged_anew(before: Budget | None, after: Budget) -> bool:
    """Whether other limits or thresholds hold for it."""
    return before is None or (before.limits, before.thresholds) != (after.limits, after.thresholds)


def remove(session: WriteSession, budget_id: str, actor: Actor, ahead: Ahead | None = None) -> None:
    """Remove a budget; what was reserved of it is held no more.

    Raises BudgetUnknown, BudgetInUse.
    """
    hold_alone(session, actor.organization_id)
    gone = removal(session, budget_id, actor)
    store.remove(session, actor.organization_id, budget_id, actor.now_us)
    rehold(session, actor.organization_id, gone.index, gone.above)
    for counted in gone.counted:
        recount(session, gone.index, counted, actor.now_us, ahead=ahead)
    actor.record(session, "budgets.delete", "budget", budget_id, gone.old, None)


def _granted(session: ReadSession, before: Budget, made: Budget, now_us: int) -> Standing | None:
    """What a budget that is to have other periods was granted in the one under way. Raises
    BudgetError when that is money of another currency."""
    standing = standings(session, [before], now_us)[before.id]
    if standing is not None and standing.adjusted_e10 and made.currency != before.currency:
        raise BudgetError("must stay while the period has adjustments", field="currency")
    return standing


def _grant_again(session: WriteSession, made: Budget, kept: Standing, now_us: int) -> None:
    """Grant as much in the new period under way: a transfer must not make money on one side. What
    was told stays told where the period begins as before."""
    own, window = made.counted_in(now_us), made.in_force_at(now_us)
    if own is None or window is None:
        return
    counters = Counters(session, made.organization_id)
    place = Place(made.id, own.start_us)
    counters.lock([place])
    counter = counters.at(place)
    counter.adjusted_e10 = kept.adjusted_e10
    if window.start_us == kept.window.start_us and made.currency == kept.budget.currency:
        counter.told, counter.told_exceeded = kept.told, kept.told_exceeded
    counters.write()
