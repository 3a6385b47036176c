"""Alerts: channels, rules, alerts with their history, deliveries.

Revision ID: 0006
Revises: 0004
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql

revision = "0006"
down_revision = "0005"
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
TABLES = ("alert_deliveries", "alert_history", "alerts", "alert_rules", "alert_channels")


def upgrade() -> None:
    _create_definitions()
    _create_alerts()
    _create_deliveries()
    op.create_index("ix_alert_rules_organization", "alert_rules", ["organization_id", "id"])
    op.create_index("ix_alert_rules_kind", "alert_rules", ["kind", "enabled"])
    op.create_index("ix_alerts_organization", "alerts", ["organization_id", "id"])
    op.create_index("ix_alerts_subject", "alerts", ["organization_id", "subject", "fired_at"])
    op.create_index("ix_alerts_budget", "alerts", ["budget_id", "id"])
    op.create_index("ix_alerts_open", "alerts", ["status", "kind", "organization_id"])
    op.create_index("ix_alert_history_alert", "alert_history", ["alert_id", "id"])


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table)


def _id(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(40), nullable=nullable)


def _micros(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _flag(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.SmallInteger(), server_default="0", nullable=False)


def _organization() -> sa.Column[str]:
    return sa.Column("organization_id", sa.String(50), nullable=False)


def _create_definitions() -> None:
    op.create_table(
        "alert_channels",
        _id("id"),
        _organization(),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("config", sa.Text(), nullable=False),
        sa.Column("addressees", sa.Integer(), nullable=False),
        sa.Column("severities", JSON_TEXT, nullable=False),
        _flag("is_default"),
        _flag("enabled"),
        _micros("created_at"),
        _micros("updated_at"),
        _id("created_by", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_alert_channels"),
        sa.UniqueConstraint("organization_id", "name", name="uq_alert_channels_name"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "alert_rules",
        _id("id"),
        _organization(),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("definition", JSON_TEXT, nullable=False),
        _flag("enabled"),
        _id("schedule_id", nullable=True),
        _micros("created_at"),
        _micros("updated_at"),
        _id("created_by", nullable=True),
        _micros("deleted_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_alert_rules"),
        **TABLE_OPTIONS,
    )


def _create_alerts() -> None:
    op.create_table(
        "alerts",
        _id("id"),
        _organization(),
        sa.Column("dedup_key", sa.String(64), nullable=False),
        _id("rule_id", nullable=True),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("notice", JSON_TEXT, nullable=False),
        sa.Column("details", JSON_TEXT, nullable=False),
        _id("budget_id", nullable=True),
        sa.Column("occurrences", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("suppressed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("event_ids", JSON_TEXT, nullable=False),
        _micros("fired_at"),
        _micros("last_seen_at"),
        _micros("acknowledged_at", nullable=True),
        _micros("snoozed_until", nullable=True),
        _micros("resolved_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_alerts"),
        sa.UniqueConstraint("dedup_key", name="uq_alerts_dedup_key"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "alert_history",
        _id("id"),
        _organization(),
        _id("alert_id"),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("details", JSON_TEXT, nullable=False),
        _id("actor_id", nullable=True),
        _micros("at"),
        sa.PrimaryKeyConstraint("id", name="pk_alert_history"),
        **TABLE_OPTIONS,
    )


def _create_deliveries() -> None:
    op.create_table(
        "alert_deliveries",
        _id("id"),
        _organization(),
        _id("alert_id"),
        _id("channel_id"),
        sa.Column("moment", sa.String(40), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        _micros("due_at"),
        _micros("created_at"),
        _micros("finished_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_alert_deliveries"),
        sa.UniqueConstraint(
            "alert_id", "channel_id", "moment", "part", name="uq_alert_deliveries_once"
        ),
        **TABLE_OPTIONS,
    )
