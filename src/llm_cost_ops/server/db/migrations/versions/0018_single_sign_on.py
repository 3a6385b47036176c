"""Identity providers, whom they know, and whether an organization demands them.

Revision ID: 0018
Revises: 0017
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql

revision = "0018"
down_revision = "0017"
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
        "identity_providers",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("issuer", sa.String(255), nullable=False),
        sa.Column("client_id", sa.String(255), nullable=False),
        sa.Column("secret", sa.Text(), nullable=True),
        sa.Column("config", JSON_TEXT, nullable=False),
        sa.Column("enabled", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(40), nullable=True),
        sa.Column("updated_at", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_identity_providers"),
        sa.UniqueConstraint(
            "organization_id", "name", name="uq_identity_providers_organization_id_name"
        ),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "external_identities",
        sa.Column("provider_id", sa.String(40), nullable=False),
        sa.Column("issuer", sa.String(255), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("organization_id", sa.String(50), nullable=True),
        sa.Column("user_id", sa.String(255), nullable=True),
        sa.Column("account_id", sa.String(40), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_used_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("provider_id", "issuer", "subject", name="pk_external_identities"),
        **TABLE_OPTIONS,
    )
    op.create_index(
        "ix_external_identities_user", "external_identities", ["organization_id", "user_id"]
    )
    op.create_index("ix_external_identities_account", "external_identities", ["account_id"])
    op.create_table(
        "sign_in_policies",
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("sso_required", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_by", sa.String(40), nullable=True),
        sa.PrimaryKeyConstraint("organization_id", name="pk_sign_in_policies"),
        **TABLE_OPTIONS,
    )
    op.add_column("sessions", sa.Column("provider_id", sa.String(40), nullable=True))


def downgrade() -> None:
    op.drop_column("sessions", "provider_id")
    op.drop_table("sign_in_policies")
    op.drop_table("external_identities")
    op.drop_table("identity_providers")
