"""Prices that an organization (or, without one, the operator) set, and every card ever used."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
)

from llm_cost_ops.server.db.base import (
    TABLE_OPTIONS,
    Id,
    Json,
    Name,
    OrganizationId,
    amount,
    count,
    metadata,
    micros,
)

price_versions = Table(
    "price_versions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("pricing_id", Id, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("organization_id", OrganizationId, nullable=False),
    Column("provider", String(64), nullable=False),
    Column("model", Name, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("region", String(64)),
    Column("service_tier", String(32), nullable=False),
    Column("processing", String(16), nullable=False),
    micros("valid_from"),
    micros("valid_to", nullable=True),
    micros("recorded_at"),
    Column("recorded_by", Id),
    Column("prices", Json, nullable=False),
    Column("structure", Json),
    Column("request", Json, nullable=False),
    UniqueConstraint("pricing_id", "version"),
    Index("ix_price_versions_organization", "organization_id", "provider", "model"),
    **TABLE_OPTIONS,
)
"""Bitemporal, append-only: a change is a new version; the operator's organization is empty."""

price_adjustments = Table(
    "price_adjustments",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("label", Name, nullable=False),
    Column("provider", String(64)),
    Column("model", Name),
    Column("kinds", Json),
    Column("factor", String(40), nullable=False),
    micros("valid_from"),
    micros("valid_to", nullable=True),
    micros("recorded_at"),
    micros("removed_at", nullable=True),
    Column("recorded_by", Id),
    Index("ix_price_adjustments_organization", "organization_id", "position"),
    **TABLE_OPTIONS,
)
"""Negotiated discounts as ordered factors; factors are decimal text."""

deployments = Table(
    "deployments",
    metadata,
    Column("organization_id", OrganizationId, nullable=False),
    Column("provider", String(64), nullable=False),
    Column("deployment", Name, nullable=False),
    Column("model", Name, nullable=False),
    Column("region", String(64)),
    micros("created_at"),
    PrimaryKeyConstraint("organization_id", "provider", "deployment"),
    **TABLE_OPTIONS,
)
"""Names of an organization's own deployments (Azure) and the model behind each."""

price_cards = Table(
    "price_cards",
    metadata,
    Column("id", Name, primary_key=True),
    Column("card", Json, nullable=False),
    micros("first_used_at"),
    **TABLE_OPTIONS,
)
"""Each rate card (with its adjustments) that ever rated a record, so that its lines can be shown
after the price book has moved on."""

reratings = Table(
    "reratings",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("request", Json, nullable=False),
    count("records"),
    amount("difference_e10"),
    Column("applied_by", Id),
    micros("applied_at"),
    Index("ix_reratings_organization", "organization_id", "id"),
    **TABLE_OPTIONS,
)
