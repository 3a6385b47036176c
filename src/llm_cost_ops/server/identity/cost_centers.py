"""Cost centres: the codes under which people and teams are accounted for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import delete, insert, select, update

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.jsontext import dumps, loads
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.identity.fields import (
    clean_id,
    clean_metadata,
    clean_name,
    clean_optional,
)
from llm_cost_ops.server.identity.last_admin import hold_organization
from llm_cost_ops.server.identity.tables import cost_centers

_ROW = cost_centers.c


class CostCenterUnknown(DomainError):
    """No such cost centre in this organization."""

    code = "NOT_FOUND"


class CostCenterExists(DomainError):
    """The code is taken."""

    code = "CONFLICT"


@dataclass(frozen=True, slots=True)
class CostCenter:
    """A cost centre. Times in microseconds since 1970 UTC."""

    id: str
    name: str
    owner: str | None
    metadata: Mapping[str, Any]
    created_at: int
    updated_at: int | None


def list_cost_centers(
    session: ReadSession,
    organization_id: str,
    *,
    limit: int,
    offset: int = 0,
    after: str | None = None,
) -> list[CostCenter]:
    """Cost centres by code."""
    statement = select(cost_centers).where(_ROW.organization_id == organization_id)
    if after is not None:
        statement = statement.where(_ROW.id > after)
    rows = session.execute(statement.order_by(_ROW.id).limit(limit).offset(offset)).mappings()
    return [_center(row) for row in rows]


def known_cost_center(session: ReadSession, organization_id: str, code: str) -> CostCenter:
    """The cost centre with this code. Raises CostCenterUnknown."""
    found = _found(session, organization_id, code)
    if found is None:
        raise CostCenterUnknown("Cost center not found")
    return found


def create_cost_center(
    session: WriteSession,
    actor: Actor,
    *,
    code: str,
    name: str,
    owner: str | None = None,
    metadata: Mapping[str, object] | None = None,
) -> CostCenter:
    """Make a cost centre. Raises PersonError, CostCenterExists."""
    hold_organization(session, actor.organization_id)
    made = CostCenter(
        id=clean_id(code, "code"),
        name=clean_name(name),
        owner=clean_optional(owner, "owner"),
        metadata=clean_metadata(metadata),
        created_at=actor.now_us,
        updated_at=None,
    )
    if _found(session, actor.organization_id, made.id) is not None:
        raise CostCenterExists("A cost center of this code exists already.", field="code")
    values = {**_columns(made), "organization_id": actor.organization_id}
    session.execute(insert(cost_centers), values)
    actor.record(session, "cost_center.created", "cost_center", made.id, None, _told(made))
    return made


def update_cost_center(
    session: WriteSession, actor: Actor, code: str, changes: Mapping[str, Any]
) -> CostCenter:
    """Change name, owner or metadata; what is not named stays. Raises CostCenterUnknown,
    PersonError."""
    hold_organization(session, actor.organization_id)
    before = known_cost_center(session, actor.organization_id, code)
    values: dict[str, Any] = {}
    if "name" in changes:
        values["name"] = clean_name(changes["name"] or "")
    if "owner" in changes:
        values["owner"] = clean_optional(changes["owner"], "owner")
    if "metadata" in changes:
        values["metadata"] = clean_metadata(changes["metadata"])
    made = replace(before, **values)
    if made == before:
        return before
    made = replace(made, updated_at=actor.now_us)
    session.execute(
        update(cost_centers)
        .where(_ROW.organization_id == actor.organization_id, _ROW.id == code)
        .values(**_columns(made))
    )
    actor.record(session, "cost_center.updated", "cost_center", code, _told(before), _told(made))
    return made


def remove_cost_center(session: WriteSession, actor: Actor, code: str) -> None:
    """Remove a cost centre. Raises CostCenterUnknown."""
    before = known_cost_center(session, actor.organization_id, code)
    session.execute(
        delete(cost_centers).where(_ROW.organization_id == actor.organization_id, _ROW.id == code)
    )
    actor.record(session, "cost_center.deleted", "cost_center", code, _told(before), None)


def _found(session: ReadSession, organization_id: str, code: str) -> CostCenter | None:
    statement = select(cost_centers).where(_ROW.organization_id == organization_id, _ROW.id == code)
    row = session.execute(statement).mappings().first()
    return None if row is None else _center(row)


def _center(row: Mapping[Any, Any]) -> CostCenter:
    values = {name: row[name] for name in CostCenter.__slots__}
    values["metadata"] = loads(row["metadata"]) if row["metadata"] else {}
    return CostCenter(**values)


def _columns(made: CostCenter) -> dict[str, Any]:
    values: dict[str, Any] = {name: getattr(made, name) for name in CostCenter.__slots__}
    values["metadata"] = dumps(made.metadata) if made.metadata else None
    return values


def _told(found: CostCenter) -> dict[str, object]:
    return {"name": found.name, "owner": found.owner, "metadata": dict(found.metadata)}
