"""Which roles a user holds: given and taken, never the last administrator's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import delete, or_, select

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.permissions import ROLES, PermissionTextError, role_name
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.dialects import insert_ignore
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.identity.last_admin import ADMIN, refuse_last_admin
from llm_cost_ops.server.identity.tables import roles, user_roles

_ROW = user_roles.c


class RoleUnknown(DomainError):
    """The organization has no such role."""


def role_key(session: ReadSession, organization_id: str, text: str, field: str = "role") -> str:
    """What is stored for a role that somebody names: the name of a built-in one, the id of a
    custom one, which may also be named by its name unless that is another one's id. Raises
    RoleUnknown."""
    statement = select(roles.c.id).where(
        roles.c.organization_id == organization_id,
        or_(roles.c.id == text, roles.c.name == text),
    )
    found = sorted(session.execute(statement).scalars())
    if found:
        return text if text in found else str(found[0])
    try:
        return role_name(text)
    except PermissionTextError:
        raise RoleUnknown(f"is no role: {', '.join(ROLES)}, or one of your own", field=field) from (
            None
        )


def roles_of(
    session: ReadSession, organization_id: str, user_ids: Sequence[str]
) -> Mapping[str, tuple[str, ...]]:
    """The roles of each of these users that has any, in order."""
    found: dict[str, tuple[str, ...]] = {}
    if not user_ids:
        return found
    statement = (
        select(_ROW.user_id, _ROW.role)
        .where(_ROW.organization_id == organization_id, _ROW.user_id.in_(user_ids))
        .order_by(_ROW.user_id, _ROW.role)
    )
    rows: Sequence[Any] = session.execute(statement).all()
    for user_id, role in rows:
        found[user_id] = (*found.get(user_id, ()), role)
    return found


def grant_role(session: WriteSession, actor: Actor, user_id: str, role: str) -> bool:
    """Give a user a role by its stored key; whether the user did not have it before. The caller
    has checked that both are there, and that who gives it may."""
    if role in roles_of(session, actor.organization_id, [user_id]).get(user_id, ()):
        return False
    session.execute(
        insert_ignore(session.kind, user_roles, ["organization_id", "user_id", "role"]),
        {
            "organization_id": actor.organization_id,
            "user_id": user_id,
            "role": role,
            "granted_by": actor.actor_id,
            "created_at": actor.now_us,
        },
    )
    actor.record(session, "user.role_granted", "user", user_id, None, {"role": role})
    return True


def withdraw_role(session: WriteSession, actor: Actor, user_id: str, role: str) -> bool:
    """Take a role, named by its stored key, from a user; whether the user had it. Raises
    LastAdmin."""
    if role == ADMIN:
        refuse_last_admin(session, actor.organization_id, user_id)
    gone = session.execute(
        delete(user_roles).where(
            _ROW.organization_id == actor.organization_id,
            _ROW.user_id == user_id,
            _ROW.role == role,
        )
    )
    if not gone.rowcount:
        return False
    actor.record(session, "user.role_withdrawn", "user", user_id, {"role": role}, None)
    return True


def set_roles(session: WriteSession, actor: Actor, user_id: str, wanted: Iterable[str]) -> None:
    """Give exactly these roles, named by their stored keys. Raises LastAdmin."""
    keys = set(wanted)
    held = set(roles_of(session, actor.organization_id, [user_id]).get(user_id, ()))
    for role in sorted(keys - held):
        grant_role(session, actor, user_id, role)
    for role in sorted(held - keys):
        withdraw_role(session, actor, user_id, role)
