"""Projects: what calls name, with a name for people, and what they earn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, insert, or_, select, update

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.money import check_currency, parse_decimal, to_e10
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.dialects import contains
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.identity.fields import clean_name
from llm_cost_ops.server.identity.tables import project_revenue, projects

_ROW = projects.c
_REVENUE = project_revenue.c


class ProjectUnknown(DomainError):
    """No call has named such a project."""

    code = "NOT_FOUND"


@dataclass(frozen=True, slots=True)
class Project:
    """A project. `created_at` (microseconds since 1970 UTC) is when a call first named it."""

    id: str
    name: str | None
    created_at: int


@dataclass(frozen=True, slots=True)
class Revenue:
    """What a project earned in a month (`2025-11`), in units of 1e-10 of the currency."""

    period: str
    amount_e10: int
    currency: str


def list_projects(
    session: ReadSession,
    organization_id: str,
    *,
    limit: int,
    offset: int = 0,
    after: str | None = None,
    search: str | None = None,
) -> list[Project]:
    """Projects by id; those of whose id or name `search` is part, in any case."""
    statement = select(projects).where(_ROW.organization_id == organization_id)
    if search:
        part, texts = search.lower(), (_ROW.id, func.coalesce(_ROW.name, ""))
        found = (contains(session.kind, func.lower(text), part) for text in texts)
        statement = statement.where(or_(*found))
    if after is not None:
        statement = statement.where(_ROW.id > after)
    rows = session.execute(statement.order_by(_ROW.id).limit(limit).offset(offset)).mappings()
    return [_project(row) for row in rows]


def known_project(session: ReadSession, organization_id: str, project_id: str) -> Project:
    """The project with this id. Raises ProjectUnknown."""
    statement = select(projects).where(
        _ROW.organization_id == organization_id, _ROW.id == project_id
    )
    row = session.execute(statement).mappings().first()
    if row is None:
        raise ProjectUnknown("Project not found")
    return _project(row)


def rename_project(session: WriteSession, actor: Actor, project_id: str, name: str) -> Project:
    """Give a project a name; its id stays what calls name. Raises ProjectUnknown, PersonError."""
    before = known_project(session, actor.organization_id, project_id)
    made = Project(before.id, clean_name(name), before.created_at)
    if made == before:
        return before
    session.execute(
        update(projects)
        .where(_ROW.organization_id == actor.organization_id, _ROW.id == project_id)
        .values(name=made.name)
    )
    states = ({"name": each.name} for each in (before, made))
    actor.record(session, "project.updated", "project", project_id, *states)
    return made


def set_revenue(
    session: WriteSession,
    actor: Actor,
    project_id: str,
    *,
    period: str,
    amount: object,
    currency: str,
) -> Revenue:
    """Keep what a project earned in a month, in place of what was kept of it before. Raises
    ProjectUnknown, AmountError."""
    known_project(session, actor.organization_id, project_id)
    made = Revenue(period, to_e10(parse_decimal(amount, "amount")), check_currency(currency))
    own = (
        _REVENUE.organization_id == actor.organization_id,
        _REVENUE.project_id == project_id,
        _REVENUE.period == period,
    )
    values = {
        "amount_e10": made.amount_e10,
        "currency": made.currency,
        "updated_at": actor.now_us,
    }
    before = session.execute(select(project_revenue).where(*own)).mappings().first()
    if before is None:
        key = {
            "organization_id": actor.organization_id,
            "project_id": project_id,
            "period": period,
        }
        session.execute(insert(project_revenue), {**key, **values})
    else:
        session.execute(update(project_revenue).where(*own).values(**values))
    old = None if before is None else _told(_revenue(before))
    actor.record(session, "project.revenue_set", "project", project_id, old, _told(made))
    return made


def revenue_of(session: ReadSession, organization_id: str, project_id: str) -> list[Revenue]:
    """What a project earned, month by month. Raises ProjectUnknown."""
    known_project(session, organization_id, project_id)
    statement = (
        select(project_revenue)
        .where(_REVENUE.organization_id == organization_id, _REVENUE.project_id == project_id)
        .order_by(_REVENUE.period)
    )
    return [_revenue(row) for row in session.execute(statement).mappings()]


def _project(row: Mapping[Any, Any]) -> Project:
    return Project(row["id"], row["name"], int(row["created_at"]))


def _revenue(row: Mapping[Any, Any]) -> Revenue:
    return Revenue(row["period"], int(row["amount_e10"]), row["currency"])


def _told(found: Revenue) -> dict[str, object]:
    """What the audit log says of it; the amount in ten-billionths, which is exact."""
    return {"period": found.period, "amount_e10": found.amount_e10, "currency": found.currency}
