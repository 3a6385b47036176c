"""Shapes of API keys on the wire."""

from __future__ import annotations

from typing import Annotated

from pydantic import AliasChoices, Field

from llm_cost_ops.server.http.routing import Wire

Scope = Annotated[str, Field(min_length=1, max_length=64)]


class NewKey(Wire):
    """`POST /api/v1/auth/api-keys`. Without `scopes` the key gets those of its maker."""

    name: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00]*\S[^\x00]*$")]
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=64)] | None = Field(
        default=None, validation_alias=AliasChoices("scopes", "permissions")
    )
    organization_id: Annotated[str, Field(max_length=50)] | None = None
    expires_at: Annotated[str, Field(max_length=40)] | None = None


KEY_ROW_SCHEMA: dict[str, object] = {
    "type": "object",
    "required": ["id", "organization_id", "name", "scopes", "is_active", "created_at"],
    "properties": {
        "id": {"type": "string"},
        "organization_id": {"type": "string"},
        "name": {"type": "string"},
        "prefix": {"type": "string"},
        "last_four": {"type": "string"},
        "scopes": {"type": "array", "items": {"type": "string"}},
        "permissions": {"type": "array", "items": {"type": "string"}},
        "is_active": {"type": "boolean"},
        "created_by": {"type": ["string", "null"]},
        "created_at": {"type": "string", "format": "date-time"},
        "expires_at": {"type": ["string", "null"], "format": "date-time"},
        "revoked_at": {"type": ["string", "null"], "format": "date-time"},
        "last_used_at": {"type": ["string", "null"], "format": "date-time"},
        "key": {"type": "string", "description": "The secret: shown once, at creation."},
    },
}
