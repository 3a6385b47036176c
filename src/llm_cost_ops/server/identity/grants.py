"""What the roles of a user give at this moment."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import and_, select

from llm_cost_ops.core.grants import NOBODY, Grant, Grants, stored_conditions
from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.core.permissions import ROLES
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.identity.tables import accounts, roles, team_members, user_roles, users


def grants_of(session: ReadSession, organization_id: str, user_id: str) -> Grants:
    """The permissions of a user's roles, built-in and custom ones, and the user's teams.

    NOBODY for a user who is unknown or disabled, or whose account is disabled.
    """
    if not _is_enabled(session, organization_id, user_id):
        return NOBODY
    parts: list[Grant] = []
    names: list[str] = []
    for row in _assigned(session, organization_id, user_id):
        built_in = ROLES.get(row["role"])
        if built_in is not None:
            parts.append(Grant(built_in))
            names.append(row["role"])
        elif row["permissions"] is not None:
            parts.append(grant_of(row))
            names.append(row["name"])
    return Grants(tuple(parts), tuple(names), tuple(team_ids_of(session, organization_id, user_id)))


def grant_of(row: Any) -> Grant:
    """The grant of a row of custom roles."""
    conditions = row["conditions"]
    return Grant(
        frozenset(loads(row["permissions"])),
        stored_conditions(None if conditions is None else loads(conditions)),
    )


def team_ids_of(session: ReadSession, organization_id: str, user_id: str) -> list[str]:
    """The teams that the user is a member of, in order."""
    statement = (
        select(team_members.c.team_id)
        .where(
            team_members.c.organization_id == organization_id,
            team_members.c.user_id == user_id,
        )
        .order_by(team_members.c.team_id)
    )
    return list(session.execute(statement).scalars())


def _is_enabled(session: ReadSession, organization_id: str, user_id: str) -> bool:
    statement = (
        select(users.c.id)
        .select_from(users.outerjoin(accounts, accounts.c.id == users.c.account_id))
        .where(
            users.c.organization_id == organization_id,
            users.c.id == user_id,
            users.c.disabled_at.is_(None),
            accounts.c.disabled_at.is_(None),
        )
    )
    return session.execute(statement).first() is not None


def _assigned(session: ReadSession, organization_id: str, user_id: str) -> Iterable[Any]:
    own = and_(
        roles.c.organization_id == user_roles.c.organization_id, roles.c.id == user_roles.c.role
    )
    statement = (
        select(user_roles.c.role, roles.c.name, roles.c.permissions, roles.c.conditions)
        .select_from(user_roles.outerjoin(roles, own))
        .where(
            user_roles.c.organization_id == organization_id,
            user_roles.c.user_id == user_id,
        )
        .order_by(user_roles.c.role)
    )
    return session.execute(statement).mappings().all()
