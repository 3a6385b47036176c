"""Budgets: definitions and their changes, counters per period, reservations.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

JSON_TEXT = (
    sa.Text()
    .with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
    .with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
)
TABLE_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}
TABLES = ("spend_versions", "reservations", "spend_counters", "budget_changes", "budgets")


def upgrade() -> None:
    _create_budgets()
    _create_counters()
    op.create_index("ix_budgets_organization", "budgets", ["organization_id", "id"])
    op.create_index("ix_budget_changes_budget", "budget_changes", ["budget_id", "id"])
    op.create_index("ix_spend_counters_budget", "spend_counters", ["budget_id", "period_start"])
    op.create_index("ix_spend_counters_organization", "spend_counters", ["organization_id"])
    op.create_index("ix_reservations_expiry", "reservations", ["status", "expires_at"])
    op.create_index("ix_reservations_organization", "reservations", ["organization_id", "id"])
    op.create_index("ix_reservations_record", "reservations", ["organization_id", "record_id"])


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table)


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), server_default="0", nullable=False)


def _create_budgets() -> None:
    op.create_table(
        "budgets",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("parent_id", sa.String(40), nullable=True),
        sa.Column("definition", JSON_TEXT, nullable=False),
        sa.Column("counts_from", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(40), nullable=True),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_budgets"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "budget_changes",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("budget_id", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("amount_e10", sa.BigInteger(), nullable=False),
        sa.Column("period_start", sa.BigInteger(), nullable=False),
        sa.Column("other_budget_id", sa.String(40), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.String(40), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_budget_changes"),
        **TABLE_OPTIONS,
    )


def _create_counters() -> None:
    op.create_table(
        "spend_counters",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("budget_id", sa.String(40), nullable=False),
        sa.Column("period_start", sa.BigInteger(), nullable=False),
        _count("spent_whole"),
        _count("spent_fraction"),
        _count("requests"),
        _count("tokens"),
        _count("unpriced"),
        _count("other_currency"),
        _count("reserved_e10"),
        _count("reserved_requests"),
        _count("reserved_tokens"),
        _count("adjusted_e10"),
        sa.Column("carried_e10", sa.BigInteger(), nullable=True),
        sa.Column("amount_e10", sa.BigInteger(), nullable=True),
        _count("told"),
        sa.Column("told_exceeded", sa.SmallInteger(), server_default="0", nullable=False),
        _count("minute"),
        _count("minute_calls"),
        sa.PrimaryKeyConstraint("id", name="pk_spend_counters"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "reservations",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("amount_e10", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        _count("requests"),
        _count("tokens"),
        sa.Column("held", JSON_TEXT, nullable=False),
        sa.Column("call", JSON_TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("resolved_at", sa.BigInteger(), nullable=True),
        sa.Column("resolution", sa.String(64), nullable=True),
        sa.Column("cost_e10", sa.BigInteger(), nullable=True),
        sa.Column("record_id", sa.String(40), nullable=True),
        sa.Column("created_by", sa.String(40), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_reservations"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "spend_versions",
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", name="pk_spend_versions"),
        **TABLE_OPTIONS,
    )
