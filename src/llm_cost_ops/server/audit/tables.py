"""The audit log: who did what to which resource, before and after."""

from __future__ import annotations

from sqlalchemy import Column, Index, String, Table

from llm_cost_ops.server.db.base import (
    TABLE_OPTIONS,
    Id,
    Json,
    Name,
    OrganizationId,
    metadata,
    micros,
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    micros("timestamp"),
    Column("actor_id", Id),
    Column("action", String(64), nullable=False),
    Column("resource_type", String(64), nullable=False),
    Column("resource_id", Name, nullable=False),
    Column("before", Json),
    Column("after", Json),
    Column("request_id", String(128)),
    Index("ix_audit_log_organization", "organization_id", "timestamp"),
    **TABLE_OPTIONS,
)
