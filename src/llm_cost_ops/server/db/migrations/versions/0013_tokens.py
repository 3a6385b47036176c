"""Signing keys, families of tokens, refresh tokens, OAuth clients and their codes.

Revision ID: 0013
Revises: 0012
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql

revision = "0013"
down_revision = "0012"
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


def _micros(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _text(name: str, length: int, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "signing_keys",
        _text("kid", 40),
        _text("algorithm", 8),
        _text("fingerprint", 64),
        sa.Column("secret", sa.Text(), nullable=True),
        sa.Column("public_key", sa.Text(), nullable=True),
        _micros("created_at"),
        _micros("accepted_until", nullable=True),
        sa.PrimaryKeyConstraint("kid", name="pk_signing_keys"),
        **TABLE_OPTIONS,
    )
    _families()
    _clients()


def _families() -> None:
    op.create_table(
        "token_families",
        _text("id", 40),
        _text("organization_id", 50),
        _text("account_id", 40, nullable=True),
        _text("user_id", 255, nullable=True),
        _text("client_id", 40, nullable=True),
        sa.Column("scopes", JSON_TEXT, nullable=True),
        sa.Column("token_version", sa.BigInteger(), server_default="0", nullable=False),
        _micros("created_at"),
        _micros("expires_at"),
        _micros("revoked_at", nullable=True),
        _text("revoked_for", 32, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_token_families"),
        **TABLE_OPTIONS,
    )
    op.create_index("ix_token_families_account", "token_families", ["account_id"])
    op.create_index("ix_token_families_client", "token_families", ["client_id"])
    op.create_index("ix_token_families_expiry", "token_families", ["expires_at"])
    op.create_table(
        "refresh_tokens",
        _text("digest", 64),
        _text("family_id", 40),
        _micros("created_at"),
        _micros("expires_at"),
        _micros("used_at", nullable=True),
        _text("used_from", 64, nullable=True),
        sa.Column("successor", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("digest", name="pk_refresh_tokens"),
        **TABLE_OPTIONS,
    )
    op.create_index("ix_refresh_tokens_family", "refresh_tokens", ["family_id"])


def _clients() -> None:
    op.create_table(
        "oauth_clients",
        _text("id", 40),
        _text("organization_id", 50),
        _text("name", 255),
        _text("secret_digest", 64, nullable=True),
        sa.Column("redirect_uris", JSON_TEXT, nullable=False),
        sa.Column("grant_types", JSON_TEXT, nullable=False),
        sa.Column("scopes", JSON_TEXT, nullable=False),
        _text("created_by", 40, nullable=True),
        _micros("created_at"),
        _micros("removed_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_oauth_clients"),
        **TABLE_OPTIONS,
    )
    op.create_index("ix_oauth_clients_organization", "oauth_clients", ["organization_id", "id"])
    op.create_table(
        "authorization_codes",
        _text("digest", 64),
        _text("organization_id", 50),
        _text("client_id", 40),
        _text("account_id", 40, nullable=True),
        _text("user_id", 255),
        sa.Column("redirect_uri", sa.Text(), nullable=False),
        _text("challenge", 64),
        sa.Column("scopes", JSON_TEXT, nullable=False),
        _micros("created_at"),
        _micros("expires_at"),
        _micros("used_at", nullable=True),
        _text("family_id", 40, nullable=True),
        sa.PrimaryKeyConstraint("digest", name="pk_authorization_codes"),
        **TABLE_OPTIONS,
    )
    op.create_index("ix_authorization_codes_expiry", "authorization_codes", ["expires_at"])


def downgrade() -> None:
    for name in (
        "authorization_codes",
        "oauth_clients",
        "refresh_tokens",
        "token_families",
        "signing_keys",
    ):
        op.drop_table(name)
