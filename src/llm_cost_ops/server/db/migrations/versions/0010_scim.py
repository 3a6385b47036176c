"""SCIM tokens, and what identity providers say of people.

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql

revision = "0010"
down_revision = "0009"
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
        "scim_tokens",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("last_four", sa.String(4), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("assigns_roles", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("created_by", sa.String(40), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_scim_tokens"),
        sa.UniqueConstraint("digest", name="uq_scim_tokens_digest"),
        **TABLE_OPTIONS,
    )
    op.create_index("ix_scim_tokens_organization", "scim_tokens", ["organization_id", "id"])
    op.create_table(
        "scim_users",
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("user_id", sa.String(255), nullable=False),
        sa.Column("user_name", sa.String(255), nullable=False),
        sa.Column("user_name_key", sa.String(255), nullable=False),
        sa.Column("document", JSON_TEXT, nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "user_id", name="pk_scim_users"),
        sa.UniqueConstraint(
            "organization_id", "user_name_key", name="uq_scim_users_organization_id_user_name_key"
        ),
        **TABLE_OPTIONS,
    )


def downgrade() -> None:
    op.drop_table("scim_users")
    op.drop_table("scim_tokens")
