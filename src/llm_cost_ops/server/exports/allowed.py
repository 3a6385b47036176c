"""Who may export what: the permission to export, and the one to read what is exported."""

from __future__ import annotations

from dataclasses import replace

from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.http.problems import Problem

EXPORT = "export:data"
_READ = {"audit": "read:audit", "budgets": "read:budgets"}
_OF_THE_WHOLE = frozenset({"audit"})
"""Types that nobody may read who is limited to some calls."""


def read_by(kind: str) -> str:
    """The permission that reading a type takes."""
    return _READ.get(kind, "read:costs")


def allowed(principal: Principal, kind: str) -> Principal:
    """The principal with the calls that both permissions reach. Raises Problem 403."""
    scopes = (EXPORT, read_by(kind))
    missing = principal.missing(scopes)
    if missing:
        text = f"Insufficient permissions: {', '.join(missing)}"
        raise Problem(403, "INSUFFICIENT_PERMISSIONS", text)
    reach = principal.reach_of(scopes)
    if kind in _OF_THE_WHOLE and not reach.is_everything:
        text = f"This is about the whole organization; your roles are limited to {reach.text()}."
        raise Problem(403, "INSUFFICIENT_PERMISSIONS", text)
    return replace(principal, reach=reach)


def allowed_or_none(principal: Principal, kind: str) -> Principal | None:
    """The same, None for a refusal."""
    try:
        return allowed(principal, kind)
    except Problem:
        return None
