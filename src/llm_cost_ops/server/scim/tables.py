"""SCIM tokens, and what identity providers say of people beyond what `users` holds."""

from __future__ import annotations

from sqlalchemy import Column, Index, PrimaryKeyConstraint, String, Table, UniqueConstraint

from llm_cost_ops.server.db.base import (
    TABLE_OPTIONS,
    Id,
    Json,
    Name,
    OrganizationId,
    flag,
    metadata,
    micros,
)

scim_tokens = Table(
    "scim_tokens",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("name", Name, nullable=False),
    Column("last_four", String(4), nullable=False),
    Column("digest", String(64), nullable=False),
    flag("assigns_roles"),
    Column("created_by", Id),
    micros("created_at"),
    micros("expires_at", nullable=True),
    micros("revoked_at", nullable=True),
    micros("last_used_at", nullable=True),
    UniqueConstraint("digest"),
    Index("ix_scim_tokens_organization", "organization_id", "id"),
    **TABLE_OPTIONS,
)
"""The secret is never stored: only its SHA-256 and its last four characters."""

scim_users = Table(
    "scim_users",
    metadata,
    Column("organization_id", OrganizationId, nullable=False),
    Column("user_id", Name, nullable=False),
    Column("user_name", Name, nullable=False),
    Column("user_name_key", Name, nullable=False),
    Column("document", Json, nullable=False),
    PrimaryKeyConstraint("organization_id", "user_id"),
    UniqueConstraint("organization_id", "user_name_key"),
    **TABLE_OPTIONS,
)
"""`user_name_key` is the user name as it is compared: composed (NFC), in lower case. `document`
holds the attributes that have no column of `users`."""
