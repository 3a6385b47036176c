"""Make, change and remove budgets, alone among those who spend from them.

A budget begins with what the ledger holds of its current period. Whoever changes one holds the
organization's budgets alone, so that no call is left out of that sum and none is counted twice.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress

from llm_cost_ops.core.budget import (
    CUSTOM,
    MAX_DEPTH,
    Budget,
    BudgetError,
    ancestors,
    check_children,
)
from llm_cost_ops.core.definition import Defaults, canonical, make_budget
from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.ids import single_id
from llm_cost_ops.core.providers.names import provider_id
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.budgets.again import tell_again
from llm_cost_ops.server.budgets.rehold import rehold
from llm_cost_ops.server.budgets.standings import standings
from llm_cost_ops.server.budgets.terms import keep_terms
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.identity.organizations import get_organization
from llm_cost_ops.server.ledger.ahead import Ahead
from llm_cost_ops.server.ledger.recount import look_ahead, recount
from llm_cost_ops.server.spend import store
from llm_cost_ops.server.spend.counters import Counters, Place, Standing
from llm_cost_ops.server.spend.index import Index
from llm_cost_ops.server.spend.lock import hold_alone

MAX_BUDGETS = 10_000
_COUNTED_BY = (
    "currency", "period", "zone", "anchor", "every", "rolling", "recurring", "starts_us",
    "ends_us",
)  # fmt: skip
"""What decides in which periods a budget counts."""


class BudgetUnknown(DomainError):
    """No budget of the organization has this id."""

    code = "NOT_FOUND"


class BudgetInUse(DomainError):
    """Other budgets depend on this one, or there are too many."""

    code = "CONFLICT"


def create(
    session: WriteSession,
    fields: Mapping[str, object],
    actor: Actor,
    ahead: Ahead | None = None,
) -> Budget:
    """A new budget. Raises DomainError naming the field."""
    hold_alone(session, actor.organization_id)
    definition, made, index = _planned(session, fields, actor)
    store.add(session, made, definition, actor_id=actor.actor_id, now_us=actor.now_us)
    rehold(session, actor.organization_id, index, {made.id, *ancestors(made.id, index.parents)})
    for counted in _counted(index, made):
        recount(session, index, counted, actor.now_us, ahead=ahead)
    actor.record(session, "budgets.create", "budget", made.id, None, definition)
    return index.budgets[made.id]


def ahead_of(session: ReadSession, fields: Mapping[str, object], actor: Actor) -> Ahead:
    """What `create` will sum of the ledger, summed before it holds the budgets: others wait for
    what was recorded since, and not for a whole period. Give it a snapshot."""
    ahead = Ahead()
    with suppress(DomainError):  # which `create` raises, unless it was done before
        _, made, index = _planned(session, fields, actor)
        for counted in _counted(index, made):
            look_ahead(session, ahead, index, counted, actor.now_us)
    return ahead


def _planned(
    session: ReadSession, fields: Mapping[str, object], actor: Actor
) -> tuple[dict[str, object], Budget, Index]:
    """The definition of a new budget, the budget, and all budgets with it."""
    known = _index(session, actor.organization_id)
    if len(known.budgets) >= MAX_BUDGETS:
        raise BudgetInUse(f"at most {MAX_BUDGETS} budgets are possible")
    definition = _settled(session, canonical(fields), actor.organization_id)
    made = make_budget(
        definition,
        budget_id=single_id("bud", actor.now_us // 1_000, secrets.randbits(80)),
        organization_id=actor.organization_id,
        defaults=Defaults(provider=_provider),
        made_us=actor.now_us,
    )
    definition = _as_made(definition, made)
    index = Index(1, [*known.budgets.values(), made])
    _check_family(index, made)
    return definition, made, index


def update(
    session: WriteSession, budget_id: str, fields: Mapping[str, object], actor: Actor
) -> Budget:
    """Change a budget: fields that are not named stay. One that then counts in other periods or
    other calls is counted anew from the ledger. Raises BudgetUnknown, DomainError."""
    hold_alone(session, actor.organization_id)
    row = store.row(session, actor.organization_id, budget_id)
    if row is None:
        raise BudgetUnknown("Budget not found")
    known = _index(session, actor.organization_id)
    before, old = known.budgets[budget_id], store.definition_of(row)
    definition = _changed(old, canonical(fields))
    made = make_budget(
        definition,
        budget_id=budget_id,
        organization_id=actor.organization_id,
        defaults=Defaults(provider=_provider),
        made_us=actor.now_us,
    )
    definition = _as_made(definition, made)
    changed = {name for name in _COUNTED_BY if getattr(made, name) != getattr(before, name)}
    same_periods = changed <= {"ends_us"}  # which cuts the last one and moves none
    if same_periods:
        made = make_budget(
            definition,
            budget_id=budget_id,
            organization_id=actor.organization_id,
            defaults=Defaults(provider=_provider),
            made_us=actor.now_us,
            counts_from_us=before.counts_from_us,
        )
    index = Index(1, [*(b for b in known.budgets.values() if b.id != budget_id), made])
    _check_family(index, made)
    store.replace(session, actor.organization_id, made, definition, actor.now_us)
    kept = None if same_periods else _granted(session, before, made, actor.now_us)
    if not same_periods:
        store.drop_counters(session, actor.organization_id, budget_id)
    family = [b for b in index.family(budget_id) if same_periods or b.id != budget_id]
    keep_terms(session, [(known.budgets[b.id], b) for b in family], actor.now_us)
    elsewhere = made.parent_id != before.parent_id or made.scope != before.scope
    if changed or elsewhere:
        above = {*ancestors(budget_id, known.parents), *ancestors(budget_id, index.parents)}
        rehold(session, actor.organization_id, index, {budget_id, *above})
        for counted in (budget_id, *sorted(above)):
            recount(session, index, index.budgets[counted], actor.now_us)
    if kept is not None:
        _grant_again(session, made, kept, actor.now_us)
    judged = [b for b in index.family(budget_id) if _is_judged_anew(known.budgets.get(b.id), b)]
    tell_again(session, actor.organization_id, index, judged, actor.now_us)
    actor.record(session, "budgets.update", "budget", budget_id, old, definition)
    return index.budgets[budget_id]


def _is_judged_anew(before: Budget | None, after: Budget) -> bool:
    """Whether other limits or thresholds hold for it."""
    return before is None or (before.limits, before.thresholds) != (after.limits, after.thresholds)


def remove(session: WriteSession, budget_id: str, actor: Actor) -> None:
    """Remove a budget; what was reserved of it is held no more.

    Raises BudgetUnknown, BudgetInUse.
    """
    hold_alone(session, actor.organization_id)
    row = store.row(session, actor.organization_id, budget_id)
    if row is None:
        raise BudgetUnknown("Budget not found")
    known = _index(session, actor.organization_id)
    if any(budget.parent_id == budget_id for budget in known.budgets.values()):
        raise BudgetInUse("Other budgets are below this one: move or remove them first.")
    store.remove(session, actor.organization_id, budget_id, actor.now_us)
    index = Index(1, [b for b in known.budgets.values() if b.id != budget_id])
    gone = known.budgets[budget_id]
    rehold(session, actor.organization_id, index, ancestors(budget_id, known.parents))
    for above in ancestors(budget_id, known.parents):
        if not gone.scope.is_within(index.budgets[above].scope):
            recount(session, index, index.budgets[above], actor.now_us)
    actor.record(session, "budgets.delete", "budget", budget_id, store.definition_of(row), None)


def _index(session: ReadSession, organization_id: str) -> Index:
    return Index(1, store.load(session, organization_id))


def _counted(index: Index, made: Budget) -> Iterator[Budget]:
    """A new budget, and those above it that its calls did not count in."""
    yield index.budgets[made.id]
    for above in ancestors(made.id, index.parents):
        if not made.scope.is_within(index.budgets[above].scope):
            yield index.budgets[above]


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


def _settled(
    session: ReadSession, definition: Mapping[str, object], organization_id: str
) -> dict[str, object]:
    """The definition with what the organization says now where it does not: a later change of the
    organization must not move the periods of its budgets."""
    organization = get_organization(session, organization_id)
    if organization is None:
        raise BudgetUnknown("Organization not found")
    settings = organization.settings
    settled = {name: value for name, value in definition.items() if value is not None}
    settled.setdefault("currency", organization.currency)
    settled.setdefault("timezone", organization.time_zone)
    fiscal = settings.get("fiscal_year_start_month")
    if isinstance(fiscal, int):
        settled.setdefault("fiscal_year_start_month", fiscal)
    settled.setdefault("period", "monthly")
    return settled


def _changed(old: Mapping[str, object], given: Mapping[str, object]) -> dict[str, object]:
    """The definition with other values. The day from which days were counted goes with them: it
    would move the months that follow."""
    changed = {name: value for name, value in {**old, **given}.items() if value is not None}
    if "period_days" in old and "period_days" not in changed and "anchor_date" not in given:
        changed.pop("anchor_date", None)
    return changed


def _as_made(definition: Mapping[str, object], made: Budget) -> dict[str, object]:
    """The definition as it is stored: what it leaves out must not be another at the next look."""
    settled = {**definition, "scope": made.scope.wire()}
    if "period_days" in definition:  # the days are counted from one day, also after a change
        settled["anchor_date"] = made.anchor.isoformat()
    return settled


def _provider(name: str) -> str:
    return provider_id(name) or name


def _check_family(index: Index, budget: Budget) -> None:
    """Refuse a parent that is none, is below the budget itself, or that its children exceed."""
    parent_id = budget.parent_id
    if budget.share is not None and parent_id is None:
        raise BudgetError("needs a parent_id", field="allocation_percent")
    if parent_id is not None:
        parent = index.budgets.get(parent_id)
        if parent is None:
            raise BudgetError("is no budget of the organization", field="parent_id")
        above = ancestors(budget.id, index.parents)
        if budget.id in above or len(above) >= MAX_DEPTH:
            raise BudgetError("must not be below the budget itself", field="parent_id")
        _check_alike(parent, budget)
        _check_sum(index, parent)
    _check_sums_below(index, budget.id)
    for child in index.budgets.values():
        if child.parent_id == budget.id:
            _check_alike(budget, child)


def _check_alike(parent: Budget, child: Budget) -> None:
    if parent.currency != child.currency:
        raise BudgetError("must be the one of the parent", field="currency")
    alike = ("period", "zone", "anchor", "every", "rolling")
    same = all(getattr(parent, name) == getattr(child, name) for name in alike)
    if not same and not parent.overallocate and parent.period != CUSTOM:
        raise BudgetError("must be the one of the parent, whose amount is divided", field="period")


def _check_sum(index: Index, parent: Budget) -> None:
    below = [b for b in index.budgets.values() if b.parent_id == parent.id]
    amounts = [budget.limits.e10 for budget in below if budget.limits.e10 is not None]
    check_children(parent, amounts)


def _check_sums_below(index: Index, budget_id: str) -> None:
    """Those below may be shares, and smaller than before with children that are none."""
    family = index.family(budget_id)
    amounts: dict[str | None, list[int]] = {}
    for budget in family:
        if budget.limits.e10 is not None:
            amounts.setdefault(budget.parent_id, []).append(budget.limits.e10)
    for budget in family:
        check_children(budget, amounts.get(budget.id, ()))
