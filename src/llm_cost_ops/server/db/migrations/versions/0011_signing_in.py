"""Sessions, second factors, known devices and failed attempts.

Revision ID: 0011
Revises: 0010
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
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


def _micros(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _count(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger(), server_default="0", nullable=False)


def upgrade() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("account_id", sa.String(40), nullable=False),
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("user_id", sa.String(255), nullable=False),
        _count("token_version"),
        _micros("created_at"),
        _micros("last_seen_at"),
        _micros("expires_at"),
        _micros("revoked_at", nullable=True),
        sa.Column("address", sa.String(64), nullable=True),
        sa.Column("agent", sa.String(255), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sa.UniqueConstraint("digest", name="uq_sessions_digest"),
        **TABLE_OPTIONS,
    )
    op.create_index("ix_sessions_account", "sessions", ["account_id"])
    op.create_index("ix_sessions_expiry", "sessions", ["expires_at"])
    op.create_table(
        "second_factors",
        sa.Column("account_id", sa.String(40), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        _count("last_step"),
        _micros("created_at"),
        _micros("confirmed_at", nullable=True),
        sa.PrimaryKeyConstraint("account_id", name="pk_second_factors"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "recovery_codes",
        sa.Column("account_id", sa.String(40), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        _micros("created_at"),
        _micros("used_at", nullable=True),
        sa.PrimaryKeyConstraint("account_id", "digest", name="pk_recovery_codes"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "known_devices",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("account_id", sa.String(40), nullable=False),
        _micros("created_at"),
        _micros("expires_at"),
        sa.PrimaryKeyConstraint("digest", name="pk_known_devices"),
        **TABLE_OPTIONS,
    )
    op.create_index("ix_known_devices_account", "known_devices", ["account_id"])
    op.create_table(
        "sign_in_attempts",
        sa.Column("subject", sa.String(80), nullable=False),
        _count("failures"),
        _micros("last_at"),
        _micros("blocked_until"),
        sa.PrimaryKeyConstraint("subject", name="pk_sign_in_attempts"),
        **TABLE_OPTIONS,
    )
    op.create_index("ix_sign_in_attempts_last", "sign_in_attempts", ["last_at"])


def downgrade() -> None:
    for table in (
        "sign_in_attempts",
        "known_devices",
        "recovery_codes",
        "second_factors",
        "sessions",
    ):
        op.drop_table(table)
