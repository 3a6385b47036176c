"""What providers charge that is no call, and what closed months drew from commitments.

Revision ID: 0028
Revises: 0027
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

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
        "charges",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("provider", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("amount_e10", sa.BigInteger(), nullable=False),
        sa.Column("granted_e10", sa.BigInteger(), nullable=True),
        sa.Column("start_day", sa.BigInteger(), nullable=False),
        sa.Column("end_day", sa.BigInteger(), nullable=True),
        sa.Column("billing_period", sa.String(7), nullable=False),
        sa.Column("type", sa.String(255), nullable=True),
        sa.Column("quantity", sa.String(40), nullable=True),
        sa.Column("unit", sa.String(64), nullable=True),
        sa.Column("frequency", sa.String(16), nullable=True),
        sa.Column("virtual_currency", sa.String(64), nullable=True),
        sa.Column("virtual_units", sa.String(40), nullable=True),
        sa.Column("contract_id", sa.String(255), nullable=True),
        sa.Column("invoice_id", sa.String(255), nullable=True),
        sa.Column("invoice_issuer", sa.String(255), nullable=True),
        sa.Column("created_by", sa.String(40), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_charges"),
        **TABLE_OPTIONS,
    )
    op.create_index("ix_charges_organization_id", "charges", ["organization_id", "id"])
    drawn = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
    op.add_column("periods", sa.Column("drawn", drawn, nullable=True))


def downgrade() -> None:
    op.drop_column("periods", "drawn")
    op.drop_table("charges")
