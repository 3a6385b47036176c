"""The outbox: events written in the transaction of the data that they tell of."""

from __future__ import annotations

from sqlalchemy import Column, Index, String, Table

from llm_cost_ops.server.db.base import TABLE_OPTIONS, Id, Json, OrganizationId, metadata, micros

outbox = Table(
    "outbox",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("topic", String(64), nullable=False),
    Column("payload", Json, nullable=False),
    micros("created_at"),
    micros("delivered_at", nullable=True),
    Index("ix_outbox_pending", "delivered_at", "id"),
    **TABLE_OPTIONS,
)
