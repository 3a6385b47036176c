"""Sums by model and day without the projects, filled from the daily rollup.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
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
KEY = ("organization_id", "bucket", "provider", "model_name", "currency")
MEASURES = (
    "requests",
    "unpriced",
    "partially_priced",
    "cost_whole",
    "cost_fraction",
    "list_whole",
    "list_fraction",
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)


def upgrade() -> None:
    op.create_table(
        "rollup_models",
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("bucket", sa.BigInteger(), nullable=False),
        sa.Column("provider", sa.String(64), nullable=False),
        sa.Column("model_name", sa.String(255), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        *(sa.Column(n, sa.BigInteger(), nullable=False, server_default="0") for n in MEASURES),
        sa.Column("min_cost_e10", sa.BigInteger(), nullable=True),
        sa.Column("max_cost_e10", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint(*KEY, name="pk_rollup_models"),
        sqlite_with_rowid=False,
        **TABLE_OPTIONS,
    )
    key = ", ".join(KEY)
    sums = ", ".join(f"SUM({name})" for name in MEASURES)
    # A run that was interrupted on MySQL comes by here twice.
    op.execute("DELETE FROM rollup_models")
    op.execute(
        f"INSERT INTO rollup_models ({key}, {', '.join(MEASURES)}, min_cost_e10, max_cost_e10) "  # nosec B608
        f"SELECT {key}, {sums}, MIN(min_cost_e10), MAX(max_cost_e10) "
        f"FROM rollup_daily GROUP BY {key}"
    )


def downgrade() -> None:
    op.drop_table("rollup_models")
