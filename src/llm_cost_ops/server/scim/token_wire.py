"""SCIM tokens on the wire."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from llm_cost_ops.core.instant import format_micros
from llm_cost_ops.server.http.routing import Wire
from llm_cost_ops.server.scim.token_store import ScimToken


class NewToken(Wire):
    """`POST /api/v1/scim-tokens`."""

    name: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00]*\S[^\x00]*$")]
    assigns_roles: bool = False
    organization_id: Annotated[str, Field(max_length=50)] | None = None
    expires_at: Annotated[str, Field(max_length=40)] | None = None


TOKEN_ROW_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["id", "organization_id", "name", "assigns_roles", "is_active", "created_at"],
    "properties": {
        "id": {"type": "string"},
        "organization_id": {"type": "string"},
        "name": {"type": "string"},
        "prefix": {"type": "string"},
        "last_four": {"type": "string"},
        "assigns_roles": {"type": "boolean", "description": "Whether it may give people roles."},
        "is_active": {"type": "boolean"},
        "created_by": {"type": ["string", "null"]},
        "created_at": {"type": "string", "format": "date-time"},
        "expires_at": {"type": ["string", "null"], "format": "date-time"},
        "revoked_at": {"type": ["string", "null"], "format": "date-time"},
        "last_used_at": {"type": ["string", "null"], "format": "date-time"},
        "token": {"type": "string", "description": "The secret: shown once, at creation."},
    },
}


def token_row(token: ScimToken, now_us: int) -> dict[str, object]:
    """The wire form of a token, without its secret."""
    return {
        "id": token.id,
        "organization_id": token.organization_id,
        "name": token.name,
        "prefix": "scim_",
        "last_four": token.last_four,
        "assigns_roles": token.assigns_roles,
        "is_active": token.active(now_us),
        "created_by": token.created_by,
        "created_at": format_micros(token.created_at),
        "expires_at": _instant(token.expires_at),
        "revoked_at": _instant(token.revoked_at),
        "last_used_at": _instant(token.last_used_at),
    }


def _instant(micros: int | None) -> str | None:
    return None if micros is None else format_micros(micros)
