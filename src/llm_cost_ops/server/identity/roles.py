"""Roles of an organization: built-in ones as they are, custom ones made, changed and removed, and
who has which. Nobody gives more than it holds."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.grants import Grant, beyond, conditions_wire, parse_conditions
from llm_cost_ops.core.ids import single_id
from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.core.permissions import (
    DESCRIPTIONS,
    ROLES,
    PermissionTextError,
    normalise_all,
    role_name,
)
from llm_cost_ops.core.scope import WHOLE
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.identity import role_grants
from llm_cost_ops.server.identity.grants import grant_of
from llm_cost_ops.server.identity.tables import roles, user_roles, users

MAX_ROLES = 500
MAX_NAME = 64
MAX_DESCRIPTION = 1_000
MAX_PERMISSIONS = 100
_ROW = roles.c
_HAS = user_roles.c
Held = Sequence[Grant] | None
"""What the one who changes roles holds; None for the operator, who may give anything."""


class RoleError(DomainError):
    """A role that cannot be made as it was described."""


class RoleExists(DomainError):
    """The organization has a role of this name."""

    code = "CONFLICT"


class RoleUnknown(DomainError):
    """No such role in this organization."""

    code = "NOT_FOUND"


class UserUnknown(DomainError):
    """No such user in this organization."""

    code = "NOT_FOUND"


class RolePermissionError(DomainError):
    """A role that can do more than who would give, change or take it."""

    code = "INSUFFICIENT_PERMISSIONS"


@dataclass(frozen=True, slots=True)
class Role:
    """A built-in or custom role; built-in ones are known by their name alone. Times in
    microseconds since 1970 UTC."""

    id: str
    name: str
    description: str | None
    grant: Grant
    built_in: bool = False
    created_at: int | None = None
    updated_at: int | None = None

    def wire(self) -> dict[str, object]:
        """What the audit log holds of it."""
        return {
            "name": self.name,
            "description": self.description,
            "permissions": sorted(self.grant.scopes),
            "conditions": conditions_wire(self.grant.within),
        }


def create_role(
    session: WriteSession,
    actor: Actor,
    *,
    name: str,
    permissions: Iterable[str],
    description: str | None = None,
    conditions: Mapping[str, object] | None = None,
    held: Held = None,
) -> Role:
    """Make a custom role. Raises RoleError, PermissionTextError, ConditionsError, RoleExists,
    RolePermissionError."""
    made = Role(
        single_id("role", actor.now_us // 1_000, secrets.randbits(80)),
        _name(name),
        _description(description),
        _grant(permissions, conditions),
        created_at=actor.now_us,
    )
    _check_held(held, made.grant)
    if len(_custom(session, actor.organization_id)) >= MAX_ROLES:
        raise RoleError(f"at most {MAX_ROLES} roles can be made", field="name")
    try:
        session.execute(insert(roles), {**_stored(made), **_new(actor, made)})
    except IntegrityError:
        raise RoleExists(f"A role named {made.name} exists already.") from None
    actor.record(session, "role.created", "role", made.id, None, made.wire())
    return made


def get_role(session: ReadSession, organization_id: str, text: str) -> Role:
    """A role by its id or name, in any accepted spelling for a built-in one. A role that is named
    as another one's id is called is not that one. Raises RoleUnknown."""
    built_in = _built_in(text)
    if built_in is not None:
        return built_in
    custom = _custom(session, organization_id)
    named = [role for role in custom if role.id == text] or [
        role for role in custom if role.name == text
    ]
    if not named:
        raise RoleUnknown("Role not found")
    return named[0]


def list_roles(session: ReadSession, organization_id: str) -> list[Role]:
    """The built-in roles, then the custom ones by name."""
    return [*_BUILT_IN.values(), *_custom(session, organization_id)]


def update_role(
    session: WriteSession,
    actor: Actor,
    text: str,
    *,
    changes: Mapping[str, Any],
    held: Held = None,
) -> Role:
    """Change the `name`, `description`, `permissions` or `conditions` of a custom role; those who
    have it can do what it says from then on. Raises like create_role, and RoleUnknown."""
    before = _own(session, actor, text)
    permissions = changes.get("permissions")
    conditions = changes.get("conditions", conditions_wire(before.grant.within))
    after = replace(
        before,
        name=_name(changes["name"]) if "name" in changes else before.name,
        description=_description(changes.get("description", before.description)),
        grant=_grant(before.grant.scopes if permissions is None else permissions, conditions),
        updated_at=actor.now_us,
    )
    _check_held(held, before.grant)
    _check_held(held, after.grant)
    if after.wire() == before.wire():
        return before
    try:
        session.execute(
            update(roles)
            .where(_ROW.organization_id == actor.organization_id, _ROW.id == before.id)
            .values(**_stored(after), updated_at=actor.now_us, version=_ROW.version + 1)
        )
    except IntegrityError:
        raise RoleExists(f"A role named {after.name} exists already.") from None
    actor.record(session, "role.updated", "role", before.id, before.wire(), after.wire())
    return after


def delete_role(session: WriteSession, actor: Actor, text: str, *, held: Held = None) -> Role:
    """Remove a custom role; those who had it have it no more. Raises RoleUnknown, RoleError for a
    built-in one, RolePermissionError."""
    gone = _own(session, actor, text)
    _check_held(held, gone.grant)
    had = _holders(session, actor.organization_id, gone.id)
    session.execute(
        delete(user_roles).where(
            _HAS.organization_id == actor.organization_id, _HAS.role == gone.id
        )
    )
    session.execute(
        delete(roles).where(_ROW.organization_id == actor.organization_id, _ROW.id == gone.id)
    )
    before = {**gone.wire(), "users": had[:MAX_PERMISSIONS], "user_count": len(had)}
    actor.record(session, "role.deleted", "role", gone.id, before, None)
    return gone


def assign_role(
    session: WriteSession, actor: Actor, user_id: str, text: str, *, held: Held = None
) -> Role:
    """Give a user a role; a second time changes nothing. Raises UserUnknown, RoleUnknown,
    RolePermissionError."""
    _check_user(session, actor.organization_id, user_id)
    role = get_role(session, actor.organization_id, text)
    _check_held(held, role.grant)
    role_grants.grant_role(session, actor, user_id, role.id)
    return role


def withdraw_role(
    session: WriteSession, actor: Actor, user_id: str, text: str, *, held: Held = None
) -> Role:
    """Take a role from a user, who cannot use it within a second; from one who does not have it
    changes nothing. Raises UserUnknown, RoleUnknown, RolePermissionError, LastAdmin."""
    _check_user(session, actor.organization_id, user_id)
    role = get_role(session, actor.organization_id, text)
    _check_held(held, role.grant)
    role_grants.withdraw_role(session, actor, user_id, role.id)
    return role


def roles_of_user(session: ReadSession, organization_id: str, user_id: str) -> list[Role]:
    """The roles that a user has, built-in ones first. Raises UserUnknown."""
    _check_user(session, organization_id, user_id)
    has = role_grants.roles_of(session, organization_id, [user_id]).get(user_id, ())
    return [role for role in list_roles(session, organization_id) if role.id in has]


def _check_held(held: Held, wanted: Grant) -> None:
    if held is None:
        return
    more = beyond(held, wanted)
    if more:
        raise RolePermissionError(
            f"The role can do more than who asks: {', '.join(more)}.", field=None
        )


def _check_user(session: ReadSession, organization_id: str, user_id: str) -> None:
    statement = select(users.c.id).where(
        users.c.organization_id == organization_id, users.c.id == user_id
    )
    if session.execute(statement).first() is None:
        raise UserUnknown("User not found")


def _holders(session: ReadSession, organization_id: str, role_id: str) -> list[str]:
    statement = select(_HAS.user_id).where(
        _HAS.organization_id == organization_id, _HAS.role == role_id
    )
    return sorted(session.execute(statement).scalars())


def _own(session: ReadSession, actor: Actor, text: str) -> Role:
    role = get_role(session, actor.organization_id, text)
    if role.built_in:
        raise RoleError("is a built-in role, which cannot be changed", field="role")
    return role


def _custom(session: ReadSession, organization_id: str) -> list[Role]:
    rows = session.execute(
        select(roles).where(_ROW.organization_id == organization_id).order_by(_ROW.name)
    ).mappings()
    return [
        Role(
            row["id"],
            row["name"],
            row["description"],
            grant_of(row),
            created_at=int(row["created_at"]),
            updated_at=None if row["updated_at"] is None else int(row["updated_at"]),
        )
        for row in rows
    ]


def _built_in(text: str) -> Role | None:
    try:
        return _BUILT_IN[role_name(text)]
    except PermissionTextError:
        return None


def _grant(permissions: Iterable[str], conditions: Mapping[str, object] | None) -> Grant:
    try:
        scopes = normalise_all(permissions)
    except PermissionTextError as error:
        raise PermissionTextError(error.message, field="permissions") from None
    if not 0 < len(scopes) <= MAX_PERMISSIONS:
        raise RoleError(f"must name 1 to {MAX_PERMISSIONS} permissions", field="permissions")
    return Grant(scopes, parse_conditions(conditions))


def _name(given: str) -> str:
    name = given.strip()
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise RoleError(f"must have 1 to {MAX_NAME} printable characters", field="name")
    if _built_in(name) is not None:
        raise RoleError("is a built-in role or another name of one", field="name")
    return name


def _description(given: str | None) -> str | None:
    if given is None or not given.strip():
        return None
    if len(given) > MAX_DESCRIPTION or "\x00" in given:
        raise RoleError(f"must have at most {MAX_DESCRIPTION} characters", field="description")
    return given.strip()


def _stored(role: Role) -> dict[str, object]:
    within = role.grant.within
    return {
        "name": role.name,
        "description": role.description,
        "permissions": dumps(sorted(role.grant.scopes)),
        "conditions": None if within == WHOLE else dumps(conditions_wire(within)),
    }


def _new(actor: Actor, role: Role) -> dict[str, object]:
    return {
        "organization_id": actor.organization_id,
        "id": role.id,
        "created_at": actor.now_us,
        "updated_at": None,
        "version": 1,
    }


_BUILT_IN = {
    name: Role(name, name, DESCRIPTIONS[name], Grant(scopes), built_in=True)
    for name, scopes in ROLES.items()
}
