"""What persons asked for, and what became of it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, PrimaryKeyConstraint, String, Table

from llm_cost_ops.server.db.base import (
    TABLE_OPTIONS,
    Id,
    Json,
    Name,
    OrganizationId,
    count,
    flag,
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

retention_policies = Table(
    "retention_policies",
    metadata,
    Column("organization_id", OrganizationId, nullable=False),
    Column("kept", String(32), nullable=False),
    Column("days", BigInteger, nullable=False),
    flag("archives"),
    micros("updated_at"),
    Column("updated_by", Id),
    PrimaryKeyConstraint("organization_id", "kept"),
    **TABLE_OPTIONS,
)
"""How many days an organization keeps what; without a row for ever. `archives`: nothing is removed
that was not written to an archive and read back."""

retention_archives = Table(
    "retention_archives",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("kept", String(32), nullable=False),
    Column("file", String(64), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("content_sha256", String(64), nullable=False),
    count("row_count"),
    count("size_bytes"),
    micros("before_at"),
    micros("created_at"),
    Index("ix_retention_archives_organization", "organization_id", "id"),
    **TABLE_OPTIONS,
)
"""Archives that were written and read back; then what they hold was removed."""
