"""What persons asked for, and what became of it."""

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

privacy_requests = Table(
    "privacy_requests",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("subject", Name, nullable=False),
    Column("detail", Json),
    Column("certificate", Json),
    Column("created_by", Id),
    micros("created_at"),
    micros("finished_at", nullable=True),
    Index("ix_privacy_requests_organization", "organization_id", "id"),
    **TABLE_OPTIONS,
)
"""`subject` is the user id or e-mail address; of an erasure that is done the pseudonym. `detail` is
where a job stands, `certificate` what an erasure did, signed."""
