"""Who may export what: the permission to export, and the one to read what is exported."""

from __future__ import annotations

from dataclasses import replace

from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.http.problems import Problem

EXPORT = "export:data"
_READ: dict[str, str] = {}


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
    return replace(principal, reach=principal.reach_of(scopes))


def may_read(principal: Principal, kind: str) -> bool:
    """Whether `allowed` raises nothing."""
    return principal.holds(EXPORT, read_by(kind))
