"""A key as the API shows it."""

from __future__ import annotations

from llm_cost_ops.core.instant import format_micros
from llm_cost_ops.server.access.store import ApiKey


def key_row(key: ApiKey, now_us: int) -> dict[str, object]:
    """The wire form of a key, without its secret."""
    return {
        "id": key.id,
        "organization_id": key.organization_id,
        "name": key.name,
        "prefix": key.prefix,
        "last_four": key.last_four,
        "scopes": sorted(key.scopes),
        "permissions": sorted(key.scopes),
        "is_active": key.active(now_us),
        "environment": key.environment,
        "allowed_networks": list(key.allowed_networks),
        "user_id": key.user_id,
        "replaced_by": key.replaced_by,
        "created_by": key.created_by,
        "created_at": format_micros(key.created_at),
        "expires_at": _instant(key.expires_at),
        "revoked_at": _instant(key.revoked_at),
        "last_used_at": _instant(key.last_used_at),
    }


def _instant(micros: int | None) -> str | None:
    return None if micros is None else format_micros(micros)
