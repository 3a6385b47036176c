"""API keys. The secret is never stored: only its SHA-256, its prefix and last four characters."""

from __future__ import annotations

from sqlalchemy import Column, Index, String, Table, UniqueConstraint

from llm_cost_ops.server.db.base import (
    TABLE_OPTIONS,
    Id,
    Json,
    Name,
    OrganizationId,
    metadata,
    micros,
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("name", Name, nullable=False),
    Column("prefix", String(32), nullable=False),
    Column("last_four", String(4), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("scopes", Json, nullable=False),
    Column("created_by", Id),
    micros("created_at"),
    micros("expires_at", nullable=True),
    micros("revoked_at", nullable=True),
    micros("last_used_at", nullable=True),
    Column("user_id", Name),
    Column("environment", String(32)),
    Column("allowed_networks", Json),
    Column("replaced_by", Id),
    UniqueConstraint("digest"),
    Index("ix_api_keys_organization", "organization_id", "id"),
    **TABLE_OPTIONS,
)
