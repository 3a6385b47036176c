"""Jobs, schedules, and the locks of the queue.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql

revision = "0003"
down_revision = "0002"
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
LOCKS = ("lanes", "relay")
TABLES = ("jobs", "schedules", "schedule_runs", "queue_locks")


def upgrade() -> None:
    _create_jobs()
    _create_schedules()
    op.create_table(
        "queue_locks",
        sa.Column("name", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_queue_locks"),
        **TABLE_OPTIONS,
    )
    # A run that was interrupted on MySQL comes by here twice.
    op.execute("DELETE FROM queue_locks")
    for name in LOCKS:
        op.execute(f"INSERT INTO queue_locks (name) VALUES ('{name}')")  # nosec B608
    op.create_index("ix_jobs_due", "jobs", ["state", "priority", "run_at", "id"])
    op.create_index("ix_jobs_lane", "jobs", ["lane", "state", "lane_position"])
    op.create_index("ix_jobs_finished", "jobs", ["state", "finished_at"])
    op.create_index("ix_schedules_due", "schedules", ["enabled", "next_at"])
    op.create_index("ix_schedules_organization", "schedules", ["organization_id", "name"])
    op.create_index("ix_schedule_runs_fire_at", "schedule_runs", ["fire_at"])


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("organization_id", sa.String(50), nullable=True),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("payload", JSON_TEXT, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("run_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("lane", sa.String(160), nullable=True),
        sa.Column("lane_position", sa.BigInteger(), nullable=True),
        sa.Column("dedupe_key", sa.String(255), nullable=True),
        sa.Column("lease", sa.String(40), nullable=True),
        sa.Column("holder", sa.String(120), nullable=True),
        sa.Column("leased_until", sa.BigInteger(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sa.UniqueConstraint("dedupe_key", name="uq_jobs_dedupe_key"),
        **TABLE_OPTIONS,
    )


def _create_schedules() -> None:
    op.create_table(
        "schedules",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("organization_id", sa.String(50), nullable=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("payload", JSON_TEXT, nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("expression", sa.String(120), nullable=False),
        sa.Column("timezone", sa.String(64), nullable=False),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=True),
        sa.Column("planned_at", sa.BigInteger(), nullable=False),
        sa.Column("enabled", sa.SmallInteger(), nullable=False, server_default="0"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_schedules"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "schedule_runs",
        sa.Column("schedule_id", sa.String(40), nullable=False),
        sa.Column("fire_at", sa.BigInteger(), nullable=False),
        sa.Column("job_id", sa.String(40), nullable=False),
        sa.Column("fired_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("schedule_id", "fire_at", name="pk_schedule_runs"),
        **TABLE_OPTIONS,
    )
