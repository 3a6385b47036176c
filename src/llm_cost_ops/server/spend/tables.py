"""Budgets, what is used and held of each in each period, and the reservations that hold it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, String, Table, Text

from llm_cost_ops.server.db.base import (
    TABLE_OPTIONS,
    Id,
    Json,
    Name,
    OrganizationId,
    amount,
    count,
    flag,
    metadata,
    micros,
)

budgets = Table(
    "budgets",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("name", Name, nullable=False),
    Column("parent_id", Id),
    Column("definition", Json, nullable=False),
    micros("counts_from"),
    micros("created_at"),
    micros("updated_at"),
    Column("created_by", Id),
    micros("deleted_at", nullable=True),
    Index("ix_budgets_organization", "organization_id", "id"),
    **TABLE_OPTIONS,
)
"""`definition` has the canonical fields of `core.definition`. A deleted budget stays for those who
look at its changes; its counters go."""

budget_changes = Table(
    "budget_changes",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("budget_id", Id, nullable=False),
    Column("kind", String(16), nullable=False),
    amount("amount_e10"),
    micros("period_start"),
    Column("other_budget_id", Id),
    Column("reason", Text, nullable=False),
    Column("actor_id", Id),
    micros("created_at"),
    Index("ix_budget_changes_budget", "budget_id", "id"),
    **TABLE_OPTIONS,
)
"""Increases, decreases and transfers of the amount of one period: how much, by whom and why."""

spend_counters = Table(
    "spend_counters",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("budget_id", Id, nullable=False),
    Column("period_start", BigInteger, nullable=False),
    count("spent_whole"),
    count("spent_fraction"),
    count("requests"),
    count("tokens"),
    count("unpriced"),
    count("other_currency"),
    count("reserved_e10"),
    count("reserved_requests"),
    count("reserved_tokens"),
    count("adjusted_e10"),
    amount("carried_e10", nullable=True),
    amount("amount_e10", nullable=True),
    count("told"),
    flag("told_exceeded"),
    count("minute"),
    count("minute_calls"),
    Index("ix_spend_counters_budget", "budget_id", "period_start"),
    Index("ix_spend_counters_organization", "organization_id"),
    **TABLE_OPTIONS,
)
"""One row per budget and period, or step of a sliding one. `spent` is the ledger's sum, in whole
units and 1e-10 fractions, because a sum of 64-bit amounts can leave 64 bits. `amount_e10` is the
budget's amount when the period was last touched. `told` is the highest threshold (millionths) that
was told of."""

reservations = Table(
    "reservations",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("status", String(16), nullable=False),
    amount("amount_e10"),
    Column("currency", String(3), nullable=False),
    count("requests"),
    count("tokens"),
    Column("held", Json, nullable=False),
    Column("call", Json, nullable=False),
    micros("created_at"),
    micros("expires_at"),
    micros("resolved_at", nullable=True),
    Column("resolution", String(64)),
    amount("cost_e10", nullable=True),
    Column("record_id", Id),
    Column("created_by", Id),
    Index("ix_reservations_expiry", "status", "expires_at"),
    Index("ix_reservations_organization", "organization_id", "id"),
    Index("ix_reservations_record", "organization_id", "record_id"),
    **TABLE_OPTIONS,
)
"""`held` lists the counters that hold the amount; `call` is what the reservation knows of the call;
`resolution` is the digest of what it was settled or released with."""

spend_versions = Table(
    "spend_versions",
    metadata,
    Column("organization_id", OrganizationId, primary_key=True),
    Column("version", BigInteger, nullable=False),
    **TABLE_OPTIONS,
)
"""Grows with every change of an organization's budgets; who moves counters holds it shared."""
