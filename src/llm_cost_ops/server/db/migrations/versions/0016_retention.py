"""How long organizations keep what, and the archives of what was removed.

Revision ID: 0016
Revises: 0015
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
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


def _count(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger(), server_default="0", nullable=False)


def upgrade() -> None:
    op.create_table(
        "retention_policies",
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("kept", sa.String(32), nullable=False),
        sa.Column("days", sa.BigInteger(), nullable=False),
        sa.Column("archives", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_by", sa.String(40), nullable=True),
        sa.PrimaryKeyConstraint("organization_id", "kept", name="pk_retention_policies"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "retention_archives",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("kept", sa.String(32), nullable=False),
        sa.Column("file", sa.String(64), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("content_sha256", sa.String(64), nullable=False),
        _count("row_count"),
        _count("size_bytes"),
        sa.Column("before_at", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_retention_archives"),
        **TABLE_OPTIONS,
    )
    op.create_index(
        "ix_retention_archives_organization", "retention_archives", ["organization_id", "id"]
    )


def downgrade() -> None:
    op.drop_table("retention_archives")
    op.drop_table("retention_policies")
