"""An organization keeps somebody who can administer it.

Whoever takes rights away holds the organization's row until the end of the transaction: of two who
remove each other at once, the second sees that the first is gone.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.server.db.dialects import lock_rows
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.identity.organizations import OrganizationUnknown
from llm_cost_ops.server.identity.tables import organizations, user_roles, users

ADMIN = "admin"


class LastAdmin(DomainError):
    """The only administrator of an organization cannot be removed, disabled or demoted."""

    code = "LAST_ADMIN"


def hold_organization(session: WriteSession, organization_id: str) -> None:
    """Keep others from changing who belongs to the organization. Raises OrganizationUnknown."""
    statement = lock_rows(select(organizations.c.id).where(organizations.c.id == organization_id))
    if session.execute(statement).first() is None:
        raise OrganizationUnknown("Organization not found")


def admins(session: ReadSession, organization_id: str) -> list[str]:
    """The ids of the people who hold the built-in role `admin` and are not disabled."""
    statement = (
        select(users.c.id)
        .join(
            user_roles,
            (user_roles.c.organization_id == users.c.organization_id)
            & (user_roles.c.user_id == users.c.id),
        )
        .where(
            users.c.organization_id == organization_id,
            users.c.kind == "person",
            users.c.disabled_at.is_(None),
            user_roles.c.role == ADMIN,
        )
        .order_by(users.c.id)
    )
    return list(session.execute(statement).scalars())


def refuse_last_admin(session: WriteSession, organization_id: str, user_id: str) -> None:
    """Raises LastAdmin when this user is the only administrator. Holds the organization."""
    refuse_last_admins(session, organization_id, (user_id,))


def refuse_last_admins(
    session: WriteSession, organization_id: str, user_ids: Collection[str]
) -> None:
    """Raises LastAdmin when no administrator is left without these users. Holds the
    organization."""
    hold_organization(session, organization_id)
    found = set(admins(session, organization_id))
    if found and found <= set(user_ids):
        raise LastAdmin(
            "This is the organization's only administrator: make somebody else one first."
        )
