"""Exports that are made by a job and kept for a while."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, String, Table

from llm_cost_ops.server.db.base import (
    TABLE_OPTIONS,
    Id,
    Json,
    Name,
    OrganizationId,
    count,
    metadata,
    micros,
)

exports = Table(
    "exports",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("status", String(16), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("format", String(16), nullable=False),
    Column("asked", Json, nullable=False),
    Column("reach", Json, nullable=False),
    Column("file_name", String(64), nullable=False),
    Column("media_type", String(128), nullable=False),
    Column("file_key", Name),
    count("rows_done"),
    Column("rows_expected", BigInteger),
    count("size_bytes"),
    Column("sha256", String(64)),
    Column("totals", Json),
    Column("reason", Name),
    Column("created_by", Id),
    micros("created_at"),
    micros("started_at", nullable=True),
    micros("finished_at", nullable=True),
    micros("expires_at", nullable=True),
    Index("ix_exports_organization", "organization_id", "id"),
    Index("ix_exports_status", "status", "expires_at"),
    **TABLE_OPTIONS,
)
"""`asked` is the request with the moment and the defaults it was read with, `reach` the calls that
whoever asked could see. `file_key` is where the last attempt writes or wrote; it is None once
nothing of it is left. `rows_expected` is an estimate, None when nobody could tell."""
