"""Nobody gives, or takes over, more than they hold themselves.

Whoever could change the address of an administrator, or welcome one, would be one a mail later.
"""

from __future__ import annotations

from collections.abc import Iterable

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.grants import beyond
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.identity.role_grants import role_key, roles_of
from llm_cost_ops.server.identity.roles import RoleUnknown, get_role


class BeyondOwn(DomainError):
    """A role with permissions that the caller does not hold."""

    code = "INSUFFICIENT_PERMISSIONS"


def grantable(session: ReadSession, principal: Principal, text: str, field: str = "role") -> str:
    """The stored key of a role that the caller may give. Raises RoleUnknown, BeyondOwn."""
    key = role_key(session, principal.organization_id, text, field)
    refuse_beyond(session, principal, [key])
    return key


def refuse_stronger(session: ReadSession, principal: Principal, user_id: str) -> None:
    """Raises BeyondOwn for a user whose roles hold what the caller does not."""
    held = roles_of(session, principal.organization_id, [user_id]).get(user_id, ())
    refuse_beyond(session, principal, held)


def refuse_beyond(session: ReadSession, principal: Principal, keys: Iterable[str]) -> None:
    """Raises BeyondOwn for stored keys of roles that hold what the caller does not."""
    for key in keys:
        try:
            role = get_role(session, principal.organization_id, key)
        except RoleUnknown:  # one that was removed gives nothing
            continue
        more = beyond(principal.held, role.grant)
        if more:
            raise BeyondOwn(f"Insufficient permissions: {', '.join(more)}")
