"""Closed days of the ledger, where the audit log was sent to, credentials of providers.

Revision ID: 0019
Revises: 0018
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
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
        "closed_days",
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("day", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("records", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("archive_id", sa.String(40), nullable=True),
        sa.Column("closed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "day", name="pk_closed_days"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "audit_forwards",
        sa.Column("sink", sa.String(16), nullable=False),
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("failing_since", sa.BigInteger(), nullable=True),
        sa.Column("last_error", sa.String(255), nullable=True),
        sa.PrimaryKeyConstraint("sink", "organization_id", name="pk_audit_forwards"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "provider_credentials",
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("provider", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("last_four", sa.String(4), nullable=False),
        sa.Column("created_by", sa.String(40), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("rotated_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_provider_credentials"),
        sa.UniqueConstraint(
            "organization_id",
            "provider",
            "name",
            name="uq_provider_credentials_organization_id_provider_name",
        ),
        **TABLE_OPTIONS,
    )


def downgrade() -> None:
    op.drop_table("provider_credentials")
    op.drop_table("audit_forwards")
    op.drop_table("closed_days")
