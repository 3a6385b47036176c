"""Sums by team of days that are over.

Revision ID: 0029
Revises: 0028
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
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
COUNTS = (
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
        "rollup_teams",
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("bucket", sa.BigInteger(), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.Column("provider", sa.String(64), nullable=False),
        sa.Column("model_name", sa.String(255), nullable=False),
        sa.Column("project_id", sa.String(255), nullable=False),
        sa.Column("team_id", sa.String(255), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False, server_default="0") for name in COUNTS),
        sa.Column("min_cost_e10", sa.BigInteger(), nullable=True),
        sa.Column("max_cost_e10", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("organization_id", "bucket", "place", name="pk_rollup_teams"),
        sqlite_with_rowid=False,
        **TABLE_OPTIONS,
    )
    op.create_table(
        "team_days",
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("day", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(64), nullable=False),
        sa.Column("grain", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "day", name="pk_team_days"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "uncounted_calls",
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("day", sa.BigInteger(), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("organization_id", "day", name="pk_uncounted_calls"),
        **TABLE_OPTIONS,
    )


def downgrade() -> None:
    op.drop_table("uncounted_calls")
    op.drop_table("team_days")
    op.drop_table("rollup_teams")
