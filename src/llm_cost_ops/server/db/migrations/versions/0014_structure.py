"""Cost centres, and what projects earn.

Revision ID: 0014
Revises: 0013
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql

revision = "0014"
down_revision = "0013"
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


def upgrade() -> None:
    op.create_table(
        "project_revenue",
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("project_id", sa.String(255), nullable=False),
        sa.Column("period", sa.String(7), nullable=False),
        sa.Column("amount_e10", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "organization_id", "project_id", "period", name="pk_project_revenue"
        ),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "cost_centers",
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("id", sa.String(255), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("owner", sa.String(255), nullable=True),
        sa.Column("metadata", JSON_TEXT, nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("organization_id", "id", name="pk_cost_centers"),
        **TABLE_OPTIONS,
    )


def downgrade() -> None:
    op.drop_table("cost_centers")
    op.drop_table("project_revenue")
