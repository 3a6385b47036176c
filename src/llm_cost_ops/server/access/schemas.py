"""Shapes of API keys on the wire."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AliasChoices, Field

from llm_cost_ops.server.access.networks import MAX_NETWORKS
from llm_cost_ops.server.http.routing import Wire

OVERLAP_SECONDS = 86_400
MAX_OVERLAP_SECONDS = 30 * 86_400

Scope = Annotated[str, Field(min_length=1, max_length=64)]
Scopes = Annotated[list[Scope], Field(min_length=1, max_length=64)]
Name = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00]*\S[^\x00]*$")]
Organization = Annotated[str, Field(max_length=50)]
Instant = Annotated[str, Field(max_length=40)]
Networks = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=64)]], Field(max_length=MAX_NETWORKS)
]


class NewKey(Wire):
    """`POST /api/v1/auth/api-keys`. Without `scopes` the key gets those of its maker."""

    name: Name
    scopes: Scopes | None = Field(
        default=None, validation_alias=AliasChoices("scopes", "permissions")
    )
    organization_id: Organization | None = None
    expires_at: Instant | None = None
    environment: Literal["live", "test", "staging"] | None = None
    allowed_networks: Networks | None = None
    user_id: Annotated[str, Field(min_length=1, max_length=255)] | None = None


class ChangedKey(Wire):
    """`PATCH /api/v1/auth/api-keys/{id}`. What is not named stays."""

    name: Name | None = None
    scopes: Scopes | None = Field(
        default=None, validation_alias=AliasChoices("scopes", "permissions")
    )
    allowed_networks: Networks | None = None
    expires_at: Instant | None = None
    organization_id: Organization | None = None


class Rotation(Wire):
    """`POST /api/v1/auth/api-keys/{id}/rotate`."""

    overlap_seconds: Annotated[int, Field(ge=0, le=MAX_OVERLAP_SECONDS)] = OVERLAP_SECONDS
    organization_id: Organization | None = None


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
        "environment": {"type": ["string", "null"]},
        "allowed_networks": {"type": "array", "items": {"type": "string"}},
        "user_id": {"type": ["string", "null"]},
        "replaced_by": {"type": ["string", "null"]},
        "created_by": {"type": ["string", "null"]},
        "created_at": {"type": "string", "format": "date-time"},
        "expires_at": {"type": ["string", "null"], "format": "date-time"},
        "revoked_at": {"type": ["string", "null"], "format": "date-time"},
        "last_used_at": {"type": ["string", "null"], "format": "date-time"},
        "key": {"type": "string", "description": "The secret: shown once, at creation."},
    },
}
