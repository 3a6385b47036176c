"""What a change of budgets comes to before anything is written: the budgets as they would be, and
which of them the ledger has to be summed for. `define` carries it out."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

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
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.identity.organizations import get_organization
from llm_cost_ops.server.spend import store
from llm_cost_ops.server.spend.index import Index

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


@dataclass(frozen=True, slots=True)
class Creation:
    """A new budget with its definition, all budgets with it, and those to count."""

    made: Budget
    definition: dict[str, object]
    index: Index
    counted: tuple[Budget, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """A budget before and after, all budgets before and after, and those to count anew: none
    where calls count as they did. `same_periods` stay where they are, with what they hold."""

    before: Budget
    made: Budget
    old: dict[str, object]
    definition: dict[str, object]
    known: Index
    index: Index
    same_periods: bool
    counted: tuple[Budget, ...]


@dataclass(frozen=True, slots=True)
class Removal:
    """A budget that goes with its definition, those that stay, those above it, and those of them
    that its calls counted in by it alone."""

    old: dict[str, object]
    index: Index
    above: tuple[str, ...]
    counted: tuple[Budget, ...]


def creation(session: ReadSession, fields: Mapping[str, object], actor: Actor) -> Creation:
    """Raises DomainError naming the field."""
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
    others = _holding_others(index, made, ancestors(made.id, index.parents))
    return Creation(made, definition, index, (index.budgets[made.id], *others))


def change(
    session: ReadSession, budget_id: str, fields: Mapping[str, object], actor: Actor
) -> Change:
    """Fields that are not named stay. Raises BudgetUnknown, DomainError."""
    row = store.row(session, actor.organization_id, budget_id)
    if row is None:
        raise BudgetUnknown("Budget not found")
    known = _index(session, actor.organization_id)
    before, old = known.budgets[budget_id], store.definition_of(row)
    definition = _changed(old, canonical(fields))
    made = _made_again(definition, before, actor, None)
    definition = _as_made(definition, made)
    changed = {name for name in _COUNTED_BY if getattr(made, name) != getattr(before, name)}
    same_periods = changed <= {"ends_us"}  # which cuts the last one and moves none
    if same_periods:
        made = _made_again(definition, before, actor, before.counts_from_us)
    index = Index(1, [*(b for b in known.budgets.values() if b.id != budget_id), made])
    _check_family(index, made)
    counted: tuple[Budget, ...] = ()
    if changed or made.parent_id != before.parent_id or made.scope != before.scope:
        above = {*ancestors(budget_id, known.parents), *ancestors(budget_id, index.parents)}
        counted = tuple(index.budgets[each] for each in (budget_id, *sorted(above)))
    return Change(before, made, old, definition, known, index, same_periods, counted)


def removal(session: ReadSession, budget_id: str, actor: Actor) -> Removal:
    """Raises BudgetUnknown, BudgetInUse."""
    row = store.row(session, actor.organization_id, budget_id)
    if row is None:
        raise BudgetUnknown("Budget not found")
    known = _index(session, actor.organization_id)
    if any(budget.parent_id == budget_id for budget in known.budgets.values()):
        raise BudgetInUse("Other budgets are below this one: move or remove them first.")
    index = Index(1, [b for b in known.budgets.values() if b.id != budget_id])
    above = tuple(ancestors(budget_id, known.parents))
    others = _holding_others(index, known.budgets[budget_id], above)
    return Removal(store.definition_of(row), index, above, others)


def _index(session: ReadSession, organization_id: str) -> Index:
    return Index(1, store.load(session, organization_id))


def _holding_others(index: Index, budget: Budget, above: Iterable[str]) -> tuple[Budget, ...]:
    """Those above a budget whose own scope does not hold its calls."""
    found = (index.budgets[each] for each in above)
    return tuple(one for one in found if not budget.scope.is_within(one.scope))


def _made_again(
    definition: Mapping[str, object], before: Budget, actor: Actor, counts_from_us: int | None
) -> Budget:
    return make_budget(
        definition,
        budget_id=before.id,
        organization_id=actor.organization_id,
        defaults=Defaults(provider=_provider),
        made_us=actor.now_us,
        counts_from_us=counts_from_us,
    )


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
