"""Exchange rates that organizations gave."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, String, Table, UniqueConstraint

from llm_cost_ops.server.db.base import (
    TABLE_OPTIONS,
    Id,
    Name,
    OrganizationId,
    metadata,
    micros,
)

exchange_rates = Table(
    "exchange_rates",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("from_currency", String(3), nullable=False),
    Column("to_currency", String(3), nullable=False),
    Column("day", BigInteger, nullable=False),
    Column("rate", String(40), nullable=False),
    Column("source", Name, nullable=False),
    Column("created_by", Id),
    micros("created_at"),
    UniqueConstraint(
        "organization_id",
        "from_currency",
        "to_currency",
        "day",
        name="uq_exchange_rates_organization_id_from_currency_to_currency_day",
    ),
    **TABLE_OPTIONS,
)
"""`day` counts days since 1970; `rate` is decimal digits, because no database has a decimal type
that all have."""
