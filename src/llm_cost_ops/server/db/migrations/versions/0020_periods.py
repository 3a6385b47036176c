"""Closed months, the lines of their statements, and what was recorded for them later.

Revision ID: 0020
Revises: 0019
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
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
_MEASURES = (
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


def _count(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger(), server_default="0", nullable=False)


def upgrade() -> None:
    op.create_table(
        "periods",
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("month", sa.String(7), nullable=False),
        sa.Column("closing_id", sa.String(40), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("organization_name", sa.String(255), nullable=True),
        *(_count(name) for name in ("requests", "unpriced", "partially_priced", "total_tokens")),
        sa.Column("totals", sa.Text(), nullable=True),
        sa.Column("digest", sa.String(64), nullable=True),
        _count("lines"),
        sa.Column("lines_digest", sa.String(64), nullable=True),
        sa.Column("closed_by", sa.String(40), nullable=True),
        sa.Column("closed_at", sa.BigInteger(), nullable=False),
        sa.Column("erased_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("organization_id", "month", name="pk_periods"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "period_lines",
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("month", sa.String(7), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.Column("corrects", sa.String(7), nullable=True),
        sa.Column("provider", sa.String(64), nullable=False),
        sa.Column("model_name", sa.String(255), nullable=False),
        sa.Column("project_id", sa.String(255), nullable=False),
        sa.Column("team_id", sa.String(255), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        *(_count(name) for name in _MEASURES),
        sa.PrimaryKeyConstraint("organization_id", "month", "place", name="pk_period_lines"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "late_entries",
        sa.Column("entry_id", sa.String(40), nullable=False),
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("record_id", sa.String(40), nullable=False),
        sa.Column("month", sa.String(7), nullable=False),
        sa.Column("recognized", sa.String(7), nullable=False),
        sa.Column("event_id", sa.String(255), nullable=True),
        sa.PrimaryKeyConstraint("entry_id", name="pk_late_entries"),
        **TABLE_OPTIONS,
    )
    op.create_index(
        "ix_late_entries_organization_id_month", "late_entries", ["organization_id", "month"]
    )
    op.create_index(
        "ix_late_entries_recognized",
        "late_entries",
        ["organization_id", "recognized", "record_id", "entry_id"],
    )


def downgrade() -> None:
    op.drop_table("late_entries")
    op.drop_table("period_lines")
    op.drop_table("periods")
