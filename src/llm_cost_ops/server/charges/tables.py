"""What providers charge that is no call: commitments, other purchases, and credits."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, String, Table

from llm_cost_ops.server.db.base import (
    TABLE_OPTIONS,
    Id,
    Name,
    OrganizationId,
    amount,
    metadata,
    micros,
)

charges = Table(
    "charges",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("provider", String(64), nullable=False),
    Column("name", Name, nullable=False),
    Column("currency", String(3), nullable=False),
    amount("amount_e10"),
    amount("granted_e10", nullable=True),
    Column("start_day", BigInteger, nullable=False),
    Column("end_day", BigInteger),
    Column("billing_period", String(7), nullable=False),
    Column("type", Name),
    Column("quantity", String(40)),
    Column("unit", String(64)),
    Column("frequency", String(16)),
    Column("virtual_currency", String(64)),
    Column("virtual_units", String(40)),
    Column("contract_id", Name),
    Column("invoice_id", Name),
    Column("invoice_issuer", Name),
    Column("created_by", Id),
    micros("created_at"),
    Index("ix_charges_organization_id", "organization_id", "id"),
    **TABLE_OPTIONS,
)
"""`start_day` and `end_day` (the last one) count days since 1970. `billing_period` is the month in
whose books a charge is: that of its first day, or the first that was open when it came.
`quantity` and `virtual_units` are decimal digits, because no database has a decimal type that all
have."""
