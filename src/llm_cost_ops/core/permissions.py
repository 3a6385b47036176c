"""Permissions: `action:resource`, the built-in roles, and whether the held cover the asked.

Both documented spellings are read (`write:costs` and `costs:write`), one is kept. A scope that is
not known is refused instead of stored, so that a misspelt scope cannot look granted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from llm_cost_ops.core.errors import DomainError

EVERYTHING = "*"
ACTIONS = frozenset({"read", "write", "export"})
RESOURCES = frozenset(
    {
        "alerts",
        "analytics",
        "api_keys",
        "audit",
        "budgets",
        "costs",
        "data",
        "forecasts",
        "models",
        "organizations",
        "pricing",
        "providers",
        "reports",
        "roles",
        "scim_groups",
        "scim_roles",
        "scim_users",
        "teams",
        "usage",
        "users",
        "webhooks",
    }
)
_RESOURCE_ALIASES: Mapping[str, str] = {
    "alert": "alerts",
    "analytic": "analytics",
    "api-key": "api_keys",
    "api-keys": "api_keys",
    "api_key": "api_keys",
    "budget": "budgets",
    "cost": "costs",
    "export": "data",
    "exports": "data",
    "forecast": "forecasts",
    "keys": "api_keys",
    "model": "models",
    "org": "organizations",
    "organization": "organizations",
    "price": "pricing",
    "prices": "pricing",
    "provider": "providers",
    "report": "reports",
    "role": "roles",
    "team": "teams",
    "user": "users",
    "webhook": "webhooks",
}
_ACTION_ALIASES: Mapping[str, str] = {"admin": EVERYTHING, "generate": "write"}
_WHOLE_ALIASES: Mapping[str, str] = {
    "admin": EVERYTHING,
    "admin:*": EVERYTHING,
    "*:*": EVERYTHING,
    "export:read": "export:data",
    "read:export": "export:data",
    "read:exports": "export:data",
    "exports:read": "export:data",
    "data:read": "export:data",
    "read:data": "export:data",
}
_SAME = {"write:usage": "write:costs"}
"""Usage and costs are two doors of one ledger: either scope opens both for writing."""

IMPLIED_BY: Mapping[str, str] = MappingProxyType(
    {
        "read:analytics": "read:costs",
        "read:forecasts": "read:costs",
        "read:models": "read:costs",
        "read:pricing": "read:costs",
        "read:providers": "read:costs",
        "read:scim_groups": "read:teams",
        "read:scim_roles": "read:roles",
        "read:scim_users": "read:users",
        "read:usage": "read:costs",
        "write:forecasts": "write:reports",
        "write:scim_groups": "write:teams",
        "write:scim_roles": "write:roles",
        "write:scim_users": "write:users",
    }
)
"""A required scope (left) that the holder of another one (right) also has."""


_SINGLE = frozenset(
    {f"{action}:{resource}" for action in ("read", "write") for resource in RESOURCES}
    - {"read:data", *_SAME}
    | {"export:data"}
)
"""Every permission without a wildcard."""


class PermissionTextError(DomainError):
    """Text that names no permission or role."""


def normalise(text: str) -> str:
    """The one stored spelling of a permission: `action:resource` or `*`.

    `*` may stand for the action or the resource (`read:*`, `*:costs`). Raises PermissionTextError.
    """
    lowered = text.strip().lower()
    whole = _WHOLE_ALIASES.get(lowered)
    if whole is not None:
        return whole
    if lowered == EVERYTHING:
        return EVERYTHING
    left, separator, right = lowered.partition(":")
    if not separator or not left or not right:
        raise _unknown(text)
    if not _is_action(left) or (_is_action(right) and not _is_resource(right)):
        left, right = right, left
    action = _ACTION_ALIASES.get(left, left)
    resource = _RESOURCE_ALIASES.get(right, right)
    if action not in ACTIONS | {EVERYTHING} or resource not in RESOURCES | {EVERYTHING}:
        raise _unknown(text)
    if action == "export" and resource not in {"data", EVERYTHING}:
        raise _unknown(text)
    canonical = f"{action}:{resource}"
    return _SAME.get(canonical, canonical)


def normalise_all(texts: Iterable[str]) -> frozenset[str]:
    """The canonical spellings of all of them. Raises PermissionTextError for the first unknown."""
    return frozenset(normalise(text) for text in texts)


def holds(scopes: frozenset[str] | set[str], required: Iterable[str]) -> bool:
    """Whether the canonical `scopes` cover every one of the canonical `required` permissions."""
    if EVERYTHING in scopes:
        return True
    return all(_covers(scopes, permission) for permission in required)


def common(one: frozenset[str], other: frozenset[str]) -> frozenset[str]:
    """The permissions that both cover."""
    if EVERYTHING in one:
        return other
    if EVERYTHING in other:
        return one
    both = {p for p in one | other | _SINGLE if holds(one, (p,)) and holds(other, (p,))}
    return frozenset(p for p in both if not holds(both - {p}, (p,)))


def missing(scopes: frozenset[str] | set[str], required: Iterable[str]) -> list[str]:
    """Those of the canonical `required` permissions that `scopes` do not cover, in order."""
    return [permission for permission in required if not holds(scopes, (permission,))]


def _covers(scopes: frozenset[str] | set[str], permission: str) -> bool:
    if permission in scopes:
        return True
    if permission == EVERYTHING:
        return False
    action, _, resource = permission.partition(":")
    if f"{action}:*" in scopes or f"*:{resource}" in scopes:
        return True
    stronger = IMPLIED_BY.get(permission)
    return stronger is not None and _covers(scopes, stronger)


def _is_action(token: str) -> bool:
    return token == EVERYTHING or token in ACTIONS or token in _ACTION_ALIASES


def _is_resource(token: str) -> bool:
    return token == EVERYTHING or token in RESOURCES or token in _RESOURCE_ALIASES


def _unknown(text: str) -> PermissionTextError:
    return PermissionTextError(f"unknown permission {text[:64]!r}", field="scopes")


ROLES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "admin": frozenset({EVERYTHING}),
        "manager": frozenset(
            {
                "read:costs",
                "read:budgets",
                "write:budgets",
                "read:reports",
                "write:reports",
                "read:teams",
                "write:teams",
                "read:users",
            }
        ),
        "analyst": frozenset(
            {"read:costs", "read:budgets", "read:reports", "write:reports", "export:data"}
        ),
        "developer": frozenset({"write:costs", "read:costs", "read:api_keys"}),
        "viewer": frozenset({"read:costs", "read:budgets", "read:reports"}),
        "billing": frozenset(
            {
                "read:costs",
                "read:budgets",
                "write:budgets",
                "read:reports",
                "write:reports",
                "export:data",
            }
        ),
        "auditor": frozenset(
            {
                "read:audit",
                "read:costs",
                "read:budgets",
                "read:reports",
                "read:users",
                "read:teams",
                "read:api_keys",
                "export:data",
            }
        ),
    }
)
"""The five documented roles, and two more for those who pay and those who check."""

DESCRIPTIONS: Mapping[str, str] = MappingProxyType(
    {
        "admin": "Full system access",
        "manager": "Team management and reporting",
        "analyst": "Cost analysis and reporting",
        "developer": "API access for cost tracking",
        "viewer": "Read-only access",
        "billing": "Budgets, reports and exports for those who pay",
        "auditor": "The audit log, and everything that it is about, to read",
    }
)

_ROLE_ALIASES: Mapping[str, str] = {
    "billing_admin": "billing",
    "engineer": "developer",
    "org_admin": "admin",
    "read_only": "viewer",
    "readonly": "viewer",
    "super_admin": "admin",
}


def role_name(text: str) -> str:
    """The canonical name of a built-in role. Raises PermissionTextError."""
    lowered = text.strip().lower().replace("-", "_").replace(" ", "_")
    name = _ROLE_ALIASES.get(lowered, lowered)
    if name not in ROLES:
        raise PermissionTextError(f"unknown role {text[:64]!r}", field="role")
    return name
