"""Forecasts as they were made, and anomalies as they were found.

Revision ID: 0007
Revises: 0004
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql

revision = "0007"
down_revision = "0006"
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
PLACE = ("organization_id", "frequency", "dimension", "value", "currency", "bucket_start")


def upgrade() -> None:
    op.create_table(
        "forecasts",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("frequency", sa.String(8), nullable=False),
        sa.Column("request", JSON_TEXT, nullable=False),
        sa.Column("answer", JSON_TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(40), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_forecasts"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "anomalies",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("frequency", sa.String(8), nullable=False),
        sa.Column("dimension", sa.String(64), nullable=False),
        sa.Column("value", sa.String(255), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("bucket_start", sa.BigInteger(), nullable=False),
        sa.Column("bucket_end", sa.BigInteger(), nullable=False),
        sa.Column("date", sa.String(40), nullable=False),
        *(
            sa.Column(f"{name}_e10", sa.BigInteger(), nullable=False)
            for name in ("actual", "expected", "lower", "upper")
        ),
        sa.Column("score_e4", sa.BigInteger(), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("method", sa.String(16), nullable=False),
        sa.Column("causes", JSON_TEXT, nullable=True),
        sa.Column("parent_id", sa.String(40), nullable=True),
        sa.Column("episode_id", sa.String(40), nullable=False),
        sa.Column("told", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("found_at", sa.BigInteger(), nullable=False),
        sa.Column("is_anomaly", sa.SmallInteger(), nullable=True),
        sa.Column("note", sa.String(255), nullable=True),
        sa.Column("judged_at", sa.BigInteger(), nullable=True),
        sa.Column("judged_by", sa.String(40), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_anomalies"),
        sa.UniqueConstraint(*PLACE, name="uq_anomalies_place"),
        **TABLE_OPTIONS,
    )
    op.create_index("ix_forecasts_organization", "forecasts", ["organization_id", "id"])
    op.create_index("ix_anomalies_bucket", "anomalies", ["organization_id", "bucket_start"])


def downgrade() -> None:
    op.drop_table("anomalies")
    op.drop_table("forecasts")
