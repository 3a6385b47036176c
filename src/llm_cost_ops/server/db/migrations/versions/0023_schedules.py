"""Schedules of files, their runs, and what became of each at each destination.

Revision ID: 0023
Revises: 0022
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql

revision = "0023"
down_revision = "0022"
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
        "delivery_schedules",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("parameters", JSON_TEXT, nullable=False),
        sa.Column("recurrence", JSON_TEXT, nullable=False),
        sa.Column("destinations", JSON_TEXT, nullable=False),
        sa.Column("secrets", sa.Text(), nullable=True),
        sa.Column("catch_up", sa.String(8), nullable=False),
        sa.Column("paused", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("paused_reason", sa.Text(), nullable=True),
        sa.Column("next_fire_at", sa.BigInteger(), nullable=True),
        sa.Column("key_id", sa.String(40), nullable=False),
        sa.Column("user_id", sa.String(255), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(40), nullable=True),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_delivery_schedules"),
        **TABLE_OPTIONS,
    )
    op.create_index("ix_delivery_schedules_due", "delivery_schedules", ["paused", "next_fire_at"])
    op.create_index(
        "ix_delivery_schedules_organization", "delivery_schedules", ["organization_id", "id"]
    )
    op.create_table(
        "delivery_runs",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("schedule_id", sa.String(40), nullable=False),
        sa.Column("fire_at", sa.BigInteger(), nullable=False),
        sa.Column("cause", sa.String(16), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("start_at", sa.BigInteger(), nullable=True),
        sa.Column("end_at", sa.BigInteger(), nullable=True),
        sa.Column("file", sa.String(255), nullable=True),
        sa.Column("media_type", sa.String(128), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.String(64), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("facts", JSON_TEXT, nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_delivery_runs"),
        sa.UniqueConstraint("schedule_id", "fire_at", name="uq_delivery_runs_schedule_id_fire_at"),
        **TABLE_OPTIONS,
    )
    op.create_index("ix_delivery_runs_expires", "delivery_runs", ["expires_at"])
    op.create_index("ix_delivery_runs_finished", "delivery_runs", ["finished_at"])
    op.create_table(
        "delivery_parts",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("run_id", sa.String(40), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("target", JSON_TEXT, nullable=False),
        sa.Column("secrets", sa.Text(), nullable=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_delivery_parts"),
        sa.UniqueConstraint("run_id", "place", name="uq_delivery_parts_run_id_place"),
        **TABLE_OPTIONS,
    )


def downgrade() -> None:
    op.drop_table("delivery_parts")
    op.drop_table("delivery_runs")
    op.drop_table("delivery_schedules")
