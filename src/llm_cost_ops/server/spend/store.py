"""Budgets as they are stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import insert, select, update

from llm_cost_ops.core.budget import Budget
from llm_cost_ops.core.definition import Defaults, make_budget
from llm_cost_ops.core.jsontext import dumps, loads
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.spend.tables import budget_changes, budgets, spend_counters

_ROW = budgets.c


def rows(session: ReadSession, organization_id: str) -> list[dict[str, Any]]:
    """The organization's budgets by id, deleted ones left out."""
    query = (
        select(budgets)
        .where(_ROW.organization_id == organization_id, _ROW.deleted_at.is_(None))
        .order_by(_ROW.id)
    )
    return [dict(row) for row in session.execute(query).mappings()]


def row(session: ReadSession, organization_id: str, budget_id: str) -> dict[str, Any] | None:
    """One budget that is not deleted."""
    query = select(budgets).where(
        _ROW.id == budget_id,
        _ROW.organization_id == organization_id,
        _ROW.deleted_at.is_(None),
    )
    found = session.execute(query).mappings().first()
    return None if found is None else dict(found)


def load(session: ReadSession, organization_id: str) -> list[Budget]:
    """The organization's budgets by id."""
    return [budget_of(found) for found in rows(session, organization_id)]


def budget_of(found: Mapping[str, Any]) -> Budget:
    """The budget of a row."""
    return make_budget(
        definition_of(found),
        budget_id=found["id"],
        organization_id=found["organization_id"],
        defaults=Defaults(),
        made_us=found["created_at"],
        counts_from_us=found["counts_from"],
    )


def definition_of(found: Mapping[str, Any]) -> dict[str, Any]:
    """The canonical fields of a row, as they were given."""
    return dict(loads(found["definition"]))


def add(
    session: WriteSession,
    budget: Budget,
    definition: Mapping[str, object],
    *,
    actor_id: str | None,
    now_us: int,
) -> None:
    """Store a new budget."""
    session.execute(
        insert(budgets).values(
            id=budget.id,
            organization_id=budget.organization_id,
            name=budget.name,
            parent_id=budget.parent_id,
            definition=dumps(definition),
            counts_from=budget.counts_from_us,
            created_at=now_us,
            updated_at=now_us,
            created_by=actor_id,
        )
    )


def replace(
    session: WriteSession,
    organization_id: str,
    budget: Budget,
    definition: Mapping[str, object],
    now_us: int,
) -> None:
    """Store the changed definition of a budget."""
    session.execute(
        update(budgets)
        .where(_ROW.id == budget.id, _ROW.organization_id == organization_id)
        .values(
            name=budget.name,
            parent_id=budget.parent_id,
            definition=dumps(definition),
            counts_from=budget.counts_from_us,
            updated_at=now_us,
        )
    )


def remove(session: WriteSession, organization_id: str, budget_id: str, now_us: int) -> None:
    """Mark a budget deleted and drop its counters."""
    session.execute(
        update(budgets)
        .where(_ROW.id == budget_id, _ROW.organization_id == organization_id)
        .values(deleted_at=now_us)
    )
    drop_counters(session, organization_id, budget_id)


def drop_counters(session: WriteSession, organization_id: str, budget_id: str) -> None:
    session.execute(
        spend_counters.delete().where(
            spend_counters.c.budget_id == budget_id,
            spend_counters.c.organization_id == organization_id,
        )
    )


def changes(
    session: ReadSession, organization_id: str, budget_id: str, limit: int = 1_000
) -> Sequence[Mapping[str, Any]]:
    """Changes of the amounts of a budget, newest first."""
    table = budget_changes.c
    query = (
        select(budget_changes)
        .where(table.budget_id == budget_id, table.organization_id == organization_id)
        .order_by(table.id.desc())
        .limit(limit)
    )
    return [dict(found) for found in session.execute(query).mappings()]
